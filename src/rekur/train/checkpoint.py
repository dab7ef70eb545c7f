"""Checkpoints: everything that a training needs to go on as if it had never stopped; JSON and safetensors."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from rekur._files import staged_folder, sweep
from rekur._version import __version__
from rekur.errors import CheckpointError, InputError, SaveError, describe
from rekur.train.checkpoint_files import STATE, TENSORS, checkpoints_in, own_files, remove
from rekur.train.lock import FolderLock
from rekur.train.world import current

FORMAT = 2
#: seconds between two checkpoints where no number of steps is given
SECONDS = 120.0
#: how many are kept: if the newest turns out to be damaged, there is the one before
KEPT = 2

#: characters of a value that are shown in a message
_SHOWN = 80

_FIXES = {
    "data": "Give the original data; or accept the change (--accept-changed-data), which starts the data again.",
    "model": "Give the original options, or begin anew in another folder.",
    "options": "Give the original options, or begin anew in another folder.",
    "reads": "What the model reads or predicts has changed; begin anew in another folder.",
    "task": "Give the folder of a run of this task.",
}


class Checkpoint(NamedTuple):
    """What was saved of a run.

    Attributes:
        state: numbers and texts, plain JSON.
        tensors: all tensors by their names.
        data_changed: whether the data are not what they were.
    """

    state: dict[str, Any]
    tensors: dict[str, Tensor]
    data_changed: bool


class Checkpoints:
    """The checkpoints of one run, in a folder that nobody else trains in meanwhile.

    Each is a folder ``step-00001234`` that appears whole or not at all; the newest two are kept.

    Args:
        folder: where they are; it is made if it is missing.
        every: steps of the optimiser from one to the next; 0 takes one every two minutes. One is also taken when the
            run is asked to stop.
        resume: go on from the newest one that is whole; without, those of an earlier run are removed.
        accept_changed_data: go on although the data are not what they were.
        on_identify: called once the data are read and training begins.

    Raises:
        InputError: ``every`` is no whole number of 0 or more.
        LockedError: another process trains in the folder.
        SaveError: nothing can be written there.

    Example:
        >>> import tempfile
        >>> checkpoints = Checkpoints(Path(tempfile.mkdtemp()), every=100)
        >>> checkpoints.newest() is None
        True
        >>> checkpoints.close()
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        every: int = 0,
        resume: bool = False,
        accept_changed_data: bool = False,
        on_identify: Callable[[], object] | None = None,
    ) -> None:
        if not isinstance(every, int) or isinstance(every, bool) or every < 0:
            raise InputError(describe("every", every, "a whole number of 0 or more"))
        self.folder, self.every, self.resume = Path(folder), every, resume
        self.accept_changed_data, self._on_identify = accept_changed_data, on_identify
        self.identity: dict[str, Any] = {}
        self.notes: list[str] = []
        self._held: tuple[int, dict[str, Any], dict[str, Tensor]] | None = None
        self._damaged: list[Path] = []
        self._writes = current().rank == 0
        self._lock = FolderLock(self.folder) if self._writes else None
        self._saved_at = time.monotonic()
        if self._writes:
            self._clear()

    def _clear(self) -> None:
        """Remove what killed runs left; this run has locked the folder, so no process is writing there."""
        for leftover in self.folder.glob(".step-*.partial-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        for leftover in list(self.folder.glob(".step-*.*-*")):
            sweep(self.folder / leftover.name[1:].partition(".")[0], own_files)
        for leftover in self.folder.glob("step-*"):
            with contextlib.suppress(OSError):
                leftover.rmdir()  # one that was being removed; any other is not empty

    def close(self) -> None:
        """Let the folder go; the file of its lock goes too."""
        if self._lock is not None:
            self._lock.release()

    def identify(
        self,
        *,
        task: str,
        model: dict[str, Any],
        options: dict[str, Any],
        data: str,
        reads: dict[str, Any] | None = None,
        prior: str = "",
    ) -> None:
        """Say what run this is; only a run that is the same may go on from these checkpoints.

        Args:
            task: its name.
            model: the specification of the model, plain JSON.
            options: what the course of the training depends on, plain JSON.
            data: a fingerprint of the data.
            reads: how raw items become inputs and predictions, plain JSON: features and targets.
            prior: the fingerprint of the bundle that it starts from; empty for none.
        """
        said = {"task": task, "model": model, "reads": reads or {}, "options": options, "data": data, "prior": prior}
        self.identity = json.loads(json.dumps(said))
        if self._on_identify is not None:
            self._on_identify()

    def begun(self) -> dict[str, Any] | None:
        """Return the identity of the resumed run if its features are to be taken; None if they are learnt again.

        With other data a vocabulary would come out in another order, and the weights would mean other tokens; and
        those of a bundle that the run started from cannot be learnt from its data.
        """
        if not self.resume:
            return None
        for path in reversed(checkpoints_in(self.folder)):
            try:
                identity: dict[str, Any] = _read_state(path)["identity"]
                return identity if self.accept_changed_data or identity["prior"] else None
            except _Damaged:
                continue
        return None

    def due(self, step: int) -> bool:
        """Return whether it is time for one after this step."""
        if self.every:
            return step % self.every == 0
        return time.monotonic() - self._saved_at >= SECONDS

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is whole, or None; what is wrong with newer ones is put in ``notes``.

        Raises:
            CheckpointError: it is of another task, model, options or data; or every one is damaged.
        """
        found, flaws = checkpoints_in(self.folder), list[str]()
        for path in reversed(found):
            try:
                state = _read_state(path)
                changed = self._check(path, state)
                return Checkpoint(state, load_file(path / TENSORS), changed)
            except _Damaged as error:
                self._damaged.append(path)
                flaws.append(f"{path.name} is damaged ({error})")
                self.notes.append(f"{flaws[-1]}; the one before it is used.")
        if found:
            self.notes.clear()
            raise CheckpointError(
                f"{self.folder}: got {len(found)} damaged checkpoints ({'; '.join(flaws)}); "
                "expected one that is whole. Begin anew."
            )
        return None

    def last(self) -> Path | None:
        """Return the folder of the newest checkpoint, whole or not; None if there is none."""
        return next(reversed(checkpoints_in(self.folder)), None)

    def save(self, step: int, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Write one, whole or not at all, and remove those that are not kept.

        Raises:
            SaveError: the disk is full or nothing can be written; the checkpoints before are as they were.
        """
        self._saved_at = time.monotonic()
        if not self.resume:
            _remove_all(checkpoints_in(self.folder))
            self.resume = True
        target = self.folder / f"step-{step:08d}"
        try:
            with staged_folder(target, own_files, "checkpoint") as staging:
                save_file(_separate(tensors), staging / TENSORS)
                head = {"format": FORMAT, "rekur": __version__, "identity": self.identity, **state}
                head["sha256"] = _sha256(staging / TENSORS)
                text = json.dumps(head, ensure_ascii=False)
                (staging / STATE).write_text(json.dumps({"sha256": _sha256_of(text), "state": text}), encoding="utf-8")
        except (InputError, OSError, SafetensorError) as error:
            raise self._cannot_save(error) from error
        _remove_all([path for path in self._damaged if path != target])
        self._damaged.clear()
        _remove_all(checkpoints_in(self.folder)[:-KEPT])

    def hold(self, step: int, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Hold the state of a training that has ended, so that :meth:`keep` can save it if what follows fails."""
        if self._writes:
            self._held = (step, state, tensors)

    def keep(self) -> None:
        """Save the state that is held, if any.

        Raises:
            SaveError: it could not be written.
        """
        if self._held is not None:
            held, self._held = self._held, None
            self.save(*held)

    def _check(self, path: Path, state: dict[str, Any]) -> bool:
        """Return whether the data have changed; raise if the run is another one."""
        if not self.identity:
            return False
        saved, changed = state["identity"], False
        for part in ("task", "data", "model", "reads", "options"):
            ours, theirs = self.identity[part], saved.get(part)
            if ours == theirs:
                continue
            if part != "data":
                got, expected = _difference(ours, theirs)
                raise CheckpointError(
                    f"{path}, {part}: got {got}; expected {expected}, as it was begun. {_FIXES[part]}"
                )
            if not self.accept_changed_data:
                got = "other training or validation data"
                raise CheckpointError(f"{path}: got {got}; expected those it was begun with. {_FIXES[part]}")
            changed = True
        return changed

    def _cannot_save(self, error: Exception) -> SaveError:
        # safetensors says "Error while serializing: I/O error: No space left on device (os error 28)"
        reason = getattr(error, "strerror", None) or str(error).rpartition("I/O error: ")[2].partition(" (os error")[0]
        last = self.last()
        newest = f"The newest checkpoint is {last.name}." if last else "There is no checkpoint yet."
        return SaveError(
            describe(f"{self.folder}: checkpoint", reason, "a folder with room that can be written", newest)
        )


def _remove_all(paths: list[Path]) -> None:
    for path in paths:
        remove(path)


class _Damaged(Exception):
    """A checkpoint that is not what was written."""


def _read_state(path: Path) -> dict[str, Any]:
    try:
        outer = json.loads((path / STATE).read_text(encoding="utf-8"))
        if _sha256_of(str(outer["state"])) != outer["sha256"]:
            raise _Damaged(f"{STATE} was changed")
        state: dict[str, Any] = json.loads(outer["state"])
        if state["format"] != FORMAT:
            raise CheckpointError(
                f"{path}: got a checkpoint of format {state['format']}, by Rekur {state['rekur']}; expected format "
                f"{FORMAT}, which Rekur {__version__} reads. Resume with the version that began the run, or begin anew."
            )
        if _sha256(path / TENSORS) != state["sha256"]:
            raise _Damaged(f"{TENSORS} was changed or cut off")
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise _Damaged(str(error) or type(error).__name__) from error
    return state


def _difference(ours: Any, theirs: Any, name: str = "") -> tuple[str, str]:
    """Return the first entry in which two descriptions differ, as it is and as it was."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        first = next(key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key))
        return _difference(ours.get(first), theirs.get(first), first)
    shown = [text if len(text) <= _SHOWN else text[:_SHOWN] + "…" for text in (repr(ours), repr(theirs))]
    return f"{name} {shown[0]}".strip(), shown[1]


def _separate(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors on the CPU, each with memory of its own, as safetensors wants them."""
    seen: set[int] = set()
    out: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        whole = own.untyped_storage().nbytes() == own.nbytes
        out[name] = own if whole and own.data_ptr() not in seen else own.clone()
        seen.add(out[name].data_ptr())
    return out


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
