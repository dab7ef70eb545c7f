"""How results look in a terminal."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
from bisect import bisect
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rekur._numbers import counted, shown, shown_interval
from rekur.cli import streams
from rekur.errors import printable
from rekur.metrics.table import METRICS

if TYPE_CHECKING:
    from rekur.targets.gallery import Grid

#: columns of a terminal below which a table is as if it had these, and those where it says that it has none
_NARROW, _USUAL = 60, 80
#: characters of the first column of a table that are not folded in a narrow terminal
_NAME_WIDTH = 20
#: rivals beside the strongest that stand in the table of scores; more have a table of their own
_MOST_RIVALS = 2
#: metrics that a table of many rivals lacks
_OF_BANDS = ("pinball", "crps", "coverage", "width")
#: rows and columns of shades at most, their characters, and the shares from which on the next one stands
_MOST_SHADES, _SHADES, _BOUNDS = 40, " ░▒▓█", (0.05, 0.25, 0.5, 0.75)
_NUMBER = re.compile(r"-?(\d[\d,]*(\.\d*)?(e[+-]?\d+)?|nan|inf)%?")
_SURROGATES = re.compile("[\ud800-\udfff]")


def console(*, err: bool = False) -> Console:
    """Return where to write; long lines are wrapped by the terminal, not cut."""
    made = Console(stderr=err, highlight=False, soft_wrap=False)
    made.width = max(made.width, _NARROW) if made.width else _USUAL
    return made


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[Any]], *, err: bool = False) -> None:
    """Print a table; numbers stand to the right."""
    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [bool(cells) and all(_is_number(row[k]) for row in cells) for k in range(len(head))]
    out = Table(box=SIMPLE_HEAD, pad_edge=False)
    # the names of rows stay whole where there is any room
    are_short = max((len(row[0]) for row in cells), default=0) <= _NAME_WIDTH
    to = console(err=err)
    widths = _widths(head, cells, to.width, fixed=int(are_short))
    for column, (name, right, width) in enumerate(zip(head, numeric, widths, strict=True)):
        whole = column == 0 and are_short
        out.add_column(
            name, justify="right" if right else "left", overflow="fold", no_wrap=whole and width is None, width=width
        )
    for row in cells:
        out.add_row(*[escape(cell) for cell in row])
    if title:
        to.print(escape(title), style="bold")  # by itself: as the table's own it would be as narrow as the table
    to.print(out)


def _widths(head: Sequence[str], rows: Sequence[Sequence[str]], most: int, *, fixed: int) -> list[int | None]:
    """Return widths of columns with which a wide table is broken between words alone; None where none are needed.

    Args:
        head: the names of the columns.
        rows: the cells.
        most: the width of the terminal.
        fixed: columns, from the left, that stay as they are where there is room.
    """
    columns = [[name, *(row[k] for row in rows)] for k, name in enumerate(head)]
    wide = [max(map(cell_len, cells)) for cells in columns]
    least = [max((cell_len(word) for cell in cells for word in cell.split()), default=0) for cells in columns]
    room = most - 3 * len(head) + 1
    fixed = fixed if sum(wide[:fixed] + least[fixed:]) <= room else 0
    if sum(wide) <= room or sum(least) > room:
        return [None] * len(head)
    while sum(wide) > room:
        column = max((k for k in range(fixed, len(head)) if wide[k] > least[k]), key=wide.__getitem__)
        wide[column] -= 1
    return [*wide]


def as_json(value: dict[str, Any]) -> None:
    """Print one JSON object on one line; NaN and infinities, which JSON lacks, become null."""
    write(
        json.dumps(
            finite(value), ensure_ascii=sys.stdout.isatty() and not _has_all_letters(), default=str, allow_nan=False
        )
        + "\n"
    )
    sys.stdout.flush()


def as_json_line(value: dict[str, Any]) -> None:
    """Print one of many JSON objects; the command ends if nobody reads them any more."""
    as_json(value)
    streams.check_reader()


def as_csv(rows: Iterable[Sequence[Any]]) -> None:
    """Print rows of CSV; where nobody reads them any more, the command ends."""
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    for row in rows:
        writer.writerow(row)
        write(line.getvalue())
        streams.check_reader()
        line.seek(0)
        line.truncate()


def csv_cell(name: str, value: Any) -> Any:
    """Return a value as a cell of CSV: a list joined by bars, or as JSON where that is ambiguous; a number cut."""
    if isinstance(value, list):
        texts = [str(entry) for entry in value]
        joined = "|".join(texts)
        is_ambiguous = joined.count("|") >= len(texts) > 0 or joined.startswith('["')
        return json.dumps(value, ensure_ascii=False) if is_ambiguous else joined
    digits = 6 if name == "probability" else 9  # nine keep every bit of a 32-bit number
    return f"{value:.{digits}g}" if isinstance(value, float) else value


def shades(grid: Grid) -> str:
    """Return a table of shares as lines of characters: the darker, the larger; the names of columns stand upright."""
    rows, columns = ([_short(name) for name in names[:_MOST_SHADES]] for names in (grid.rows, grid.columns))
    width = max(map(cell_len, rows))
    height = max(map(len, columns))
    lines = []
    for level in range(height):
        letters = [name.rjust(height)[level] for name in columns]
        lines.append(" " * (width + 1) + "".join(set_cell_size(letter, 2) for letter in letters).rstrip())
    for name, shares in zip(rows, grid.shares, strict=False):
        marks = [_SHADES[bisect(_BOUNDS, share)] * 2 for share in shares[: len(columns)]]
        lines.append(f"{' ' * (width - cell_len(name))}{name} {''.join(marks).rstrip()}".rstrip())
    hidden = [len(names) - _MOST_SHADES for names in (grid.rows, grid.columns)]
    if max(hidden) > 0:
        left = [f"{counted(count, noun)}" for count, noun in zip(hidden, ("row", "column"), strict=True) if count > 0]
        lines.append(f"({' and '.join(left)} more)")
    return "\n".join([*lines, ""])


def _short(name: str) -> str:
    """Return the name of a token, cut, on one line; a letter that has no width of its own is left out."""
    text = "".join(
        letter for letter in printable(name.strip() or "␣" * bool(name)) if cell_len(letter) and letter.isprintable()
    )
    return text if len(text) <= _NAME_WIDTH // 2 else f"{text[: _NAME_WIDTH // 2 - 1]}…"


def write(text: str) -> None:
    """Print results that programs read: in UTF-8 whatever the console's encoding is; for a person in that of theirs."""
    text = _SURROGATES.sub("\ufffd", text)
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None or sys.stdout.isatty() or _has_all_letters():
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    binary.write(text.encode())


