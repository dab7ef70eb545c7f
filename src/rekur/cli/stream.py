"""``rekur stream BUNDLE``: run a saved model live, one event a line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from rekur.cli import show, streams
from rekur.cli.options import BUNDLE, JSON, with_options
from rekur.errors import InputError, describe


@click.command("stream")
@with_options(BUNDLE)
@click.option("--by", type=click.Choice(["line", "char"]), default="line", help="For text: push lines or characters.")
@JSON
def command(bundle: Path, by: str, as_json: bool) -> None:
    """Read events from standard input, and after each print the prediction so far.

    A line is an event: for text a piece of it (with a line end after it, for models that read words), for numbers
    one row, separated by spaces or commas or as a JSON list, and for event codes one code. An empty line ends the
    sequence and starts a new one.

    \b
    printf 'a fine\\nfilm\\n' | rekur stream runs/reviews
    tail -f sensor.log | rekur stream runs/wear --json
    """
    from rekur.cli.language import refuse_language
    from rekur.cli.predict import as_row
    from rekur.runtime import load

    task: Any = load(bundle)
    refuse_language(task, bundle, "stream")
    session = task.stream()
    if sys.stdin.isatty():
        click.echo("Type events, one a line; an empty line starts a new sequence, Ctrl-D ends.", err=True)
    for number, line in enumerate(sys.stdin.buffer, start=1):
        raw = _decoded(line, number).rstrip("\r\n")
        if not raw.strip():
            session.reset()
            _tell({"reset": True} if as_json else "— new sequence —", as_json)
            continue
        for event in _events(task.features_, raw, by, number):
            try:
                row = as_row(session.push(event))
            except InputError as error:
                raise InputError(f"standard input, line {number}: {error}") from None
            _tell({"event": event, "steps": session.steps, **row} if as_json else _line(event, row), as_json)


def _decoded(line: bytes, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        text = describe("text", repr(line)[2:-1], "text in utf-8")
        raise InputError(f"standard input, line {number}: {text}") from None


def _events(features: Any, raw: str, by: str, line: int) -> list[Any]:
    """Return the events that a line holds."""
    if features.kind == "text":
        if by == "char":
            return list(raw)
        return [raw if features.tokens_ in ("char", "byte") else raw + "\n"]
    if features.kind == "symbols":
        if features.form_ == "letters":
            return list(raw)
        return [raw + features.separator] if features.separator else [[raw]]
    try:
        values = json.loads(raw) if raw.lstrip().startswith("[") else raw.replace(",", " ").split()
        return [[float("nan") if v in ("", "nan", "NaN", None) else float(v) for v in values]]
    except (TypeError, ValueError):
        raise InputError(
            f"standard input, line {line}: " + describe("row", raw, "numbers separated by spaces or commas")
        ) from None


def _line(event: Any, row: dict[str, Any]) -> str:
    values = [event] if isinstance(event, str) else [one if isinstance(one, str) else f"{one:g}" for one in event]
    shown = " ".join(values).rstrip("\n")
    if "value" in row:
        return f"{shown}\t{row['value']:.6g}"
    bar = "█" * round(20 * row["probability"])
    label = "|".join(map(str, row["label"])) if isinstance(row["label"], list) else row["label"]
    return f"{shown}\t{label}\t{row['probability']:.3f} {bar}"


def _tell(what: Any, as_json: bool) -> None:
    if as_json:
        show.as_json_line(what)
    else:
        click.echo(what)
        streams.check_reader()
