"""A text that a search finds: translations, answers, summaries, captions.

Axes: N items, T tokens, S numbers of a record.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from rekur._ids import RESERVED_OF_PAIRS
from rekur.errors import InputError, NotFittedError, describe
from rekur.metrics.translation import hypothesis_records, hypothesis_report, hypothesis_scores
from rekur.targets.answer_gallery import AnswerGallery
from rekur.targets.base import PlaceOf, Records, Target, TargetStream
from rekur.targets.gallery import ErrorRow, shortened


class Answer(NamedTuple):
    """The text that a search found.

    Attributes:
        text: the best one.
        score: what ranks it; NaN for a blank source, and None where nothing is searched.
        candidates: (text, score) of the best texts, the best first and each once; empty where one was asked for.
    """

    text: str
    score: float | None = None
    candidates: tuple[tuple[str, float], ...] = ()


class TargetTokens(Protocol):
    """Features that know the tokens of targets; :class:`rekur.features.PairFeatures` do.

    Numbers 0 to 3 are reserved: padding, unknown, begin and end.
    """

    @property
    def target_size(self) -> int:
        """The number of token numbers."""

    def transform_target(self, text: str, /) -> NDArray[Any]:
        """Return the token numbers of a text, (T,), the last of them the end."""

    def target_decoder(self) -> tuple[Callable[[Sequence[int]], str], Callable[[], str]]:
        """Return ``push``, which takes the next numbers and returns text, and ``finish``, which returns the rest."""


class Found(Protocol):
    """A token sequence that a search found."""

    @property
    def ids(self) -> NDArray[np.int64]:
        """The tokens (T,), without the end."""

    @property
    def score(self) -> float:
        """What ranks it."""


class TextTarget(Target):
    """A text, which a search over token numbers finds; a label is a text, or in evaluation several references.

    The outputs of an item are what a search found, the best first (:class:`Found`), or token numbers (T,); a
    prediction is an :class:`Answer`.

    Args:
        tokens: features that know the tokens of the texts; None for ``features``, once they are set.

    Example:
        >>> class Letters:
        ...     target_size = 30
        ...     def transform_target(self, text): return np.array([*(ord(letter) - 93 for letter in text), 3])
        ...     def target_decoder(self): return lambda ids: "".join(chr(93 + number) for number in ids), lambda: ""
        >>> target = TextTarget(Letters())
        >>> target.encode("ab").tolist(), target.decode(np.array([4, 5]))
        ([4, 5, 3], Answer(text='ab', score=None, candidates=()))
        >>> target.score(target.record(Answer("ab"), ["ba", "ab"])[None])["exact_match"]
        1.0
    """

    kind = "text"
    label_type = "text"
    ragged = True
    decides = "bleu"
    followed = ("bleu", "chrf")

    def __init__(self, tokens: TargetTokens | None = None) -> None:
        self._tokens = tokens

    @classmethod
    def learn(
        cls, labels: Sequence[Any], features: Any = None, *, place_of: PlaceOf | None = None, **options: Any
    ) -> Self:
        """Return the target of the tokens that the features know.

        Raises:
            InputError: a label is no text, or all are empty.
        """
        for row, label in enumerate(labels):
            if not isinstance(label, str):
                raise InputError(f"{_name(row, 'labels', place_of)}: {describe('target', label, 'a text')}")
        if not any(label.strip() for label in labels):
            raise InputError(f"targets: got {len(labels)} empty texts; expected texts to learn from.")
        return cls(features)

    @property
    def tokens(self) -> TargetTokens:
        """Features that know the tokens of the texts.

        Raises:
            NotFittedError: there are no features yet.
        """
        tokens: Any = self.features if self._tokens is None else self._tokens
        if tokens is None:
            raise NotFittedError("TextTarget: got no features yet. Fit features of pairs first.")
        return cast(TargetTokens, tokens)

    @property
    def size(self) -> int:
        """The number of token numbers."""
        return self.tokens.target_size

    # ── labels ───────────────────────────────────────────────────────────────────────────────────────────────

    def encode(self, label: Any, context: Any = None) -> NDArray[np.int64]:
        """Return the token numbers of a text with the end, (T + 1,); of several references those of the first."""
        return np.asarray(self.tokens.transform_target(_references(label)[0]), np.int64)

    def check_labels(self, labels: Sequence[Any], name: str, place_of: PlaceOf | None = None) -> None:
        """Raise for a label that is neither a text nor a list of texts."""
        for row, label in enumerate(labels):
            try:
                _references(label)
            except InputError as error:
                raise InputError(f"{_name(row, name, place_of)}: {error}") from None

    # ── predictions ──────────────────────────────────────────────────────────────────────────────────────────

    def stream(self) -> TargetStream:
        """Return a new stream: token numbers in, pieces of text out."""
        return _TextStream(self.tokens)

    def decode(self, outputs: Any, context: Any = None) -> Answer:
        """Return the text of what a search found, with candidates where there are several, or of numbers (T,)."""
        if isinstance(outputs, np.ndarray):
            answer: Answer = super().decode(outputs, context)
            return answer
        candidates: dict[str, float] = {}
        for each in outputs:
            candidates.setdefault(super().decode(np.asarray(each.ids), context).text, float(each.score))
        text = next(iter(candidates), "")
        return Answer(text, candidates.get(text), tuple(candidates.items()) if len(outputs) > 1 else ())

    def join(self, pieces: Sequence[Answer | None]) -> Answer:
        """Return the text of all pieces."""
        return Answer("".join([piece.text for piece in pieces if piece is not None]))

    def present(self, prediction: Answer, context: Any = None) -> dict[str, Any]:
        """Return ``prediction``, the text; with ``score`` and ``candidates`` where there are any."""
        presented: dict[str, Any] = {"prediction": prediction.text}
        if prediction.score is not None:
            presented["score"] = _finite(prediction.score)
        if prediction.candidates:
            candidates = [(text, _finite(score)) for text, score in prediction.candidates]
            presented["candidates"] = [{"prediction": text, "score": score} for text, score in candidates]
        return presented

    @property
    def output_formats(self) -> tuple[str, ...]:
        """JSON lines, a table, and the texts alone, a line each."""
        return ("jsonl", "csv", "txt")

    def table(self, presented: dict[str, Any]) -> list[dict[str, Any]]:
        """Return a row for each candidate, with its rank, or a single row."""
        if "candidates" in presented:
            return [{"rank": rank, **each} for rank, each in enumerate(presented["candidates"], start=1)]
        return [presented]

    def formatted(self, prediction: Answer, context: Any, output_format: str, item: Any = None) -> str:
        """Return the text as a line, in which a line end is a blank."""
        return prediction.text.replace("\r\n", " ").replace("\n", " ") + "\n"

    def values(self, outputs: Any, contexts: Sequence[Any] | None = None) -> list[str]:
        """Return the text of each item."""
        return [self.decode(each).text for each in outputs]

    # ── scores ───────────────────────────────────────────────────────────────────────────────────────────────

    def record(self, prediction: Any, label: Any, context: Any = None) -> Records:
        """Return the record of an item, (S,); see :func:`rekur.metrics.hypothesis_records`."""
        return np.asarray(self.records_of_predictions([prediction], [label])[0])

    def records_of_predictions(
        self, predictions: Sequence[Answer], labels: Sequence[Any], contexts: Sequence[Any] | None = None
    ) -> Records:
        """Return the records of items with these answers, (N, S)."""
        return hypothesis_records([answer.text for answer in predictions], labels)

    def score(self, records: Records, weights: NDArray[np.float64] | None = None) -> dict[str, float]:
        """Return BLEU, chrF, exact match, length ratio and distinct n-grams."""
        return hypothesis_scores(records, weights)

    def report(self, records: Records) -> dict[str, Any]:
        """Return the scores with intervals and signatures; see :func:`rekur.metrics.hypothesis_report`."""
        return hypothesis_report(records)

    def gallery(self) -> AnswerGallery:
        """Return a collection of the best, the median and the worst texts with their references."""
        return AnswerGallery()

    def errors(self, prediction: Answer, label: Any, context: Any = None) -> Iterator[ErrorRow]:
        """Yield the row of a text that is no reference; its severity is 1 - chrF / 100."""
        references = _references(label)
        if prediction.text in references:
            return
        chrf = hypothesis_scores(hypothesis_records([prediction.text], [label]))["chrf"]
        score = None if prediction.score is None else _finite(prediction.score)
        cells = {"truth": shortened(" / ".join(references)), "prediction": shortened(prediction.text)}
        yield ErrorRow(1.0 - chrf / 100, {**cells, "chrf": chrf, "score": score}.copy)

    def doubts(self, prediction: Answer, label: Any, context: Any = None) -> Iterator[ErrorRow]:
        """Yield the row of a text that a search ranked; its severity is its score with the other sign, 0 at least."""
        score = None if prediction.score is None else _finite(prediction.score)
        if score is not None:
            references = shortened(" / ".join(_references(label)))
            cells = {"truth": references, "prediction": shortened(prediction.text), "score": score}
            yield ErrorRow(max(0.0, -score), cells.copy)

    def to_dict(self) -> dict[str, Any]:
        """Return the number of token numbers; the features have the tokens."""
        return {"size": self.size}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the target that :meth:`to_dict` described; its features are set afterwards."""
        return cls()


