"""``rekur tune TASK FILE``: try many options of a task, learn from each trial, keep the best model."""

from __future__ import annotations

import os
import shlex
from operator import attrgetter
from pathlib import Path
from typing import Any

import click

from rekur import _check
from rekur._options import seconds
from rekur.cli import show
from rekur.cli.copies import passing_copies
from rekur.cli.fit_checks import check_options
from rekur.cli.fit_options import (
    VALID_PAIRS,
    CatalogGroup,
    TaskCommand,
    make_request,
    read_ranges,
    sentences,
    take_files,
    task_command,
)
from rekur.cli.options import JSON, NUMBER, WHOLE, Parsed, command_line
from rekur.cli.request import open_data, open_files
from rekur.cli.signals import stopped_code
from rekur.data.inputs import is_stream
from rekur.errors import InputError, describe
from rekur.tasks.catalog import CATALOG, Row

OUT = click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the search; one that is there already goes on.",
)
VALID = click.option(
    "--valid", multiple=True, metavar="FILE", help="What trials are compared on; a share of FILE by default."
)
SEARCH = (
    click.option("--trials", type=WHOLE, default=20, show_default=True, help="Trials in all, earlier ones among them."),
    click.option(
        "--space",
        multiple=True,
        metavar="NAME=RANGE",
        help="What to try for an option: LOW:HIGH, LOW:HIGH:log or A,B,C; repeat it for several options.",
    ),
    click.option(
        "--trial-time-limit",
        type=Parsed("time", seconds),
        metavar="TIME",
        help="End each trial in good order after so long.",
    ),
    click.option("--ray", "on_cluster", is_flag=True, help="Run trials side by side with Ray, here by default."),
    click.option("--ray-address", metavar="ADDRESS", help="Ray cluster, such as auto or ray://head:10001."),
    click.option("--ray-processors", type=NUMBER, help="Processors that each trial gets; 1 by default."),
    click.option("--ray-gpus", type=NUMBER, help="GPUs that each trial gets, such as 0.5; none by default."),
)
OUTPUT = (OUT, click.option("--quiet", is_flag=True, help="Show no progress."), JSON)


def _command(row: Row) -> TaskCommand:
    text = sentences(row.tune_help, row.options_class().tune_help)
    valid = VALID_PAIRS if row.reads == "pairs" else VALID
    return task_command(row, _tune, text, data=[valid], search=SEARCH, output=OUTPUT)


@click.group("tune", cls=CatalogGroup, make=_command, summary=attrgetter("tune_help"), subcommand_metavar="TASK ...")
def command() -> None:
    """Try many options of a task, learn from each trial, and keep the best model.

    \b
    rekur tune classify reviews.csv --text review --label stars --trials 30 --out runs/search
    rekur tune classify reviews.csv --text review --label stars --time-limit 30m --out runs/search \\
      --cell gru --space learning_rate=1e-4:1e-2:log --space hidden_size=64:512:64

    The first trial has the defaults. An option that is given, such as --cell gru, is the same in all trials; --space
    widens or narrows what is tried. The same command goes on where an earlier one was stopped.
    """


def _tune(row: Row, values: dict[str, Any]) -> int:
    """Check everything that can be checked, search, and show what was found."""
    given = dict(values)
    as_json, quiet, out, trials = (values.pop(name) for name in ("as_json", "quiet", "out", "trials"))
    files, valid = take_files(row, values)
    limit, each = values.pop("time_limit") or 0.0, values.pop("trial_time_limit")
    space = read_ranges(values.pop("space"), "--space", "NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C")
    on_cluster = values["on_cluster"]
    if on_cluster:  # workers have a working folder of their own
        files, valid = (
            [file if is_stream(file) else str(Path(file).absolute()) for file in listed] for listed in (files, valid)
        )
    _check.whole("trials", trials, low=1)
    _check.number("time_limit", limit, 0)
    ray = _ray_options(values)
    _refuse_inputs(out, [*files, *valid])
    request = make_request(row, files, valid, {**values, "time_limit": each}, searched=space)
    check_options(request, searched=space)
    data = open_files(request)
    _check.need("torch", "train", "rekur tune")
    _check.need("optuna", "tune", "rekur tune")
    from rekur.study import Cluster, search

    with passing_copies(request, out) as copied:
        data = open_data(copied) if data is None else data
        result = search(
            row.name,
            data.train,
            X_valid=data.valid,
            out=out,
            trials=trials,
            space=space,
            options=request.options,
            time_limit=limit,
            cluster=None if ray is None else Cluster(**ray),
            columns=data.columns,
            command=command_line(),
            say=None if quiet else lambda text: click.echo(text, err=True),
        )
    settings = {name: value for name, value in given.items() if value is not None}
    settings["kind"] = request.options.get("kind")
    line = "" if result.best is None else fit_line(row.name, files, settings, result.best, out)
    show_result(result, out, line, row.test_files(of_table=len(files) == 1), as_json)
    return stopped_code() if result.ended == "interrupted" else 0


