"""A description of a file of sequences, and of what may be wrong with it, before training."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rekur._numbers import counted
from rekur._schemes import detect_scheme
from rekur._values import holds_codes
from rekur.data.chosen_columns import Columns, expand
from rekur.data.columns import ColumnSummary, summarise
from rekur.data.example import Example, examples
from rekur.data.label_forms import alike_labels
from rekur.data.source import Source
from rekur.data.spans import Span
from rekur.data.splitting import item_key
from rekur.errors import InputError, printable

_ITEM_TYPES = ("text", "symbols", "series")
_LABELLED = ("folder", "ts")  # formats in which the column "label" is the label, whatever it looks like
_IMBALANCED = 10  # times as many examples in the largest class as in the smallest
_MOST_CLASSES = 100
_WORDS_OF_A_SENTENCE = 5
_CODES = "codes"


@dataclass
class Description:
    """What a source holds; made by :func:`describe`.

    Attributes:
        name: the file.
        format: how it is read.
        rows: rows in the file.
        columns: a summary of each column.
        chosen: which columns are the item and the label, or None where that is unclear.
        guessed: whether ``chosen`` was guessed from the columns, not told.
        question: which column has to be named; empty if none.
        sequences: items: rows, or groups of a long table.
        lengths: for each unit (``characters``, ``words``, ``symbols``, ``steps``): min, median, p95 and max.
        label_type: ``"class"``, ``"classes"``, ``"number"``, ``"tags"``, ``"spans"``, or None without a label.
        classes: examples in each class, words with each tag, or spans with each label, most first.
        numbers: min, mean and max of labels that are numbers.
        scheme: of entity tags, and what speaks for it; empty where the label is not tags.
        unlabelled: items without a label, where there is a label column.
        empty: items without steps.
        duplicates: items that equal an earlier one.
        conflicts: different items that stand there more than once, with different labels.
        missing: share of missing values in each channel of a series.
        warnings: one sentence for each thing to check.
    """

    name: str
    format: str
    rows: int
    columns: list[ColumnSummary]
    chosen: Columns | None = None
    guessed: bool = False
    question: str = ""
    sequences: int = 0
    lengths: dict[str, dict[str, int]] = field(default_factory=dict)
    label_type: str | None = None
    classes: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    scheme: str = ""
    unlabelled: int = 0
    empty: int = 0
    duplicates: int = 0
    conflicts: int = 0
    missing: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def imbalance(self) -> float | None:
        """How many times more examples the largest class has than the smallest; None with less than two."""
        return max(self.classes.values()) / min(self.classes.values()) if len(self.classes) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON."""
        saved = {**vars(self), "imbalance": self.imbalance}
        saved["columns"] = [column.to_dict() for column in self.columns]
        if self.chosen is not None:
            saved["chosen"] = {name: value for name, value in vars(self.chosen).items() if value is not None}
        return saved

    def overview(self) -> list[tuple[str, str]]:
        """Return (name, value) pairs for a table."""
        rows = [("file", f"{self.name} ({self.format})"), ("rows", f"{self.rows}")]
        if self.chosen is None:
            return rows
        by = " (guessed)" if self.guessed else ""
        rows.append((self.chosen.kind, f"{_shown(self.chosen.items())}{by}"))
        if self.chosen.labels():
            rows.append(("label", f"{_shown(self.chosen.labels())}{by}"))
        rows.append(("sequences", f"{self.sequences}"))
        rows += [("scheme of tags", self.scheme)] if self.scheme else []
        for unit, size in self.lengths.items():
            shown = f"min {size['min']}, median {size['median']}, 95 % ≤ {size['p95']}, max {size['max']}"
            rows.append((f"length in {unit}", shown))
        if self.numbers:
            rows.append(("label values", ", ".join(f"{name} {value:.6g}" for name, value in self.numbers.items())))
        if self.imbalance is not None:
            rows.append(("classes", f"{len(self.classes)}, largest to smallest {self.imbalance:.3g} : 1"))
        counts = [("empty items", self.empty), ("duplicates", self.duplicates)]
        counts += [("duplicates with different labels", self.conflicts)] if self.chosen.labels() else []
        return rows + [(name, f"{count}") for name, count in counts]

    def column_table(self) -> list[tuple[str, str, str, str, str]]:
        """Return (name, type, filled, distinct, examples) of each column."""
        return [
            (
                column.name,
                column.type,
                _percent(column.filled),
                "many" if column.distinct is None else f"{column.distinct}",
                ", ".join(column.examples),
            )
            for column in self.columns
        ]

    def class_table(self) -> list[tuple[str, str, str]]:
        """Return (class, examples, share) of each class, most first."""
        total = sum(self.classes.values())
        return [(name, f"{count}", _percent(count / total)) for name, count in self.classes.items()]

    def missing_table(self) -> list[tuple[str, str]]:
        """Return (channel, share of missing values) of each channel of a series."""
        return [(channel, _percent(share)) for channel, share in self.missing.items()]