def _has_all_letters() -> bool:
    """Return whether the encoding of standard output has every letter."""
    return str(getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") in ("utf8", "utf8sig")


def finite(value: Any) -> Any:
    """Return plain JSON in which numbers that are not finite are None."""
    if hasattr(value, "tolist"):  # what NumPy holds
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):  # a score that is undefined
        return ""
    return shown(value) if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return not text or _NUMBER.fullmatch(text) is not None


def size(metrics: dict[str, Any], kind: str = "") -> str:
    """Return on how much a model was scored, such as ``40 items``, or of a kind ``40 validation items, 300 steps``."""
    kind = f"{kind} " if kind else ""
    if "items" in metrics:
        steps = next((name for name in ("tokens", "steps") if name in metrics), "")
        return counted(metrics["items"], f"{kind}item") + (f", {counted(metrics[steps], steps[:-1])}" if steps else "")
    return f"{counted(metrics['characters'], f'{kind}character')} in {counted(metrics['tokens'], 'token')}"


Rows = tuple[list[str], list[list[Any]]]


def score_rows(metrics: dict[str, Any]) -> Rows:
    """Return the headline scores, with their intervals and those of the rival where there are any."""
    from rekur.runtime.rival import rival_metrics  # with NumPy, which --help need not wait for

    names, rival = [name for name in METRICS if name in metrics], rival_metrics(metrics)
    columns = [[name.replace("_", " ") for name in names], [metrics[name] for name in names]]
    head, intervals = ["score", "this model"], [metrics.get(f"{name}_interval") for name in names]
    if any(intervals):
        head.append("95 % interval")
        columns.append([shown_interval(ends) for ends in intervals])
    others = rival.get("others", []) if rival else []
    for each in [rival, *(others if len(others) <= _MOST_RIVALS else [])] if rival else []:
        head.append(each["name"])
        columns.append([each.get(name) for name in names])
    return head, [list(row) for row in zip(*columns, strict=True)]


def scores(title: str, metrics: dict[str, Any]) -> None:
    """Print the headline scores, and how those that have a signature are computed."""
    table(title, *score_rows(metrics))
    for caption, (head, rows) in (("Plain models", rival_rows(metrics)), ("Parts of the answer", part_rows(metrics))):
        if rows:
            table(caption, head, rows)
    head, rows = signature_rows(metrics)
    if rows:
        table("", head, rows)
    if metrics.get("unscaled"):
        items = counted(metrics["unscaled"], "item")
        write(f"MASE leaves out {items} whose values before the origin never change, or repeat each season exactly.\n")


def rival_rows(metrics: dict[str, Any]) -> Rows:
    """Return a row for each rival, where they are too many to stand beside the model; else none."""
    from rekur.runtime.rival import rival_metrics  # with NumPy, which --help need not wait for

    rival = rival_metrics(metrics)
    others = rival.get("others", [])
    if len(others) <= _MOST_RIVALS:
        return [], []
    return _model_rows("plain model", [rival, *others])


def part_rows(metrics: dict[str, Any]) -> Rows:
    """Return a row for each part of the answer where it has several, such as a network and a ridge; else none."""
    return _model_rows("part", metrics["parts"]) if metrics.get("parts") else ([], [])


def _model_rows(head: str, models: list[dict[str, Any]]) -> Rows:
    """Return a row with the scores of each of several models."""
    names = [name for name in METRICS if name in models[0] and name not in _OF_BANDS]
    rows = [[each["name"], *(each.get(name) for name in names)] for each in models]
    return [head, *(name.replace("_", " ") for name in names)], rows


def signature_rows(metrics: dict[str, Any]) -> Rows:
    """Return the scores that have a signature, such as BLEU with that of sacrebleu, with their signatures."""
    signatures = [(name, metrics.get(f"{name}_signature")) for name in METRICS]
    return ["score", "signature"], [[name, signature] for name, signature in signatures if signature]


def class_rows(metrics: dict[str, Any]) -> Rows:
    """Return precision, recall and F1 of every class."""
    rows = [[c["label"], c["precision"], c["recall"], c["f1"], c["support"]] for c in metrics.get("per_class", [])]
    unit = (
        "spans" if "entity_f1" in metrics else next((name for name in ("tokens", "steps") if name in metrics), "items")
    )
    return ["label", "precision", "recall", "F1", unit], rows
