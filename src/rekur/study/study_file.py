"""The one SQLite file of a search: an Optuna study that says what search it is, and is locked while one runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rekur import _check
from rekur.errors import InputError, LockedError, SaveError, describe
from rekur.runtime.folders import beside, sweep
from rekur.study.space import Space
from rekur.train.lock import FolderLock

if TYPE_CHECKING:
    import optuna

STUDY_FILE, LOCK_FILE, STUDY_NAME = "study.sqlite", ".lock", "rekur"


class StudyFile:
    """The trials of a search on disk.

    Args:
        folder: the search's folder; it exists.
        identity: what this search is, as plain JSON.

    Attributes:
        study: as Optuna knows it; its values are costs, which the search makes small.

    Raises:
        InputError: the file holds another search, or something else.
        LockedError: a search runs there.
        SaveError: the file cannot be made; nothing is left of it.
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
        """Make the file, whole or not at all: one that was cut off while it was made could not be opened again."""
        target, self.path = self.path, beside(self.path)
        try:
            self._open(identity)
            self._let_go()
            self.path.replace(target)
        except (InputError, OSError) as error:
            raise SaveError(f"{target}: could not be written ({_first(error)}).") from error
        finally:
            self._let_go()
            for path in (self.path, self.path.with_name(f"{self.path.name}-journal")):
                with suppress(OSError):
                    path.unlink()
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
        """Let go of the file; the file of its lock goes too."""
        self._let_go()
        self._lock.release()
        self._optuna.logging.set_verbosity(self._verbosity)

    def all(self, state: str | None = None) -> list[optuna.trial.FrozenTrial]:
        """Return all trials, or those of a state, by Optuna's name of it."""
        states = None if state is None else (self.state(state),)
        found: list[optuna.trial.FrozenTrial] = self.study.get_trials(deepcopy=False, states=states)
        return found

    def state(self, name: str) -> Any:
        """Return Optuna's state of a name."""
        return self._optuna.trial.TrialState[name]

    def known(self, trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
        """Return what was noted of a trial."""
        found: dict[str, Any] = trial.user_attrs.get("known", {})
        return found

    def set(self, number: int, **known: Any) -> None:
        """Note what is known of a trial that runs; in one piece, since every write waits for the disk."""
        before = self.known(self._storage.get_trial(self._id(number)))
        self._storage.set_trial_user_attr(self._id(number), "known", {**before, **known})

    def set_params(self, number: int, params: Mapping[str, Any], space: Space) -> None:
        """Note the options of a trial that were not drawn, as far as they could have been."""
        for name, value in params.items():
            if space[name].contains(value):
                drawn = space[name].distribution()
                self._storage.set_trial_param(self._id(number), name, drawn.to_internal_repr(value), drawn)

    def fail(self, number: int, **known: Any) -> None:
        """Note that a trial failed, unless it has ended before."""
        if not self._storage.get_trial(self._id(number)).state.is_finished():
            self.set(number, **known)
            self.study.tell(number, state=self.state("FAIL"))

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Say in one sentence that the file cannot be written, as when the disk is full."""
        try:
            yield
        except self._faults() as error:
            raise SaveError(f"{self.path}: could not be written ({_first(error)}).") from error

    def _id(self, number: int) -> int:
        if number not in self._ids:
            study = self._storage.get_study_id_from_name(STUDY_NAME)
            self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(study, number)
        return self._ids[number]

    def _connect(self) -> sqlite3.Connection:
        # a path of its own, since in a URL some letters of a path would mean something else
        return sqlite3.connect(self.path, timeout=60, check_same_thread=False)

    def _faults(self) -> tuple[type[Exception], ...]:
        return self._sql.SQLAlchemyError, self._optuna.exceptions.StorageInternalError, sqlite3.Error


def _locked(folder: Path) -> FolderLock:
    """Return the lock of a folder."""
    try:
        return FolderLock(folder, LOCK_FILE)
    except LockedError:
        text = f"{folder}: got a search that runs there already; expected a folder of its own for each at a time."
        raise LockedError(f"{text} Wait for it to end, or choose another --out.") from None


def _refuse_another(path: Path) -> None:
    """Raise if a file is a database of something else, into which Optuna would write its tables."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=60)) as file:
            tables = {name for (name,) in file.execute("select name from sqlite_master where type = 'table'")}
            rows = file.execute("select study_name from studies").fetchall() if "studies" in tables else []
    except sqlite3.Error:
        return  # opening it says what is wrong
    if (tables and "studies" not in tables) or (rows and (STUDY_NAME,) not in rows):
        fix = "Choose another --out."
        raise InputError(describe(str(path), "a database of something else", "the SQLite file of a search", fix))


def _first(error: BaseException) -> str:
    """Return the line of the database's own error."""
    while (inner := getattr(error, "orig", None) or error.__cause__) is not None:
        error = inner
    return str(error).splitlines()[0]


def check_same(folder: Path, known: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise if the search in a folder is another one than that which is asked for now.

    Example:
        >>> check_same(Path("runs/a"), {"task": "classify"}, {"task": "classify"})
    """
    fix = "Go on with the command it was begun with, or choose another --out."
    for what, before in known.items():
        after = now.get(what)
        if before == after:
            continue
        if what in ("data", "valid"):
            name = "training data" if what == "data" else "validation data"
            raise InputError(
                f"{folder}: got other {name} than the search there was begun with; expected the same. {fix}"
            )
        if isinstance(before, dict) and isinstance(after, dict):
            name = next(name for name in sorted({*before, *after}) if before.get(name) != after.get(name))
            before, after = before.get(name), after.get(name)
            what = f"the range of {name}" if what == "space" else f"the option {name}"
        got, expected = (_said(one) for one in (after, before))
        raise InputError(f"{folder}: got {got} for {what}; expected {expected}, as the search there has it. {fix}")


def _said(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else "the default" if value is None else str(value)
