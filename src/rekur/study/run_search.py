"""Search: many trials of one task with different options, compared on the same validation items."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from rekur import _check
from rekur.data import Corpus, item_key, texts_in_memory
from rekur.data.labelled import labelled
from rekur.errors import InputError, SaveError, describe
from rekur.study.driver import Driver
from rekur.study.objective import Setting, make_task, run_trial
from rekur.study.ray_search import Cluster, run_on_cluster
from rekur.study.report import check_report
from rekur.study.search_report import REPORT, write_search_report
from rekur.study.space import Space, make_space
from rekur.study.study_file import STUDY_FILE
from rekur.study.trials import CSV, SearchResult, best_first, check_csv, shown_options, write_csv
from rekur.targets import KINDS
from rekur.tasks import TASKS, load
from rekur.tasks.base.driver import fit_rival
from rekur.tasks.catalog import CATALOG

Say = Callable[[str], None]


def search(
    task: str,
    X: Any,
    y: Any = None,
    *,
    X_valid: Any = None,
    y_valid: Any = None,
    out: str | Path,
    trials: int = 20,
    space: Mapping[str, str | Sequence[Any]] | None = None,
    options: Mapping[str, Any] | None = None,
    time_limit: float = 0.0,
    cluster: Cluster | None = None,
    columns: Mapping[str, Any] | None = None,
    command: str = "",
    say: Say | None = None,
) -> SearchResult:
    """Train a task many times with different options, and save the best model.

    The first trial has the defaults. The tree-structured Parzen estimator proposes further options from earlier
    results; a trial that falls behind the median of the others ends early. Every trial trains on the same items and is
    compared on the same validation items, so the best score is slightly optimistic: score the model on separate items
    afterwards.

    The same call resumes an earlier one, even a killed one.

    Args:
        task: ``classify``, ``regress`` or another name in ``rekur.tasks.TASKS``.
        X: items, as for ``fit``, or a :class:`rekur.data.Corpus`.
        y: their labels; None with a corpus.
        X_valid: validation items; by default a share of ``X``, the same in every trial.
        y_valid: their labels.
        out: folder of the search: ``study.sqlite``, ``trials.csv``, ``search.html`` and the model in ``best``.
        trials: the total number, including trials of earlier calls; 1 or more.
        space: option -> range or choices, such as ``{"learning_rate": "1e-4:1e-2:log", "cell": ["lstm", "gru"]}``;
            they extend or replace the task's default space.
        options: fixed options of every trial.
        time_limit: seconds for the whole search; 0 for no limit.
        cluster: run trials in parallel with Ray; by default one after another in this process.
        columns: how a file was read, saved with the model.
        command: how the search was called, told on its page.
        say: receives one line for each trial; by default nothing is shown.

    Returns:
        all trials and the best one. Ctrl-C ends the search and still returns its result.

    Raises:
        InputError: an option, a range or an item is invalid, or the folder holds another search.
        MissingDependencyError: Optuna is not installed, or Ray for a search on a cluster.

    Reference: Bergstra et al., Algorithms for Hyper-Parameter Optimization, 2011; Akiba et al., Optuna, 2019.

    Example:
        >>> import tempfile
        >>> texts, labels = ["aa b", "aa", "c dd", "c"] * 8, [0, 0, 1, 1] * 8
        >>> result = search("classify", texts, labels, out=tempfile.mkdtemp() + "/search", trials=2,
        ...     space={"hidden_size": "4:8"}, options={"epochs": 1, "baseline": False})
        >>> len(result.trials), result.best is not None
        (2, True)
    """
    _check.choice("task", task, list(TASKS))
    _check.whole("trials", trials, low=1)
    _check.number("time_limit", time_limit, 0)
    _check.need("optuna", "tune", "a search")
    if cluster is not None:
        _check.need("ray", "ray", "a search on a cluster")
    fixed = {name: value for name, value in (options or {}).items() if value is not None}
    kind = None if fixed.get("kind") in (None, "auto") else fixed["kind"]
    train = read_data(task, X, y, "X", kind)
    kind, channels = (train.kind, train.channels) if isinstance(train, Corpus) else (None, None)
    valid = read_data(task, X_valid, y_valid, "X_valid", kind, channels)
    setting = Setting(task, fixed, train, valid, columns or {})
    kind_of_items = kind_of(setting)
    searched = make_space(task, kind_of_items, space or {}, fixed)
    studied = CATALOG[task].options_class().only_studied({**fixed, "kind": kind_of_items})
    _check_ends(setting, searched)
    folder = Path(out).absolute()
    _check_folder(folder)
    identity = _identity(setting, searched)
    how: dict[str, Any] = {"trials": trials, "seed": int(fixed.get("seed", 0)), "time_limit": time_limit}
    with _opened(folder, identity, searched, **how, say=say or (lambda text: None)) as driver:
        if studied:
            words = shown_options(studied)
            driver.say(f"All trials have {words}, the first one too: rekur fit takes another model by default.")
        if cluster is not None:
            run_on_cluster(driver, setting, cluster)
        else:
            _one_after_another(driver, setting)
        return _finish(driver, setting, command, studied)


def _one_after_another(driver: Driver, setting: Setting) -> None:
    try:
        while (job := driver.next()) is not None:
            left = max(1.0, driver.left()) if job.defaults and driver.has_limit else 0.0
            outcome, task = run_trial(
                setting,
                job.options,
                partial(driver.watch, job),
                say=driver.say if job.defaults else None,
                time_limit=left,
            )
            driver.tell(job, outcome, partial(_save, task))
    except KeyboardInterrupt:
        driver.stop()


def _save(task: Any, folder: Path) -> None:
    task.save(folder, overwrite=True)


def _finish(driver: Driver, setting: Setting, command: str, studied: Mapping[str, Any]) -> SearchResult:
    """Write the result of a search, and return it; the best model gets its rival, which trials do without."""
    trials = driver.trials()
    ranked = best_first(trials)
    monitor, larger = driver.monitor
    result = SearchResult(
        trials=tuple(trials),
        best=ranked[0] if ranked else None,
        monitor=monitor,
        larger_is_better=larger,
        importance=driver.importance(),
        ended=driver.ended,
        folder=driver.folder,
        space=driver.space,
        studied=studied,
    )
    write_csv(driver.folder / CSV, trials, list(driver.space))
    if result.best is None:
        return result
    if setting.options.get("baseline", True) and driver.ended != "interrupted":
        with suppress(KeyboardInterrupt):
            _add_rival(result.bundle, setting)
    write_search_report(result, command)
    return result


def _add_rival(folder: Path, setting: Setting) -> None:
    """Fit, score and save the rival of a saved model, unless it has one."""
    model = load(folder)
    if "rival" not in model.metrics_:
        fit_rival(model, model.make_stages(), setting.data, setting.valid)
        model.save(folder, overwrite=True)


# ── data, options and folder ─────────────────────────────────────────────────────────────────────────────────────


def read_data(task: str, X: Any, y: Any, name: str, kind: str | None = None, channels: Any = None) -> Any:
    """Return data as trainings read them: a corpus of items, or texts; None for None."""
    if X is None or isinstance(X, Corpus) or hasattr(X, "pieces"):
        return X
    if CATALOG[task].reads == "texts":
        return texts_in_memory([X] if isinstance(X, str) else list(X), name=name)
    per_step = KINDS[CATALOG[task].target].per_step
    use = "training" if name == "X" else "evaluation"
    return labelled(X, y, name, kind=kind, use=use, channels=channels, per_step=per_step)


def kind_of(setting: Setting) -> str:
    """Return the kind of an item; empty for texts of a language model."""
    task = make_task(setting.task, setting.options, {})
    return str(task.kind_of(setting.data)) if isinstance(setting.data, Corpus) else ""


def _check_ends(setting: Setting, space: Space) -> None:
    """Raise if a fixed option or an end of a range is invalid for any data."""
    make_task(setting.task, setting.options, {}).check_options()
    for name, dimension in space.items():
        for value in dimension.ends():
            try:
                make_task(setting.task, setting.options, {name: value}).check_options()
            except InputError as error:
                prefix = "space " if str(error).startswith(f"{name}:") else f"space {name}: "
                raise InputError(f"{prefix}{error}") from None


def _identity(setting: Setting, space: Space) -> dict[str, Any]:
    """Return the settings that identify this search, as plain JSON."""
    plain = {
        "task": setting.task,
        "options": {name: value for name, value in setting.options.items() if name != "verbose"},
        "space": {name: str(dimension) for name, dimension in space.items()},
        "data": fingerprint(setting.data),
        "valid": None if setting.valid is None else fingerprint(setting.valid),
        "format": 1,
    }
    identity: dict[str, Any] = json.loads(json.dumps(plain))
    return identity


def fingerprint(data: Any) -> str:
    """Return a hash of the data."""
    digest = hashlib.sha256()
    if isinstance(data, Corpus):
        for example in data:
            digest.update(item_key(example.item) + repr(example.label).encode("utf-8", "surrogatepass"))
    else:
        for document, piece in data.pieces():
            digest.update(f"{document}:".encode() + piece.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _check_folder(folder: Path) -> None:
    """Raise unless the folder is new, empty or that of a search."""
    if folder.is_dir():
        held = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        if held and STUDY_FILE not in held:
            fix = "Choose another folder."
            raise InputError(
                describe("out", str(folder), f"a new folder, or that of a search (no {STUDY_FILE} there)", fix)
            )
        check_report(folder / REPORT)
        check_csv(folder / CSV)
    elif folder.exists():
        raise InputError(describe("out", str(folder), "the path of a folder (a file has this name)", "Choose another."))


@contextmanager
def _opened(folder: Path, *search: Any, **options: Any) -> Iterator[Driver]:
    """Create the folder and open the study; remove what holds no finished trial after an input error, or is empty."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            got, fix = error.strerror or str(error), "Make room, or choose another folder."
            raise SaveError(describe(str(folder), got, "a folder that can be made", fix)) from error
        driver = Driver(folder, *search, **options)
        try:
            with driver.file.keeping():
                yield driver
        except InputError:
            hopeless = not any(trial.state == "finished" for trial in driver.trials())
            driver.file.close()
            if hopeless:
                (folder / STUDY_FILE).unlink(missing_ok=True)
                made = made or [folder]
            raise
        finally:
            driver.file.close()
    finally:
        for path in made:
            with suppress(OSError):  # it is not empty
                path.rmdir()
