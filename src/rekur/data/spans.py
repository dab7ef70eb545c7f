"""Spans of characters as annotation tools write them, and whether they fit the words of their text."""

from __future__ import annotations

import json
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rekur._numbers import counted
from rekur._tokenizer import Token, is_gap
from rekur._values import CellError, is_missing, is_row, members, scalar
from rekur.data.annotations import is_annotation, results
from rekur.errors import describe

_SHAPES = "[start, end, label], or an object with start, end and label"
_START, _END = ("start", "start_offset", "begin"), ("end", "end_offset")
_LABEL = ("label", "labels", "tag", "type", "entity", "entity_type", "entity_group", "ner", "slot")
#: keys of an object whose list holds the spans
_LISTS = ("entities", "spans", "ents", "label", "labels")
_LONGEST_SHOWN = 40


class Span(NamedTuple):
    """A labelled part of a text.

    Attributes:
        start: the number of characters before it.
        end: the same with its own; the span holds ``text[start:end]``.
        label: its label.
        text: its characters as its source states them; None where it does not.
    """

    start: int
    end: int
    label: str
    text: str | None = None


class BadSpan(NamedTuple):
    """A span that does not fit its text.

    Attributes:
        number: its number in its list, from 1.
        span: as it was read.
        got: a clause that names the flaw.
        expected: a clause that says how it should be.
        kind: ``overlap``, or ``place`` where its numbers count something else than characters, or may do so.
    """

    number: int
    span: Span
    got: str
    expected: str
    kind: str


class FittedSpans(NamedTuple):
    """The spans of a text by its words.

    Attributes:
        spans: (first word, behind the last word, label) in order, without overlaps.
        bad: those that do not fit.
        trimmed: number of spans with blanks at their ends, which are cut off.
        repeated: number of spans that equal an earlier one.
    """

    spans: list[tuple[int, int, str]]
    bad: list[BadSpan]
    trimmed: int
    repeated: int


def may_be_spans(cell: Any) -> bool:
    """Return whether a label has the form of spans: a list of lists or objects, an object, JSON, or nothing."""
    cell = scalar(cell)
    if isinstance(cell, str):
        return not cell.strip() or cell.lstrip()[0] in "[{"
    first = next(iter(members(cell)), None) if is_row(cell) else cell
    return isinstance(first, dict) or is_row(first) or is_missing(first)


def spans_of(cell: Any, thing: str = "spans") -> list[Span]:
    """Return the spans that a cell holds.

    Args:
        cell: a list of ``[start, end, label]`` or of objects with ``start`` or ``start_offset``, ``end`` or
            ``end_offset``, ``label`` or ``labels``, and maybe ``text``; an object that holds such a list as
            ``entities``; the same as text in JSON; nothing for no span.
        thing: what the value is called in messages.

    Raises:
        CellError: it has another form.

    Example:
        >>> spans_of([[0, 3, "PER"], {"start_offset": 13, "end_offset": 17, "labels": ["LOC"]}])
        [Span(start=0, end=3, label='PER', text=None), Span(start=13, end=17, label='LOC', text=None)]
    """
    return [_span(entry, f"{thing}, span {number}") for number, entry in enumerate(_entries(cell, thing), 1)]


def _entries(cell: Any, thing: str) -> list[Any]:
    cell = scalar(cell)
    if is_missing(cell):
        return []
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            raise CellError(describe(thing, cell, f"a list of spans, each {_SHAPES}")) from None
    if isinstance(cell, dict):
        keys = [key for key in _LISTS if is_row(cell.get(key))]
        if len(keys) != 1:
            raise CellError(describe(thing, json.dumps(cell, default=str), f"a list of spans, each {_SHAPES}"))
        cell = cell[keys[0]]
    if not is_row(cell):
        raise CellError(describe(thing, cell, f"a list of spans, each {_SHAPES}"))
    entries = list(members(cell))
    if not (entries and all(map(is_annotation, entries))):
        return entries
    spans = results(entries)
    if len(spans) != 1:
        fix = "Choose one of them, or cancel the others." if spans else "Take the text out, or annotate it."
        raise CellError(f"{thing}: got {counted(len(spans), 'annotation')} of one text; expected 1. {fix}")
    return spans[0]


def _span(entry: Any, thing: str) -> Span:
    """Return the span of an entry of a list."""
    if isinstance(entry, Span):
        return entry
    if isinstance(entry, dict):
        inner = entry.get("value")  # Label Studio's full export
        return _object(inner if isinstance(inner, dict) else entry, thing)
    if not is_row(entry) or len(members(entry)) != 3:
        raise CellError(describe(thing, entry, _SHAPES))
    start, end, label = members(entry)
    return _checked(start, end, label, None, thing)


