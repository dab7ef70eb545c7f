"""Forecasts as a plot in a file: PNG, SVG or a page, by its ending."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from rekur._files import write_file
from rekur._paths import check_file
from rekur.errors import InputError, describe
from rekur.study import figures
from rekur.study.page import svg
from rekur.study.report import check_report, write_report
from rekur.targets.gallery import Fan

_KIND = "a plot of Rekur's"
#: what tells plots of Rekur's from other files
_PNG, _SVG = b"Software\0Rekur", b"<style>/* Rekur */"
#: black on white, or light on dark where the reader's system is dark
_STYLE = """
svg { color-scheme: light dark; color: #22313f; fill: currentColor; background: #fff }
@media (prefers-color-scheme: dark) { svg { color: #e4eaf0; background: #12181e } }
"""


def check_plot(path: Path, inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Raise early the errors of :func:`write_plot`; write nothing.

    Args:
        path: the file to be written.
        inputs: input files, which are never replaced.

    Raises:
        InputError: another ending than ``.png``, ``.svg`` or ``.html``, or a file that is no plot of Rekur's is there.
        SaveError: there is no permission to write.
    """
    ending = path.suffix.lower()
    if ending == ".html":
        check_report(path, inputs)
    elif ending in (".png", ".svg"):
        check_file(path, overwrite=is_plot, kind=_KIND, inputs=inputs)
    else:
        raise InputError(describe("plot", str(path), "a file that ends in .png, .svg or .html"))


def is_plot(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a PNG or an SVG of Rekur's.

    Example:
        >>> is_plot(b"<svg><title>a map</title></svg>")
        False
    """
    return (head.startswith(b"\x89PNG") and _PNG in head) or (head.startswith(b"<svg") and _SVG in head)


def write_plot(path: Path, title: str, fans: Sequence[Fan]) -> None:
    """Write forecasts as a plot.

    Args:
        path: the file; it replaces a plot of Rekur's, but no other file.
        title: of a page.
        fans: one or more.

    Raises:
        InputError: as for :func:`check_plot`.
        SaveError: the file cannot be written; an older one is unchanged.
    """
    check_plot(path)
    if path.suffix.lower() == ".html":
        write_report(path, title=title, plots=[figures.fans([fan]) for fan in fans])
        return
    figure, out = figures.fans(fans), io.BytesIO()
    if path.suffix.lower() == ".png":
        figure.savefig(out, format="png", dpi=150, metadata={"Software": "Rekur"})
    else:
        head, end, rest = svg(figure).partition(">")
        out.write(f"{head}{end}{_SVG.decode()}{_STYLE}</style>{rest}".encode())
    write_file(path, out.getvalue(), overwrite=is_plot, kind=_KIND)
