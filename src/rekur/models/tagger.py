"""The network that scores tags at every step, built from its specification, and its head.

Axes: B batch, T time, N items, K tags, M members.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils import _pytree

from rekur.data.pieces import LONG, MARGIN, windows
from rekur.data.ragged import Ragged
from rekur.models.batch import Batch, ItemNetwork, numbers_of_ends
from rekur.models.encoder import Encoder
from rekur.models.encoder_spec import TaggerSpec
from rekur.models.heads import Floats, LabelHead, StepsHead
from rekur.models.making import making
from rekur.nn.stack import locked_dropout
from rekur.targets.tags import UNSEEN


class TagMember(nn.Module):
    """An encoder, and scores of each step that start at 0 for every tag.

    Args:
        spec: the specification.
    """

    def __init__(self, spec: TaggerSpec) -> None:
        super().__init__()
        self.encoder = Encoder(spec)
        self.head = nn.Linear(self.encoder.output_size, spec.output_size)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)


class TagNetwork(ItemNetwork):
    r"""Encode, and score each step; of several members the mean of their scores.

    .. math:: z_t = \frac{1}{M} \sum_m W_m\,\mathrm{dropout}(\mathrm{encode}_m(x)_t) + b_m

    The scores start at 0 for every tag. In training the loss is the mean of those of the members.

    Args:
        spec: the specification.

    Example:
        >>> import torch
        >>> spec = TaggerSpec(columns=(10, 6), cell="gru", hidden_size=8, output_size=3)
        >>> ids = torch.tensor([[[4, 5], [5, 2], [0, 0]]])
        >>> outputs, loss = TagNetwork(spec)(Batch.of(ids, torch.tensor([2])))
        >>> outputs.shape, loss
        (torch.Size([1, 3, 3]), None)
    """

    per_step = True

    def __init__(self, spec: TaggerSpec) -> None:
        super().__init__()
        self.spec = spec
        first = TagMember(spec)
        self.encoder, self.head = first.encoder, first.head
        self.others = nn.ModuleList(TagMember(spec) for _ in range(1, spec.members))
        for encoder, _ in self.members[1:]:
            if encoder.embedding is not None and self.encoder.embedding is not None:
                encoder.embedding.borrow_vectors(self.encoder.embedding)

    @property
    def members(self) -> list[tuple[Encoder, nn.Linear]]:
        """The encoder and the linear layer of each member."""
        others = [each for each in self.others if isinstance(each, TagMember)]
        return [(self.encoder, self.head), *((each.encoder, each.head) for each in others)]

    def outputs(self, batch: Batch) -> Tensor:
        """Return the scores (B, T, K) of ids (B, T, C) or rows of numbers (B, T, D) of lengths (B,)."""
        scores: Tensor = self._of_members(batch)[0]
        return scores.mean(dim=0)

    def forward(self, batch: Batch) -> Any:
        """Return the scores of a batch and their mean loss; where a state is carried, also the state behind it.

        The scores of a batch that carries a state come late by the look-ahead, and its targets with them.
        """
        scores, *state = self._of_members(batch)
        mean = scores.mean(dim=0)
        if batch.targets is None or self.criterion is None:
            return mean, None, *state
        each = scores if self.training else mean[None]
        with torch.autocast(scores.device.type, enabled=False):  # losses are summed in full precision
            facts = batch.targets, batch.lengths, batch.weights
            losses = [self.criterion.loss(of_member.float(), *facts) for of_member in each]
        return mean, torch.stack(losses).mean(), *state

    def _of_members(self, batch: Batch) -> tuple[Any, ...]:
        """Return the scores of each member, (M, B, T, K), and where a state is carried, those behind the batch."""
        encoded, states = [], []
        begins, state = (None, None) if batch.state is None else batch.state
        for number, (encoder, _) in enumerate(self.members):
            if begins is None:
                encoded.append(encoder(batch.steps, batch.lengths))
                continue
            of_member = None if state is None else state[number]
            outputs, behind = encoder.advance(batch.steps, batch.lengths, begins, of_member)
            encoded.append(outputs)
            states.append(behind)
        dropped = [locked_dropout(each, self.spec.dropout, training=self.training) for each in encoded]
        scores = torch.stack([head(each) for each, (_, head) in zip(dropped, self.members, strict=True)])
        return (scores,) if begins is None else (scores, tuple(states))

    def state_layout(self) -> Any:
        """Return the structure of a carried state."""
        empty = torch.zeros(1, 0, 1)
        return _pytree.tree_structure(tuple(encoder.initial_state(empty) for encoder, _ in self.members))

    def outputs_of_long(self, steps: NDArray[Any]) -> NDArray[np.float32]:
        """Return the scores (T, K) of one long sequence (T, …): in chunks with the state carried, or in windows.

        A network that reads from both ends reads windows that overlap; see :func:`rekur.data.pieces.windows`.
        """
        device, late = self.head.weight.device, self.spec.look_ahead
        scores = np.empty((len(steps), self.spec.output_size), np.float32)
        state: Any = None
        for window in windows(len(steps) + late, margin=0 if self.streams else MARGIN):
            rows = steps[window.start : window.end]
            if missing := window.end - window.start - len(rows):  # a look-ahead reads on as zeros
                rows = np.concatenate([rows, np.zeros((missing, *rows.shape[1:]), rows.dtype)])
            x = torch.from_numpy(np.ascontiguousarray(rows))[None].to(device)
            batch = Batch.of(x, torch.tensor([len(rows)], device=device))
            if self.streams:
                batch = batch._replace(state=(torch.tensor([state is None], device=device), state))
            outputs, _, *carried = self(batch)
            state = carried[0] if carried else None
            part = outputs[0, window.first - window.start :][: window.last - window.first].float().cpu().numpy()
            first = window.first - late
            scores[max(0, first) : first + len(part)] = part[max(0, -first) :]
        return scores

    def numbering(self) -> dict[str, str]:
        """Return the weights that read the steps, and those that give the scores."""
        first = self.encoder.first_weights
        numbers = numbers_of_ends(self, f"encoder.{first}")
        for number, other in enumerate(self.others):
            of_other = numbers_of_ends(other, f"encoder.{first}")
            numbers |= {f"others.{number}.{name}": value for name, value in of_other.items()}
        return numbers

    @property
    def streams(self) -> bool:
        """True if no step needs a later one, so that the network can run live."""
        return not self.spec.bidirectional


class TagsHead(StepsHead):
    """Cross entropy of the tag of every step; a step without a target, whose tag training lacks, counts in no mean.

    Args:
        size: number of tags K.
        smoothing: share of the target spread over all tags in training, in [0, 1).

    Example:
        >>> head = TagsHead(2)
        >>> head.terms([np.zeros((3, 2))], Ragged.from_iter([np.array([0, 1, -1])])).round(3).tolist()
        [[1.386, 2.0]]
    """

    def __init__(self, size: int, *, smoothing: float = 0.0) -> None:
        super().__init__(LabelHead(size, smoothing=smoothing))

    def loss(
        self, outputs: Tensor, targets: Tensor, lengths: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """Return the mean loss over the real steps with a target, 0 if there are none; see :class:`StepsHead`."""
        if lengths is None or outputs.dim() != 3:
            return super().loss(outputs, targets, lengths, weights)
        real = torch.arange(targets.shape[1], device=targets.device) < lengths[:, None]
        counted = real & (targets != UNSEEN)
        if not bool(counted.any()):
            return outputs.sum() * 0
        of_steps = None if weights is None else weights[:, None].expand(counted.shape)[counted]
        return self.head.loss(outputs[counted], targets[counted], weights=of_steps)

    def terms(self, outputs: Sequence[NDArray[Any]], targets: Ragged) -> Floats:
        """Return the summed loss of the steps of each item, and their number, (N, 2).

        Args:
            outputs: one (T, K) an item.
            targets: one row (T,) an item.
        """
        terms = []
        for item, scores in enumerate(outputs):
            total = np.zeros(2)
            for start in range(0, len(scores), LONG):
                numbers = targets[item][start : start + LONG].astype(np.int64)
                seen = numbers != UNSEEN
                total += self.head.terms(scores[start : start + LONG][seen], numbers[seen]).sum(axis=0)
            terms.append(total)
        return np.reshape(terms, (-1, 2)).astype(np.float64)


def build_tagger(spec: TaggerSpec, *, seed: int | None = None) -> TagNetwork:
    """Return a new network of this specification, in float32.

    Args:
        spec: the specification.
        seed: of the initial weights; None uses PyTorch's random state.

    Example:
        >>> spec = TaggerSpec(columns=(10,), cell="gru", hidden_size=4, embedding_size=3, output_size=2)
        >>> sum(weight.numel() for weight in build_tagger(spec, seed=0).parameters())
        148
    """
    with making(seed):
        return TagNetwork(spec)
