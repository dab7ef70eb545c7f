"""The result of a search."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rekur.study.space import Space
from rekur.study.trials import Trial


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
    """

    trials: tuple[Trial, ...]
    best: Trial | None
    monitor: str
    larger_is_better: bool
    importance: dict[str, float]
    ended: str
    folder: Path
    space: Space

    @property
    def bundle(self) -> Path:
        """The folder of the best model."""
        return self.folder / "best"
