"""The SQLite file of a search: an Optuna study with the identity of the search, locked while it runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rekur import _check
from rekur._files import staged_file, sweep
from rekur.errors import InputError, LockedError, SaveError, describe
from rekur.study.space import Space
from rekur.train.lock import FolderLock

if TYPE_CHECKING:
    import optuna

_DATA = {"data": "training data", "valid": "validation data", "test": "test data"}
STUDY_FILE, LOCK_FILE, STUDY_NAME = "study.sqlite", ".lock", "rekur"


class StudyFile:
    """The trials of a search on disk.

    Args:
        folder: the search's folder; it exists.
        identity: the settings that identify this search, as plain JSON.

    Attributes:
        study: Optuna's study; its values are costs, which the search minimizes.

    Raises:
        InputError: the file holds another search, or something else.
        LockedError: a search is running there.
        SaveError: the file cannot be created; nothing is left behind.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.path = folder / STUDY_FILE
        self._optuna: Any = _check.need("optuna", "tune", "a search")
        self._sql: Any = _check.need("sqlalchemy.exc", "tune", "a search")
        self._ids: dict[int, int] = {}
        self._lock = _locked(folder)
        self._storage: Any = None
        self._verbosity = self._optuna.logging.get_verbosity()
        self._optuna.logging.set_verbosity(self._optuna.logging.ERROR)
        try:
            sweep(self.path)
            if self.path.exists() and self.path.stat().st_size:
                _refuse_another(self.path)
                self._open(identity)
            else:
                self._make(identity)
            check_same(folder, self.study.user_attrs["identity"], identity)
        except BaseException:
            self.close()
            raise

    def _make(self, identity: Mapping[str, Any]) -> None:
        """Create the file, whole or not at all: Optuna could not open a truncated one."""
        target = self.path
        try:
            with staged_file(target) as self.path:
                try:
                    self._open(identity)
                finally:
                    self._let_go()
                    with suppress(OSError):
                        self.path.with_name(f"{self.path.name}-journal").unlink()
        except (InputError, OSError) as error:
            raise _not_written(target, error) from error
        finally:
            self.path = target
        self._open(identity)

    def _open(self, identity: Mapping[str, Any]) -> None:
        try:
            self._storage = self._optuna.storages.RDBStorage(
                "sqlite:///study.sqlite", engine_kwargs={"creator": self._connect}
            )
            self.study = self._optuna.create_study(storage=self._storage, study_name=STUDY_NAME, load_if_exists=True)
            if "identity" not in self.study.user_attrs:
                self.study.set_user_attr("identity", dict(identity))
        except self._faults() as error:
            fix = "Choose another --out."
            raise InputError(describe(str(self.path), _first(error), "the SQLite file of a search", fix)) from error

    def _let_go(self) -> None:
        if self._storage is not None:
            self._storage.remove_session()
            self._storage.engine.dispose()
            self._storage = None

    def close(self) -> None:
        """Close the file, and remove its lock."""
        self._let_go()
        self._lock.release()
        self._optuna.logging.set_verbosity(self._verbosity)

    def all(self, state: str | None = None) -> list[optuna.trial.FrozenTrial]:
        """Return all trials, or those in one of Optuna's states."""
        states = None if state is None else (self.state(state),)
        trials: list[optuna.trial.FrozenTrial] = self.study.get_trials(deepcopy=False, states=states)
        return trials

    def state(self, name: str) -> Any:
        """Return Optuna's state by name."""
        return self._optuna.trial.TrialState[name]

    def notes(self, trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
        """Return the notes on a trial."""
        notes: dict[str, Any] = trial.user_attrs.get("known", {})
        return notes

    def set(self, number: int, **notes: Any) -> None:
        """Add notes on a running trial, in one write, since each waits for the disk."""
        old_notes = self.notes(self._storage.get_trial(self._id(number)))
        self._storage.set_trial_user_attr(self._id(number), "known", {**old_notes, **notes})

    def set_params(self, number: int, params: Mapping[str, Any], space: Space) -> None:
        """Record those options of a trial that are in the space, though they were not drawn."""
        for name, value in params.items():
            if space[name].contains(value):
                drawn = space[name].distribution()
                self._storage.set_trial_param(self._id(number), name, drawn.to_internal_repr(value), drawn)

    def fail(self, number: int, **notes: Any) -> None:
        """Record that a trial failed, unless it has already ended."""
        if not self._storage.get_trial(self._id(number)).state.is_finished():
            self.set(number, **notes)
            self.study.tell(number, state=self.state("FAIL"))

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Turn a write error, such as a full disk, into a SaveError."""
        try:
            yield
        except self._faults() as error:
            raise _not_written(self.path, error) from error

    def _id(self, number: int) -> int:
        if number not in self._ids:
            study = self._storage.get_study_id_from_name(STUDY_NAME)
            self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(study, number)
        return self._ids[number]

    def _connect(self) -> sqlite3.Connection:
        # pass the path separately: in a URL some of its characters would have another meaning
        return sqlite3.connect(self.path, timeout=60, check_same_thread=False)

    def _faults(self) -> tuple[type[Exception], ...]:
        return self._sql.SQLAlchemyError, self._optuna.exceptions.StorageInternalError, sqlite3.Error


def _locked(folder: Path) -> FolderLock:
    """Return the lock of a folder."""
    try:
        return FolderLock(folder, LOCK_FILE)
    except LockedError:
        text = f"{folder}: got a search that is already running there; expected a folder without a running search."
        raise LockedError(f"{text} Wait for it to end, or choose another --out.") from None


def _refuse_another(path: Path) -> None:
    """Raise if a file is another database, since Optuna would add its tables to it."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=60)) as file:
            tables = {name for (name,) in file.execute("select name from sqlite_master where type = 'table'")}
            rows = file.execute("select study_name from studies").fetchall() if "studies" in tables else []
    except sqlite3.Error:
        return  # opening the file reports the error
    if (tables and "studies" not in tables) or (rows and (STUDY_NAME,) not in rows):
        fix = "Choose another --out."
        raise InputError(describe(str(path), "a database of something else", "the SQLite file of a search", fix))


def _first(error: BaseException) -> str:
    """Return the first line of the database's own error."""
    while (inner := getattr(error, "orig", None) or error.__cause__) is not None:
        error = inner
    return str(error).splitlines()[0]


def _not_written(path: Path, error: BaseException) -> SaveError:
    fix = "Make room, or choose another folder."
    return SaveError(describe(str(path), _first(error), "a file that can be written", fix))


def check_same(folder: Path, saved: Mapping[str, Any], now: Mapping[str, Any], *, noun: str = "search") -> None:
    """Raise if the search, or another study by its noun, in a folder has another identity than this one.

    Example:
        >>> check_same(Path("runs/a"), {"task": "classify"}, {"task": "classify"})
    """
    fix = "Repeat the command that started it, or choose another --out."
    for field, old in saved.items():
        new = now.get(field)
        if old == new:
            continue
        if field in _DATA:
            raise InputError(
                f"{folder}: got {_DATA[field]} that differ from those of the {noun} there; expected the same. {fix}"
            )
        if isinstance(old, dict) and isinstance(new, dict):
            name = next(name for name in sorted({*old, *new}) if old.get(name) != new.get(name))
            old, new = old.get(name), new.get(name)
            field = f"the range of {name}" if field == "space" else f"the option {name}"
        got, expected = (_said(value) for value in (new, old))
        raise InputError(f"{folder}: got {got} for {field}; expected {expected}, as the {noun} there has it. {fix}")


def _said(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else "the default" if value is None else str(value)