class _TextStream(TargetStream):
    """The text of token numbers that come in pieces.

    Args:
        tokens: of the texts.
    """

    def __init__(self, tokens: TargetTokens) -> None:
        self._tokens = tokens
        self._begin([])

    def _begin(self, ids: list[int]) -> None:
        self._ids, (self._push, self._finish) = ids, self._tokens.target_decoder()
        self._push(ids)

    def push(self, outputs: NDArray[Any], context: Any = None) -> tuple[Answer, Any]:
        """Take the next token numbers (R,); return the text that is certain. Reserved numbers have none."""
        ids = [number for number in outputs.tolist() if number >= RESERVED_OF_PAIRS]
        self._ids = self._ids + ids
        return Answer(self._push(ids)), context

    def finish(self) -> tuple[Answer, Any]:
        """Return the text that was held back."""
        return Answer(self._finish()), None

    def get_state(self) -> dict[str, Any]:
        """Return the numbers so far."""
        return {"ids": list(self._ids)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put the numbers back."""
        self._begin(list(state["ids"]))


def _finite(score: float) -> float | None:
    return score if math.isfinite(score) else None


def _references(label: Any) -> Sequence[str]:
    """Return the references of an item."""
    texts = [label] if isinstance(label, str) else label
    if not isinstance(texts, Sequence) or not texts or not all(isinstance(text, str) for text in texts):
        raise InputError(describe("target", label, "a text, or a list of one text or more"))
    return texts


def _name(row: int, name: str, place_of: PlaceOf | None) -> str:
    return place_of(row) if place_of else f"{name}[{row}]"
