"""The records of tagged items, and the scores and reports that are made of them.

Axes: N items, T steps, R records, K names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._numbers import counted
from rekur._schemes import OUTSIDE, Scheme
from rekur._tokenizer import Token, words_of
from rekur.data.cells import tags_of
from rekur.errors import InputError
from rekur.metrics.spans import COLUMNS, SENTENCES, tag_records, tag_report, tag_scores
from rekur.targets.base import Records, Target
from rekur.targets.galleries import TagGallery, tokens_around
from rekur.targets.gallery import ErrorRow, shortened
from rekur.targets.step_classes import StepTags, class_records, class_report, class_scores
from rekur.targets.tag_formats import conll, text_with_spans, token_columns, token_rows

#: names up to which each has its own scores; more make records too wide
_MOST_NAMES = 300
#: tokens that a row of errors names, and the characters of each
_MOST_DIFFERENCES, _LONGEST_TOKEN = 20, 60
#: tokens on both sides of one that a model is unsure of
_AROUND = 8


class TagScores(Target):
    """The half of a target of tags that scores and writes: records, scores and reports, and formats of predictions.

    A prediction is a sequence of tags with a ``name``, one a step.
    """

    #: the tag of each output
    tags: list[Any]
    #: the number of the output of each tag, by all its spellings
    _index: dict[Any, int]
    #: of the labels, and of the outputs
    scheme: Scheme
    inner: Scheme
    #: whether tags are classes of the steps of a series
    plain: bool

    @cached_property
    def names(self) -> dict[Any, int]:
        """What has precision and recall by itself, with its number: labels of spans, or tags; none if too many."""
        names = self.tags
        if self.scheme.has_spans:
            names = sorted({self.inner.parse(tag)[1] for tag in self.tags if tag != OUTSIDE})
        return {name: number for number, name in enumerate(names)} if len(names) <= _MOST_NAMES else {}

    @property
    def answers(self) -> list[str]:
        """The labels of spans, or the tags."""
        return list(map(str, self.names)) or self.output_names

    def tokens_of(self, context: Any) -> Sequence[Token] | None:
        """Return the tokens of the text that a context belongs to; None of other items, or without features."""
        return None if self.features is None else self.features.tokens_of(context)

    def begins(self, context: Any) -> list[int]:
        """Return the steps at which further sequences of an item begin; see :meth:`rekur.features.Features.begins`."""
        return [] if self.features is None else self.features.begins(context)

    def gallery(self) -> TagGallery:
        """Return a collection of confusions, and of the sentences with the worst tags."""
        return TagGallery(self._tag_of)

    @cached_property
    def _tag_of(self) -> dict[Any, Any]:
        """Every spelling of a tag -> the tag."""
        return {spelling: self.tags[number] for spelling, number in self._index.items()}

    def errors(self, prediction: Sequence[Any], label: Any, context: Any = None) -> Iterator[ErrorRow]:
        """Yield the row of an item with wrong tags; its severity is the probability of the surest of them."""
        truth = [self._tag_of.get(true, true) for true in label]
        wrong = [step for step, (tag, true) in enumerate(zip(prediction, truth, strict=True)) if tag.name != true]
        if wrong:
            shares = [float(prediction[step].probability) for step in wrong]
            surest = wrong[int(np.argmax(shares))]
            yield ErrorRow(max(shares), partial(_error_cells, prediction, truth, context, wrong, surest))

    def doubts(self, prediction: Sequence[Any], label: Any, context: Any = None) -> Iterator[ErrorRow]:
        """Yield the row of an item; its severity is 1 - the probability of the tag that is the least sure."""
        if len(prediction):
            step = int(np.argmin([tag.probability for tag in prediction]))
            true = self._tag_of.get(label[step], label[step])
            cells = partial(_doubt_cells, prediction, true, context, step)
            yield ErrorRow(1.0 - float(prediction[step].probability), cells)

    @property
    def output_formats(self) -> tuple[str, ...]:
        """A table with a row a token, JSON lines, and of words CoNLL, and where tags mark spans texts with spans."""
        of_tokens = self.features is not None and self.features.text_cut is not None
        formats = ("conll", "spans") if self.scheme.has_spans else ("conll",)
        return (*super().output_formats, *(formats if of_tokens else ()))

    def columns(self, presented: dict[str, Any]) -> list[str]:
        """Return the names of the columns of :meth:`table`; those of a text too where it has no token."""
        of_text = "offsets" in presented or (
            self.features is not None and self.features.reads_texts and not presented["tags"]
        )
        return token_columns(presented, offsets=of_text)

    def table(self, presented: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Return a row for each token; see :func:`rekur.targets.tag_formats.token_rows`."""
        return token_rows(presented)

    def formatted(self, prediction: Any, context: Any, output_format: str, item: Any = None) -> str:
        """Return a tagged item as lines of CoNLL, or as a text with its spans."""
        presented = self.present(prediction, context)
        if output_format == "conll":
            return conll(presented, self.begins(context))
        if type(item) is str:
            return text_with_spans(presented, item)
        if (tokens := self.tokens_of(context)) is None:
            return text_with_spans(presented)
        first, *others = tokens
        start = 0 if first.start == len(first.gap) else first.start
        for span in presented["spans"]:
            span["start"], span["end"] = span["start"] - start, span["end"] - start
        text = "".join(["" if start else first.gap, first.text, *(f"{token.gap}{token.text}" for token in others)])
        return text_with_spans(presented, text)

    def record(self, prediction: Sequence[Any], label: Any, context: Any = None) -> Records:
        """Return the records of an item, (R, 12 + 3K); see :func:`rekur.metrics.tag_records`."""
        truth = self.encode(label) if self.plain else tags_of(label, "label")
        if len(truth) != len(prediction):
            step, noun = ("step", "label") if self.plain else ("token", "tag")
            got = f"{counted(len(prediction), step)} and {counted(len(truth), noun)}"
            raise InputError(f"{step}s and {noun}s: got {got}; expected one {noun} a {step}.")
        if self.plain:
            return class_records(self._numbers(prediction), np.asarray(truth), len(self.names))
        guesses = [tag.name for tag in prediction]
        seen = None if self.features is None else self.features.seen(context)
        return tag_records(guesses, truth, self.scheme, names=self.names, seen=seen).astype(np.float64)

    def _numbers(self, prediction: Sequence[Any]) -> NDArray[np.int64]:
        """Return the class number of each predicted tag."""
        if isinstance(prediction, StepTags):
            return prediction.numbers.astype(np.int64)
        return np.asarray(self.encode([tag.name for tag in prediction]))

    def records_of_predictions(
        self, predictions: Sequence[Any], labels: Sequence[Any], contexts: Sequence[Any] | None = None
    ) -> Records:
        """Return the records of items whose predictions are known, (R, 12 + 3K)."""
        if not predictions:
            return np.zeros((0, COLUMNS + 3 * len(self.names)))
        return super().records_of_predictions(predictions, labels, contexts)

    def count(self, records: Records) -> int:
        """Return the number of items."""
        return int(records[:, SENTENCES].sum())

    def score(self, records: Records, weights: NDArray[np.float64] | None = None) -> dict[str, float]:
        """Return the scores of tokens and sentences, and where tags mark spans those of entities; or of classes."""
        if self.plain:
            return class_scores(records if weights is None else records * weights[:, None])
        counts: NDArray[Any] = records.astype(np.int64) if weights is None else records * weights[:, None]
        return tag_scores(counts, has_spans=self.scheme.has_spans)

    def report(self, records: Records) -> dict[str, Any]:
        """Return the scores with their intervals, and those of each name; see :func:`rekur.metrics.tag_report`."""
        if self.plain:
            return class_report(records, list(self.names))
        return tag_report(records.astype(np.int64), list(self.names), has_spans=self.scheme.has_spans)