def _refuse_inputs(out: Path, files: list[str]) -> None:
    """Raise if ``out`` cannot be the folder of a search, or if the search would overwrite one of its input files."""
    from rekur._paths import resolve_folder
    from rekur.runtime import check_writable

    resolve_folder(out)
    if (out / "best").is_dir():
        check_writable(out / "best", True, inputs=files)
    written = [os.path.realpath(out / name) for name in ("study.sqlite", "trials.csv", "search.html")]
    for file in files:
        if os.path.realpath(file) in written:
            expected = f"a folder whose files are not read ('{file}' is the input)"
            raise InputError(describe("--out", str(out), expected, "Choose another folder."))


def _ray_options(values: dict[str, Any]) -> dict[str, Any] | None:
    """Take out the options of the cluster on which trials run in parallel; None for here, one after another."""
    cluster = {name: values.pop(f"ray_{name}") for name in ("address", "processors", "gpus")}
    options = {name: value for name, value in cluster.items() if value is not None}
    if values.pop("on_cluster"):
        return options
    for name, value in options.items():
        raise InputError(f"--ray-{name}: got {value} without --ray; expected both. Add --ray.")
    return None


#: options of ``rekur tune`` that ``rekur fit`` does not repeat
OF_THE_SEARCH = {"out", "trials", "space", "time_limit", "trial_time_limit", "quiet", "as_json"}
OF_THE_SEARCH |= {"on_cluster", "ray_address", "ray_processors", "ray_gpus"}


def fit_line(task: str, files: list[str], given: dict[str, Any], best: Any, out: Path) -> str:
    """Return the command that trains the best model again."""
    words = ["rekur", "fit", task, *files]
    options = {one.name: one for one in click.get_current_context().command.params if isinstance(one, click.Option)}
    tried = {} if best.defaults else best.options
    studied = CATALOG[task].options_class().only_studied({**given, **tried})
    limit = best.chosen.get("time_limit") or 0.0
    for name, option in options.items():
        value = tried.get(name, given.get(name, studied.get(name)))
        if name in OF_THE_SEARCH or value is None or value == ():
            continue
        for one in value if isinstance(value, tuple) else [value]:
            if isinstance(one, bool):
                words += option.opts if one == option.flag_value else option.secondary_opts
            else:
                words += [option.opts[0], _spelled(one)]
    words += ["--time-limit", f"{limit:.6g}s"] if limit else []
    return shlex.join([*words, "--out", f"{out}-best"])


def _spelled(value: Any) -> str:
    """Return the value of an option as the command line takes it."""
    if isinstance(value, dict):
        return ",".join(f"{key}={number}" for key, number in value.items())
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def show_result(result: Any, out: Path, line: str, test_files: str, as_json: bool) -> None:
    """Print what was found, and how to use it or go on."""
    best = result.best
    if as_json:
        kept = {"trials": [one.to_dict() for one in result.trials], "importance": result.importance, "command": line}
        chosen = {"bundle": str(out / "best"), "best": best.to_dict()} if best is not None else {}
        ended = {"search": str(out), "ended": result.ended, "monitor": result.monitor}
        show.as_json({**ended, "larger_is_better": result.larger_is_better, **chosen, **kept})
        return
    from rekur.study.search_report import best_table, importance_table

    if best is not None:
        show.table(*best_table(result, most=5, across=False))
        if result.importance:
            show.table(*importance_table(result))
        counts = {state: sum(one.state == state for one in result.trials) for state in ("finished", "pruned", "failed")}
        said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        click.echo(f"Search ended: {result.ended}; {len(result.trials)} trials: {said}.")
        click.echo(f"The model of trial {best.number} is saved in {out / 'best'}, all trials in {out / 'search.html'}.")
        click.echo("It was chosen by its score on the validation items; how good it is, items of their own tell:")
        click.echo(f"  rekur evaluate {out / 'best'} {test_files}\nTo train it again:\n  {line}")
    else:
        click.echo(f"Search ended: {result.ended}; no trial has finished, and no model was saved.")
    if result.ended == "interrupted":
        click.echo("You stopped it. To go on, run the same command again.")
    elif result.ended == "time limit":
        click.echo("To go on, run the same command again.")
    else:
        click.echo(f"For more trials, run the same command with a larger --trials than {len(result.trials)}.")
