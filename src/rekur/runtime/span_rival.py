"""The rival of taggers whose tags mark spans: a dictionary of the spans of training."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, Self, cast

from rekur._tensors import Array
from rekur._tokenizer import words_of
from rekur.data import EncodedItems
from rekur.runtime.rival import Rival
from rekur.targets import Tag, TagsTarget, Target

#: the words of a span -> its label, and the share of such spans that have it
Entries = Mapping[tuple[str, ...], tuple[str, float]]


class SpanDictionary(Rival):
    """The spans of training, found again word for word: from left to right, the longest first.

    Args:
        entries: the words of a span -> its most frequent label, and the share of such spans that have it.
        target: of the network; its scheme holds for the rival too.
    """

    kind = "span dictionary"
    name = "dictionary of spans"

    def __init__(self, entries: Entries, target: TagsTarget) -> None:
        self._entries, self._scheme = entries, target.scheme
        lengths: defaultdict[str, set[int]] = defaultdict(set)
        for words in entries:
            lengths[words[0]].add(len(words))
        #: first word of a span -> lengths of such spans, the longest first
        self._lengths = {word: sorted(each, reverse=True) for word, each in lengths.items()}

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
            target: of the network; its tags mark spans.
            weights: how often each sentence counts; None for once.

        Example:
            >>> labels = [["B-PER", "I-PER", "O", "B-LOC"]]
            >>> sentences = [(["Ada", "Byron", "left", "Oslo"], labels[0])]
            >>> rival = SpanDictionary.fit(sentences, TagsTarget.learn(labels))
            >>> [tag.name for tag in rival.tags_of(["Oslo", "saw", "Ada", "Byron"])]
            ['B-LOC', 'O', 'B-PER', 'I-PER']
        """
        counts: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for (words, tags), weight in zip(sentences, repeat(1) if weights is None else weights):  # noqa: B905
            for start, end, label in target.scheme.spans(tags):
                counts[tuple(words[start:end])][label] += weight  # type: ignore[assignment]
        entries = {}
        for words, labels in counts.items():
            label, count = labels.most_common(1)[0]
            entries[tuple(words)] = (label, round(count / labels.total(), 4))
        return cls(entries, target)

    def tags_of(self, words: Sequence[str]) -> list[Tag]:
        """Return a tag for each word."""
        spans, shares, step = [], [1.0] * len(words), 0
        while step < len(words):
            for length in self._lengths.get(words[step], ()):
                entry = self._entries.get(tuple(words[step : step + length]))
                if entry is not None and step + length <= len(words):
                    spans.append((step, step + length, entry[0]))
                    shares[step : step + length] = [entry[1]] * length
                    step += length - 1
                    break
            step += 1
        names = self._scheme.tags(spans, len(words))
        return [Tag(name, share) for name, share in zip(names, shares, strict=True)]

    def predictions(self, items: EncodedItems) -> Sequence[Any]:
        """Return the tags of each sentence; its words are its context."""
        return [self.tags_of(words_of(context)) for context in items.contexts_of(items.rows)]

    def to_saved(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the spans."""
        return {"spans": [[words, *entry] for words, entry in self._entries.items()]}, {}

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any], arrays: Mapping[str, Array], target: Target) -> Self:
        """Return the rival that :meth:`to_saved` described."""
        return cls({tuple(words): (label, share) for words, label, share in saved["spans"]}, cast(TagsTarget, target))
