"""The kinds of rivals; no PyTorch.

Axes: N items, F numbers that a rival makes of an item, M rows of weights, K outputs of the target.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from rekur._shares import Shares
from rekur._tensors import Array
from rekur._tokenizer import words_of
from rekur.data import EncodedItems, Tokens
from rekur.runtime.item_vectors import GramVectors, ShareVectors, SummaryVectors, Vectors
from rekur.runtime.ngram import NGram
from rekur.runtime.rival import Floats, Rival
from rekur.targets import Tag, TagsTarget, Target

# ── linear models ────────────────────────────────────────────────────────────────────────────────────────────────


class LinearRival(Rival):
    """A linear model of vectors of items: logistic or ridge regression.

    Args:
        name: of the model in tables.
        target: of the network; its outputs are those of the rival too.
        vectors: makes numbers of an item.
        weights: (M, F); a single row for two classes.
        bias: (M,).
        classes: numbers of the labels that the rows score, (M,), or (2,) for a single row; None where they are
            independent of each other, or a number is predicted.
    """

    kind = "linear"

    def __init__(
        self,
        name: str,
        target: Target,
        vectors: Vectors,
        weights: Floats,
        bias: Floats,
        classes: NDArray[np.int64] | None = None,
    ) -> None:
        self.name, self._target, self._vectors = name, target, vectors
        self._weights, self._bias, self._classes = weights, bias, classes

    def predictions(self, items: EncodedItems) -> Sequence[Any]:
        """Return the predictions of items: probabilities (N, K), or numbers (N,)."""
        steps = items.first
        raw = self._vectors.weighted([steps[int(row)] for row in items.rows], self._weights) + self._bias
        predictions: Sequence[Any] = self._target.decode(self._outputs(raw).astype(np.float32))
        return predictions

    def _outputs(self, raw: Floats) -> Floats:
        """Return outputs of the target (N, K) from linear scores (N, M)."""
        if self._target.kind == "number":
            return raw
        if self._classes is None:
            share = np.clip(_sigmoid(raw), 1e-6, 1 - 1e-6)
            return np.asarray(np.log(share / (1 - share)))
        if raw.shape[1] < len(self._classes):
            share = np.column_stack([1 - _sigmoid(raw[:, 0]), _sigmoid(raw[:, 0])])
        else:
            powers = np.exp(raw - raw.max(axis=1, keepdims=True))
            share = powers / powers.sum(axis=1, keepdims=True)
        outputs = np.full((len(raw), self._target.size), -30.0)
        outputs[:, self._classes] = np.log(np.clip(share, 1e-12, 1.0))
        return outputs

    def to_saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the name, and all arrays."""
        arrays = {**self._vectors.to_saved(), "weights": self._weights, "bias": self._bias}
        if self._classes is not None:
            arrays["classes"] = self._classes
        return {"name": self.name}, arrays

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any], arrays: Mapping[str, Array], target: Target) -> Self:
        """Return the rival that :meth:`to_saved` described."""
        vectors: Vectors
        if "grams" in arrays:
            vectors = GramVectors(arrays["grams"], arrays["idf"])
        elif "dilations" in arrays:
            shares = Shares(arrays["dilations"], arrays["counts"], arrays["channels"], arrays["biases"])
            vectors = ShareVectors(shares, int(arrays["stride"][0]))
        else:
            vectors = SummaryVectors(arrays["mean"], arrays["scale"])
        return cls(saved["name"], target, vectors, arrays["weights"], arrays["bias"], arrays.get("classes"))


def _sigmoid(values: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-values)))


# ── tags ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#: the longest ending of a word, and the occurrences in training up to which a word speaks for its ending
_LONGEST_ENDING, _RARE = 3, 10


