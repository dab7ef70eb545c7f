"""Examples on their way into a model: read in passes, split, turned into steps, never needing all items in memory."""

from __future__ import annotations

import dataclasses
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur._channels import channel_order, first_names
from rekur._numbers import counted
from rekur._tokenizer import Passage
from rekur._values import code_of, is_row
from rekur.data.cells import tags_of
from rekur.data.encoded import Encodes, encode_all
from rekur.data.example import Example
from rekur.data.memory import as_list, as_sequences, kind_of, plain_labels
from rekur.data.ragged import Ragged
from rekur.data.splitting import folds, item_key, split, units_of
from rekur.errors import DataError, InputError, OptionError, describe, printable

#: documents from which on all parts of one are trained on, or all are validated on
_FEWEST_DOCUMENTS = 20
_ITEM = re.compile(r"^item [0-9]+(?:, |: )")


class Corpus:
    """Examples that can be read again and again, such as the rows of a file.

    Args:
        read: returns a new iterator over the examples each time it is called.
        name: what to call it in messages, such as the file's name.
        place: the line where an example begins -> what stands behind the name in messages.
        channels: names of the channels of a series, where they have any.
        kind: what an item is, ``"text"``, ``"symbols"`` or ``"series"``; None looks at the items.
        notes: returns sentences about the last whole pass.
        labels: what to call the labels in messages where they stand apart from the items, such as ``"y"``.
    """

    def __init__(
        self,
        read: Callable[[], Iterable[Example]],
        name: str,
        place: Callable[[int], str] = ", line {}".format,
        channels: Sequence[str] | None = None,
        kind: str | None = None,
        notes: Callable[[], list[str]] = list,
        labels: str = "",
    ) -> None:
        self._read, self._place, self._line, self._kind = read, place, 0, kind
        self.notes = notes
        self.name, self.channels, self._labels = name, channels, labels or name

    @property
    def kind(self) -> str:
        """What an item is: text, symbols or series."""
        self._kind = self._kind or kind_of(self.items())
        return self._kind

    def __iter__(self) -> Iterator[Example]:
        for example in self._read():
            self._line = example.line
            yield example

    @contextmanager
    def naming_the_place(self) -> Iterator[None]:
        """Put the place of the last example before an error about its item."""
        try:
            yield
        except InputError as error:
            if isinstance(error, OptionError) or (isinstance(error, DataError) and error.path is not None):
                raise  # about no item, or of a reader that knows the place
            text = _ITEM.sub("", str(error))  # the number among the training items would be a second place
            raise InputError(f"{self.place_of(self._line)}: {text}") from error

    def place_of(self, line: int) -> str:
        """Return the name in messages of the example that begins in a line."""
        return f"{self.name}{self._place(line)}"

    def place_of_label(self, line: int) -> str:
        """Return the name in messages of the label of the example that begins in a line."""
        return f"{self._labels}{self._place(line)}"

    def by_name(self, channels: Sequence[str] | None) -> Corpus:
        """Return the same examples with the channels of series in this order; itself if names are unknown.

        Raises:
            InputError: the channels have other names.
        """
        if not channels or not self.channels or list(channels) == list(self.channels):
            return self
        order = channel_order(self.channels, channels, self.name)

        def read() -> Iterator[Example]:
            for example in self._read():
                item = example.item[:, order] if len(example.item) else example.item
                yield dataclasses.replace(example, item=item)

        return self._of(read, channels)

    def part(self, chosen: NDArray[np.bool_]) -> Corpus:
        """Return the chosen of the examples, (N,), as a corpus; itself if all are."""
        if chosen.all():
            return self

        def read() -> Iterator[Example]:
            return (example for example, use in zip(self._read(), chosen, strict=True) if use)

        return self._of(read, self.channels)

    def steps(self, start: int, end: int | None = None) -> Corpus:
        """Return the examples with the steps from ``start`` to ``end`` of each, and their labels, as a corpus."""
        part = slice(start, end)

        def read() -> Iterator[Example]:
            for each in self._read():
                lines = None if each.lines is None else each.lines[part]
                yield dataclasses.replace(each, item=each.item[part], label=each.label[part], lines=lines)

        return Corpus(read, self.name, self._place, self.channels, self._kind, labels=self._labels)

    def weighted(self, weights: NDArray[np.float64]) -> Corpus:
        """Return examples of lists in memory with the weights of their items, (N,); those of weight 0 are left out.

        An item that gives several examples or none, as pairs of texts may, weighs each of them.
        """
        weight_of = weights.tolist()

        def read() -> Iterator[Example]:
            pairs = ((example, weight_of[example.line]) for example in self._read())
            return (dataclasses.replace(example, weight=weight) for example, weight in pairs if weight)

        return self._of(read, self.channels)

    def grouped(self, groups: Any) -> Corpus:
        """Return examples of lists in memory with the group of each, (N,), which stays on one side of a split.

        Raises:
            InputError: there is another number of groups, or an item has none.
        """
        names = [code_of(value, f"groups[{row}]") for row, value in enumerate(plain_labels(groups, "groups"))]
        if "" in names:
            raise InputError(f"groups[{names.index('')}]: got nothing; expected a group for each item.")
        count = sum(1 for _ in self)
        if len(names) != count:
            raise InputError(describe("groups", len(names), f"{count}, one for each item"))

        def read() -> Iterator[Example]:
            return (dataclasses.replace(example, group=names[example.line]) for example in self._read())

        return self._of(read, self.channels)

    def _of(self, read: Callable[[], Iterable[Example]], channels: Sequence[str] | None) -> Corpus:
        """Return other examples of the same data as a corpus."""
        names = None if channels is None else list(channels)
        return Corpus(read, self.name, self._place, names, self._kind, labels=self._labels)

    def derived(self, read: Callable[[], Iterable[Example]], notes: Callable[[], list[str]]) -> Corpus:
        """Return a corpus of examples that are made of these, such as parts of them."""
        return Corpus(read, self.name, self._place, self.channels, self._kind, notes, self._labels)

    def items(self) -> Iterable[Any]:
        """Return the items; they can be read again and again."""
        return _Items(self)

    def encode(self, features: Encodes) -> tuple[dict[str, Ragged], list[Any]]:
        """Return the inputs of all items by name, on disk where they are many, and their contexts (N,)."""
        with self.naming_the_place():
            return encode_all(self.items(), features)

    def blocks(self, features: Encodes, size: int = 4096) -> Iterator[tuple[dict[str, Ragged], list[Any]]]:
        """Yield inputs by name and contexts of the items, ``size`` items at a time."""
        items = iter(self.items())
        while True:
            with self.naming_the_place():
                inputs, contexts = encode_all(islice(items, size), features)
            if not contexts:
                return
            yield inputs, contexts

    @classmethod
    def labelled(cls, X: Any, y: Any, name: str = "X", **options: Any) -> Corpus:
        """Return the corpus of items ``X`` with labels ``y``; see :meth:`from_lists`.

        Raises:
            InputError: there are no labels.
        """
        X = as_list(X, name)
        per_step = options.get("per_step", False)
        return cls.from_lists(X, plain_labels(y, name.replace("X", "y"), per_step=per_step), name, **options)

    @classmethod
    def from_lists(
        cls,
        X: Any,
        y: Any,
        name: str = "X",
        *,
        kind: str | None = None,
        channels: Sequence[str] | None = None,
        per_step: bool = False,
    ) -> Corpus:
        """Return the corpus of items ``X`` with labels ``y``, or without labels for None.

        Args:
            X: items, as :func:`~rekur.data.memory.as_sequences` takes them.
            y: their labels.
            name: what ``X`` is called in messages, with an X; the labels have the same name with a y.
            kind: ``"text"``, ``"symbols"``, ``"series"`` or ``"words"``; None looks at the items.
            channels: the names of the channels; None takes those of the first series that has any.
            per_step: an item is a series or a list of words, and has a label for each of its steps.
        """
        X = as_list(X, name)
        kind = kind or kind_of(X)
        if per_step and kind != "series":
            kind = "words"
        named = channels or (first_names(X) if kind == "series" else None)
        items = as_sequences(X, kind, name=name, channels=named)
        labels_name = name.replace("X", "y")
        labels: list[Any] = [None] * len(items)
        if y is not None:
            labels = plain_labels(y, labels_name, count=len(items), items=name, per_step=per_step)
        if per_step and y is not None:
            _check_counts(items, labels, name, labels_name, "word" if kind == "words" else "step")
        examples = [Example(item, label, n, None) for n, (item, label) in enumerate(zip(items, labels, strict=True))]
        return cls(lambda: examples, name, "[{}]".format, named, kind, labels=labels_name)


