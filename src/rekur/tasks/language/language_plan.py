"""A new language network, and its truncated back-propagation through time: chunks of streams, the state carried on.

Axes: B streams, T time, N tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils import _pytree

from rekur._ids import PADDING, RESERVED
from rekur.data import StreamBatches, Tokens, evaluation_chunks
from rekur.data.vectors import WordVectors
from rekur.errors import OptionError, describe
from rekur.models import LanguageNetwork, LanguageSpec, LanguageState, build_language
from rekur.models.encoder import of_unit_norm
from rekur.models.language import detach
from rekur.nn.ngram import frequent_runs
from rekur.tasks.base.early import check_model_size
from rekur.tasks.language import language_recipe as recipe
from rekur.tasks.language.options import MODEL_OPTIONS

#: parts that a validation text is cut into during training, and tokens that each reads before its own
ROWS, CONTEXT = 32, 128
#: tokens that a part has at least after training, where the network recalls what stood far before
LEAST_PART = 100_000
#: validation tokens that are looked at during training; the scores at the end are of all
MOST_VALID_TOKENS = 100_000
#: steps between two evaluations at most, and at least where the text is learnt by heart
MOST_STEPS, FEWEST_STEPS = 2_000, 20

Batch = tuple[Tensor, Tensor, Tensor | None, bool]


class LanguagePlan:
    """Chunks of the training streams with the state carried between them, and the loss on validation tokens.

    Args:
        network: the network, whose state is carried.
        streams: the training tokens as contiguous streams.
        valid: the validation tokens.
        reset: whether the state begins anew with each document.
        by_heart: ``valid`` is the training text itself; scores are named so, and epochs of few steps share one
            evaluation.
    """

    larger_is_better, tolerance = False, 0.0

    def __init__(
        self,
        network: LanguageNetwork,
        streams: StreamBatches,
        valid: Tokens,
        *,
        reset: bool,
        by_heart: bool = False,
    ) -> None:
        self._network, self._streams, self._valid, self._reset = network, streams, valid, reset
        self._state: LanguageState | None = None
        self._split = "train" if by_heart else "valid"
        self.monitor = f"{self._split}_loss"
        self.steps_per_epoch = len(streams)
        epochs = math.ceil(FEWEST_STEPS / self.steps_per_epoch) if by_heart else 1
        self.evaluate_every = min(epochs * self.steps_per_epoch, MOST_STEPS)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the chunks of one epoch as (inputs, targets, resets, first)."""
        for chunk in self._streams.epoch(epoch, start):
            resets = None if chunk.resets is None else torch.from_numpy(chunk.resets)
            yield torch.from_numpy(chunk.x), torch.from_numpy(chunk.targets), resets, chunk.first

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss of a chunk, and carry the state on without its gradient."""
        x, targets, resets, first = batch
        out = model(x, targets, None if first else self._state, resets)
        self._state = detach(out.state)
        loss: Tensor = out.loss
        return loss

    def weight(self, batch: Batch) -> float:
        """Return the number of targets of a chunk."""
        return float((batch[1] != PADDING).sum())

    def largest_batch(self) -> tuple[int, int]:
        """Return the streams and the steps of the largest chunk."""
        return self._streams.rows, self._streams.longest

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Return the loss and the perplexity on the validation tokens, or on the first hundred thousand of them."""
        ids = np.asarray(self._valid.ids[:MOST_VALID_TOKENS])
        starts = self._valid.starts[self._valid.starts < len(ids)]
        loss = float(run(model, ids, starts, reset=self._reset, rows=ROWS).mean(dtype=np.float64))
        return {self.monitor: loss, f"{self._split}_perplexity": math.exp(min(loss, 700.0))}

    def get_state(self) -> dict[str, Tensor]:
        """Return the carried state as named tensors (B, …)."""
        leaves = [] if self._state is None else _pytree.tree_leaves(self._state)
        return {f"{number:03d}": leaf for number, leaf in enumerate(leaves)}

    def set_state(self, state: dict[str, Tensor]) -> None:
        """Put back what :meth:`get_state` returned; nothing is the state before the first chunk."""
        if not state:
            self._state = None
            return
        layout = _pytree.tree_structure(self._network.initial_state(1))
        device = next(self._network.parameters()).device
        self._state = _pytree.tree_unflatten([state[name].to(device) for name in sorted(state)], layout)


