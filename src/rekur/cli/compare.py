"""``rekur compare TASK FILE``: train variants of a task with the same seeds, and say which differences are real."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import click

from rekur import _check
from rekur.cli import show
from rekur.cli.copies import passing_copies
from rekur.cli.file_words import FilesOption
from rekur.cli.fit_checks import check_options
from rekur.cli.fit_options import (
    FILES_OF,
    CatalogGroup,
    TaskCommand,
    make_request,
    read_ranges,
    take_files,
    task_command,
)
from rekur.cli.options import JSON, NUMBER, Parsed, command_line, whole
from rekur.cli.request import Request, open_data, open_files
from rekur.cli.saved_models import command as saved_models
from rekur.cli.saved_models import is_bundle, no_bundle
from rekur.cli.signals import stopped_code
from rekur.cli.supervision import can_supervise, supervised
from rekur.cli.wrong_use import check_words
from rekur.errors import InputError, describe
from rekur.tasks.catalog import Row

TEST = click.option(
    "--test",
    multiple=True,
    metavar="FILE",
    help="What gives the scores, read once, after all runs; by default they are of the validation data.",
)
TEST_PAIRS = click.option(
    "--test",
    cls=FilesOption,
    multiple=True,
    metavar="SOURCE TARGET",
    help="Test pairs, two files or one table, read once, after all runs; by default scores are of the validation data.",
)


def _seeds(text: str) -> int | str:
    return text if text == "auto" else whole(text)


COMPARISON = (
    click.option(
        "--cells",
        metavar="NAMES",
        help="Cells to compare, such as rnn,lstm,gru; see `rekur cells`. Another name is transformer, a plain one.",
    ),
    click.option(
        "--vary",
        multiple=True,
        metavar="NAME=VALUES",
        help="Values of an option to compare, such as dropout=0,0.3; repeat it for all combinations of several.",
    ),
    click.option(
        "--equal",
        type=click.Choice(["parameters", "hidden"]),
        help="Choose hidden sizes with as many weights as the first variant has (parameters, the default), or take "
        "equal ones.",
    ),
    click.option(
        "--seeds",
        type=Parsed("integer", _seeds),
        default="6",
        show_default=True,
        metavar="NUMBER|auto",
        help="Runs of each variant; auto takes 6, and more while intervals are wide, up to 24.",
    ),
    click.option("--margin", type=NUMBER, help="Differences inside it count as none; only with it is 'same' said."),
    click.option(
        "--reach",
        type=NUMBER,
        metavar="SCORE",
        help="Tell how long runs take to this validation score; by default one that runs of all variants reach.",
    ),
)
OUTPUT = (
    click.option(
        "--out",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Keep all runs and the page there; a comparison that is there already is continued.",
    ),
    click.option("--quiet", is_flag=True, help="Show no progress."),
    JSON,
)


def _summary(row: Row) -> str:
    return f"Compare cells and options of `rekur fit {row.name}`."


def _command(row: Row) -> TaskCommand:
    data = [FILES_OF[row.reads].valid, TEST_PAIRS if row.reads == "pairs" else TEST]
    return task_command(row, _compare, _summary(row), data=data, comparison=COMPARISON, output=OUTPUT)


class _TasksAndBundles(CatalogGroup):
    """A command for each task, and one for saved models, whose folders stand in the place of the task."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name, the command and its words."""
        if args and args[0] not in self.names and is_bundle(args[0]):
            check_words(ctx, "BUNDLE", saved_models, args)
            return "BUNDLE", saved_models, args
        if args and args[0] not in self.names and (models := [word for word in args[1:] if is_bundle(word)]):
            raise click.UsageError(no_bundle(args[0], models), ctx)
        return super().resolve_command(ctx, args)


@click.group("compare", cls=_TasksAndBundles, make=_command, summary=_summary, subcommand_metavar="TASK ...")
def command() -> None:
    """Train several cells or options with the same seeds and equal budgets, and say which is better.

    \b
    rekur compare classify train.csv --text review --label stars --cells rnn,lstm,gru --epochs 5
    rekur compare classify train.csv --text review --label stars --valid valid.csv --test test.csv \\
      --cells lstm,gru --vary dropout=0,0.3 --seeds 6 --out runs/cells
    rekur compare runs/lstm runs/gru test.csv

    Each variant is trained once with each seed. Intervals and p are of the differences between runs with equal seeds;
    Holm's correction over all pairs decides. What has --steps, --epochs or --time-limit holds for each run. The same
    command continues an earlier one in the folder --out.

    Folders of saved models in the place of the task are scored on the files behind them, and paired by item.
    """


