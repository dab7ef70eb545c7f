"""The trials of a search and its result: as records, as text, and as a table in a file."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rekur._files import write_file
from rekur._paths import check_file
from rekur.study.space import Space

#: the table, in the folder of a search
CSV = "trials.csv"
_HEAD = ("trial", "state", "score", "seconds", "evaluations", "reason")
_KIND = "a table of trials"
State = Literal["finished", "pruned", "failed", "running"]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trial of a search.

    Attributes:
        number: from 0, which is the trial of the defaults.
        state: ``finished``, ``pruned`` (ended early as clearly worse), ``failed`` or ``running``.
        score: the best monitored score of a finished trial.
        options: the searched options that it tried; for the defaults their values.
        seconds: its duration.
        evaluations: the monitored score at each evaluation.
        reason: why it failed, or why training ended.
        defaults: whether it is the trial of the defaults.
        chosen: the value of every option of a finished trial.
        cost: the number that the search minimizes: the score, negated if larger is better.
    """

    number: int
    state: State
    score: float | None
    options: dict[str, Any]
    seconds: float
    evaluations: tuple[float, ...]
    reason: str
    defaults: bool
    chosen: dict[str, Any]
    cost: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name != "cost"}


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """Return the finished trials, the best first; of equal ones the earlier first."""
    finished = [trial for trial in trials if trial.state == "finished" and trial.cost is not None]
    return sorted(finished, key=lambda trial: (trial.cost, trial.number))


def shown(value: Any) -> str:
    """Return an option's value as readable text.

    Example:
        >>> shown(0.00213), shown(True), shown(64)
        ('0.00213', 'true', '64')
    """
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def shown_options(options: Mapping[str, Any]) -> str:
    """Return options in one line.

    Example:
        >>> shown_options({"cell": "gru", "hidden_size": 64})
        'cell gru, hidden size 64'
    """
    return ", ".join(f"{name.replace('_', ' ')} {shown(value)}" for name, value in options.items())


def write_csv(path: Path, trials: Sequence[Trial], names: Sequence[str]) -> None:
    """Write one row for each trial, with a column for each searched option."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_HEAD, *names])
    for trial in trials:
        options = ["" if trial.options.get(name) is None else trial.options[name] for name in names]
        row = [
            trial.number,
            trial.state,
            trial.score,
            round(trial.seconds, 2),
            json.dumps(trial.evaluations),
            trial.reason,
        ]
        writer.writerow([*row, *options])
    write_file(path, out.getvalue().encode("utf-8", "backslashreplace"), overwrite=_is_csv, kind=_KIND)


def check_csv(path: Path) -> None:
    """Raise if the path is a file that :func:`write_csv` did not write."""
    check_file(path, overwrite=_is_csv, kind=_KIND)


def _is_csv(head: bytes) -> bool:
    return head.startswith(",".join(_HEAD).encode())


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """The result of a search.

    Attributes:
        trials: all trials, in order.
        best: the best finished trial; None if none has finished.
        monitor: the compared score.
        larger_is_better: whether larger scores are better.
        importance: share of the scores' variance that each option explains; empty for few trials.
        ended: ``finished``, ``time limit``, ``interrupted`` or ``every combination was tried``.
        folder: the folder of the search; the best model is in its subfolder ``best``.
        space: the searched options.
        studied: options of all trials that ``rekur fit`` sets otherwise by default, such as the network.
    """

    trials: tuple[Trial, ...]
    best: Trial | None
    monitor: str
    larger_is_better: bool
    importance: dict[str, float]
    ended: str
    folder: Path
    space: Space
    studied: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def defaults(self) -> str:
        """The defaults of its trials in words."""
        return "the defaults" + (f" with {shown_options(self.studied)}" if self.studied else "")

    @property
    def bundle(self) -> Path:
        """The folder of the best model."""
        return self.folder / "best"
