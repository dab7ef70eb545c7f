"""``rekur tune TASK FILE``: try many options of a task, learn from each trial, keep the best model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from rekur import _check
from rekur.cli import found
from rekur.cli.copies import passing_copies
from rekur.cli.fit_checks import check_options
from rekur.cli.fit_options import (
    CLASSIFY,
    FEATURE_NAMES,
    LANGUAGE,
    SHARED,
    TEXT_FEATURE_NAMES,
    estimator_options,
    seconds,
)
from rekur.cli.options import (
    FILE,
    FILES,
    INPUT,
    JSON,
    NUMBER,
    TEXTS,
    WHOLE,
    Tasks,
    refuse_labels_between,
    split_input,
    split_texts,
    with_options,
)
from rekur.cli.prepare import need_columns, open_data, open_files
from rekur.cli.request import Request
from rekur.cli.signals import stopped_code
from rekur.data.inputs import is_stream
from rekur.errors import InputError, describe, did_you_mean

SEARCH = (
    click.option(
        "--out",
        required=True,
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Folder of the search; one that is there already goes on.",
    ),
    click.option("--trials", type=WHOLE, default=20, show_default=True, help="Trials in all, earlier ones among them."),
    click.option(
        "--space",
        multiple=True,
        metavar="NAME=RANGE",
        help="What to try for an option: LOW:HIGH, LOW:HIGH:log or A,B,C; repeat it for several options.",
    ),
    click.option(
        "--valid", multiple=True, metavar="FILE", help="What trials are compared on; a share of FILE by default."
    ),
    click.option("--trial-time-limit", metavar="TIME", help="End each trial in good order after so long."),
    click.option("--ray", "on_cluster", is_flag=True, help="Run trials side by side with Ray, here by default."),
    click.option("--ray-address", metavar="ADDRESS", help="Ray cluster, such as auto or ray://head:10001."),
    click.option("--ray-processors", type=NUMBER, help="Processors that each trial gets; 1 by default."),
    click.option("--ray-gpus", type=NUMBER, help="GPUs that each trial gets, such as 0.5; none by default."),
    click.option("--quiet", is_flag=True, help="Show no progress."),
)


@click.group("tune", cls=Tasks, subcommand_metavar="TASK ...")
def command() -> None:
    """Try many options of a task, learn from each trial, and keep the best model.

    \b
    rekur tune classify reviews.csv --text review --label stars --trials 30 --out runs/search
    rekur tune classify reviews.csv --text review --label stars --time-limit 30m --out runs/search \\
      --cell gru --space learning_rate=1e-4:1e-2:log --space hidden_size=64:512:64

    The first trial has the defaults. An option that is given, such as --cell gru, is the same in all trials; --space
    widens or narrows what is tried. The same command goes on where an earlier one was stopped.
    """


@command.command("classify")
@with_options(FILE, *INPUT, *SEARCH, *SHARED, *CLASSIFY, JSON)
def classify(file: Path, **values: Any) -> int:
    """Search for the options that classify best.

    \b
    rekur tune classify reviews.csv --text review --label stars --trials 30 --out runs/search
    """
    return _tune("classify", [str(file)], values)


@command.command("regress")
@with_options(FILE, *INPUT, *SEARCH, *SHARED, JSON)
def regress(file: Path, **values: Any) -> int:
    """Search for the options that predict a number best.

    \b
    rekur tune regress sensors.jsonl --series x --label wear --trials 30 --out runs/search
    """
    return _tune("regress", [str(file)], values)


@command.command("language")
@with_options(FILES, *TEXTS, *SEARCH, *LANGUAGE, JSON)
def language(files: tuple[str, ...], **values: Any) -> int:
    """Search for the options that predict text best.

    \b
    rekur tune language books/*.txt --trials 20 --trial-time-limit 3m --out runs/search
    """
    return _tune("language", list(files), values)


def _tune(task: str, files: list[str], values: dict[str, Any]) -> int:
    """Check everything that can be checked, search, and show what was found."""
    given = dict(values)
    as_json, quiet, out, trials, valid = (values.pop(name) for name in ("as_json", "quiet", "out", "trials", "valid"))
    whole, each = values.pop("time_limit"), values.pop("trial_time_limit")
    space = _spaces(values.pop("space"))
    cluster = {name: values.pop(name) for name in ("on_cluster", "ray_address", "ray_processors", "ray_gpus")}
    if cluster["on_cluster"]:  # workers have a working folder of their own
        files, valid = (
            [file if is_stream(file) else str(Path(file).absolute()) for file in listed] for listed in (files, valid)
        )
    limit = 0.0 if whole is None else seconds(whole)
    _check.whole("trials", trials, low=1)
    _check.number("time_limit", limit, 0)
    ray = _ray_options(**cluster)
    _refuse_inputs(out, [*files, *valid])
    request = _request(task, files, list(valid), {**values, "time_limit": each}, space)
    check_options(request, searched=space)
    data = open_files(request)
    _check.need("torch", "train", "rekur tune")
    _check.need("optuna", "tune", "rekur tune")
    from rekur.study import Cluster, search

    with passing_copies(request, out) as copied:
        data = open_data(copied) if data is None else data
        result = search(
            task,
            data.train,
            X_valid=data.valid,
            out=out,
            trials=trials,
            space=space,
            options=request.options,
            time_limit=limit,
            cluster=None if ray is None else Cluster(**ray),
            columns=data.columns,
            say=None if quiet else lambda text: click.echo(text, err=True),
        )
    line = "" if result.best is None else found.fit_line(task, files, given, result.best, out)
    found.show_result(result, out, line, as_json)
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


def _request(task: str, files: list[str], valid: list[str], values: dict[str, Any], space: dict[str, str]) -> Request:
    """Return what ``rekur fit`` would be asked for, with the options that are fixed."""
    if task == "language":
        reading = split_texts(values)
        _check_names(space, set(values))
        options = estimator_options(values, TEXT_FEATURE_NAMES)
        return Request(task=task, files=files, valid=valid, columns={}, reading=reading, options=options)
    columns, reading = split_input(values)
    _check_names(space, set(values))
    need_columns(columns, Path(files[0]))
    if len(valid) > 1:
        raise InputError(f"--valid: got {len(valid)} files; expected one. Put their rows together.")
    from rekur.data import Columns

    refuse_labels_between(task, reading)
    if "label_separator" in reading:
        values["multi_label"] = True
    options = {"kind": Columns(**columns).kind, **estimator_options(values, FEATURE_NAMES)}
    return Request(task=task, files=files, valid=valid, columns=columns, reading=reading, options=options)


def _spaces(given: tuple[str, ...]) -> dict[str, str]:
    """Return option -> range or choices."""
    found: dict[str, str] = {}
    for one in given:
        name, equals, values = one.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not equals or not name:
            raise InputError(f"--space: got '{one}'; expected NAME=LOW:HIGH, NAME=LOW:HIGH:log or NAME=A,B,C.")
        if name in found:
            raise InputError(f"--space: got {name} twice; expected each option once. Leave one of them out.")
        found[name] = values.strip()
    return found


def _ray_options(
    on_cluster: bool, ray_address: str | None, ray_processors: float | None, ray_gpus: float | None
) -> dict[str, Any] | None:
    """Return the options of the cluster on which trials run in parallel; None for here, one after another."""
    options = {"address": ray_address, "processors": ray_processors, "gpus": ray_gpus}
    options = {name: value for name, value in options.items() if value is not None}
    if options and not on_cluster:
        name, value = next(iter(options.items()))
        raise InputError(f"--ray-{name}: got {value} without --ray; expected both. Add --ray.")
    return options if on_cluster else None


def _check_names(space: dict[str, str], known: set[str]) -> None:
    """Raise unless every searched option is one of ``rekur fit``, which repeats the best trial."""
    for name in space:
        if name not in known:
            hint = did_you_mean(name, known) or "To see them: rekur fit TASK --help"
            raise InputError(f"--space: got '{name}'; expected the name of an option of rekur fit. {hint}")