def describe(
    source: Source,
    columns: Columns | None = None,
    *,
    label_type: str = "class",
    label_separator: str | None = None,
) -> Description:
    """Return a description of a source, which is read twice.

    Without ``columns`` the item and the label are taken to be the only column that looks like an item and the only
    one that looks like a label; if there is another choice, nothing is chosen and ``question`` says what to tell.

    Args:
        source: rows from a file or from memory.
        columns: which column is what.
        label_type: as for :func:`~rekur.data.example.examples`; used with ``columns``.
        label_separator: as there.

    Raises:
        DataError: for a row that cannot be read; empty items and missing labels are counted instead.

    Example:
        >>> from rekur.data.memory import from_memory
        >>> texts = ["so good", "so bad", "so good", "not bad"]
        >>> description = describe(from_memory(texts, ["yes", "no", "no", "yes"]))
        >>> description.chosen.text, description.chosen.label, description.classes, description.conflicts
        ('item', 'label', {'yes': 2, 'no': 2}, 1)
    """
    rows, summaries = summarise(source)
    description = Description(source.name, source.format, rows, summaries, columns)
    if source.usual_columns:
        label_type = "tags"
    if columns is None:
        if source.usual_columns:
            description.chosen = Columns(**source.usual_columns)
            description.question = "" if description.chosen.label else _question_of_tags(summaries, description.chosen)
        else:
            description.chosen, description.question, label_type = _guess(summaries, source.format)
        description.guessed = description.chosen is not None
    if description.chosen is not None:
        labels = description.chosen.labels()
        if label_type == "class" and any(each.type == "spans" and each.name in labels for each in summaries):
            label_type = "tags"
        description.label_type = label_type if labels else None
        counts = _Counts(description, expand(source, "item", description.chosen.items()))
        notes: list[str] = []
        reading: dict[str, Any] = {"label_type": label_type, "label_separator": label_separator, "empty": "keep"}
        for example in examples(source, description.chosen, **reading, tell=notes.append):
            counts.add(example)
        counts.finish()
        if description.label_type == "spans":
            notes += source.notes()
        elif description.label_type == "tags" and description.chosen.kind != "series":
            tags = (example.label for example in examples(source, description.chosen, **reading, tell=notes.append))
            description.scheme, told = _scheme(tags)
            notes += [*told, *source.notes()]
        description.warnings = notes
    description.warnings = description.warnings + _warnings(description)
    return description


def _question_of_tags(columns: list[ColumnSummary], chosen: Columns) -> str:
    others = [column.name for column in columns if column.distinct is None and column.name != chosen.text]
    return f"Which column is the label? Say --label with one of {_shown(others)}."


