"""The convolutional network of series, and the average of several.

Axes: B batch, D numbers of a step, C channels, T time, K scores, M members.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from rekur.models.augment import augmented, cut, mixing
from rekur.models.batch import Batch, ItemNetwork
from rekur.models.branch_spec import GRID
from rekur.models.heads import Head
from rekur.models.linear_base import LIMIT, LinearBase
from rekur.models.making import making
from rekur.models.series_spec import SeriesSpec
from rekur.models.share_branch import ShareBranch
from rekur.models.side_by_side import Part, losses_of
from rekur.nn import Recurrent, make_pool
from rekur.nn.windows import (
    StepNorm,
    WindowConv,
    cleared,
    mask_of,
    sampled,
    sampled_lengths,
    side_by_side,
    standardized,
)

#: the smallest deviation by which a series is divided
EPSILON = 1e-4
#: steps of the windows of the block behind the first convolutions
_BLOCK_WIDTH = 5
#: numbers of a register of a batch that is evaluated at once
_NUMBERS = 1 << 24


class Masks(NamedTuple):
    """Factors of values that are dropped at random, 0 or above 1; None where nothing is dropped.

    Attributes:
        of_steps: of what the GRU reads, (B, T, C).
        of_joined: of what the scores are made of.
    """

    of_steps: Tensor | None
    of_joined: Tensor | None


class SeriesMember(nn.Module):
    r"""One convolutional network of series.

    Convolutions of several widths side by side, batch norm, a rectifier, and the largest of every few steps; a residual
    block of two convolutions, whose mean and maximum over time are joined with the mean, the maximum and an attention
    pool, or what else ``pooling`` names, of a GRU that reads it; a linear layer gives the scores.

    Args:
        spec: the specification.
    """

    def __init__(self, spec: SeriesSpec) -> None:
        super().__init__()
        self.spec = spec
        channels, each = spec.channels, spec.channels // len(spec.widths)

        def conv(inputs: int, outputs: int, width: int) -> WindowConv:
            return WindowConv(inputs, outputs, width, ahead=0 if spec.causal else width // 2)

        self.convs = nn.ModuleList(conv(spec.read_size, each, width) for width in spec.widths)
        self.norm = StepNorm(channels)
        self.block = nn.ModuleList(conv(channels, channels, _BLOCK_WIDTH) for _ in range(2))
        self.block_norms = nn.ModuleList(StepNorm(channels) for _ in range(2))
        self.pool = make_pool("mean+max", channels)
        self.recurrent = Recurrent("gru", channels, spec.hidden_size, bidirectional=not spec.causal)
        self.recurrent_pool = make_pool(
            spec.pooling, self.recurrent.output_size, bidirectional=self.recurrent.bidirectional
        )
        self.head = nn.Linear(self.pool.output_size + self.recurrent_pool.output_size, spec.output_size)

    def masks(self, rows: int, steps: int, like: Tensor) -> Masks:
        """Return what :meth:`forward` multiplies to drop values, drawn at random; None where nothing is dropped.

        Args:
            rows: of the batch.
            steps: T.
            like: has the dtype and device.
        """
        if not (self.training and self.spec.dropout):
            return Masks(None, None)
        share = 1 - self.spec.dropout
        shapes = (rows, -(-steps // self.spec.stride), self.spec.channels), (rows, self.head.in_features)
        return Masks(*(like.new_empty(shape).bernoulli_(share).div_(share) for shape in shapes))

    def forward(self, x: Tensor, lengths: Tensor, masks: Masks | None = None) -> Tensor:
        """Return the scores (B, K) of scaled series (B, C, T) of lengths (B,), which are 0 beyond their ends."""
        spec, mask = self.spec, mask_of(lengths, x)
        of_steps, of_joined = masks or self.masks(len(x), x.shape[2], x)
        x = side_by_side([conv for conv in self.convs if isinstance(conv, WindowConv)], x)
        x = functional.relu(sampled(self.norm(x, mask), spec.stride, "max"))
        lengths = sampled_lengths(lengths, spec.stride)
        mask = mask_of(lengths, x)
        x = cleared(x, mask)
        y = functional.relu(self.block_norms[0](self.block[0](x), mask))
        y = self.block_norms[1](self.block[1](cleared(y, mask)), mask)
        x = cleared(functional.relu(x + y), mask).transpose(1, 2)
        pooled = self.pool(x, lengths)
        read = x if of_steps is None else x * of_steps
        hidden = self.recurrent_pool(self.recurrent(read, lengths=lengths).output, lengths)
        joined = torch.cat([pooled, hidden], dim=1)
        scores: Tensor = self.head(joined if of_joined is None else joined * of_joined)
        return scores if spec.spread == 1 else scores * spec.spread


class SeriesNetwork(ItemNetwork):
    r"""A convolutional network of series, or the average of several, maybe with a ridge beside them.

    Where a batch says which member each item is for, each is run by that one alone; else the answers of all members are
    averaged: class shares, or numbers as they are. With a linear base members and ridge learn what it leaves.

    Args:
        spec: the specification.

    Example:
        >>> spec = SeriesSpec(input_size=1, output_size=3, members=2, joint="softmax")
        >>> outputs, loss = SeriesNetwork(spec).eval()(Batch.of(torch.randn(2, 20, 1), torch.tensor([20, 7])))
        >>> outputs.shape, loss
        (torch.Size([2, 3]), None)
    """

    takes_members: ClassVar[bool] = True

    def __init__(self, spec: SeriesSpec) -> None:
        super().__init__()
        self.spec = spec
        self.members = nn.ModuleList(SeriesMember(spec) for _ in range(spec.members))
        steps = spec.base_steps
        self.base = LinearBase(spec.input_size, spec.output_size, spec.members, steps=steps) if spec.base else None
        self.branch = None if spec.branch is None else ShareBranch(spec.branch)

    def attach(self, branch: ShareBranch) -> None:
        """Let a ridge answer beside the members from now on."""
        self.branch = branch.to(next(self.parameters()).device)
        self.spec = dataclasses.replace(self.spec, branch=branch.spec)

    @property
    def streams(self) -> bool:
        """True if no step needs a later one, so that the model can run live."""
        return self.spec.causal

    def numbering(self) -> dict[str, str]:
        """Return the weights that read the steps, and those that give the scores."""
        names = [name for name, _ in self.named_parameters()]
        reads = {name: "features" for name in names if ".convs." in name}
        return {**reads, **{name: "target" for name in names if ".head." in name}}

    def outputs(self, batch: Batch) -> Tensor:
        """Return the scores (B, K) of rows of numbers (B, T, D) of lengths (B,)."""
        steps, lengths = batch.steps, batch.lengths
        parts = []
        most = max(1, _NUMBERS // max(1, self.spec.channels * steps.shape[1]))
        for start in range(0, len(steps), most):
            part = slice(start, start + most)
            longest = max(1, int(lengths[part].max()))
            x, reduced = self.scaled(steps[part, :longest], lengths[part])
            of = None if batch.members is None else batch.members[part]
            scores = self._beside_branch(self._run(x, reduced, of), steps[part], lengths[part], of)
            base = self.base_of(steps[part], lengths[part], of)
            parts.append(scores if base is None else scores + base)
        return torch.cat(parts) if parts else steps.new_zeros(0, self.spec.output_size)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Return the outputs of a batch, and in training the mean loss of the members on changed and mixed series."""
        if not self.training or batch.targets is None or self.criterion is None:
            return super().forward(batch)
        x, lengths = self.scaled(*cut(batch.steps, batch.lengths, self.spec.longest))
        outputs, targets = x.new_zeros(len(x), self.spec.output_size), batch.targets
        base = self.base_of(batch.steps, batch.lengths, batch.members)
        if base is not None:
            targets = targets - base.view_as(targets)
        parts: list[Part] = []
        for rows, member in self._shares(batch.members, len(x), x.device):
            batch_of = Batch(
                {"steps": augmented(x[rows], lengths[rows.cpu()], self.spec.augment)},
                lengths[rows.cpu()],
                targets[rows],
                None if batch.weights is None else batch.weights[rows],
            )
            loss = self._mixed(batch_of, cast(SeriesMember, member), outputs, rows)
            parts.append(Part(list(member.parameters()), loss))
        return outputs if base is None else outputs + base, losses_of(parts).mean()

    def base_of(self, steps: Tensor, lengths: Tensor, of: Tensor | None) -> Tensor | None:
        """Return what the scores are added to, (B, K): of each row's member, or the average of all; None without one.

        Args:
            steps: (B, T, D).
            lengths: (B,).
            of: the member of each row, (B,).
        """
        if self.base is None:
            return None
        each: Tensor = self.base(steps, lengths)
        rows = torch.arange(len(steps), device=each.device)
        return each.mean(dim=0) if of is None else each[of.to(each.device), rows]

    @torch.no_grad()
    def multiply_scores(self, factor: float) -> None:
        """Multiply the scores of every member, as the inverse of a temperature does; a base is left as it is."""
        for member in self.members:
            if isinstance(member, SeriesMember):
                member.head.weight.mul_(factor)
                member.head.bias.mul_(factor)

    def scaled(self, steps: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return series (B, C, T) as the members read them, 0 beyond their ends, and their lengths.

        Args:
            steps: (B, T, D).
            lengths: (B,).
        """
        spec, x = self.spec, functional.pad(steps, (0, 0, 0, int(not steps.shape[1]))).transpose(1, 2)
        x = sampled(cleared(x, mask_of(lengths, x)), spec.block, "mean")
        lengths = sampled_lengths(lengths, spec.block)
        mask = mask_of(lengths, x)
        x = cleared(x, mask)
        parts = [x] if spec.scale != "series" else []
        if spec.scale != "global":
            parts.append(standardized(x, lengths, mask, EPSILON))
        return torch.cat(parts, dim=1).clamp(-LIMIT, LIMIT), lengths

    def _mixed(self, part: Batch, member: SeriesMember, outputs: Tensor, rows: Tensor) -> Callable[[], Tensor]:
        """Return the computation of a member's loss on its part of a batch, maybe mixed; random numbers are drawn now.

        Args:
            part: of the batch.
            member: of the network.
            outputs: of the batch, into which the computation writes those of the part.
            rows: of the part in the batch.
        """
        criterion, targets = cast(Head, self.criterion), cast(Tensor, part.targets)
        mix, lengths = mixing(len(part.lengths), self.spec.mixup), part.lengths
        x = cleared(part.steps, mask_of(lengths, part.steps))
        if mix is not None:
            share, order = mix
            x, lengths = share * x + (1 - share) * x[order], torch.maximum(lengths, lengths[order])
        masks = member.masks(len(x), x.shape[2], x)

        def loss_of_member() -> Tensor:
            scores = member(x, lengths, masks)
            outputs.index_copy_(0, rows, scores.detach().to(outputs.dtype))
            with torch.autocast(x.device.type, enabled=False):  # losses are summed in full precision
                wide = scores.float()
                loss = criterion.loss(wide, targets, lengths, part.weights)
                if mix is None:
                    return loss
                weights = None if part.weights is None else part.weights[order]
                return share * loss + (1 - share) * criterion.loss(wide, targets[order], lengths, weights)

        return loss_of_member

    def _run(self, x: Tensor, lengths: Tensor, of: Tensor | None) -> Tensor:
        """Return the scores (B, K): of each row's member, or the average of all."""
        if of is not None:
            outputs = x.new_zeros(len(x), self.spec.output_size)
            for rows, member in self._shares(of, len(x), x.device):
                outputs[rows] = member(x[rows], lengths[rows.cpu()]).to(x.dtype)
            return outputs
        if len(self.members) == 1:
            scores: Tensor = self.members[0](x, lengths)
            return scores
        return joined(torch.stack([member(x, lengths) for member in self.members]), self.spec.joint)

    def _beside_branch(self, scores: Tensor, steps: Tensor, lengths: Tensor, of: Tensor | None) -> Tensor:
        """Return scores (B, K) of the members, joined with those of a branch."""
        if self.branch is None:
            return scores
        ridges, joint = self.branch(steps, lengths).to(scores), self.spec.joint
        if of is None or len(ridges) == 1:
            ridge = joined(ridges, joint)
        else:
            ridge = ridges[of.to(scores.device), torch.arange(len(scores))]
        quarters = self.branch.spec.quarters
        return joined(torch.stack([scores] * (GRID - quarters) + [ridge] * quarters), joint)

    def _shares(self, of: Tensor | None, count: int, device: torch.device) -> list[tuple[Tensor, nn.Module]]:
        """Return the rows of each member that has some; all rows for each where the batch does not say."""
        if of is None:
            return [(torch.arange(count, device=device), member) for member in self.members]
        each = [(torch.nonzero(of.to(device) == number)[:, 0], member) for number, member in enumerate(self.members)]
        return [(rows, member) for rows, member in each if len(rows)]


def joined(scores: Tensor, joint: str) -> Tensor:
    """Return the average of the members' scores (M, B, K) as scores (B, K), by a name in ``JOINTS``.

    Example:
        >>> joined(torch.tensor([[[0.0, 0.0]], [[0.0, 100.0]]]), "softmax").exp()
        tensor([[0.2500, 0.7500]])
    """
    if joint == "outputs":
        return scores.mean(dim=0)
    if joint == "softmax":
        return scores.float().softmax(dim=-1).mean(dim=0).clamp(min=1e-30).log()
    yes, no = (
        (sign * scores.float()).sigmoid().mean(dim=0).clamp(min=1e-30) for sign in (1, -1)
    )  # 1 - yes lacks digits
    return yes.log() - no.log()


def build_series(spec: SeriesSpec, *, seed: int | None = None) -> SeriesNetwork:
    """Return a new network of this specification, in float32.

    Args:
        spec: the specification.
        seed: of the initial weights; None uses PyTorch's random state.

    Example:
        >>> sum(weight.numel() for weight in build_series(SeriesSpec(input_size=1, output_size=2)).parameters())
        110178
    """
    with making(seed):
        return SeriesNetwork(spec)
