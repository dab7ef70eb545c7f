"""``rekur score BUNDLE``: how probable texts are to a language model."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from rekur.cli import show
from rekur.cli.options import BUNDLE, INPUT_FILE, JSON, with_options
from rekur.cli.saved import load_language
from rekur.cli.texts import chunks, read_files, read_lines, warn_of_files
from rekur.data.inputs import is_stream, name_of
from rekur.errors import InputError, describe

#: texts that are read and scored together
CHUNK = 64


@click.command("score")
@with_options(BUNDLE)
@click.argument("file", type=INPUT_FILE, required=False)
@click.option("--text", "texts", multiple=True, metavar="TEXT", help="Score this text; may be repeated.")
@click.option("--by", type=click.Choice(["line", "file"]), default="line", show_default=True, help="What a text is.")
@click.option("--tokens", "each", is_flag=True, help="Show every token's.")
@JSON
def command(bundle: Path, file: Path | None, texts: tuple[str, ...], by: str, each: bool, as_json: bool) -> None:
    """Give the log-probability of texts: in all, per token and per character; - reads standard input.

    Writes CSV, or JSON lines with --json. Texts are independent of each other; natural logarithms throughout.

    \b
    rekur score runs/shakespeare --text "To be, or not to be" --tokens
    rekur score runs/smiles molecules.txt --json
    rekur score runs/books chapter.txt --by file
    """
    if (file is None) == (not texts):
        got = "neither" if file is None else "both"
        raise click.UsageError(f"FILE and --text: got {got}; expected one of them.", click.get_current_context())
    if texts and click.get_current_context().get_parameter_source("by") is ParameterSource.COMMANDLINE:
        raise InputError(describe("--by", by, "none with --text, as each --text is one text", "Leave it out."))
    model = load_language(bundle)
    named: Iterable[tuple[Any, str]] = [(text, text) for text in texts]
    place, arriving = "--text", False
    if file is None:
        warn_of_files("--text", texts, f"To score what is in it: rekur score {bundle} {{}}")
    elif by == "line":
        named, place, arriving = read_lines(file), f"{name_of(file)}, line", is_stream(file)
    else:
        named, place = read_files(file), name_of(file)
    rows = _rows(model, chunks(iter(named), CHUNK, arriving=arriving), each, as_json, place)
    if as_json:
        for row in rows:
            show.as_json_line(row)
        return
    show.as_csv(_cells(rows))


def _cells(rows: Iterator[dict[str, Any]]) -> Iterator[list[Any]]:
    for number, row in enumerate(rows):
        if number == 0:
            yield list(row)
        yield [f"{value:.6g}" if isinstance(value, float) else value for value in row.values()]


def _rows(
    model: Any, named: Iterator[list[tuple[Any, str]]], each: bool, as_json: bool, place: str
) -> Iterator[dict[str, Any]]:
    from rekur.data.example import warn
    from rekur.data.source import shown_names

    found, unknown, texts = False, dict[str, None](), 0
    for chunk in named:
        found = True
        for name, text in chunk:
            if not text:
                raise InputError(describe(f"{place} {name}".strip(), "", "one character or more"))
            strange = model.features_.unknown(text)
            unknown |= dict.fromkeys(strange)
            texts += bool(strange)
        for (name, _), scored in zip(chunk, model.log_probabilities([text for _, text in chunk]), strict=True):
            tokens = zip(scored.pieces, map(float, scored.each), strict=True)
            if each and not as_json:
                for position, (piece, value) in enumerate(tokens, start=1):
                    yield {"item": name, "position": position, "token": _shown(piece), "log_probability": value}
                continue
            row = _row(name, scored)
            yield {**row, "each": [list(pair) for pair in tokens]} if each else row
        sys.stdout.flush()
    if unknown:
        whole, names = place.removesuffix(", line"), shown_names(list(unknown), most=5)
        hold = "1 text holds" if texts == 1 else f"{texts} texts hold"
        warn(f"{whole}: {hold} what the model does not know, read as the unknown token: {names}.")
    if not found:
        raise InputError(describe(place.removesuffix(", line"), "no text", "one line or more that is not blank"))


def _row(name: Any, scored: Any) -> dict[str, Any]:
    return {
        "item": name,
        "log_probability": float(scored.log_probability),
        "per_token": float(scored.log_probability) / max(1, scored.tokens),
        "per_character": float(scored.log_probability) / max(1, scored.characters),
        "tokens": scored.tokens,
        "characters": scored.characters,
    }


def _shown(piece: str) -> str:
    """Return a token so that it stays on its line."""
    return piece.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