def _check_counts(items: Sequence[Any], labels: Sequence[Any], name: str, labels_name: str, step: str) -> None:
    """Raise unless each item has as many tags as steps; texts have none yet."""
    for row, (steps, label) in enumerate(zip(items, labels, strict=True)):
        if isinstance(steps, str):
            continue
        tags = tags_of(label, f"{labels_name}[{row}]") if step == "word" else label
        if not is_row(tags):
            raise InputError(describe(f"{labels_name}[{row}]", tags, f"a list of labels, one a {step}"))
        if len(tags) != len(steps):
            noun = "tag" if step == "word" else "label"
            expected = f"{len(steps)}, one for each {step} of {name}[{row}]"
            raise InputError(f"{labels_name}[{row}]: got {counted(len(tags), noun)}; expected {expected}.")


class _Items:
    """The items of a corpus."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus

    def __iter__(self) -> Iterator[Any]:
        for example in self._corpus:
            yield example.item


class LabelPlace:
    """Names the labels of a corpus in messages.

    Args:
        corpus: the corpus.
        lines: where each example begins, (N,).
    """

    def __init__(self, corpus: Corpus, lines: Sequence[int]) -> None:
        self._corpus, self._lines = corpus, lines

    def __call__(self, number: int) -> str:
        """Return the place of the label of an example, which counts from 0."""
        return self._corpus.place_of_label(self._lines[number])

    def of_step(self, number: int, step: int) -> str:
        """Return the place of the label of a step; an empty text where steps do not stand in lines of their own.

        The examples are read again up to it.
        """
        example = next(islice(self._corpus, number, None))
        return "" if example.lines is None else self._corpus.place_of_label(int(example.lines[step]))


class Labels(NamedTuple):
    """Every label of a corpus.

    Attributes:
        values: the labels.
        keys: bytes for each item, equal for equal items.
        place_of: the number of an example, from 0 -> the name of its label in messages.
        weights: of the examples, (N,).
        documents: the line of the document of each example; None where examples are no parts of documents.
        groups: of each example, which stays on one side of a split; None for none.
    """

    values: list[Any]
    keys: list[bytes]
    place_of: LabelPlace
    weights: NDArray[np.float64]
    documents: Sequence[int] | None
    groups: Sequence[str] | None = None


def read_labels(corpus: Corpus) -> Labels:
    """Return every label of a corpus in one pass, without keeping its items.

    Raises:
        InputError: there is no example, or a label cannot be saved as text.
    """
    labels, keys, lines, weights, groups = [], [], array("q"), array("d"), []
    is_part = True
    for example in corpus:
        _check_characters(example.label, corpus.place_of_label(example.line))
        labels.append(example.label)
        keys.append(item_key(example.item))
        lines.append(example.line)
        weights.append(example.weight)
        groups.append(example.group)
        is_part &= isinstance(example.item, Passage)
    if not labels:
        raise InputError(f"{corpus.name}: got no examples; expected at least two.")
    documents = lines if is_part and len(set(lines)) >= _FEWEST_DOCUMENTS else None
    named = [group for group in groups if group is not None]
    all_named = named if len(named) == len(labels) else None
    return Labels(labels, keys, LabelPlace(corpus, lines), np.array(weights), documents, all_named)


def _check_characters(label: Any, place: str) -> None:
    """Raise if a label that is text has bytes that are not utf-8, or halves of characters: it could not be saved."""
    for name in labels_in(label):
        if isinstance(name, str) and (shown := printable(name)) != name:
            is_alone = isinstance(label, str)
            fix = "A folder of that name can be renamed." if is_alone else "Write it in whole characters of utf-8."
            raise InputError(f"{place}: {describe('label', shown, 'text in whole characters', fix)}")


def choose_rows(
    labels: Sequence[Any],
    keys: Sequence[bytes],
    fraction: float,
    seed: int,
    *,
    stratified: bool,
    documents: Sequence[int] | None = None,
    groups: Sequence[str] | None = None,
) -> NDArray[np.bool_]:
    """Return True for the examples to train on and False for those to validate on.

    Equal items stay on one side, and so do groups; of documents, all parts of each do. Where equal items or groups have
    several labels, a label could then be left without a training item; such items are moved to training.
    """
    chosen = np.ones(len(labels), dtype=bool)
    classes, joins = labels if stratified else [None] * len(labels), _joins(keys, documents, groups)
    chosen[split(classes, fraction, seed, **joins).valid] = False
    if stratified:
        trained = {name for label, use in zip(labels, chosen, strict=True) if use for name in labels_in(label)}
        for unit in units_of(len(labels), joins.values()):
            if not chosen[unit[0]] and not trained.issuperset(name for row in unit for name in labels_in(labels[row])):
                chosen[unit] = True
    if chosen.all():
        raise InputError(
            f"examples: got {len(labels)}, and none is left to validate on; expected more of each label. "
            "Add examples, or give items for validation."
        )
    return chosen


def choose_folds(
    labels: Sequence[Any],
    keys: Sequence[bytes],
    count: int,
    seed: int,
    *,
    stratified: bool,
    documents: Sequence[int] | None = None,
    groups: Sequence[str] | None = None,
) -> NDArray[np.int64]:
    """Return the fold of each example, (N,), -1 for one that is in none; see :func:`rekur.data.splitting.folds`.

    Equal items stay in one fold, and so do groups; of documents, all parts of each do.
    """
    return folds(labels if stratified else [None] * len(labels), count, seed, **_joins(keys, documents, groups))


def _joins(
    keys: Sequence[bytes], documents: Sequence[int] | None, groups: Sequence[str] | None
) -> dict[str, Sequence[Any]]:
    """Return by what examples stay together, as arguments of :func:`split`; equal parts of documents may be apart."""
    if groups is not None:
        return {"groups": groups} if documents is not None else {"keys": keys, "groups": groups}
    return {"keys": keys} if documents is None else {"groups": documents}


def labels_in(label: Any) -> Iterable[Any]:
    """Return the labels of an example, which may have several."""
    return label if isinstance(label, list | tuple | np.ndarray) else [label]
