"""``rekur generate BUNDLE``: text that a language model goes on with."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from rekur.cli import show, streams
from rekur.cli.options import BUNDLE, INPUT_FILE, JSON, NUMBER, WHOLE, with_options
from rekur.cli.saved import load_language
from rekur.cli.texts import read_whole, warn_of_files

#: what stands between samples
BETWEEN = "─" * 40


@click.command("generate")
@with_options(BUNDLE)
@click.option("--prompt", metavar="TEXT", help="What the text begins with; - reads it from standard input.")
@click.option("--prompt-file", type=INPUT_FILE, metavar="FILE", help="The same, from a file.")
@click.option("--max-tokens", type=WHOLE, default=200, show_default=True, help="Tokens to draw at most.")
@click.option("--samples", type=WHOLE, default=1, show_default=True, help="Texts to draw, all in one batch.")
@click.option("--temperature", type=NUMBER, help="Below 1 the likely becomes likelier; 0 takes the likeliest always.")
@click.option("--top-k", type=WHOLE, help="Draw from the K likeliest tokens only.")
@click.option("--top-p", type=NUMBER, help="Draw from the fewest tokens that have this probability together.")
@click.option("--min-p", type=NUMBER, help="Draw from tokens at least this share as probable as the likeliest.")
@click.option("--repetition-penalty", type=NUMBER, help="By how much tokens that were used become less likely.")
@click.option("--stop", multiple=True, metavar="TEXT", help="End a sample where this comes; repeat it for several.")
@click.option("--unknown", type=click.Choice(["error", "keep"]), help="What to do with unknown parts of the prompt.")
@click.option("--seed", type=WHOLE, help="Of the draws; by default another each time.")
@JSON
def command(
    bundle: Path,
    prompt: str | None,
    prompt_file: Path | None,
    max_tokens: int,
    samples: int,
    stop: tuple[str, ...],
    unknown: str | None,
    as_json: bool,
    **drawing: Any,
) -> None:
    """Let a language model write: one text as it is drawn, several one after another.

    With --json one object a line: the text after the prompt, its log-probability, its tokens and why it ended.

    \b
    rekur generate runs/shakespeare --prompt "ROMEO:" --temperature 0.8
    rekur generate runs/tunes --samples 20 --stop $'\\n\\n' --json > tunes.jsonl
    rekur generate runs/books --prompt - --max-tokens 1000 --seed 1 < start.txt
    """
    start = _prompt(prompt, prompt_file)
    model = load_language(bundle)
    from rekur.decode import Sampler

    sampler = Sampler(**{name: value for name, value in drawing.items() if value is not None})
    options: dict[str, Any] = {"samples": samples, "max_tokens": max_tokens, "stop": stop}
    if unknown is not None:
        options["unknown"] = unknown
    # one text is shown while it is drawn; several at once go faster if each is told only when it is whole
    events = model.generate_events(start, sampler, stream=samples == 1 and not as_json, **options)
    if as_json:
        for sample in _in_order(events):
            row = {"text": sample.text, "log_probability": sample.log_probability}
            show.as_json_line({**row, "tokens": sample.tokens, "stopped": sample.stopped})
    elif samples == 1:
        _write(start, events)
    else:
        for number, sample in enumerate(_in_order(events)):
            show.write(f"{BETWEEN}\n" * (number > 0) + start + sample.text + "\n")
            streams.check_reader()


def _prompt(prompt: str | None, file: Path | None) -> str:
    if prompt is not None and file is not None:
        raise click.UsageError("--prompt and --prompt-file: got both; expected one.", click.get_current_context())
    if prompt is not None and prompt != "-":
        warn_of_files("--prompt", [prompt], "To begin with what is in it: --prompt-file {}")
        return prompt
    return "" if prompt is None and file is None else read_whole(file or Path("-"))


def _in_order(events: Iterator[Any]) -> Iterator[Any]:
    """Yield samples by their numbers, each as soon as those before it are done."""
    done: dict[int, Any] = {}
    following = 0
    for event in events:
        if event.sample is not None:
            done[event.sample.number] = event.sample
        while following in done:
            yield done.pop(following)
            following += 1


def _write(start: str, events: Iterator[Any]) -> None:
    """Write a text while it is drawn."""
    show.write(start)
    last = start
    for event in events:
        if event.text:
            show.write(event.text)
            sys.stdout.flush()
            streams.check_reader()
            last = event.text
    if not last.endswith("\n"):
        show.write("\n")
