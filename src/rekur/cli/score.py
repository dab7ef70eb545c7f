"""``rekur score BUNDLE``: how probable texts are to a language model."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from rekur.cli import show
from rekur.cli.options import ALIGNED, BUNDLE, INPUT_FILE, JSON, PAIRS, split_input, with_options
from rekur.cli.saved import need_language, reads_pairs, refuse_value
from rekur.cli.texts import chunks, read_files, read_lines, warn_of_files
from rekur.data.inputs import is_stream, name_of
from rekur.errors import InputError, describe
from rekur.runtime import load

#: texts that are read and scored together
CHUNK = 64


@click.command("score")
@with_options(BUNDLE)
@click.argument("file", type=INPUT_FILE, required=False)
@with_options(ALIGNED)
@click.option("--text", "texts", multiple=True, metavar="TEXT", help="Score this text; may be repeated.")
@click.option("--by", type=click.Choice(["line", "file"]), default="line", show_default=True, help="What a text is.")
@click.option("--tokens", "each", is_flag=True, help="Show every token's.")
@with_options(*PAIRS)
@JSON
def command(
    bundle: Path,
    file: Path | None,
    target_files: tuple[Path, ...],
    texts: tuple[str, ...],
    by: str,
    each: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Give the log-probability of texts: in all, per token and per character; - reads standard input.

    Writes CSV, or JSON lines with --json. Texts are independent of each other; natural logarithms throughout. Of a
    model of pairs it is that of each target, given its source; the end of the text counts as a token.

    \b
    rekur score runs/shakespeare --text "To be, or not to be" --tokens
    rekur score runs/smiles molecules.txt --json
    rekur score runs/books chapter.txt --by file
    rekur score runs/en-fr test.en test.fr --tokens
    """
    columns, reading = split_input(values)
    if (file is None) == (not texts):
        got = "neither" if file is None else "both"
        raise click.UsageError(f"FILE and --text: got {got}; expected one of them.", click.get_current_context())
    if texts and click.get_current_context().get_parameter_source("by") is ParameterSource.COMMANDLINE:
        raise InputError(describe("--by", by, "none with --text, as each --text is one text", "Leave it out."))
    model = load(bundle)
    if reads_pairs(model):
        if file is None or by != "line":
            option = "--text" if file is None else "--by"
            raise InputError(f"{option}: got it; expected SOURCE TARGET, or one table, for a model of pairs.")
        from rekur.cli.pair_rows import scored_pairs

        _write(_each_token(scored_pairs(model, [file, *target_files], columns, reading, each=each), as_json), as_json)
        return
    need_language(model, bundle)
    for name, value in {**columns, **reading}.items():
        refuse_value(name, value, model)
    if target_files:
        raise InputError(describe("TARGET", str(target_files[0]), "none for a language model"))
    named: Iterable[tuple[Any, str]] = [(text, text) for text in texts]
    place, arriving = "--text", False
    if file is None:
        warn_of_files("--text", texts, f"To score what is in it: rekur score {bundle} {{}}")
    elif by == "line":
        named, place, arriving = read_lines(file), f"{name_of(file)}, line", is_stream(file)
    else:
        named, place = read_files(file), name_of(file)
    _write(_rows(model, chunks(iter(named), CHUNK, arriving=arriving), each, as_json, place), as_json)


def _write(rows: Iterator[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for row in rows:
            show.as_json_line(row)
        return
    show.as_csv(_cells(rows))


def _each_token(rows: Iterator[dict[str, Any]], as_json: bool) -> Iterator[dict[str, Any]]:
    """Yield rows for JSON as they are, and for CSV a row a token where tokens are listed."""
    for row in rows:
        if as_json or "each" not in row:
            yield row
            continue
        names: dict[str, Any] = {name: row[name] for name in ("item", "reference") if name in row}
        for position, (piece, value) in enumerate(row["each"], start=1):
            yield {**names, "position": position, "token": _shown(piece), "log_probability": value}


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
