"""The folder of a comparison: its identity, and for each run what became of it, its records and its model.

If the process dies, the folder suffices to continue: finished runs are read, and a run that had begun is repeated once.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rekur._files import read_json_object, write_file
from rekur._paths import save_errors
from rekur.errors import InputError, LockedError, describe
from rekur.study.study_file import check_same
from rekur.train.lock import FolderLock

IDENTITY, RESULT, RUNS = "comparison.json", "result.json", "runs"
_LOCK, _RUN, _MODEL = ".lock", "run.json", "model"
#: times that a run is begun whose process dies
ATTEMPTS = 2

Records = NDArray[np.float64]
State = Literal["finished", "failed", "running"]


@dataclasses.dataclass(frozen=True)
class Run:
    """One trained model of a comparison.

    Attributes:
        variant: its number in the comparison, from 0.
        seed: of everything random.
        state: ``finished``, ``failed``, or ``running`` where its process has ended before it.
        score: the deciding metric; None unless it is finished.
        seconds: of training.
        parameters: trained weights.
        core: those outside embeddings and the output layer.
        reason: why it failed, or why training ended.
        attempt: how often it was begun.
        peak_memory: the most bytes that its process had at once during training; None where the system does not say.
        bundle_bytes: of the saved model.
        step_seconds: of one step with its output; None for a model that needs whole items.
        item_seconds: of one item by itself; None for texts.
        per_second: items or tokens that are scored a second.
    """

    variant: int
    seed: int
    state: State
    score: float | None = None
    seconds: float = 0.0
    parameters: int = 0
    core: int = 0
    reason: str = ""
    attempt: int = 1
    peak_memory: int | None = None
    bundle_bytes: int | None = None
    step_seconds: float | None = None
    item_seconds: float | None = None
    per_second: float | None = None


class ComparisonFolder:
    """The runs of a comparison on disk; held for this process until :meth:`close`.

    Args:
        folder: is made if it is missing.
        identity: the settings that identify this comparison, as plain JSON.

    Raises:
        InputError: the folder holds another comparison, or something else.
        LockedError: a comparison is running there.
        SaveError: nothing can be written there.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.path = folder
        _check_folder(folder)
        try:
            self._lock = FolderLock(folder, _LOCK)
        except LockedError:
            expected = "a folder without a running comparison"
            fix = "Wait for it to end, or choose another --out."
            text = f"{folder}: got a comparison that is already running there; expected {expected}. {fix}"
            raise LockedError(text) from None
        try:
            saved = read_json_object(folder / IDENTITY)
            if saved:
                check_same(folder, saved, identity, noun="comparison")
            else:
                self._write(folder / IDENTITY, identity)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the lock, and a folder in which no run was begun."""
        begun = (self.path / RUNS).is_dir()
        if not begun:
            (self.path / IDENTITY).unlink(missing_ok=True)
        self._lock.release()

    def runs(self) -> dict[tuple[int, int], Run]:
        """Return (variant, seed) -> run, of every run that was begun."""
        names = {field.name for field in dataclasses.fields(Run)}
        runs = {}
        for file in sorted((self.path / RUNS).glob(f"*/{_RUN}")):
            saved = read_json_object(file)
            if {"variant", "seed", "state"} <= saved.keys():
                run = Run(**{name: saved[name] for name in names & saved.keys()})
                runs[run.variant, run.seed] = run
        return runs

    def write(self, run: Run) -> None:
        """Record the state of a run; of a finished one this is written last."""
        self._write(self._run(run.variant, run.seed) / _RUN, dataclasses.asdict(run))

    def model(self, variant: int, seed: int) -> Path:
        """Return the folder of a run's model."""
        return self._run(variant, seed) / _MODEL

    def write_records(self, variant: int, seed: int, split: str, records: Records, mark: str = "") -> None:
        """Keep the records of a run on a split of the data; ``mark`` changes with the data."""
        folder = self._run(variant, seed)
        with save_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / f"{split}.npy", records)
        self._write(folder / f"{split}.json", {"data": mark})

    def records(self, variant: int, seed: int, split: str, mark: str = "") -> Records | None:
        """Return the records of a run on a split of the data; None if there are none of these data."""
        folder = self._run(variant, seed)
        if read_json_object(folder / f"{split}.json").get("data") != mark:
            return None
        try:
            records: Records = np.load(folder / f"{split}.npy", allow_pickle=False)
        except (OSError, ValueError):
            return None
        return records

    def notes(self, name: str) -> dict[str, Any]:
        """Return a JSON object of the comparison; an empty one if there is none."""
        return read_json_object(self.path / name)

    def write_notes(self, name: str, notes: Mapping[str, Any]) -> None:
        """Keep a JSON object of the comparison."""
        self._write(self.path / name, notes)

    def _run(self, variant: int, seed: int) -> Path:
        return self.path / RUNS / f"{variant}-{seed}"

    def _write(self, file: Path, content: Mapping[str, Any]) -> None:
        text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
        write_file(file, text.encode("utf-8", "surrogatepass"), overwrite=True)


def _check_folder(folder: Path) -> None:
    """Raise unless the folder is new, empty or that of a comparison."""
    if folder.is_dir():
        names = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        if names and IDENTITY not in names:
            expected = f"a new folder, or that of a comparison (no {IDENTITY} there)"
            raise InputError(describe("out", str(folder), expected, "Choose another folder."))
    elif folder.exists():
        raise InputError(describe("out", str(folder), "the path of a folder (a file has this name)", "Choose another."))
