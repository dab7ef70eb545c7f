"""How results look in a terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table


def console(*, err: bool = False) -> Console:
    """Return where to write; long lines are wrapped by the terminal, not cut."""
    return Console(stderr=err, highlight=False, soft_wrap=False)


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[Any]], *, err: bool = False) -> None:
    """Print a table; numbers stand to the right."""
    shown = [[_cell(value) for value in row] for row in rows]
    numeric = [bool(shown) and all(_is_number(row[k]) for row in shown) for k in range(len(head))]
    out = Table(title=escape(title) or None, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for name, right in zip(head, numeric, strict=True):
        out.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in shown:
        out.add_row(*[escape(cell) for cell in row])
    console(err=err).print(out)


def as_json(value: dict[str, Any]) -> None:
    """Print one JSON object on a line of its own; NaN and infinities, which JSON lacks, as null."""
    click.echo(json.dumps(_finite(value), ensure_ascii=False, default=str, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return not text or text.replace(".", "", 1).replace("-", "", 1).replace(",", "").rstrip("%").isdigit()


#: scores that a person reads first, in this order
HEADLINES = (
    "accuracy",
    "macro_f1",
    "subset_accuracy",
    "micro_f1",
    "log_loss",
    "calibration_error",
    "rmse",
    "mae",
    "r2",
    "loss",
    "perplexity",
    "bits_per_character",
    "bits_per_byte",
    "unknown_share",
)


def size(metrics: dict[str, Any], kind: str = "") -> str:
    """Return on how much a model was scored, such as ``40 items`` or, of a kind, ``40 validation items``."""
    kind = f"{kind} " if kind else ""
    if "items" in metrics:
        return f"{metrics['items']} {kind}items"
    return f"{metrics['characters']:,} {kind}characters in {metrics['tokens']:,} tokens"


Rows = tuple[list[str], list[list[Any]]]


def score_rows(metrics: dict[str, Any]) -> Rows:
    """Return the headline scores with their intervals, and the baseline's beside them where it was scored."""
    baseline = metrics.get("baseline") or {}
    head = ["score", "this model", "95 % interval"] + ([baseline["name"]] if baseline else [])
    rows = []
    for name in HEADLINES:
        if name in metrics:
            ends = metrics.get(f"{name}_interval")
            between = f"{ends[0]:.4f} – {ends[1]:.4f}" if ends else ""
            rows.append([name.replace("_", " "), metrics[name], between] + ([baseline.get(name)] if baseline else []))
    return head, rows


def class_rows(metrics: dict[str, Any]) -> Rows:
    """Return precision, recall and F1 of every class."""
    rows = [[c["label"], c["precision"], c["recall"], c["f1"], c["support"]] for c in metrics.get("per_class", [])]
    return ["label", "precision", "recall", "F1", "items"], rows