def _guess(columns: list[ColumnSummary], file_format: str) -> tuple[Columns | None, str, str]:
    """Return the columns if only one choice is there, else a question; and the type of the label."""
    if file_format in _LABELLED:  # the format itself says what the label is
        told = [column for column in columns if column.name == "label"]
        columns = [c for c in columns if c.type in _ITEM_TYPES and c not in told]
        columns += [replace(c, type="number" if c.type == "number" else "class") for c in told]
    items = [column for column in columns if column.type in _ITEM_TYPES]
    classes = [column for column in columns if column.type == "class"]
    numbers = [column for column in columns if column.type == "number"]
    spans = [column for column in columns if column.type == "spans" and column.examples != ["[]"]]
    spans = spans if [column.type for column in items] == ["text"] else []
    labels = [*spans, *classes] or numbers
    label_type = "tags" if spans and not classes else "class" if classes else "number"
    if len(items) == 1 and len(labels) <= 1:
        label = labels[0].name if labels else None
        return Columns(**{items[0].type: items[0].name, "label": label}), "", label_type
    if len(items) == 1:
        question = f"Which column is the label? Say --label with one of {_shown([c.name for c in labels])}."
        return None, question, label_type
    if items:
        options = ", ".join(f"--{column.type} '{column.name}'" for column in items)
        return None, f"Which column is the item? Say one of {options}.", label_type
    if dates := [column.name for column in columns if column.type == "date"]:
        question = (
            f"Which columns hold the sequences? The column {_shown(dates[:1])} holds dates: of series in time say "
            f"--time '{dates[0]}', --series with each column of values, and --group if one names the series of a row."
        )
        return None, question, label_type
    question = (
        "Which columns hold the sequences? No column looks like text, symbols or whole series. "
        "Say --text, --symbols or --series with a column; in a table with one row an event, add --group and --time."
    )
    return None, question, label_type


class _Counts:
    """Running counts over examples."""

    def __init__(self, description: Description, items: list[str]) -> None:
        self._description, self._items = description, items
        self._lengths: dict[str, array[int]] = {}
        self._classes: Counter[str] = Counter()
        self._numbers: list[float] = []
        self._first_label: dict[bytes, Any] = {}
        self._conflicts: set[bytes] = set()
        self._missing: Any = 0
        self._steps = 0
        self._holds_spans = False
        self._blanks = False  # whether texts of symbols are codes with blanks between

    def add(self, example: Example) -> None:
        description, item = self._description, example.item
        description.sequences += 1
        if description.label_type is not None:
            self._add_label(example.label)
        kind = description.chosen.kind if description.chosen else ""
        self._blanks = self._blanks or (kind == "symbols" and isinstance(item, str) and holds_codes(item))
        sizes = _sizes(item, kind)
        for unit, size in sizes.items():
            self._lengths.setdefault(unit, array("q")).append(size)
        if not (item.strip() if isinstance(item, str) else len(item)):
            description.empty += 1
            return
        if isinstance(item, np.ndarray):
            self._missing = self._missing + np.isnan(item).sum(axis=0)
            self._steps += len(item)
        key = item_key(item)
        if key in self._first_label:
            description.duplicates += 1
            if self._first_label[key] != example.label:
                self._conflicts.add(key)
        else:
            self._first_label[key] = example.label

    def _add_label(self, label: Any) -> None:
        if label is None:
            self._description.unlabelled += 1
        elif self._description.label_type == "number":
            self._numbers += label if isinstance(label, tuple) else [label]
        else:
            names = label if isinstance(label, tuple | list) else [label]
            self._classes.update(name.label if isinstance(name, Span) else name for name in names)
            self._holds_spans = self._holds_spans or any(isinstance(name, Span) for name in names)

    def finish(self) -> None:
        description = self._description
        if self._holds_spans:
            description.label_type = "spans"
        description.conflicts = len(self._conflicts)
        description.classes = dict(self._classes.most_common())
        codes = self._lengths.pop(_CODES, None)
        if codes is not None and self._blanks:
            self._lengths["symbols"] = codes
        for unit, sizes in self._lengths.items():
            low, median, p95, high = np.percentile(np.asarray(sizes), [0, 50, 95, 100], method="nearest")
            description.lengths[unit] = {"min": int(low), "median": int(median), "p95": int(p95), "max": int(high)}
        if self._numbers:
            values = np.asarray(self._numbers)
            description.numbers = {name: float(getattr(values, name)()) for name in ("min", "mean", "max")}
        if self._steps:
            count = len(self._missing)
            names = self._items if len(self._items) == count else [f"channel {i + 1}" for i in range(count)]
            shares = self._missing / self._steps
            description.missing = {name: float(share) for name, share in zip(names, shares, strict=True)}


