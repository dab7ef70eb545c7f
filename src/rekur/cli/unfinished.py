"""Runs that were stopped and can be resumed: ``DIR/checkpoints/run.json`` holds their options and inputs.

While a training runs, ``DIR/checkpoints`` holds its checkpoints and this file. Once the model is saved they are
removed: checkpoints exist only as long as the run can be resumed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rekur._version import __version__
from rekur.cli.request import Request, check_kinds
from rekur.errors import CheckpointError, InputError, SaveError, describe, did_you_mean
from rekur.train.checkpoint_files import STATE, checkpoints_in, remove

CHECKPOINTS, RUN = "checkpoints", "run.json"


def write_request(request: Request, out: Path) -> None:
    """Write the request of a run, whole or not at all, and remove checkpoints of an earlier run."""
    folder = out / CHECKPOINTS
    content = {
        "rekur": __version__,
        **dataclasses.asdict(request.absolute().renamed(partial(os.path.relpath, start=out))),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in checkpoints_in(folder):
            remove(path)
        _write(folder / RUN, content)
    except OSError as error:
        fix = "Choose another folder, or make room."
        raise SaveError(describe(f"{folder / RUN}", error.strerror, "a file that can be written", fix)) from error


def _write(file: Path, content: dict[str, Any]) -> None:
    from rekur._files import staged_file

    with staged_file(file) as staging:
        # in ASCII, since names that are not UTF-8 have escapes
        staging.write_text(json.dumps(content, indent=1), encoding="ascii")


def _write_over(file: Path, content: str, old: str) -> None:
    """Write into an existing file; if that fails, restore its old content."""
    with file.open("r+", encoding="utf-8") as stream:
        try:
            stream.write(content)
            stream.truncate()
            stream.flush()
        except OSError:
            stream.seek(0)
            stream.write(old)
            stream.truncate()


def read_request(out: Path) -> Request:
    """Return the request of the run in a folder.

    Raises:
        InputError: the folder holds no run that can be resumed.
        CheckpointError: its ``run.json`` cannot be read.
    """
    from rekur._files import sweep
    from rekur.runtime.save import own_files

    sweep(Path(os.path.realpath(out)), own_files)
    file = out / CHECKPOINTS / RUN
    if not file.is_file():
        raise InputError(_no_run(out))
    content = {"copied": {}, **_read(file)}
    names = [field.name for field in dataclasses.fields(Request)]
    for name in names:
        if name not in content:
            fix = "Begin anew: run `rekur fit` with --overwrite."
            raise CheckpointError(f"{file}: got no '{name}'; expected what `rekur fit` wrote. {fix}")
    request = Request(**{name: content[name] for name in names})
    check_kinds(request, file)
    request = request.renamed(lambda copy: str(out.absolute() / copy))
    saved = str(content.get("saved", ""))
    if saved and (Path(saved) / "config.json").is_file():
        expected = f"a run that was stopped (this one is finished; its model was saved in {saved})"
        raise InputError(describe("folder", str(out), expected, f"To use its model: rekur evaluate {saved} FILE"))
    return request


def _read(file: Path) -> dict[str, Any]:
    """Return the JSON object in the file of a run."""
    try:
        content, got = json.loads(file.read_text(encoding="utf-8")), "JSON that is no object"
    except (OSError, ValueError, RecursionError) as error:
        content, got = None, f"no JSON ({error})"
    if not isinstance(content, dict):
        raise CheckpointError(f"{file}: got {got}; expected what `rekur fit` wrote. Begin anew in another folder.")
    return content


def is_unfinished(out: Path) -> bool:
    """Return whether a folder holds a run that can be resumed."""
    return (out / CHECKPOINTS / RUN).is_file() and bool(checkpoints_in(out / CHECKPOINTS))


def refuse_foreign(out: Path, overwrite: bool) -> None:
    """Raise if files that Rekur did not write have the names that a run needs.

    Args:
        out: folder of the run.
        overwrite: whether checkpoints without a request, as the Python API writes, may be removed.
    """
    run = out / CHECKPOINTS / RUN
    if os.path.lexists(run):
        if not _has_keys(run, "rekur"):
            fix = "Move it away, or choose another folder."
            raise InputError(describe("file", str(run), "one that `rekur fit` wrote (another file is there)", fix))
        return
    for folder in checkpoints_in(out / CHECKPOINTS):
        if not (overwrite and _has_keys(folder / STATE, "sha256", "state")):
            expected = f"a folder without '{CHECKPOINTS}/{folder.name}', which is of no run of `rekur fit`"
            raise InputError(describe("folder", str(out), expected, "Move it away, or choose another folder."))


def _has_keys(file: Path, *keys: str) -> bool:
    """Return whether a file is a JSON object with these keys."""
    try:
        return file.is_file() and _read(file).keys() >= set(keys)
    except CheckpointError:
        return False


def missing(out: Path) -> list[Path]:
    """Return the folders that a run has to make, its own first, then those above it."""
    return [folder for folder in (out, *out.parents) if not folder.exists()]


def forget(out: Path) -> None:
    """Remove the checkpoints and the request of a run; files of others stay."""
    from rekur._files import sweep

    for path in (out / CHECKPOINTS).glob("step-*"):
        remove(path)
    sweep(out / CHECKPOINTS / RUN)
    with contextlib.suppress(OSError):
        (out / CHECKPOINTS / RUN).unlink()


def tidy(out: Path, made: Sequence[Path]) -> None:
    """Remove the folder of checkpoints if it is empty, and the folders that were made for a run if they are."""
    for folder in (out / CHECKPOINTS, *made):
        with contextlib.suppress(OSError):
            folder.rmdir()


def note_saved(out: Path, folder: Path) -> None:
    """Note beside the checkpoints of a run that came to its end where its model is, if not in ``out``."""
    file = out / CHECKPOINTS / RUN
    with contextlib.suppress(OSError, ValueError):
        old = file.read_text(encoding="utf-8")
        content = {**json.loads(old), "saved": os.path.abspath(folder)}
        try:
            _write(file, content)
        except OSError:  # a full disk has no room for another file, but often some behind the end of this one
            _write_over(file, json.dumps(content, indent=1), old)


def _no_run(out: Path) -> str:
    parent = out.parent
    begin = "A run is begun by `rekur fit … --out DIR`."
    if not out.is_dir():
        near = [path.name for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
        models = [name for name in near if re.fullmatch(re.escape(out.name) + "-[0-9]+", name)]
        models = [str(parent / name) for name in models if (parent / name / "config.json").is_file()]
        if models:
            hint = f"A model that could not be saved there may be {sorted(models)[-1]}."
        elif out.is_file():
            hint = begin
        else:
            hint = did_you_mean(out.name, near).replace("'", f"'{parent}/" if parent != Path() else "'", 1)
        why = "this is a file" if out.is_file() else "there is no such folder"
        return describe("folder", str(out), f"the folder of a run that was stopped ({why})", hint)
    if (out / "config.json").is_file():
        fix = f"To use its model: rekur evaluate {out} FILE. To train again: rekur fit … --overwrite"
        return describe("folder", str(out), "a run that was stopped (this one is finished)", fix)
    return describe("folder", str(out), "the folder of a run that was stopped (no run is there)", begin)