def _object(entry: dict[str, Any], thing: str) -> Span:
    points: Any = entry.get("points")  # Dataturks
    if is_row(points) and len(points) == 1 and isinstance(points[0], dict):
        entry = {**entry, **points[0]}
    bounds = []
    for allowed in (_START, _END):
        keys = [name for name in allowed if name in entry]
        if not keys:
            raise CellError(f"{thing}: got the keys {', '.join(map(str, entry))}; expected {' or '.join(allowed)}.")
        bounds.append(entry[keys[0]])
    names = [name for name in _LABEL if not is_missing(entry.get(name))]
    usual = [name for name in ("label", "labels") if name in names]
    if not usual and len(names) != 1:
        raise CellError(f"{thing}: got no label; expected one as 'label', or as 'labels' with one entry.")
    chosen = (usual or names)[0]
    label = scalar(entry[chosen])
    if is_row(label):
        labels = list(members(label))
        if len(labels) != 1:
            fix = "Make a file for each kind of labels."
            raise CellError(describe(f"{thing}: {chosen}", labels, "one label a span", fix))
        (label,) = labels
    text = scalar(entry.get("text"))
    return _checked(bounds[0], bounds[1], label, text if isinstance(text, str) else None, thing)


def _checked(start: Any, end: Any, label: Any, text: str | None, thing: str) -> Span:
    numbers = []
    for name, value in (("start", scalar(start)), ("end", scalar(end))):
        is_whole = isinstance(value, int | np.integer) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not is_whole or value < 0:
            raise CellError(describe(f"{thing}: {name}", value, "a number of characters, 0 or more"))
        numbers.append(int(value))
    label = label.item() if isinstance(label, np.generic) else label
    if not isinstance(label, str) or not label.strip():
        raise CellError(describe(f"{thing}: label", label, "a text of one character or more"))
    return Span(numbers[0], numbers[1], str(label), text)


# ── whether spans fit ────────────────────────────────────────────────────────────────────────────────────────────


def fit_spans(spans: Sequence[Span], text: str, tokens: Sequence[Token]) -> FittedSpans:
    """Return the spans of a text by its words.

    Args:
        spans: as they were read.
        text: the text.
        tokens: its tokens.
    """
    starts = [token.start for token in tokens]
    ends = [token.start + len(token.text) for token in tokens]
    fitting: list[tuple[int, int, int, Span]] = []
    bad, seen, trimmed = [], set[tuple[int, int, str]](), 0
    edges = set(starts), set(ends)
    for number, span in enumerate(spans, 1):
        start, end = _trim(span, text, *edges)
        first, last = bisect_left(starts, start), bisect_left(ends, end)
        if flaw := _flaw(span, start, end, text, tokens, starts, ends):
            bad.append(BadSpan(number, span, *flaw, "place"))
            continue
        trimmed += (start, end) != (span.start, span.end)
        if (start, end, span.label) in seen:
            continue
        seen.add((start, end, span.label))
        fitting.append((first, last + 1, number, span))
    repeated = len(spans) - len(bad) - len(fitting)
    fitting.sort(key=lambda entry: (entry[0], -entry[1]))
    chosen: list[tuple[int, int, int, Span]] = []
    for entry in fitting:
        if chosen and entry[0] < chosen[-1][1]:
            bad.append(_overlap(entry, chosen[-1], text))
        else:
            chosen.append(entry)
    fitted = [(first, last, span.label) for first, last, _, span in chosen]
    return FittedSpans(fitted, sorted(bad), trimmed, repeated)


def _trim(span: Span, text: str, starts: set[int], ends: set[int]) -> tuple[int, int]:
    """Return start and end of a span without the blanks at its ends; the edges of tokens are where they are."""
    start, end = span.start, span.end
    if end <= len(text):
        while start < end and start not in starts and is_gap(text[start]):
            start += 1
        while start < end and end not in ends and is_gap(text[end - 1]):
            end -= 1
    return start, end


def _flaw(
    span: Span, start: int, end: int, text: str, tokens: Sequence[Token], starts: list[int], ends: list[int]
) -> tuple[str, str] | None:
    """Return the flaw of the place of a span, and how it should be; None if it fits."""
    if span.end > len(text):
        return f"{shown(span)}, which ends behind the text", f"an end in [0, {len(text)}]"
    if span.end <= span.start:
        return f"{shown(span)}, which holds nothing", "an end behind the start"
    if start == end:
        return f"{shown(span)}, which holds blanks alone", "one word or more"
    if span.text is not None and _plain(span.text) != _plain(text[start:end]):
        got = f"{shown(span)}, which holds '{_short(text[span.start : span.end])}'"
        return got, f"'{_short(span.text)}', as its text says"
    for bound, places in ((start, starts), (end, ends)):
        step = bisect_left(places, bound)
        if step == len(places) or places[step] != bound:
            holder = tokens[bisect_left(starts, bound) - 1]
            word = f"the word '{_short(holder.text)}'"
            return f"{shown(span)}, '{_short(text[start:end])}', which cuts {word}", "whole words"
    return None