def _sizes(item: Any, kind: str) -> dict[str, int]:
    if kind == "text" and isinstance(item, list):
        return {"words": len(item)}
    if kind == "text":
        return {"characters": len(item), "words": len(item.split())}
    if kind == "symbols":  # which of the two holds is known after the last item
        codes = item.split() if isinstance(item, str) else item
        return {"symbols": sum(map(len, codes)) if isinstance(item, str) else len(codes), _CODES: len(codes)}
    return {"steps": len(item)}


def _scheme(sequences: Iterable[list[Any]]) -> tuple[str, list[str]]:
    """Return the scheme of entity tags with what speaks for it, and sentences about tags that do not fit."""
    sequences = ([str(tag) for tag in tags] for tags in sequences)
    try:
        choice = detect_scheme(sequences)
    except InputError as error:
        return "", [f"Training refuses these tags: {error}"]
    odd = f"{counted(choice.irregular, 'span')} not as the scheme has them." if choice.irregular else ""
    return str(choice), [odd] if odd else []


def _warnings(description: Description) -> list[str]:
    warnings = [f"The column '{c.name}' is empty." for c in description.columns if c.type == "empty"]
    sentences = [column.name for column in description.columns if len(column.name.split()) >= _WORDS_OF_A_SENTENCE]
    if sentences and description.format in ("csv", "tsv"):
        name = sentences[0] if len(sentences[0]) <= 40 else f"{sentences[0][:39]}…"
        warnings.append(f"A column is called '{name}'; does the line with the columns' names stand on top?")
    if broken := [name for name in description.classes if printable(name) != name]:
        shown = printable(broken[0])
        warnings.append(f"Training refuses classes that cannot be saved as text: {len(broken)}, such as '{shown}'.")
    if description.empty:
        warnings.append(f"{counted(description.empty, 'empty item')}: take them out or fill them.")
    if description.unlabelled:
        warnings.append(f"{counted(description.unlabelled, 'item')} without a label; training needs one for each.")
    if description.conflicts:
        warnings.append(f"{counted(description.conflicts, 'repeated item')} with another label than before.")
    if description.duplicates:
        warnings.append(f"{counted(description.duplicates, 'repeated item')}; a split keeps equal items on one side.")
    if len(description.classes) == 1 and description.label_type != "spans":
        warnings.append(
            f"There is one class only, '{next(iter(description.classes))}'; a classifier needs two or more."
        )
    if alike := alike_labels(description.classes):
        warnings.append(alike)
    if description.label_type not in ("tags", "spans"):
        warnings += _class_warnings(description)
    for channel, share in description.missing.items():
        if share == 1:
            warnings.append(f"The channel '{channel}' has no values.")
        elif share > 0.5:
            warnings.append(f"The channel '{channel}' lacks {_percent(share)} of its values.")
    return warnings


def _class_warnings(description: Description) -> list[str]:
    """Return sentences on classes with few or many examples."""
    warnings: list[str] = []
    single = [name for name, count in description.classes.items() if count == 1]
    if single:
        warnings.append(f"Classes with one example: {len(single)}, such as '{single[0]}'; none is left to check on.")
    if description.imbalance is not None and description.imbalance >= _IMBALANCED:
        warnings.append(
            f"The largest class has {description.imbalance:.3g} times the examples of the smallest; "
            "look at scores that weigh classes alike, such as macro F1."
        )
    if len(description.classes) > _MOST_CLASSES:
        warnings.append(f"There are {len(description.classes)} classes; is the label a number or a name of each row?")
    return warnings


def _shown(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _percent(share: float) -> str:
    """Return a share in percent; never 0 % or 100 % unless it is."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{share:.1%}".replace("%", " %").replace(".0 ", " ")
