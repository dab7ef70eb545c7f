"""A tag for each step, such that every tag may follow the one before it.

Axes: N items, T steps, K outputs of a step, S numbers of a record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rekur._numbers import counted
from rekur._schemes import OUTSIDE, SCHEMES, Scheme
from rekur._tokenizer import words_of
from rekur.data.cells import tags_of
from rekur.data.corpus import LabelPlace
from rekur.data.example import warn
from rekur.data.pieces import LONG
from rekur.decode.transitions import GreedyTags, Transitions, legal_transitions, viterbi
from rekur.errors import InputError
from rekur.features.base import Features
from rekur.targets.base import Outputs, PlaceOf
from rekur.targets.step_classes import (
    StepTags,
    class_index,
    distinct_labels,
    learn_classes,
    numbers_of_classes,
    shown_names,
)
from rekur.targets.tag_labels import check_numbers, check_types, scheme_of, tell_alike
from rekur.targets.tag_scores import TagScores
from rekur.targets.tag_stream import Tag, TagStream, finite

#: the encoded label of a step whose tag training lacks; no loss is made of it
UNSEEN = -1
#: schemes whose tags do not say where a span ends
_WITHOUT_ENDS = ("BIO1", "BIO2", "IO")


class TagsTarget(TagScores):
    """A tag for each step.

    Where tags mark spans, the outputs are the tags of BIOES, or of BIO2 if tags are decoded left to right and the
    labels do not say where spans end; predictions and records have the scheme of the labels. Tags that may not follow
    each other are never predicted.

    Args:
        tags: the tag of each output, (K,): those of ``inner`` where tags mark spans, else the labels.
        scheme: of the labels.
        inner: scheme of the outputs.
        exact: decode by Viterbi's algorithm, which needs the whole item; else from left to right.
        plain: tags are classes of the steps of a series, whatever they look like; scores are those of classes.

    Example:
        >>> target = TagsTarget.learn([["B-PER", "I-PER", "O"]])
        >>> target.tags
        ['O', 'B-PER', 'I-PER']
        >>> [tag.name for tag in target.decode(np.array([[1.0, 0.0, 3.0], [0.0, 0.0, 3.0]]))]
        ['O', 'O']
        >>> TagsTarget.learn([["B-PER", "I-PER", "O"]], exact=True).tags
        ['O', 'B-PER', 'I-PER', 'E-PER', 'S-PER']
    """

    kind = "tags"
    per_step = True
    no_target = UNSEEN
    label_type = "tags"

    def __init__(self, tags: Sequence[Any], *, scheme: Scheme, inner: Scheme, exact: bool, plain: bool = False) -> None:
        self.tags, self.scheme, self.inner, self.exact, self.plain = list(tags), scheme, inner, exact, plain
        #: the scheme of the labels, and after :meth:`learn` what speaks for it; of plain tags the classes
        self.scheme_note = scheme.name
        self.decides = "entity_f1" if scheme.has_spans else "accuracy"
        self.followed = ("accuracy", "entity_f1") if scheme.has_spans else ("accuracy",)
        self._index = class_index(self.tags) if plain else {tag: number for number, tag in enumerate(self.tags)}
        self.transitions: Transitions = legal_transitions([str(tag) for tag in self.tags], inner)
        self._parsed = [inner.parse(tag) for tag in self.tags] if inner.has_spans else []
        groups = [self._group(number) for number in range(len(self.tags))]
        #: columns of outputs such that those of one group stand together, and where each group starts
        self._order = np.argsort(np.array(groups), kind="stable")
        self._starts = np.flatnonzero(np.diff(np.array(groups)[self._order], prepend=-1))
        self._group_of = np.unique(groups, return_inverse=True)[1]

    @classmethod
    def learn(
        cls,
        labels: Sequence[Any],
        features: Features | None = None,
        *,
        place_of: PlaceOf | None = None,
        exact: bool = False,
        plain: bool = False,
        **options: Any,
    ) -> Self:
        """Return the target that training labels teach; the scheme of entity tags is detected and told.

        Raises:
            InputError: a label is no list of tags, tags have several types or mark spans in an unknown way, or there
                are fewer than two different ones.
        """
        if plain:
            classes, note = learn_classes(labels, place_of)
            target = cls(classes, scheme=SCHEMES["none"], inner=SCHEMES["none"], exact=exact, plain=True)
            target.scheme_note = note
            return target
        rows = [tags_of(label, place_of(row) if place_of else "label") for row, label in enumerate(labels)]
        if place_of is not None and [] in rows:
            text = "got no tags; expected one tag or more. Take the sentence out."
            raise InputError(f"{place_of(rows.index([]))}: {text}")
        check_types(rows, place_of)
        first: dict[Any, int] = {}
        for row, tags in enumerate(rows):
            first |= {tag: row for tag in tags if tag not in first}
        names = sorted(first)
        if len(names) < 2:
            only = f"only the tag {names[0]!r}" if names else "no tags"
            raise InputError(
                f"labels: got {only} in {counted(len(rows), 'training example')}; expected at least two different "
                "ones. Choose another label column, or add examples with other tags."
            )
        if check_numbers(first, rows, place_of):
            names.sort(key=float)
            target = cls(names, scheme=SCHEMES["none"], inner=SCHEMES["none"], exact=exact)
            target.scheme_note = f"none: tags are whole numbers and are taken as classes: {shown_names(names)}"
            return target
        choice = scheme_of(rows, place_of)
        scheme, odd = choice.scheme, ""
        if place_of is not None:
            tell_alike(Counter(scheme.parse(tag)[1] if scheme.has_spans else tag for tags in rows for tag in tags))
        if not scheme.has_spans:
            target = cls(names, scheme=scheme, inner=scheme, exact=exact)
        else:
            inner = SCHEMES["BIO2" if scheme.name in _WITHOUT_ENDS and not exact else "BIOES"]
            kinds = {scheme.parse(name)[1] for name in names if name != OUTSIDE}
            target = cls(inner.tag_set(kinds, outside=OUTSIDE in names), scheme=scheme, inner=inner, exact=exact)
            odd = f"; {counted(choice.irregular, 'span')} not as the scheme has them" if choice.irregular else ""
        target.scheme_note = f"{choice}{odd}"
        return target

    def notes(self) -> list[str]:
        """Return a sentence with the scheme of the tags and what speaks for it, or with the classes."""
        return [self.scheme_note if self.plain else f"scheme of tags: {self.scheme_note}"]

    @property
    def size(self) -> int:
        """The number of outputs K of a step."""
        return len(self.tags)

    @property
    def output_names(self) -> list[str]:
        """The tag of each output as text."""
        return [str(tag) for tag in self.tags]

    def encode(self, label: Any, context: Any = None) -> NDArray[np.int64]:
        """Return the number of each tag, int64 (T,); -1 for a tag that training lacks.

        Raises:
            InputError: the label is no list with a tag for each step, or a tag is not in the scheme.
        """
        if self.plain:
            numbers: NDArray[Any] = numbers_of_classes(label, self._index, UNSEEN)
            return numbers
        tags = tags_of(label, "label")
        if isinstance(context, list) and len(context) != len(tags):
            got = f"{counted(len(context), 'token')} and {counted(len(tags), 'tag')}"
            raise InputError(f"tokens and tags: got {got}; expected one tag a token.")
        if self.scheme.has_spans:
            tags = self.inner.tags(self.scheme.spans(tags), len(tags))
        return np.array([self._index.get(tag, UNSEEN) for tag in tags], np.int64)

    def check_labels(self, labels: Sequence[Any], name: str, place_of: PlaceOf | None = None) -> None:
        """Raise for a label that is no list of tags of the scheme; tell tags that training lacks."""
        kinds = {kind for _, kind in self._parsed}
        first: dict[Any, tuple[int, int]] = {}
        counts = Counter[Any]()
        for row, label in enumerate(labels):
            tags, unseen, step = list[Any](), list[Any](), None
            try:
                tags = distinct_labels(label, "label") if self.plain else tags_of(label, "label")
                for step in range(len(tags)):
                    if not self._is_known(tags[step], kinds):
                        unseen.append(tags[step])
            except InputError as error:
                raise InputError(f"{self._place(row, step, name, place_of)}: {error}") from None
            counts.update({tag: int(np.sum(np.asarray(label) == tag)) for tag in unseen} if self.plain else unseen)
            for tag in unseen:
                if tag not in first:
                    first[tag] = row, list(label).index(tag)
        if first and place_of is not None:
            tag, (row, step) = next(iter(first.items()))
            item = self._place(row, step, name, place_of)
            times, thing = counted(counts[tag], "time"), "label" if self.plain else "tag"
            more = f"; {counted(len(first) - 1, f'more such {thing}')}" if len(first) > 1 else ""
            warn(f"{item}: the {thing} {tag!r} ({times}) is not among those of training, and counts as missed{more}.")

    def _place(self, row: int, step: int | None, name: str, place_of: PlaceOf | None) -> str:
        """Return the name of an item in messages, or the line of one of its tags where it has one."""
        if place_of is None:
            return name
        line = place_of.of_step(row, step) if step is not None and isinstance(place_of, LabelPlace) else ""
        return line or place_of(row)

    def _is_known(self, tag: Any, kinds: set[str]) -> bool:
        if not self.scheme.has_spans:
            return tag in self._index
        letter, kind = self.scheme.parse(tag)
        return OUTSIDE in self._index if letter == OUTSIDE else kind in kinds

    # ── predictions ──────────────────────────────────────────────────────────────────────────────────────────

    def stream(self) -> TagStream:
        """Return a new stream: left to right at once, or by Viterbi's algorithm at the end."""
        return TagStream(self)

    def decode(self, outputs: Outputs, context: Any = None) -> Sequence[Tag]:
        """Return a tag for each step from the outputs (T, K) of an item; each sequence of a text by itself."""
        if self.plain:
            parts = (finite(outputs[start : start + LONG]) for start in range(0, max(1, len(outputs)), LONG))
            return self.join([self.tags_of_path(rows.argmax(axis=1), rows) for rows in parts])
        rows = finite(outputs)
        return [tag for start, end in self._sequences(context, len(rows)) for tag in self._decode(rows[start:end])]

    def _sequences(self, context: Any, count: int) -> Iterator[tuple[int, int]]:
        """Return the first step of each sequence of an item of ``count`` steps, and the step behind its last."""
        return pairwise([0, *self.begins(context), count])

    def _decode(self, rows: NDArray[np.float64]) -> Sequence[Tag]:
        if self.exact:
            path = viterbi(rows, self.transitions)
        else:
            greedy = GreedyTags(self.transitions)
            path = np.concatenate([greedy.push(rows), greedy.finish()])
        return self.tags_of_path(path, rows)

    def join(self, pieces: Sequence[Any]) -> Sequence[Tag]:
        """Return the tags that pieces add up to."""
        if self.plain:
            made = [piece for piece in pieces if piece is not None]
            return StepTags.joined(made) if made else self.tags_of_path(np.empty(0, np.int64), np.empty((0, self.size)))
        return [tag for piece in pieces if piece is not None for tag in piece]

    def tags_of_path(self, path: NDArray[np.int64], rows: NDArray[np.float64], previous: int = -1) -> Sequence[Tag]:
        """Return the tags, in the scheme of the labels, of numbers of outputs.

        Args:
            path: the number of each step's output, (T,).
            rows: the outputs, (T, K).
            previous: the number of the step before them; -1 at the start of an item.
        """
        if not len(path) and not self.plain:
            return []
        shares = np.exp(rows - rows.max(axis=1, keepdims=True, initial=-np.inf))
        shares /= shares.sum(axis=1, keepdims=True)
        if self.plain:
            return StepTags(self.tags, path, shares[np.arange(len(path)), path])
        if len(self._starts) < self.size:
            shares = np.add.reduceat(shares[:, self._order], self._starts, axis=1)
            chosen = self._group_of[path]
        else:
            chosen = path
        probabilities = shares[np.arange(len(path)), chosen].tolist()
        numbers = path.tolist()
        names = map(self._name, numbers, [previous, *numbers[:-1]])
        return [Tag(name, min(1.0, share)) for name, share in zip(names, probabilities, strict=True)]

    def present(self, prediction: Sequence[Tag], context: Any = None) -> dict[str, Any]:
        """Return ``tokens`` where the context has them, ``tags``, ``probabilities``, and ``spans`` where tags mark
        them; of a text also ``offsets``, the start and the end of each token.

        A span of a text counts in its characters, another in tokens; its probability is the product of those of its
        tags.
        """
        presented = self.present_piece(prediction, context)
        if self.scheme.has_spans:
            presented["spans"] = self.spans(prediction, context)
        return presented

    def spans(self, prediction: Sequence[Tag], context: Any = None) -> list[dict[str, Any]]:
        """Return the spans that tags mark, each with start, end, label, text where it is known, and probability."""
        tokens, words = self.tokens_of(context), words_of(context) if isinstance(context, list) else []
        spans = []
        names = [tag.name for tag in prediction]
        marked = (
            (begin + first, begin + last, label)
            for begin, end in self._sequences(context, len(names))
            for first, last, label in self.scheme.spans(names[begin:end])
        )
        for first, last, label in marked:
            start, end, text = first, last, {}
            if tokens is not None:
                marked_text = "".join(f"{token.gap}{token.text}" for token in tokens[first:last])
                text = {"text": marked_text[len(tokens[first].gap) :]}
                start = tokens[first].start
                end = start + len(text["text"])
            elif words:
                text = {"text": " ".join(words[first:last])}
            share = float(np.prod([tag.probability for tag in prediction[first:last]]))
            spans.append({"start": start, "end": end, "label": label, **text, "probability": share})
        return spans

    def present_piece(self, piece: Sequence[Tag], context: Any = None) -> dict[str, Any]:
        """Return the same without ``spans``, which a piece may cut."""
        tokens: dict[str, Any] = {}
        if isinstance(context, list):
            tokens["tokens"] = words_of(context)
            if (placed := self.tokens_of(context)) is not None:
                tokens["offsets"] = [[token.start, token.start + len(token.text)] for token in placed]
        return {**tokens, "tags": [tag.name for tag in piece], "probabilities": [tag.probability for tag in piece]}

    def values(self, outputs: Any, contexts: Sequence[Any] | None = None) -> list[list[Any]]:
        """Return the tags of each item; of a text the spans, where tags mark them, as :meth:`spans` gives them."""
        if self.plain:
            return [[self.tags[number] for number in np.argmax(each, axis=1).tolist()] for each in outputs]
        values: list[list[Any]] = []
        for row, each in enumerate(outputs):
            context = contexts[row] if contexts else None
            tags = self.decode(each, context)
            is_text = self.scheme.has_spans and self.tokens_of(context) is not None
            values.append(self.spans(tags, context) if is_text else [tag.name for tag in tags])
        return values

    # ── saving ───────────────────────────────────────────────────────────────────────────────────────────────

    def to_dict(self) -> dict[str, Any]:
        """Return the tags, both schemes, and whether decoding is exact."""
        plain = {"plain": True} if self.plain else {}
        return {"tags": self.tags, "scheme": self.scheme.name, "inner": self.inner.name, "exact": self.exact, **plain}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return the target that :meth:`to_dict` described."""
        scheme, inner = SCHEMES[saved["scheme"]], SCHEMES[saved["inner"]]
        return cls(saved["tags"], scheme=scheme, inner=inner, exact=saved["exact"], plain=saved.get("plain", False))

    def _name(self, number: int, previous: int) -> Any:
        """Return the tag, in the scheme of the labels, of an output after another."""
        if not self._parsed or self._parsed[number][0] == OUTSIDE:
            return self.tags[number]
        letter, label = self._parsed[number]
        begins = letter in "BS"
        if self.scheme.name in ("BIO1", "IO"):
            follows = previous >= 0 and self._parsed[previous][0] != OUTSIDE and self._parsed[previous][1] == label
            name = "B" if self.scheme.name == "BIO1" and begins and follows else "I"
        elif self.scheme.name == "BIO2":
            name = "B" if begins else "I"
        else:
            name = self.scheme.letters["BIES".index(letter)]
        return f"{name}-{label}" if label else name

    def _group(self, number: int) -> int:
        """Return the lowest number of an output that means the same tag to a reader of the labels' scheme."""
        if not self._parsed or self.scheme.name not in _WITHOUT_ENDS or self._parsed[number][0] == OUTSIDE:
            return number
        letter, label = self._parsed[number]
        alike = ("BS", "IE") if self.scheme.name == "BIO2" else ("BIES",)
        letters = next(letters for letters in alike if letter in letters)
        return min(k for k, parsed in enumerate(self._parsed) if parsed[0] in letters and parsed[1] == label)
