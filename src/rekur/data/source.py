"""What a source is: named columns and rows that can be read again and again, one at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rekur._numbers import counted
from rekur._values import CellError, code_of
from rekur.data.cells import spans_of_text, tags_of, words_or_text
from rekur.errors import DataError, describe, did_you_mean

_LONGEST_NAME = 80


class Row(dict[str, Any]):
    """One row: column name to value, and the ``line`` it began on (from 1).

    Example:
        >>> row = Row({"text": "good"}, 2)
        >>> row["text"], row.line
        ('good', 2)
    """

    __slots__ = ("line",)

    def __init__(self, values: Any, line: int) -> None:
        super().__init__(values)
        self.line = line


@dataclass(frozen=True, slots=True)
class Tagged:
    """The words of a sentence with their tags.

    Attributes:
        words: the words, none empty; or a text that is to be cut into words.
        tags: a tag for each word, or the spans of a text as they stand in the source; None where none are read.
        lines: where they stand in the source, from 1: the line of each word, or that of the whole row alone.
        id: the name of the sentence in the source, or None.
    """

    words: list[str] | str
    tags: Any
    lines: list[int]
    id: str | None


class Source(ABC):
    """Rows with named columns, from a file or from memory.

    Attributes:
        name: the file's path, or what stands for it in messages.
        format: how it is read, such as ``"csv"``.
        columns: the names of the columns, in order.
        unit: what a row number counts in messages, ``"line"`` or ``"row"``.
        key: the column that names the rows, where the format has one.
        usual_columns: the columns of words and tags, by the roles ``text`` and ``label``, where the format has such.
        group: the column that names the sequence of a row, where the format has one.
        tables: what the rows come from, where it is several files; each has the columns.
        keeps_digits: whether numbers with a decimal point are read as ``Decimal``, where the format has any; times
            may have more digits than a float holds.
    """

    name: str
    format: str
    columns: list[str]
    unit: str = "line"
    key: str = ""
    usual_columns: Mapping[str, str] = MappingProxyType({})
    group: str = ""
    tables: Sequence[Source] = ()
    keeps_digits: bool = False

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """Read all rows from the first on, holding one (or one block) at a time; may be called again."""

    def labelled_rows(self, label: str) -> Iterator[Row]:
        """Yield the rows that are learned from: all, unless the source itself says otherwise.

        Args:
            label: the column with tags or spans.
        """
        return self.rows()

    def tagged(self, words: str, tags: str | None, name: str = "") -> Iterator[Tagged]:
        """Yield the words and the tags of each row.

        Args:
            words: a column with lists of words, or with texts.
            tags: a column with lists of tags, as long, or with spans of the texts; None reads none.
            name: a column with the names of sentences; empty for none.

        Raises:
            DataError: a cell is neither, or two lists differ in length.
        """
        for row in self.rows() if tags is None else self.labelled_rows(tags):
            try:
                sentence, cells = words_or_text(row.get(words), words), None
                if isinstance(sentence, str):
                    cells = None if tags is None else spans_of_text(sentence, row.get(tags), words, tags)
                elif tags is not None:
                    cells = tags_of(row.get(tags), tags)
                    if len(cells) != len(sentence):
                        got = f"{counted(len(sentence), 'word')} and {counted(len(cells), 'tag')}"
                        raise CellError(f"{words} and {tags}: got {got}; expected one tag a word.")
                shown = code_of(row.get(name), name) if name else ""
            except CellError as error:
                raise self.error(str(error), row.line) from None
            yield Tagged(sentence, cells, [row.line], shown or None)

    def notes(self) -> list[str]:
        """Return sentences about what the last whole pass read over."""
        return []

    def where(self, line: int) -> str:
        """Return the place of a row in words, such as ``line 3``."""
        return f"{self.unit} {line}"

    def error(self, text: str, line: int | None = None) -> DataError:
        """Return the error that says ``text`` about a line of this source; the caller raises it."""
        if line is None or self.unit == "line":
            return DataError(text, self.name, line)
        error = DataError(f"{self.name}, {self.where(line)}: {text}")
        error.path, error.line = self.name, line
        return error

    def __iter__(self) -> Iterator[Row]:
        return self.rows()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, format={self.format!r}, columns={self.columns!r})"


class Repeats:
    """Tells once of a name that several rows have; looks at the first hundred thousand different names.

    Args:
        source: whose rows they are.
        thing: what a name is called in the sentence.
        tell: receives the sentence.
    """

    def __init__(self, source: Source, thing: str, tell: Callable[[str], object]) -> None:
        self._source, self._thing, self._tell = source, thing, tell
        self._lines: dict[str, int] | None = {}

    def add(self, name: str | None, line: int) -> None:
        """Take the name of a row."""
        if self._lines is None or not name:
            return
        first = self._lines.setdefault(name, line)
        if first != line:
            unit = self._source.unit
            where = f"{self._source.name}, {unit} {line}"
            self._tell(f"{where}: {self._thing}: got '{name}' again, as in {unit} {first}; expected another for each.")
        if first != line or len(self._lines) >= 100_000:
            self._lines = None


def shown_names(names: list[str], most: int = 20) -> str:
    """Return names in quotes with commas between, cut after ``most``.

    Example:
        >>> shown_names(["a", "b", "c"], most=2)
        "'a', 'b' and 1 more"
    """
    short = (name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in names[:most])
    text = ", ".join(f"'{name}'" for name in short)
    return text if len(names) <= most else f"{text} and {len(names) - most} more"


def check_names(source: Source, names: list[str], line: int | None = None) -> list[str]:
    """Return the column names, or raise if one stands there twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            twice = [i + 1 for i, other in enumerate(names) if other == name]
            text = (
                f"column names: got '{name}' for columns {' and '.join(map(str, twice))}; "
                "expected a name of its own for each column. Rename one of them."
            )
            raise source.error(text, line)
        seen.add(name)
    return names


def check_column(source: Source, role: str, name: str) -> str:
    """Return the name if the source has such a column, else raise and say which there are."""
    if name != source.group:
        for table in source.tables:
            check_column(table, role, name)
    if name in source.columns:
        return name
    expected = f"one of the columns {shown_names(source.columns)}"
    raise source.error(describe(f"{role} column", name, expected, did_you_mean(name, source.columns)))
