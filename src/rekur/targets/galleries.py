"""What pages show of classifiers, regressors and taggers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rekur._tokenizer import words_of
from rekur.metrics.language import text_records
from rekur.targets.gallery import Gallery, Points, Table, Token, WorstItem

#: rows of a table of confusions or of words, and tokens beside a wrong one that are shown
_MOST_ROWS, _AROUND = 20, 4
#: tokens of a sentence that are shown, and points of a plot
_MOST_TOKENS, _MOST_POINTS = 80, 2000
#: words that are counted; of a text with more the first
_MOST_WORDS = 200_000


class LabelGallery(Gallery):
    """The items whose true labels get the least probability.

    Args:
        labels: of the outputs, (K,).
        multi_label: an item may have any number of them.
    """

    def __init__(self, labels: Sequence[Any], *, multi_label: bool) -> None:
        super().__init__()
        self._labels, self._multi_label = list(labels), multi_label

    def add(self, prediction: Any, label: Any, context: Any = None) -> None:
        """Take the probabilities (K,) of an item and its label, or labels."""
        shares = np.asarray(prediction, np.float64)
        if self._multi_label:
            true = [name for name in self._labels if name in label]
            guess = [name for name, share in zip(self._labels, shares, strict=True) if share >= 0.5]
            wrong = [name for name in self._labels if (name in true) != (name in guess)]
            numbers = [self._labels.index(name) for name in wrong]
            badness = float(np.abs(shares - np.isin(self._labels, true))[numbers].sum())
            facts: list[tuple[str, Any]] = [
                ("true", ", ".join(map(str, true))),
                ("predicted", ", ".join(map(str, guess))),
            ]
        else:
            best = int(shares.argmax())
            share = float(shares[self._labels.index(label)]) if label in self._labels else 0.0
            badness = 1.0 - share if self._labels[best] != label else 0.0
            facts = [("true", label), ("predicted", self._labels[best])]
            facts += [("probability", float(shares[best])), ("of the true label", share)]
        if badness > 0 and self._ranks(badness):
            self._rank(badness, WorstItem(self.count, facts))
        self.count += 1


class NumberGallery(Gallery):
    """Predictions over true numbers, errors over predictions, and the items with the largest errors."""

    def __init__(self) -> None:
        super().__init__()
        self._random = np.random.default_rng(0)
        self._points: list[tuple[float, float]] = []
        self._errors: list[float] = []

    def add(self, prediction: Any, label: Any, context: Any = None) -> None:
        """Take a predicted number and the true one."""
        guess, true = float(prediction), float(label)
        error = guess - true
        self._errors.append(error)
        if len(self._points) < _MOST_POINTS:
            self._points.append((true, guess))
        elif (row := int(self._random.integers(self.count + 1))) < _MOST_POINTS:  # each item with the same chance
            self._points[row] = (true, guess)
        if error and self._ranks(abs(error)):
            facts = [("true", true), ("predicted", guess), ("error", error)]
            self._rank(abs(error), WorstItem(self.count, facts))
        self.count += 1

    def tables(self) -> Iterator[Table]:
        """Yield the table of errors: how large they are."""
        if self._errors:
            shares = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
            rows = [(f"{share:.0%}", float(np.quantile(self._errors, share))) for share in shares]
            yield Table("Errors, predicted minus true", ["share of items", "error of at most"], rows)

    def plots(self) -> Iterator[Points]:
        """Yield predictions over true numbers, and errors over predictions."""
        if self._points:
            true, guess = map(list, zip(*self._points, strict=True))
            yield Points("Predictions", ("true", "predicted"), true, guess, diagonal=True)
            errors = [y - x for x, y in self._points]
            yield Points("Residuals", ("predicted", "predicted minus true"), guess, errors, diagonal=False)


def tokens_around(words: Sequence[str], label: Any, prediction: Any, wrong: Sequence[int]) -> list[Token | None]:
    """Return the tokens of a sentence; of a long one those around wrong tags, with None for a gap.

    Args:
        words: the text of each token; empty to show their numbers.
        label: the true tags.
        prediction: the tags, each with a ``name``.
        wrong: the steps whose tags differ.
    """
    steps: Sequence[int] = range(len(label))
    if len(label) > _MOST_TOKENS:
        near = {step for each in wrong[:_MOST_TOKENS] for step in range(each - _AROUND, each + _AROUND + 1)}
        steps = sorted(near & set(steps))[:_MOST_TOKENS]
    tokens: list[Token | None] = []
    last = -1
    for step in steps:
        if step > last + 1:
            tokens.append(None)
        text = words[step] if words else str(step + 1)
        tokens.append(Token(text, str(label[step]), str(prediction[step].name)))
        last = step
    return tokens if last == len(label) - 1 else [*tokens, None]


class TagGallery(Gallery):
    """Confusions of tags, words that are often wrong, and the sentences with the most probability on wrong tags.

    Args:
        names: another spelling of a true tag -> the tag; None where each has one spelling.
    """

    def __init__(self, names: Mapping[Any, Any] | None = None) -> None:
        super().__init__()
        self._names = names or {}
        self._confusions = Counter[tuple[Any, Any]]()
        self._truth = Counter[Any]()
        self._examples: dict[tuple[Any, Any], str] = {}
        self._wrong = Counter[str]()
        self._words = Counter[str]()

    def add(self, prediction: Any, label: Any, context: Any = None) -> None:
        """Take the tags of a sentence, the true ones, and its words."""
        words = words_of(context) if isinstance(context, list) else []
        badness, wrong = 0.0, []
        label = [self._names.get(true, true) for true in label]
        for step, (tag, true) in enumerate(zip(prediction, label, strict=True)):
            self._truth[true] += 1
            word = words[step] if words else ""
            if word in self._words or len(self._words) < _MOST_WORDS:
                self._words[word] += 1
            if tag.name != true:
                pair = (true, tag.name)
                self._confusions[pair] += 1
                self._examples.setdefault(pair, word)
                if word in self._words:
                    self._wrong[word] += 1
                badness += tag.probability
                wrong.append(step)
        if wrong and self._ranks(badness):
            tokens = tokens_around(words, label, prediction, wrong)
            facts = [("wrong tags", len(wrong)), ("tokens", len(label))]
            self._rank(badness, WorstItem(self.count, facts, tokens))
        self.count += 1

    def tables(self) -> Iterator[Table]:
        """Yield the most frequent confusions, and the words that are most often wrong."""
        pairs = self._confusions.most_common(_MOST_ROWS)
        if pairs:
            rows = [
                (str(true), str(guess), count, count / self._truth[true], self._examples[true, guess])
                for (true, guess), count in pairs
            ]
            head = ["true tag", "predicted tag", "tokens", "share of the true tag", "such as"]
            width = 5 if any(self._examples.values()) else 4
            yield Table("Confusions of tags", head[:width], [row[:width] for row in rows])
        words = [(word, count) for word, count in self._wrong.most_common(_MOST_ROWS) if word]
        if words:
            rows_of_words = [(word, count, self._words[word]) for word, count in words]
            yield Table("Words that are often wrong", ["word", "wrong", "of"], rows_of_words)


class TextGallery(Gallery):
    """The loss of each stretch of the texts, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self._bits: list[float] = []

    def add(self, prediction: Any, label: Any, context: Any = None) -> None:
        """Take the log-probabilities of the tokens of texts, and their stretches."""
        records = text_records(-np.asarray(prediction), np.zeros(len(prediction), np.bool_), context["stretches"])
        self._bits += (records[:, 0] / np.maximum(records[:, 2], 1) / np.log(2)).tolist()
        self.count += 1

    def plots(self) -> Iterator[Points]:
        """Yield the bits per character of each stretch."""
        if len(self._bits) > 1:
            stretches = [float(number) for number in range(1, len(self._bits) + 1)]
            names = ("stretch of the text", "bits per character")
            yield Points("Loss along the text", names, stretches, self._bits, diagonal=False)
