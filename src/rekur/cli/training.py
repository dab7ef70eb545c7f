"""How a training runs in its folder: begun or gone on with, told of, saved, and ended in good order."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import click

from rekur.cli import show, unfinished
from rekur.cli.signals import stopped_code
from rekur.cli.unfinished import Request
from rekur.errors import DivergedError, InputError, InterruptedTraining, RekurError, describe


class Prepared(NamedTuple):
    """An untrained task, and what it is to be trained and validated on."""

    task: Any
    train: Any
    valid: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class How:
    """Where a model goes and what is told meanwhile.

    Attributes:
        out: folder of the bundle.
        overwrite: replace a bundle or an unfinished run.
        quiet: show no progress.
        as_json: print the scores as JSON.
        resume: go on from the newest checkpoint.
        accept_changed_data: although files are not what they were.
    """

    out: Path
    overwrite: bool
    quiet: bool
    as_json: bool
    resume: bool = False
    accept_changed_data: bool = False


def take_how(values: dict[str, Any]) -> tuple[How, dict[str, Any]]:
    """Take the options of a run out of those of a command; return them, and those that the run keeps."""
    every, board = values.pop("checkpoint_every"), values.pop("tensorboard")
    if every is not None and every < 1:
        raise InputError(describe("checkpoint_every", every, "a whole number of 1 or more"))
    how = How(**{name: values.pop(name) for name in ("out", "overwrite", "quiet", "as_json")})
    return how, {"every": every or 0, "board": None if board is None else str(board)}


def check_folder(how: How) -> None:
    """Raise now what would be raised after hours of training, and where a run is that can go on."""
    from rekur.runtime import check_writable
    from rekur.train.lock import FolderLock
    from rekur.train.world import current

    if current().rank:
        return  # of several processes the first one writes
    if (how.out / unfinished.CHECKPOINTS).is_dir():
        FolderLock(how.out / unfinished.CHECKPOINTS).release()  # who trains there now is told first
    if unfinished.is_unfinished(how.out) and not how.overwrite:
        expected = "a folder without a run that can go on"
        fix = f"Go on with it: rekur resume {how.out}. To begin anew: --overwrite."
        raise InputError(describe("folder", str(how.out), expected, fix))
    check_writable(how.out, how.overwrite)


def run(request: Request, how: How) -> int:
    """Train, save, and show the scores; return the exit code."""
    from rekur.train import History
    from rekur.train.world import current

    chief = current().rank == 0
    prepared = _prepare(request)
    made = unfinished.missing(how.out)
    history = History(None if request.board is None else Path(request.board), tensorboard=request.board is not None)
    checkpoints = _checkpoints(request, how, prepared.task, chief)
    try:
        task = prepared.task
        reporter = _reporter(how.quiet or not chief)
        task.fit_corpus(prepared.train, prepared.valid, reporter=reporter, history=history, checkpoints=checkpoints)
        if chief:
            _save(task, how)
    except KeyboardInterrupt:
        raise InterruptedTraining(f"stopped before a model could be saved; {_left(how, made)}") from None
    except DivergedError:
        unfinished.forget(how.out, made)
        raise
    except (RekurError, MemoryError, RuntimeError):
        if (left := _left(how, made)).startswith("go on"):
            click.echo(f"rekur: {how.out} holds the checkpoints so far; {left}", err=True)
        raise
    finally:
        history.close()
        checkpoints.close()
    if chief:
        _show(task, how)
    return stopped_code() if task.result_.stopped == "interrupted" else 0


def _checkpoints(request: Request, how: How, task: Any, chief: bool) -> Any:
    from rekur.train import Checkpoints

    class Described(Checkpoints):
        """Checkpoints beside which it stands what is trained: from when the data are read and training begins."""

        def identify(self, **said: Any) -> None:
            """Say what run this is."""
            super().identify(**said)
            if chief and not how.resume:
                unfinished.write_request(dataclasses.replace(request, chosen=task.chosen_), how.out)

    return Described(
        how.out / unfinished.CHECKPOINTS,
        every=request.every,
        resume=how.resume,
        accept_changed_data=how.accept_changed_data,
    )


def _prepare(request: Request) -> Prepared:
    """Return the untrained task of a request, and its data."""
    from rekur.cli import fit_language, fit_sequences

    prepared = (fit_language if request.task == "language" else fit_sequences).prepare(request)
    return Prepared(*prepared)


def _save(task: Any, how: How) -> None:
    """Write the bundle if there is a model worth keeping; a run that came to its end leaves nothing else."""
    stopped = task.result_.stopped == "interrupted"
    if not stopped or task.result_.best_epoch:
        task.save(how.out, overwrite=how.overwrite)
    if not stopped:
        unfinished.forget(how.out)


def _left(how: How, made: list[Path]) -> str:
    """Return what is in the folder after a run that saved no model; what is of no use is removed."""
    if unfinished.is_unfinished(how.out):
        return f"go on with: rekur resume {how.out}"
    unfinished.forget(how.out, made)
    return f"{how.out} was left as it was."


def _reporter(quiet: bool) -> Any:
    from rekur.train import Lines, Silent

    class Warnings(Silent):
        """Tells nothing but what needs attention."""

        def say(self, text: str) -> None:
            """Write a warning."""
            if text.startswith("warning: "):
                click.echo(text, err=True)

    return Warnings() if quiet else Lines()


def _show(task: Any, how: How) -> None:
    result, metrics, out = task.result_, task.metrics_, how.out
    stopped = result.stopped == "interrupted"
    saved = not stopped or result.best_epoch
    if how.as_json:
        ended = {"bundle": str(out) if saved else None, "stopped": result.stopped, "seconds": result.seconds}
        show.as_json({**ended, "metrics": metrics, **({"resume": f"rekur resume {out}"} if stopped else {})})
        return
    if saved:
        show.table(f"Scores on {show.size(metrics, 'validation')}", *show.score_rows(metrics))
    kept = f"weights of epoch {result.best_epoch} kept" if result.best_epoch else "weights as they are now kept"
    click.echo(f"Training ended: {result.stopped}, after {result.seconds:.0f} s; {kept}.")
    if stopped:
        kept = "the best so far" if saved else "checkpoints only, since nothing was evaluated yet"
        click.echo(f"You stopped it: {out} holds {kept}. To go on: rekur resume {out}")
        return
    click.echo(f"Saved in {out}. Next:")
    for line in _next(task, out):
        click.echo(f"  {line}")


def _next(task: Any, out: Path) -> list[str]:
    """Return the commands for which the model is there now."""
    if task.task == "language":
        return [f"rekur evaluate {out} TEST_FILE", f'rekur generate {out} --prompt "…"', f"rekur score {out} FILE"]
    live = [f"rekur stream {out}"] if task.model_.streams else []
    return [f"rekur evaluate {out} TEST_FILE", f"rekur predict {out} FILE", *live]
