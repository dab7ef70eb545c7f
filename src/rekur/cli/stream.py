"""``rekur stream BUNDLE``: run a saved model live, one event a line."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from rekur._channels import channel_order
from rekur._values import number_of
from rekur.cli import show, streams
from rekur.cli.options import BUNDLE, JSON, with_options
from rekur.cli.predict import as_row
from rekur.data.cells import list_in_text
from rekur.errors import InputError, describe

#: channels up to which an error names them all
_FEW = 20


@click.command("stream")
@with_options(BUNDLE)
@click.option("--by", type=click.Choice(["line", "char"]), default="line", help="For text: push lines or characters.")
@click.option("--continue", "continues", is_flag=True, help="Forecasts: begin behind the series that BUNDLE keeps.")
@click.option(
    "--score", is_flag=True, help="Forecasts: say where each value falls in the distribution issued before it."
)
@JSON
def command(bundle: Path, by: str, continues: bool, score: bool, as_json: bool) -> None:
    """Read events from standard input, and after each print the prediction so far.

    A line is an event: for text a piece of it (with a line end after it, for models that read words), for event codes
    one code, and for numbers one row: with blanks, commas, semicolons or tabs between, as a JSON list, or as a JSON
    object by the names of the channels. NA, NaN, null and ? are missing values, and so is nothing between two commas.
    An empty line ends the sequence and starts a new one. A model with a prediction for every step prints those that
    are final, and those that would follow if the sequence ended here.

    A forecaster takes a value, or an object with value, and with series, time and columns by their names where there
    are any, and forecasts the next horizon of that series: the last steps are kept, and a window is computed anew after
    each value. A list of a column known ahead holds that of this step, and then of the steps to forecast. With --score,
    quantile is the share of the distribution below the value, and probability that of values at least as far outside.

    \b
    printf 'a fine\\nfilm\\n' | rekur stream runs/reviews
    tail -f sensor.log | rekur stream runs/wear --json
    tail -f load.jsonl | rekur stream runs/load --continue --score --json
    """
    from rekur.cli.saved import refuse_language
    from rekur.runtime import load

    task: Any = load(bundle)
    refuse_language(task, bundle, "stream")
    by_character = by == "char"
    if by_character:
        task.features_ = task.features_.of_texts()
    if by_character and not task.features_.takes_characters:
        raise InputError(describe("--by", by, f"none for a model that reads {task.features_.kind}", "It is for text."))
    cuts_items = task.features_.cuts_items
    _check_forecasts(task, bundle, continues=continues, score=score)
    session = task.stream(continues=True) if continues else task.stream()
    has_pieces = task.target_.per_step or cuts_items

    def end() -> None:
        if has_pieces and session.steps and (as_json or not cuts_items):
            _tell_pieces(session, _END, session.finish(), as_json)

    if sys.stdin.isatty():
        click.echo("Type events, one a line; an empty line starts a new sequence, Ctrl-D ends.", err=True)
    for number, line in enumerate(sys.stdin.buffer, start=1):
        raw = _decoded(line, number).rstrip("\r\n")
        if not raw.strip():
            end()
            session = task.stream(continues=True) if continues else task.stream()
            _tell({"reset": True} if as_json else "— new sequence —", as_json)
            continue
        try:
            for event in _events(task.features_, raw, by_character):
                placed = session.place(event) if score else {}
                update = session.push(event)
                if not has_pieces:
                    _tell_prediction(session, event, update, as_json)
                elif cuts_items and not as_json:
                    _tell(_forecast_line(task.target_, event, update.tentative, placed, session.waits_for), as_json)
                else:
                    waits = {"waits_for": session.waits_for} if as_json and session.waits_for else {}
                    _tell_pieces(session, event, update, as_json, {**placed, **waits})
        except InputError as error:
            raise InputError(f"standard input, line {number}: {error}") from None
    end()


def _check_forecasts(task: Any, bundle: Path, *, continues: bool, score: bool) -> None:
    """Refuse options that a model cannot follow."""
    from rekur.runtime.session import Places

    for flag, is_set, fits in (
        ("--continue", continues, task.features_.cuts_items),
        ("--score", score, isinstance(task.target_, Places)),
    ):
        if is_set and not fits:
            raise InputError(f"{flag}: got it; expected none for a model of the task {task.task}. It is for forecasts.")
    if continues and not task.kept_:
        raise InputError(f"--continue: got it; expected none, as {bundle} keeps no series. Push earlier values.")


def _tell_prediction(session: Any, event: Any, update: Any, as_json: bool) -> None:
    """Print the prediction so far."""
    row = as_row(update.prediction)
    _tell({"event": event, "steps": session.steps, **row} if as_json else _line(event, row), as_json)


#: stands for an event at the end of a sequence
_END: Any = object()


def _tell_pieces(
    session: Any, event: Any, update: Any, as_json: bool, placed: Mapping[str, Any] = MappingProxyType({})
) -> None:
    """Print the new pieces of a prediction, final and tentative, and the scores of the event; at the end, the
    last piece."""
    pieces = {"final": update.final, "tentative": update.tentative}
    if as_json:
        first, last = ({}, {"finished": True}) if event is _END else ({"event": event, **placed}, {})
        show.as_json_line({**first, "steps": session.steps, **pieces, **last})
        return
    parts = [f"{name}: {json.dumps(piece, ensure_ascii=False)}" for name, piece in pieces.items() if piece]
    _tell("\t".join(["end" if event is _END else _words(event), *parts]), as_json)


def _forecast_line(target: Any, event: Any, presented: Any, placed: Mapping[str, Any], waits_for: str) -> str:
    """Return an observation, the forecast of the step after it with its outer quantiles, and where it fell; or why
    there is none."""
    parts = [_words(event), *([f"no forecast: {waits_for}"] if waits_for else [])]
    if presented is not None:
        row = target.table(presented)[0]
        low, *_, high = presented["quantiles"]
        parts.append(f"{row['time']}: {row['forecast']:.6g} ({row[low]:.6g} – {row[high]:.6g})")
    parts += [f"{name} {share:.3g}" for name, share in placed.items() if share is not None]
    return "\t".join(parts)


def _decoded(line: bytes, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        text = describe("text", repr(line)[2:-1], "text in utf-8")
        raise InputError(f"standard input, line {number}: {text}") from None


def _events(features: Any, raw: str, by_character: bool) -> list[Any]:
    """Return the events that a line holds."""
    if features.is_discrete or features.cuts_items:
        return list(features.events(raw, by_character=by_character))
    return [_row(raw, features.channels, len(features.mean_))]


def _row(raw: str, channels: Sequence[str] | None, count: int) -> list[float]:
    """Return the numbers that a line holds, one a channel."""
    values: Any = _named(raw, channels) if raw.lstrip().startswith("{") else list_in_text(raw, "row")
    if len(values) != count:
        named = f" ({', '.join(channels)})" if channels and count <= _FEW else ""
        expected = f"{count}, one a channel{named}"
        raise InputError(describe("row: values", len(values), expected, "Give NA for a missing one."))
    names = channels or [f"channel {number + 1}" for number in range(count)]
    return [number_of(value, f"row, {name}") for name, value in zip(names, values, strict=True)]


def _named(raw: str, channels: Sequence[str] | None) -> list[Any]:
    """Return the values of a JSON object in the order of the channels."""
    if channels is None:
        raise InputError("row: got values by name; expected numbers alone, as this model knows no names of channels.")
    try:
        pairs = json.loads(raw, object_pairs_hook=list)  # a name that stands there twice is seen
    except (ValueError, RecursionError):
        raise InputError(describe("row", raw, "numbers, a list or an object in JSON")) from None
    order = channel_order([name for name, _ in pairs], channels, "row")
    return [pairs[place][1] for place in order]


def _line(event: Any, row: dict[str, Any]) -> str:
    shown = _words(event)
    if "value" in row:
        return f"{shown}\t{row['value']:.6g}"
    bar = "" if isnan(row["probability"]) else "█" * round(20 * row["probability"])
    label = "|".join(map(str, row["label"])) if isinstance(row["label"], list) else row["label"]
    return f"{shown}\t{label}\t{row['probability']:.3f} {bar}"


def _words(event: Any) -> str:
    """Return an event on one line."""
    if isinstance(event, dict):
        event = [str(event[name]) for name in ("series", "channel", "time", "value") if event.get(name) is not None]
    values = ["NA"] if event is None else [event] if isinstance(event, str | float) else event
    return " ".join(value if isinstance(value, str) else f"{value:g}" for value in values).rstrip("\n")


def _tell(what: Any, as_json: bool) -> None:
    if as_json:
        show.as_json_line(what)
    else:
        click.echo(what)
        streams.check_reader()
