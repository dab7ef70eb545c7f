"""A comparison: every variant trained with the same seeds on the same data, and tested by one statistic."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rekur import _check
from rekur.data import Corpus
from rekur.errors import InputError, describe
from rekur.study.comparison import ComparisonResult
from rekur.study.comparison_course import Course, Say
from rekur.study.comparison_folder import ComparisonFolder
from rekur.study.objective import Setting
from rekur.study.run_search import fingerprint, kind_of, read_data
from rekur.study.seeds import AUTO, FIRST
from rekur.study.variants import EQUAL, VariantSpec, make_variants
from rekur.tasks import TASKS

#: options that a comparison sets itself
_OWN = ("seed", "baseline")


def compare(
    task: str,
    X: Any,
    y: Any = None,
    *,
    X_valid: Any = None,
    y_valid: Any = None,
    X_test: Any = None,
    y_test: Any = None,
    cells: Sequence[str] = (),
    vary: Mapping[str, str | Sequence[Any]] | None = None,
    equal: str | None = None,
    seeds: int | str = 6,
    margin: float | None = None,
    out: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    columns: Mapping[str, Any] | None = None,
    reach: float | None = None,
    command: str = "",
    say: Say | None = None,
) -> ComparisonResult:
    """Train variants of a task with the same seeds on the same data, and say which differences are real.

    Every variant has the same budget: the options ``steps``, ``epochs`` or ``time_limit`` hold for each run. Run s of
    every variant reads the same data in the same order; all runs are scored on the same items. The runs of a seed
    follow each other in a random order, so that a busy machine slows all variants alike. A run that fails is reported,
    and the others continue. The same call continues an earlier one in the folder ``out``, even a killed one.

    Args:
        task: ``classify``, ``regress`` or another name in ``rekur.tasks.TASKS``.
        X: items, as for ``fit``, or a :class:`rekur.data.Corpus`.
        y: their labels; None with a corpus.
        X_valid: validation items, which choose the weights of each run; by default a share of ``X``, the same in
            every run.
        y_valid: their labels.
        X_test: test items, which give the scores; they are read once, after all runs. By default validation items do.
        y_test: their labels.
        cells: names of cells, or ``transformer`` for a plain one, which has no program.
        vary: option -> values, such as ``{"dropout": "0,0.3"}``; all combinations with the cells are variants.
        equal: ``parameters`` for hidden sizes with equal numbers of weights outside embeddings and the output layer,
            within 2 %; ``hidden`` for equal hidden sizes; by default the first, unless ``vary`` has ``hidden_size``.
        seeds: runs of each variant, 1 or more; ``auto`` takes 6 and adds blocks of 3, up to 24, while half of an
            interval of the validation scores is wider than half the margin, or without one than a hundredth of the
            metric's range, or of the mean where there is no largest value. What is due to the items is left as it is.
            Since widths decide when to stop, p is then multiplied by 1.5, with which simulated comparisons of equals
            find a difference in at most 5 %.
        margin: differences inside it count as none; by default no pair is called the same.
        out: folder of the comparison, where its page is written too; by default nothing is saved.
        options: options of every run; their ``seed`` is that of the first run.
        columns: how a file was read, saved with the models.
        reach: the validation score whose time is told; by default one that runs of all variants reach.
        command: how the comparison was called, told on its page.
        say: receives one line for each run; by default nothing is shown.

    Returns:
        the result. Ctrl-C ends the comparison and still returns it.

    Raises:
        InputError: an option, a variant or an item is invalid, or the folder holds another comparison.

    Example:
        >>> texts, labels = ["aa b", "aa", "c dd", "c"] * 8, [0, 0, 1, 1] * 8
        >>> result = compare("classify", texts, labels, cells=["rnn", "gru"], seeds=2,
        ...     options={"epochs": 1, "hidden_size": 4})
        >>> len(result.runs), len(result.statistics.pairs)
        (4, 1)
    """
    _check.choice("task", task, list(TASKS))
    count = FIRST if seeds == AUTO else _check.whole("seeds", seeds, low=1)
    margin = None if margin is None else _check.positive("margin", margin)
    reach = None if reach is None else _check.number("reach", reach)
    varied = {name.replace("-", "_"): values for name, values in (vary or {}).items()}
    if equal is None:
        equal = "hidden" if "hidden_size" in varied else "parameters"
    _check.choice("equal", equal, EQUAL)
    fixed = {name: value for name, value in (options or {}).items() if value is not None}
    first_seed = _check.seed("seed", fixed.get("seed", 0))
    kind = None if fixed.get("kind") in (None, "auto") else fixed["kind"]
    train = read_data(task, X, y, "X", kind)
    kind, channels = (train.kind, train.channels) if isinstance(train, Corpus) else (None, None)
    valid = read_data(task, X_valid, y_valid, "X_valid", kind, channels)
    test = read_data(task, X_test, y_test, "X_test", kind, channels)
    setting = Setting(
        task, {name: value for name, value in fixed.items() if name != "seed"}, train, valid, columns or {}
    )
    variants = make_variants(setting, kind_of(setting), cells, varied)
    has_rival = bool(fixed.get("baseline", True))
    identity = _identity(setting, variants, equal, first_seed, test)
    course = Course(
        setting,
        test,
        variants,
        list(range(first_seed, first_seed + count)),
        say or (lambda text: None),
        margin=margin,
        auto=seeds == AUTO,
        reach=reach,
        command=command,
    )
    with _opened(out, identity) as folder:
        course.run(folder, equal)
        return course.result(folder, equal, out=None if out is None else Path(out), has_rival=has_rival)


def _identity(setting: Setting, variants: Sequence[VariantSpec], equal: str, seed: int, test: Any) -> dict[str, Any]:
    """Return the settings that identify a comparison, as plain JSON."""
    marks = {
        name: None if data is None else fingerprint(data) for name, data in (("valid", setting.valid), ("test", test))
    }
    mark = fingerprint(setting.data)
    for name, fix in (("test", "Give other items, or leave it out."), ("valid", "Leave it out for a share.")):
        if marks[name] == mark:
            raise InputError(describe(name, "the training data", "items that no run is trained on", fix))
    if test is not None and marks["test"] == marks["valid"]:
        fix = "Leave it out: then scores are those of the validation data."
        raise InputError(describe("test", "the validation data", "items that choose no weights", fix))
    plain = {
        "task": setting.task,
        "variants": ",".join(variant.name for variant in variants),
        "equal": equal,
        "seed": seed,
        "options": {name: value for name, value in setting.options.items() if name not in ("verbose", *_OWN)},
        "data": mark,
        **marks,
        "format": 1,
    }
    identity: dict[str, Any] = json.loads(json.dumps(plain))
    return identity


@contextmanager
def _opened(out: str | Path | None, identity: Mapping[str, Any]) -> Iterator[ComparisonFolder]:
    """Open the folder of a comparison, or one that is removed afterwards."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="rekur-compare-") as passing:
            folder = ComparisonFolder(Path(passing), identity)
            try:
                yield folder
            finally:
                folder.close()
        return
    path = Path(out).absolute()
    made = [each for each in (path, *path.parents) if not each.exists()]
    try:
        folder = ComparisonFolder(path, identity)
        try:
            yield folder
        finally:
            folder.close()
    finally:
        for each in made:
            with suppress(OSError):  # it is not empty
                each.rmdir()
