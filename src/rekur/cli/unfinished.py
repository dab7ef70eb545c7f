"""Runs that can go on: what is trained from what, as ``DIR/checkpoints/run.json`` keeps it.

While a training runs, ``DIR/checkpoints`` holds its checkpoints and this file. Once the model is saved they are
removed: checkpoints are there as long as there is something to go on with.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from rekur import __version__
from rekur.errors import CheckpointError, InputError, SaveError, describe, did_you_mean

CHECKPOINTS, RUN = "checkpoints", "run.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be trained from what.

    Attributes:
        task: a name in ``rekur.tasks.TASKS``.
        files: what to train on.
        valid: what to validate on; nothing for a share of ``files``.
        columns: which column is what.
        reading: how files are read.
        options: the estimator's options, as far as they were given.
        every: steps from one checkpoint to the next; 0 goes by time.
        board: folder of event files for TensorBoard.
        chosen: all options as they were used, those that rules chose from the data among them; None before that.
        copied: copy -> name, for those of ``files`` and ``valid`` that are copies of what could be read only once.
    """

    task: str
    files: list[str]
    valid: list[str]
    columns: dict[str, Any]
    reading: dict[str, Any]
    options: dict[str, Any]
    every: int = 0
    board: str | None = None
    chosen: dict[str, Any] | None = None
    copied: dict[str, str] = dataclasses.field(default_factory=dict)

    def source(self, path: str) -> Any:
        """Return what :func:`rekur.data.open_source` reads: a path, or a copy under the name of what was copied."""
        from rekur.data.files import check_exists
        from rekur.data.inputs import File

        if path not in self.copied:
            return path
        check_exists(Path(path))
        return File(Path(path), self.copied[path])

    def absolute(self) -> Self:
        """Return the same with paths that hold wherever it is read."""
        files, valid = ([os.path.abspath(path) for path in paths] for paths in (self.files, self.valid))
        board = None if self.board is None else os.path.abspath(self.board)
        return dataclasses.replace(self, files=files, valid=valid, board=board)

    def renamed(self, name: Callable[[str], str]) -> Self:
        """Return the same with other paths of the copies, which move with the folder of the run."""
        names = {copy: name(copy) for copy in self.copied}
        files, valid = ([names.get(path, path) for path in paths] for paths in (self.files, self.valid))
        copied = {names[copy]: given for copy, given in self.copied.items()}
        return dataclasses.replace(self, files=files, valid=valid, copied=copied)


def write_request(request: Request, out: Path) -> None:
    """Keep what is trained, whole or not at all; checkpoints of an earlier run are removed."""
    folder = out / CHECKPOINTS
    beside = folder / f".{RUN}.partial"
    content = {
        "rekur": __version__,
        **dataclasses.asdict(request.absolute().renamed(partial(os.path.relpath, start=out))),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("step-*"):
            shutil.rmtree(path, ignore_errors=True)
        with beside.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)  # in ASCII, which has room for names that are not utf-8
            file.flush()
            os.fsync(file.fileno())
        beside.replace(folder / RUN)
    except OSError as error:
        beside.unlink(missing_ok=True)
        fix = "Choose another folder, or make room."
        raise SaveError(describe(f"{folder / RUN}", error.strerror, "a file that can be written", fix)) from error


def read_request(out: Path) -> Request:
    """Return what is trained in a folder.

    Raises:
        InputError: there is no run that could go on.
        CheckpointError: what was kept of it cannot be read.
    """
    _put_back(out)
    file = out / CHECKPOINTS / RUN
    if not file.is_file():
        raise InputError(_no_run(out))
    fields = {field.name for field in dataclasses.fields(Request)} - {"copied"}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        request = Request(**{name: content[name] for name in fields}, copied=dict(content.get("copied", {})))
        return request.renamed(lambda copy: str(out.absolute() / copy))
    except (OSError, ValueError, TypeError, KeyError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        fix = "Begin anew: run `rekur fit` with --overwrite."
        raise CheckpointError(f"{file}: got {what}; expected what `rekur fit` wrote. {fix}") from error


def is_unfinished(out: Path) -> bool:
    """Return whether a folder holds a run that was begun and can go on."""
    folder = out / CHECKPOINTS
    return (folder / RUN).is_file() and any(folder.glob("step-*"))


def missing(out: Path) -> list[Path]:
    """Return the folders that a run will make: its own and those above it that are not there yet, inner ones first."""
    return [folder for folder in (out, *out.parents) if not folder.exists()]


def forget(out: Path, made: Sequence[Path] = ()) -> None:
    """Remove checkpoints, and of the folders that were made for them those that are empty."""
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    for folder in made:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _no_run(out: Path) -> str:
    if not out.is_dir():
        near = [path.name for path in out.parent.iterdir()] if out.parent.is_dir() else []
        hint = did_you_mean(out.name, near).replace("'", f"'{out.parent}/" if out.parent != Path() else "'", 1)
        return describe("folder", str(out), "the folder of a run that was stopped (there is no such folder)", hint)
    if (out / "config.json").is_file():
        fix = f"To use its model: rekur evaluate {out} FILE. To train again: rekur fit … --overwrite"
        return describe("folder", str(out), "a run that was stopped (this one is finished)", fix)
    fix = "A run is begun by `rekur fit … --out DIR`."
    return describe("folder", str(out), "the folder of a run that was stopped (no run is there)", fix)


def _put_back(out: Path) -> None:
    """Undo what a process was doing that was killed between the two moves that put a bundle in place."""
    if out.exists() or not out.parent.is_dir():
        return
    for aside in sorted(out.parent.glob(f".{out.name[:40]}.old-*")):
        if (aside / CHECKPOINTS / RUN).is_file():
            aside.rename(out)
            return
