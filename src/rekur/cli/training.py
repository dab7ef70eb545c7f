"""Runs a training in its folder: starts or resumes it, reports progress, saves the model, and cleans up."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from rekur import _check
from rekur.cli import saving, show, unfinished
from rekur.cli.fit_checks import check_options
from rekur.cli.request import Data, Request, open_data, open_files
from rekur.cli.signals import stopped_code
from rekur.cli.streams import ReaderGone
from rekur.errors import DivergedError, InputError, InterruptedTraining, SaveError, describe
from rekur.tasks.catalog import CATALOG


@dataclasses.dataclass(frozen=True, kw_only=True)
class How:
    """Where a training writes, what it prints, and what it starts from.

    Attributes:
        out: folder of the bundle.
        overwrite: replace a bundle or an unfinished run.
        quiet: show no progress.
        as_json: print the scores as JSON.
        start_from: the bundle from which the training starts; a resumed run knows what it took from it.
        resume: go on from the newest checkpoint.
        accept_changed_data: although files are not what they were.
    """

    out: Path
    overwrite: bool
    quiet: bool
    as_json: bool
    start_from: Path | None = None
    resume: bool = False
    accept_changed_data: bool = False


def take_how(values: dict[str, Any]) -> tuple[How, dict[str, Any]]:
    """Take the options of a run out of those of a command; return them, and those that ``run.json`` holds."""
    every, board = values.pop("checkpoint_every"), values.pop("tensorboard")
    if every is not None:
        _check.whole("checkpoint_every", every, low=1)
    how = How(**{name: values.pop(name) for name in ("out", "overwrite", "quiet", "as_json", "start_from")})
    return how, {"every": every or 0, "board": None if board is None else str(board)}


def check_folder(how: How, inputs: Sequence[str] = ()) -> None:
    """Raise now what would be raised after hours of training, and if the folder holds a run that can be resumed.

    Args:
        how: where the model goes.
        inputs: files that are read.
    """
    from rekur._files import sweep
    from rekur._paths import resolve_folder
    from rekur.runtime import check_writable
    from rekur.runtime.save import own_files
    from rekur.train.lock import FolderLock
    from rekur.train.world import current

    if current().rank:
        return  # of several processes the first one writes
    sweep(resolve_folder(how.out), own_files)
    if (how.out / unfinished.CHECKPOINTS).is_dir():
        FolderLock(how.out / unfinished.CHECKPOINTS).release()  # who trains there now is told first
    unfinished.refuse_foreign(how.out, how.overwrite)
    if unfinished.is_unfinished(how.out) and not how.overwrite:
        expected = "a folder without a run that can go on"
        fix = f"Go on with it: rekur resume {how.out}. To begin anew: --overwrite."
        raise InputError(describe("folder", str(how.out), expected, fix))
    check_writable(how.out, how.overwrite, inputs=inputs)


def check_start(request: Request, how: How) -> Data | None:
    """Raise, before PyTorch is imported, for an option, a folder or a file that would end a training.

    Args:
        request: the task, its files and options.
        how: where the model goes.

    Returns:
        the data of the files; None for those that can be read only once, which are copied first.
    """
    check_folder(how, [*request.files, *request.valid])
    check_options(request)
    if how.start_from is not None:
        from rekur.runtime import read_bundle

        read_bundle(how.start_from).refuse_program_alone()
    _history(request, how.out)
    return open_files(request)


def run(request: Request, how: How, data: Data | None = None) -> int:
    """Train, save, and show the scores; return the exit code."""
    from rekur.train.world import current

    chief, made = current().rank == 0, unfinished.missing(how.out)
    try:
        task, saved = _train(request, how, chief, open_data(request) if data is None else data)
    finally:
        if chief:
            unfinished.tidy(how.out, made)
    code = SaveError.exit_code if saved.reason else 0
    if task.result_.stopped == "interrupted":
        code = stopped_code()
    try:
        if chief:
            _show(task, how, saved)
    except (ReaderGone, OSError):  # as where the terminal was closed; how the run ended counts more
        if not code:
            raise
    return code


def _train(request: Request, how: How, chief: bool, data: Data) -> tuple[Any, saving.Saved]:
    """Train and save; return the trained task, and where its model is."""
    from rekur.tasks import TASKS
    from rekur.train import Checkpoints
    from rekur.train.progress import Lines, Warnings

    absolute, there = Path(os.path.abspath(how.out)), _bundle_at(how.out)
    task: Any = TASKS[request.task](**request.options)
    task.columns_, saved = data.columns, saving.Saved(how.out, "")
    history = _history(request, how.out)

    def write_request() -> None:
        if chief and not how.resume:
            unfinished.write_request(dataclasses.replace(request, chosen=task.chosen_), how.out)

    checkpoints = Checkpoints(
        how.out / unfinished.CHECKPOINTS,
        every=request.every,
        resume=how.resume,
        accept_changed_data=how.accept_changed_data,
        on_identify=write_request,
    )
    begun_at = checkpoints.last()
    try:
        reporter = Warnings() if how.quiet or not chief else Lines()
        task.fit_corpus(
            data.train,
            data.valid,
            reporter=reporter,
            history=history,
            checkpoints=checkpoints,
            start_from=how.start_from,
        )
        history.close()
        if chief:
            saved = _save(task, how, absolute, there)
    except KeyboardInterrupt:
        left = _left(how, checkpoints, chief)
        raise InterruptedTraining(f"stopped before a model could be saved; {left}") from None
    except DivergedError:
        if chief:
            unfinished.forget(how.out)
        raise
    except BaseException:
        left = _left(how, checkpoints, chief)
        if checkpoints.last() not in (None, begun_at):  # else going on would end in the same way
            click.echo(f"rekur: {how.out} holds the checkpoints so far; {left}", err=True)
        raise
    finally:
        history.close()
        checkpoints.close()
    return task, saved


def _history(request: Request, out: Path) -> Any:
    """Return the history that takes the rows of evaluations."""
    from rekur.runtime.save import own_files
    from rekur.train import History

    if request.board is None:
        return History()
    board = Path(request.board)
    # a bundle has rows of its own
    bundle = os.path.realpath(board) == os.path.realpath(out) or own_files(board) is not None
    return History(board, tensorboard=True, lines=not bundle)


def _bundle_at(folder: Path) -> Any:
    """Return the fingerprint of the bundle in a folder; None without a bundle."""
    from rekur._files import read_json_object
    from rekur.runtime.layout import CONFIG

    return read_json_object(folder / CONFIG).get("fingerprint")


def _save(task: Any, how: How, absolute: Path, there: Any) -> saving.Saved:
    """Write the bundle if there is a model worth keeping; a run that came to its end leaves nothing else.

    Args:
        task: what was trained.
        how: where it goes.
        absolute: the same folder, as a path that holds wherever the current folder is.
        there: the bundle that stood there when the run began, which alone may be replaced.
    """
    saved, stopped = saving.Saved(how.out, ""), task.result_.stopped == "interrupted"
    if not stopped or task.result_.best_epoch:
        overwrite = how.overwrite and _bundle_at(how.out) == there
        saved = saving.save(lambda folder: task.save(folder, overwrite=overwrite, carry_over=True), how.out, absolute)
    if saved.reason and not stopped:
        unfinished.note_saved(how.out, saved.folder)
    elif not stopped:
        unfinished.forget(how.out)
    return saved


def _left(how: How, checkpoints: Any, chief: bool) -> str:
    """Clean up after a run that saved no model; return a sentence on how to resume it, or that nothing is left."""
    try:
        checkpoints.keep()
    except SaveError as error:
        click.echo(f"warning: {error}", err=True)
    if unfinished.is_unfinished(how.out):
        return f"go on with: rekur resume {how.out}"
    if chief:
        unfinished.forget(how.out)
    return f"{how.out} was left as it was."


def _show(task: Any, how: How, saved: saving.Saved) -> None:
    result, metrics, out = task.result_, task.metrics_, saved.folder
    stopped = result.stopped == "interrupted"
    is_saved, goes_on = not stopped or result.best_epoch, stopped and unfinished.is_unfinished(how.out)
    if how.as_json:
        ended = {"bundle": str(out) if is_saved else None, "stopped": result.stopped, "seconds": result.seconds}
        resume = {"resume": f"rekur resume {how.out}"} if goes_on else {}
        error = {"error": saved.reason, "exit_code": SaveError.exit_code} if saved.reason else {}
        rival = {"baseline": metrics["rival"]} if "rival" in metrics else {}
        again = {"trained_again": result.trained_again} if result.trained_again else {}
        show.as_json({**ended, **again, "metrics": {**metrics, **rival}, **resume, **error})
        return
    if is_saved:
        if told := task.target_.verdict(metrics, metrics.get("rival", {})):
            click.echo(told)
        show.scores(f"Scores on {show.size(metrics, metrics['split'])}", metrics)
    best = task.history_.rows[result.best_epoch - 1]["epoch"] if result.best_epoch else 0
    weights = f"weights of epoch {best} kept" if best else "weights as they are now kept"
    if result.trained_again:
        weights += f", then trained again on all {result.trained_again:,} items; the scores are of the model before"
    click.echo(f"Training ended: {result.stopped}, after {result.seconds:.0f} s; {weights}.")
    if stopped:
        held = "the best so far" if is_saved else "checkpoints only, since nothing was evaluated yet"
        if goes_on:
            click.echo(f"You stopped it: {out} holds {held}. To go on: rekur resume {how.out}")
        else:
            held = f"{out} holds {held}" if is_saved else "no model was saved, since nothing was evaluated yet"
            click.echo(f"You stopped it: {held}. It cannot go on, since no checkpoint was written.")
        return
    click.echo(f"Saved in {out}. Next:")
    for line in _next(task, out):
        click.echo(f"  {line}")


def _next(task: Any, out: Path) -> list[str]:
    """Return the commands for which the model is there now."""
    row, of_table = CATALOG[task.task], bool(task.columns_.get("columns"))
    evaluate = f"rekur evaluate {out} {row.test_files(of_table=of_table)}"
    if row.target == "next":
        return [evaluate, f'rekur generate {out} --prompt "…"', f"rekur score {out} FILE"]
    if row.reads == "pairs":
        return [evaluate, f"rekur predict {out} {'FILE' if of_table else 'SOURCE'}", f"rekur translate {out} < SOURCE"]
    if row.reads == "tables":
        is_known = not task.columns_.get("columns", {}).get("future") or all(each.known_horizon for each in task.kept_)
        return [f"rekur predict {out}{'' if is_known else ' FILE'} --json", evaluate]
    live = [f"rekur stream {out}"] if task.model_.streams else []
    return [evaluate, f"rekur predict {out} FILE", *live]
