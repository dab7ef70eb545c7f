"""A report of one model: scores, plots and training, in a single HTML file that opens offline."""

from __future__ import annotations

import html
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from rekur._files import write_file
from rekur._numbers import shown
from rekur._paths import check_file
from rekur.errors import printable
from rekur.study import figures

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #22313f; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #e3e8ec; text-align: left }
th.number, td.number { text-align: right } .plots { display: flex; flex-wrap: wrap; gap: 1rem }
svg { max-width: 100%; height: auto }
"""


#: the start of a page, now and before pages named their generator
_BEGIN = '<!doctype html><html lang="en"><meta charset="utf-8">'
_MARK = '<meta name="generator" content="rekur">'
_EARLIER = '<meta name="viewport" content="width=device-width"><style>\nbody { font: 16px/1.5 system-ui, sans-serif; '


def is_report(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a report from Rekur.

    Example:
        >>> is_report(b"<!doctype html><title>my thesis</title>")
        False
    """
    return head.startswith(_BEGIN.encode()) and any(mark.encode() in head for mark in (_MARK, _EARLIER))


def check_report(path: Path, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Raise early the errors of :func:`write_report`; write nothing.

    Args:
        path: the HTML file to be written.
        inputs: input files, which are never replaced.

    Raises:
        InputError: the file exists and is not a report from Rekur.
        SaveError: there is no permission to write.
    """
    check_file(path, overwrite=is_report, kind="a report of Rekur's", inputs=inputs)


def write_report(
    path: Path,
    *,
    title: str,
    tables: Sequence[tuple[str, Sequence[str], Iterable[Sequence[Any]]]],
    plots: Sequence[Figure],
    details: Sequence[tuple[str, Sequence[str], Iterable[Sequence[Any]]]] = (),
) -> None:
    """Write a self-contained page.

    Args:
        path: the HTML file; it replaces a report from Rekur, but no other file.
        title: of the page.
        tables: (heading, column names, rows) of each table.
        plots: figures, inserted as SVG.
        details: further tables, below the plots.

    Raises:
        InputError: the path is a folder, or a file that is not a report from Rekur.
        SaveError: the file cannot be written; an older one is unchanged.
    """
    parts = [f"<h1>{html.escape(title)}</h1>"]
    parts += [_table(*table) for table in tables]
    if plots:
        parts.append('<h2>Plots</h2><div class="plots">' + "".join(_svg(plot) for plot in plots) + "</div>")
    parts += [_table(*table) for table in details]
    page = (
        f"{_BEGIN}{_MARK}<title>{html.escape(title)}</title>"
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>' + "\n".join(parts) + "</html>\n"
    )
    write_file(path, printable(page).encode("utf-8"), overwrite=is_report, kind="a report of Rekur's")


def model_plots(metrics: dict[str, Any], history: Sequence[dict[str, Any]]) -> list[Figure]:
    """Return the plots for which a model's metrics and history have data."""
    plots = []
    if "confusion" in metrics:
        plots.append(figures.confusion(metrics["confusion"], [c["label"] for c in metrics["per_class"]]))
    if "calibration" in metrics:
        plots.append(figures.calibration(metrics["calibration"], metrics["calibration_error"]))
    if history:
        names = ("valid_loss", "valid_accuracy", "valid_micro_f1", "valid_rmse")
        scored = [name for name in names if name in history[0]] or ["train_loss"]  # of a text learnt by heart
        plots += [figures.learning_curves({"this model": history}, name) for name in scored]
    return plots


def _table(heading: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    listed = [list(row) for row in rows]
    numeric = [any(isinstance(row[k], int | float) for row in listed) for k in range(len(head))]
    classes = [' class="number"' if is_number else "" for is_number in numeric]
    cells = "".join(f"<th{k}>{html.escape(name)}</th>" for name, k in zip(head, classes, strict=True))
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in listed)
    return f"<h2>{html.escape(heading)}</h2><table><tr>{cells}</tr>{body}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f'<td class="number">{shown(value)}</td>'
    kind = ' class="number"' if isinstance(value, int) else ""
    return f"<td{kind}>{html.escape('' if value is None else str(value))}</td>"


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg")
    text = out.getvalue()
    return text[text.index("<svg") :]
