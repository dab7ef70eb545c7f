"""The file of ``rekur evaluate --errors``: the most surely wrong items, a row each, as CSV or as JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rekur._files import write_file
from rekur._numbers import counted
from rekur._paths import check_file
from rekur.cli import show
from rekur.errors import InputError, describe, printable
from rekur.runtime.examples import Part, content, numbered_parts
from rekur.targets.gallery import ErrorGallery, shortened

#: the columns of every file, in their order; a task may add some, and has no prediction where it makes none
COLUMNS = ("severity", "item", "where", "input", "truth", "prediction")
#: how files begin, by which they are known; those of JSON lines without an error are empty
_BEGIN = {".csv": ",".join(COLUMNS[:4]).encode(), ".jsonl": b'{"severity": '}
_KIND = "an earlier file of errors"


def check_errors(path: Path, inputs: Iterable[str], report: Path | None) -> None:
    """Raise early the errors of :func:`write_errors`; write nothing.

    Args:
        path: the file to be written.
        inputs: input files, which are never replaced.
        report: another file that the command writes.

    Raises:
        InputError: the name ends otherwise, or the file exists and is no such file.
        SaveError: there is no permission to write.
    """
    if path.suffix.lower() not in _BEGIN:
        fix = "For example: --errors errors.csv"
        raise InputError(describe("--errors", str(path), "a name that ends in .csv or .jsonl", fix))
    if check_file(path, overwrite=_is_errors(path), kind=_KIND, inputs=inputs) == (report and report.resolve()):
        raise InputError(describe("--errors", str(path), "another file than --report", "Choose another name."))


def write_errors(path: Path, errors: ErrorGallery, task: Any, corpus: Any) -> None:
    """Write the most surely wrong items, the worst one first.

    Args:
        path: the file; its name says the format.
        errors: of the items that were scored.
        task: the trained task.
        corpus: what it was scored on; it is read again where rows do not say what stands in it.

    Raises:
        InputError: the file exists and is no such file.
        SaveError: the file cannot be written; an older one is unchanged.
    """
    rows = errors.rows()
    numbers = {error.number: error.cells for error in rows if "item" not in error.cells}
    parts = numbered_parts(task, corpus, numbers, max(numbers)) if numbers else ()
    places = {number: _place_cells(number, part, numbers[number]) for number, part in parts}
    cells = [_ordered({"severity": error.severity, **places.get(error.number, {}), **error.cells}) for error in rows]
    text = _lines(cells) if path.suffix.lower() == ".jsonl" else _table(cells)
    write_file(path, printable(text).encode("utf-8"), overwrite=_is_errors(path), kind=_KIND)


def size(path: Path, errors: ErrorGallery) -> dict[str, Any]:
    """Return the name of the file, how many rows it has, and how many errors there are, as plain JSON."""
    return {"file": str(path), "rows": len(errors.rows()), "of": errors.wrong}


def told(written: dict[str, Any]) -> str:
    """Return a sentence for :func:`size`."""
    path, rows, total = written["file"], written["rows"], counted(written["of"], "error")
    if not rows:
        return f"No errors; {path} has no rows."
    return (
        f"The worst {rows:,} of {total} in {path}." if rows < written["of"] else f"{total} in {path}, the worst first."
    )


def _is_errors(path: Path) -> Any:
    begin = _BEGIN[path.suffix.lower()]
    return lambda head: head.startswith(begin)


def _place_cells(number: int, part: Part, cells: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells that say which item it is; one without a name has its number, from 1, as in predictions."""
    shown = {} if "input" in cells else {"input": shortened(content(part.item))}
    return {"item": number + 1 if part.id is None else part.id, "where": part.line + part.start, **shown}


def _ordered(cells: dict[str, Any]) -> dict[str, Any]:
    first = {name: cells[name] for name in COLUMNS if name in cells}
    return first | cells


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(show.finite(row), ensure_ascii=False, default=str) + "\n" for row in rows)


def _table(rows: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0] if rows else COLUMNS)
    writer.writerows([show.csv_cell(name, value) for name, value in row.items()] for row in rows)
    return out.getvalue()