def _doubt_cells(prediction: Sequence[Any], true: Any, context: Any, step: int) -> dict[str, Any]:
    """Return the cells of the least sure step of an item."""
    words = words_of(context) if isinstance(context, list) else []
    around = range(max(0, step - _AROUND), min(len(words), step + _AROUND + 1))
    return {
        **({"input": shortened(" ".join(words[each] for each in around))} if words else {}),
        "token": shortened(words[step], _LONGEST_TOKEN) if words else str(step + 1),
        "truth": true,
        "prediction": prediction[step].name,
        "probability": float(prediction[step].probability),
    }


def _error_cells(
    prediction: Sequence[Any], truth: Sequence[Any], context: Any, wrong: list[int], surest: int
) -> dict[str, Any]:
    """Return the cells of an item with wrong tags: the sentence, both taggings, and the tokens that differ."""
    words = words_of(context) if isinstance(context, list) else []
    named = [*wrong[:_MOST_DIFFERENCES], surest]
    names = [shortened(words[step], _LONGEST_TOKEN) if words else str(step + 1) for step in named]
    tags = [f"{truth[step]} → {prediction[step].name}" for step in named]
    tokens = tokens_around(words, truth, prediction, wrong)
    texts, *both = (["…" if token is None else token[side] for token in tokens] for side in range(3))
    return {
        **({"input": shortened(" ".join(texts))} if words else {}),
        **dict(zip(("truth", "prediction"), both, strict=True)),
        "differences": [f"{name}: {change}" for name, change in zip(names[:-1], tags[:-1], strict=True)],
        "wrong_tags": len(wrong),
        "tokens": len(truth),
        "token": names[-1],
        "probability": float(prediction[surest].probability),
    }