class FrequentTags(Rival):
    """The most frequent tag of each word in training.

    A word that training lacks gets the tag of its small letters, else that of its last three, two or one characters,
    else the most frequent tag of all. Of equally frequent tags the first in training counts.

    Args:
        tables: what speaks for a tag -> (tag, share of the words for which it speaks): words, words in small letters,
            and endings.
        target: of the network; its scheme holds for the rival too.
    """

    kind = "frequent tags"
    name = "most frequent tags"

    def __init__(self, tables: Sequence[Mapping[str, Sequence[Any]]], target: TagsTarget) -> None:
        self._tables, self._scheme = tables, target.scheme

    @classmethod
    def fit(
        cls,
        sentences: Iterable[tuple[Sequence[str], Sequence[Any]]],
        target: TagsTarget,
        weights: Iterable[float] | None = None,
    ) -> Self:
        """Return the rival of training sentences.

        Args:
            sentences: words and tags of each; read once.
            target: of the network.
            weights: how often each sentence counts; None for once.

        Example:
            >>> labels = [["V", "N"]]
            >>> rival = FrequentTags.fit([(["walked", "home"], labels[0])], TagsTarget.learn(labels))
            >>> [tag.name for tag in rival.tags_of(["home", "talked"])]
            ['N', 'V']
        """
        words: defaultdict[str, Counter[Any]] = defaultdict(Counter)
        folded: defaultdict[str, Counter[Any]] = defaultdict(Counter)
        endings: defaultdict[str, Counter[Any]] = defaultdict(Counter)
        for (sentence, tags), weight in zip(sentences, repeat(1) if weights is None else weights):  # noqa: B905
            for word, tag in zip(sentence, tags, strict=True):
                words[word][tag] += weight  # type: ignore[assignment]
        for word, counts in words.items():
            small = word.lower()
            folded[small].update(counts)
            endings[""].update(counts)
            if counts.total() <= _RARE:  # words that training lacks are like rare ones
                for length in range(1, min(_LONGEST_ENDING, len(small)) + 1):
                    endings[small[-length:]].update(counts)
        return cls([_most_frequent(each) for each in (words, folded, endings)], target)

    def tags_of(self, words: Sequence[str]) -> list[Tag]:
        """Return a tag for each word, so that tags may follow each other."""
        tags = [Tag(*self._best(word)) for word in words]
        if not self._scheme.has_spans:
            return tags
        names = self._scheme.tags(self._scheme.spans([tag.name for tag in tags]), len(tags))
        return [Tag(name, tag.probability) for name, tag in zip(names, tags, strict=True)]

    def predictions(self, items: EncodedItems) -> Sequence[Any]:
        """Return the tags of each sentence; its words are its context."""
        return [self.tags_of(words_of(context)) for context in items.contexts_of(items.rows)]

    def to_saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the tables."""
        return {"tables": list(self._tables)}, {}

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any], arrays: Mapping[str, Array], target: Target) -> Self:
        """Return the rival that :meth:`to_saved` described."""
        return cls(saved["tables"], cast(TagsTarget, target))

    def _best(self, word: str) -> Sequence[Any]:
        words, folded, endings = self._tables
        small = word.lower()
        best = words.get(word) or folded.get(small)
        if best is None:
            lengths = range(min(_LONGEST_ENDING, len(small)), 0, -1)
            of_endings = (endings.get(small[-length:]) for length in lengths)
            best = next((each for each in of_endings if each is not None), endings[""])
        return best


def _most_frequent(counts: Mapping[str, Counter[Any]]) -> dict[str, Sequence[Any]]:
    """Return the most frequent tag of each key, with its share."""
    pairs = ((key, tags.most_common(1)[0], tags.total()) for key, tags in counts.items())
    return {key: (tag, round(count / total, 4)) for key, (tag, count), total in pairs}


class WindowRival(Rival):
    """Logistic regression on the rows around each step; before the first row and behind the last stand zeros.

    Args:
        name: of the model in tables.
        target: of the network.
        weights: of each row of the window, (W, D, M); M is 1 for two classes.
        bias: (M,).
        classes: numbers of the M classes, or of both.
        earlier: rows of the window before the step.
    """

    kind = "window"

    def __init__(
        self, name: str, target: TagsTarget, weights: Array, bias: Array, classes: NDArray[np.int64], earlier: int
    ) -> None:
        self.name, self._target, self._earlier = name, target, earlier
        self._weights, self._bias, self._classes = weights, bias, classes

    def predictions(self, items: EncodedItems) -> Sequence[Any]:
        """Return the tags of each item."""
        return [self._target.decode(self.scores(items.first[int(row)])) for row in items.rows]

    def scores(self, steps: Array) -> NDArray[np.float32]:
        """Return the score of each class at each step, (T, K), of steps (T, D)."""
        raw = np.tile(self._bias.astype(np.float32), (len(steps), 1))
        for row, weights in enumerate(self._weights.astype(np.float32)):
            late = self._earlier - row  # steps by which this row of the window comes before its step
            seen = steps[max(0, -late) : max(0, len(steps) - late)]
            raw[max(0, late) : max(0, late) + len(seen)] += seen @ weights
        scores = np.full((len(steps), self._target.size), -30.0, np.float32)
        scores[:, self._classes] = np.concatenate([-raw, raw], axis=1) / 2 if raw.shape[1] == 1 else raw
        return scores

    def to_saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return name and place of the window, and all arrays."""
        arrays = {"weights": self._weights, "bias": self._bias, "classes": self._classes}
        return {"name": self.name, "earlier": self._earlier}, arrays

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any], arrays: Mapping[str, Array], target: Target) -> Self:
        """Return the rival that :meth:`to_saved` described."""
        return cls(saved["name"], cast(TagsTarget, target), **arrays, earlier=saved["earlier"])


# ── texts ────────────────────────────────────────────────────────────────────────────────────────────────────────


class NGramRival(Rival):
    """The next token by how often it followed the last few in training; see :class:`rekur.runtime.ngram.NGram`.

    Args:
        counts: the model.
    """

    kind = "n-gram"

    def __init__(self, counts: NGram) -> None:
        self.name, self._counts = f"{counts.order}-gram", counts

    def predictions(self, items: Tokens) -> Sequence[Any]:
        """Return the log-probabilities of the tokens, (N,), of one item: all texts."""
        return [-self._counts.nats(items.ids).astype(np.float32)]

    def to_saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the order, the size of the vocabulary, and the counts."""
        counts = self._counts
        return {"order": counts.order, "vocabulary_size": counts.vocabulary_size}, counts.to_arrays()

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any], arrays: Mapping[str, Array], target: Target) -> Self:
        """Return the rival that :meth:`to_saved` described."""
        return cls(NGram.from_arrays(saved["order"], saved["vocabulary_size"], arrays))