def _plain(text: str) -> str:
    """Return a text in composed letters and with single blanks, as tools may write that of a span."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _overlap(entry: tuple[int, int, int, Span], other: tuple[int, int, int, Span], text: str) -> BadSpan:
    """Return a span that overlaps another as a bad one."""
    span, earlier = entry[3], other[3]
    words = f"'{_short(text[span.start : span.end])}'"
    if entry[:2] == other[:2]:
        how = f"{words}, which has two labels, {earlier.label} and {span.label}"
    else:
        inside = entry[1] <= other[1]
        how = f"{words}, which {'lies inside' if inside else 'overlaps'} {shown(earlier)}"
    return BadSpan(entry[2], span, f"{shown(span)}, {how}", "spans that share no word", "overlap")


def shown(span: Span) -> str:
    """Return a span as messages have it."""
    return f"[{span.start}, {span.end}, {span.label}]"


def _short(text: str) -> str:
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


# ── why spans do not fit ─────────────────────────────────────────────────────────────────────────────────────────


def _counted_in(units: Callable[[str], Iterable[int]]) -> Callable[[Sequence[Span], str], list[Span | None]]:
    """Return a function that turns bounds counted in other units into characters; None where a bound cuts one."""

    def convert(spans: Sequence[Span], text: str) -> list[Span | None]:
        characters, total = {0: 0}, 0
        for character, size in enumerate(units(text), 1):
            total += size
            characters[total] = character
        bounds = [(characters.get(span.start), characters.get(span.end)) for span in spans]
        return [
            None if start is None or end is None else span._replace(start=start, end=end)
            for span, (start, end) in zip(spans, bounds, strict=True)
        ]

    return convert


def _moved(span: Span, count: int) -> Span:
    return span._replace(start=span.start + count, end=span.end + count)


#: cause of spans that do not fit -> spans as they were meant, None for one that cannot be so; and the fix
CAUSES: dict[str, tuple[Callable[[Sequence[Span], str], list[Span | None]], str]] = {
    "Offsets count UTF-16 units": (
        _counted_in(lambda text: (2 if ord(character) > 0xFFFF else 1 for character in text)),
        "Count characters: one beyond U+FFFF, such as an emoji, counts once.",
    ),
    "Offsets count bytes": (
        _counted_in(lambda text: (len(character.encode("utf-8", "surrogatepass")) for character in text)),
        "Count characters of the text, not bytes of its UTF-8.",
    ),
    "Offsets count letters without their combining marks": (
        _counted_in(lambda text: (int(unicodedata.category(character)[0] != "M") for character in text)),
        "Count characters of the text as it stands, or write it in composed letters (NFC).",
    ),
    "Offsets count a line end, which is CR and LF, as one": (
        _counted_in(lambda text: (int(text[at : at + 2] != "\r\n") for at in range(len(text)))),
        "Count both, or write the text with LF.",
    ),
    "Offsets count a line end, which is LF alone, as two": (
        _counted_in(lambda text: (2 if character == "\n" else 1 for character in text)),
        "Count it once, or write the text with CRLF.",
    ),
    "Offsets count in the text without the blanks at its start": (
        lambda spans, text: [_moved(span, len(text) - len(text.lstrip())) for span in spans],
        "Count in the text as it stands, or take them off.",
    ),
    "Ends are included": (
        lambda spans, text: [span._replace(end=span.end + 1) for span in spans],
        "An end stands behind the last character: add 1 to each.",
    ),
    "Offsets count from 1": (
        lambda spans, text: [span._replace(start=span.start - 1) if span.start else None for span in spans],
        "The first character has the number 0, and an end stands behind the last one: take 1 from each start.",
    ),
}


class Suspects:
    """The causes that explain all spans of a file; each document takes some away."""

    def __init__(self) -> None:
        self._causes = list(CAUSES)
        #: spans that a cause moves, those with their text twice
        self._moves = dict.fromkeys(CAUSES, 0)

    def add(self, spans: Sequence[Span], text: str, tokens: Sequence[Token]) -> None:
        """Take the spans of a document."""
        for cause in list(self._causes):
            meant = CAUSES[cause][0](spans, text)
            real = [span for span in meant if span is not None]
            if len(real) < len(spans) or any(each.kind == "place" for each in fit_spans(real, text, tokens).bad):
                self._causes.remove(cause)
                continue
            for span, moved in zip(spans, real, strict=True):
                self._moves[cause] += 0 if moved == span else 1 if span.text is None else 2

    def sentence(self, usual: str) -> str:
        """Return the cause and its fix, or the usual fix where no cause explains all.

        A cause that moves a single span, whose text is unknown, may explain it by accident; both fixes are told then.
        """
        if not self._causes:
            return usual
        cause = self._causes[0]
        fix = CAUSES[cause][1]
        if self._moves[cause] > 1:
            return f"{cause}. {fix}"
        return f"Perhaps {cause[0].lower()}{cause[1:]}. {fix} {usual}"
