"""The token that comes next: what the outputs of a language model mean.

Axes: T tokens, K token numbers, N items, R stretches of text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rekur._ids import PADDING, UNKNOWN
from rekur.errors import InputError, describe
from rekur.metrics.language import text_records, text_report, text_scores
from rekur.targets.base import PlaceOf, Records, Target, TargetStream
from rekur.targets.galleries import TextGallery
from rekur.targets.gallery import ErrorRow, shortened

#: tokens of a stretch that a row of errors shows, those before the least probable one first
_SHOWN_BEFORE, _SHOWN_AFTER = 60, 20


class NextTarget(Target):
    r"""The next token of a text; a prediction is :math:`\log p(x_t \mid x_{<t})` of each of its tokens.

    The context of an item is a dict: ``tokens``, the token numbers (T,), and ``stretches``, the numbers of tokens,
    characters and bytes of each stretch of its text, (R, 3). A record is that of a stretch: nats, tokens, characters,
    bytes, unknown tokens.

    Args:
        size: the number of token numbers K.
        reset: whether the state begins anew with each document.

    Example:
        >>> target = NextTarget(3, reset=True)
        >>> context = {"tokens": np.array([2, 1]), "stretches": np.array([[2, 4, 4]])}
        >>> log_probabilities = target.decode(np.zeros((2, 3), np.float32), context)
        >>> target.record(log_probabilities, "a, b", context).round(2).tolist()
        [[2.2, 2.0, 4.0, 4.0, 1.0]]
    """

    kind = "next"
    label_type = "text"
    per_step = True
    no_target = PADDING
    counted = "tokens"
    decides = "loss"
    followed = ("loss", "perplexity")

    def __init__(self, size: int, *, reset: bool) -> None:
        self._size, self.reset = size, reset

    @classmethod
    def learn(
        cls,
        labels: Sequence[Any],
        features: Any = None,
        *,
        place_of: PlaceOf | None = None,
        reset: bool = True,
        **options: Any,
    ) -> Self:
        """Return the target of the tokens that the features know."""
        return cls(features.size, reset=reset)

    @property
    def size(self) -> int:
        """The number of token numbers."""
        return self._size

    @property
    def compares(self) -> str:
        """Bits per character, which do not depend on what a token is."""
        return "bits_per_character"

    def stream(self) -> TargetStream:
        """Return a new stream; it holds nothing back."""
        return _NextStream(self)

    def encode(self, label: Any, context: Any = None) -> NDArray[np.int64]:
        """Return the tokens to be predicted, (T,); they stand in the context."""
        return np.asarray(_field(context, "tokens"), np.int64)

    def decode(self, outputs: NDArray[Any], context: Any = None) -> NDArray[np.float32]:
        """Return the log-probability of each token of an item (T,).

        Args:
            outputs: the scores of all tokens (T, K), or the log-probability of the token itself (T, 1).
            context: the context of the item.
        """
        if outputs.shape[1] == 1:
            return np.asarray(outputs[:, 0])
        tokens = self.encode(None, context)
        largest = outputs.max(axis=1, initial=-np.inf)
        totals = np.log(np.exp(outputs - largest[:, None]).sum(axis=1)) + largest
        return np.asarray(outputs[np.arange(len(tokens)), tokens] - totals)

    def join(self, pieces: Sequence[Any]) -> NDArray[np.float32]:
        """Return the log-probabilities of all pieces, (T,)."""
        pieces = [piece for piece in pieces if piece is not None]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)

    def present(self, prediction: NDArray[Any], context: Any = None) -> list[float]:
        """Return the log-probabilities as a list."""
        return [float(value) for value in prediction]

    def record(self, prediction: NDArray[Any], label: Any, context: Any = None) -> Records:
        """Return the records of an item, (R, 5): one for each stretch of its text.

        Args:
            prediction: the log-probability of each token, (T,).
            label: not used; the tokens stand in the context.
            context: the context of the item.
        """
        tokens = self.encode(label, context)
        return text_records(-np.asarray(prediction), tokens == UNKNOWN, np.asarray(_field(context, "stretches")))

    def count(self, records: Records) -> int:
        """Return the number of tokens."""
        return int(records[:, 1].sum())

    def score(self, records: Records, weights: NDArray[np.float64] | None = None) -> dict[str, float]:
        """Return loss, perplexity, bits per character and per byte, and the share of unknown tokens."""
        return text_scores(records if weights is None else records * weights[:, None])

    def report(self, records: Records) -> dict[str, Any]:
        """Return the size of the text and its scores with intervals; see :func:`rekur.metrics.text_report`."""
        return text_report(records)

    def gallery(self) -> TextGallery:
        """Return a collection of the loss along the text."""
        return TextGallery()

    def errors(self, prediction: NDArray[Any], label: Any, context: Any = None) -> Iterator[ErrorRow]:
        """Yield the row of each stretch of the text; its severity is the bits per character."""
        records = self.record(prediction, label, context)
        severities = records[:, 0] / np.maximum(records[:, 2], 1) / np.log(2)
        ends = records[:, 1:3].cumsum(axis=0).astype(np.int64)
        starts = ends - records[:, 1:3].astype(np.int64)
        for row, ((start, first), (end, last)) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            if end > start:
                where = {"item": row + 1, "where": f"characters {first + 1:,} to {last:,}"}
                cells = partial(self._error_cells, prediction, context, range(start, end), where)
                yield ErrorRow(float(severities[row]), cells)

    def _error_cells(
        self, prediction: NDArray[Any], context: Any, steps: range, where: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the cells of a stretch: its text around the least probable token, and this token as the truth."""
        worst = steps[int(np.argmin(prediction[steps.start : steps.stop]))]
        shown = range(max(steps.start, worst - _SHOWN_BEFORE), min(steps.stop, worst + 1 + _SHOWN_AFTER))
        marks = ("…" if shown.start > steps.start else "", "…" if shown.stop < steps.stop else "")
        nats = -np.asarray(prediction[steps.start : steps.stop], np.float64)
        return {
            **where,
            "input": f"{marks[0]}{shortened(self._text(context, shown))}{marks[1]}",
            "truth": shortened(self._text(context, range(worst, worst + 1))),
            "truth_probability": float(np.exp(prediction[worst])),
            "tokens": len(steps),
            "loss": float(nats.mean()),
        }

    def _text(self, context: Any, steps: range) -> str:
        """Return some tokens as text; without features their numbers."""
        tokens = self.encode(None, context)[steps.start : steps.stop]
        features: Any = self.features
        return " ".join(map(str, tokens)) if features is None else str(features.decode(tokens))

    def to_dict(self) -> dict[str, Any]:
        """Return the number of token numbers, and whether documents are independent of each other."""
        return {"size": self.size, "reset": self.reset}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the target that :meth:`to_dict` described."""
        return cls(int(saved["size"]), reset=bool(saved["reset"]))


class _NextStream(TargetStream):
    """The log-probabilities of tokens whose outputs come in pieces."""

    def __init__(self, target: NextTarget) -> None:
        self._target = target

    def push(self, outputs: NDArray[Any], context: Any = None) -> tuple[Any, Any]:
        """Return the log-probabilities of the tokens in the context, (R,), and the context."""
        return (self._target.decode(outputs, context), context) if len(outputs) else (None, None)

    def get_state(self) -> dict[str, Any]:
        """Return nothing: each token stands for itself."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take nothing."""


def _field(context: Any, name: str) -> Any:
    if not isinstance(context, dict) or name not in context:
        got = type(context).__name__ if not isinstance(context, dict) else f"the keys {', '.join(context)}"
        raise InputError(describe("context", got, f"a dict with '{name}', as the features of texts make it"))
    return context[name]