def _compare(row: Row, values: dict[str, Any]) -> int:
    """Check everything that can be checked, run the comparison, and show its result."""
    has_process_of_its_own = can_supervise()
    as_json, quiet, out = (values.pop(name) for name in ("as_json", "quiet", "out"))
    cells, equal, seeds, margin = (values.pop(name) for name in ("cells", "equal", "seeds", "margin"))
    reach = values.pop("reach")
    files, valid = take_files(row, values)
    test = [str(file) for file in values.pop("test")]
    varied = read_ranges(values.pop("vary"), "--vary", "NAME=A,B,C")
    if seeds != "auto":
        _check.whole("seeds", seeds, low=1)
    _refuse_inputs(out, [*files, *valid, *test])
    if len(test) > 1 and row.reads not in ("texts", "pairs"):
        raise InputError(f"--test: got {len(test)} files; expected one. Put their rows together.")
    if row.reads == "pairs" and test and len(test) != len(files):
        raise InputError(f"--test: got {len(test)} files; expected {len(files)}, as there are to train on.")
    request = make_request(row, files, valid, values, searched=varied, flag="--vary")
    check_options(request, searched=varied, compared=True)
    tested = dataclasses.replace(request, valid=test)
    data = open_files(request)
    if test:
        open_files(tested)
    _check.need("torch", "train", "rekur compare")

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) if out is None else out
        copied = stack.enter_context(passing_copies(request, folder))
        copied_test = stack.enter_context(passing_copies(_with_copies(tested, copied), folder))
        data = open_data(copied) if data is None else data
        compared: dict[str, Any] = {
            "X": data.train,
            "X_valid": data.valid,
            "X_test": open_data(copied_test).valid if test else None,
            "cells": [] if cells is None else [name.strip() for name in cells.split(",")],
            "vary": varied,
            "equal": equal,
            "seeds": seeds,
            "margin": margin,
            "out": out,
            "options": request.options,
            "columns": data.columns,
            "reach": reach,
            "command": command_line(),
            "say": None if quiet else lambda text: click.echo(text, err=True),
        }
        run = partial(_run, row.name, compared, as_json=as_json)
        return supervised(run, None if out is None else out / "runs") if has_process_of_its_own else run()


def _run(task: str, compared: dict[str, Any], *, as_json: bool) -> int:
    """Run a comparison, show its result, and return the exit code."""
    from rekur.study.run_comparison import compare

    result = compare(task, **compared)
    show_result(result, compared["out"], as_json)
    if result.ended == "interrupted":
        return stopped_code()
    return 0 if result.ranked() else 1


def _with_copies(tested: Request, copied: Request) -> Request:
    """Return the request for the test data with copies of those training files that can be read only once."""
    return dataclasses.replace(tested, files=copied.files, copied=copied.copied)


def _refuse_inputs(out: Path | None, files: list[str]) -> None:
    """Raise if an input lies in the folder of the comparison, which would replace it."""
    if out is None:
        return
    from rekur._paths import resolve_folder

    folder = resolve_folder(out)
    for file in files:
        if Path(os.path.realpath(file)).is_relative_to(folder):
            expected = f"a folder whose files are not read ('{file}' is an input)"
            raise InputError(describe("--out", str(out), expected, "Choose another folder."))


def show_result(result: Any, out: Path | None, as_json: bool) -> None:
    """Print the answer, the tables behind it, and how to continue."""
    if as_json:
        show.as_json({**result.to_dict(), "out": None if out is None else str(out)})
        return
    click.echo(f"{result.answer}\n")
    for title, head, rows in result.tables():
        show.table(title, head, rows)
    for pair in result.statistics.pairs:
        if pair.note:
            names = [result.variants[number].name for number in (pair.first, pair.second)]
            click.echo(f"{names[0]} - {names[1]}: {result.named(pair.note)}.")
    if result.stopping:
        click.echo(result.stopping)
    if result.split == "validation":
        click.echo(
            "Scores are of the validation data, which also chose the weights of each run; --test FILE scores others."
        )
    if result.split == "out-of-fold":
        click.echo("Each training item is scored by a network that did not see it; --test FILE scores others.")
    if result.ended == "interrupted":
        again = "run the same command again" if out is not None else "give it --out DIR next time"
        click.echo(f"You stopped it. To continue, {again}.")
    elif out is not None:
        click.echo(f"The page is {out / 'report.html'}; all runs are in {out}.")