def new_network(
    chosen: dict[str, Any], text: Tokens, vocabulary_size: int, reset: bool, earlier: Mapping[str, Any] | None = None
) -> LanguageNetwork:
    """Return an untrained network that knows how frequent tokens are, and which runs of them.

    Args:
        chosen: all options.
        text: the training text.
        vocabulary_size: number of token numbers V.
        reset: whether a run of tokens never reaches from one document into the next.
        earlier: the specification of the run that is resumed on other texts, whose weights already hold frequencies;
            None for a new run.
    """
    if earlier is not None:
        return build_language(LanguageSpec.from_dict(dict(earlier)), seed=chosen["seed"])
    ids = torch.from_numpy(np.asarray(text.ids[: recipe.MOST_COUNTED]))
    options = {name: chosen[name] for name in MODEL_OPTIONS}
    runs: tuple[Tensor, ...] = ()
    if options["ngrams"]:
        begins = torch.from_numpy(text.starts if reset else text.starts[:1])
        how = {"min_count": recipe.LEAST_COUNT, "most": chosen["ngram_rows"]}
        runs = frequent_runs(ids, begins[begins < len(ids)], options["ngrams"], **how)
    if options["softmax"] == "adaptive":
        options["cutoffs"] = recipe.cutoffs(vocabulary_size)
    rows = tuple(len(keys) + 1 for keys in runs)
    spec = LanguageSpec(vocabulary_size=vocabulary_size, ngram_rows=rows, **options)
    check_model_size(build_language, spec, chosen)
    network = build_language(spec, seed=chosen["seed"])
    if network.ngram_embedding is not None:
        network.ngram_embedding.know(runs)
    network.start_bias(torch.bincount(ids, minlength=vocabulary_size))
    return network


@torch.no_grad()
def start_embedding(weight: Tensor, vectors: WordVectors, words: Sequence[str]) -> None:
    """Write trained vectors into the first columns of an embedding (V, E); the other columns stay as they were drawn.

    They are scaled to a mean square norm of 1, as drawn vectors have.

    Args:
        weight: the embedding, changed in place.
        vectors: of P numbers.
        words: those of the rows from 2 on; one without a vector keeps what was drawn.

    Raises:
        OptionError: P is larger than E.
    """
    if vectors.size > weight.shape[1]:
        expected = f"{vectors.size} or more, as the trained vectors have"
        raise OptionError(describe("embedding_size", weight.shape[1], expected, "Leave it out, or take a larger one."))
    rows = vectors.rows(words)
    matrix = of_unit_norm(torch.from_numpy(vectors.matrix[rows[rows >= 0]]))
    weight[RESERVED:][torch.from_numpy(rows >= 0), : vectors.size] = matrix


def parts_of(network: LanguageNetwork, count: int) -> int:
    """Return in how many parts so many tokens are scored: in few where what stood far before is recalled."""
    return ROWS if network.recall is None else max(1, min(ROWS, count // LEAST_PART))


def run(
    model: nn.Module, ids: NDArray[Any], starts: NDArray[np.int64], *, reset: bool, rows: int = 1
) -> NDArray[np.float32]:
    """Return the negative log-probability of every token (N,), in nats, without gradients.

    Args:
        model: takes what :class:`rekur.models.LanguageNetwork` takes; it is put into evaluation mode.
        ids: the tokens, (N,).
        starts: where each document begins.
        reset: whether the state begins anew with each document.
        rows: parts that are read side by side. Without ``reset``, 1 carries the state through the whole text; more
            are faster, and warm each part up on the tokens before it.
    """
    model.eval()
    device = next(model.parameters()).device
    nats = np.zeros(len(ids), dtype=np.float32)
    state = None
    with torch.no_grad():
        for chunk in evaluation_chunks(ids, starts, reset=reset, rows=rows, context=CONTEXT if rows > 1 else 0):
            x, targets = (torch.from_numpy(array).to(device) for array in (chunk.x, chunk.targets))
            resets = None if chunk.resets is None else torch.from_numpy(chunk.resets).to(device)
            out = model(x, targets, state, resets)
            state = out.state
            counted = chunk.targets != PADDING
            nats[chunk.places[counted]] = out.nats.float().cpu().numpy()[counted]
    return nats
