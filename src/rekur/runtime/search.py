"""Texts that a search finds with a network of pairs, whatever computes its steps.

Axes: N sources, T tokens.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur._ids import BEGIN, END, PADDING, UNKNOWN
from rekur._numbers import counted
from rekur.decode import Hypothesis, Rules, StepFunction, beam_search, greedy_search, length_limits
from rekur.errors import InputError, describe

#: rows that are searched side by side, about
_ROWS = 256

#: tokens after which a source is cut where nothing else limits it, as a search takes time for each of them
LONGEST_SOURCE = 2_000

#: what may be written
RULES = Rules(end=END, begin=BEGIN, never=(PADDING, UNKNOWN, BEGIN))


class PairSteps(StepFunction, Protocol):
    """A step function of targets that reads sources."""

    def encode(self, sequences: Sequence[Any], /) -> Any:
        """Return sources of token numbers (T,) each as ``begin`` takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How texts are searched.

    Attributes:
        beam: sequences that are followed side by side; 1 takes the likeliest token at each step.
        n_best: best sequences of each source, in [1, beam].
        alpha: exponent of the length in the scores, 0 or more.
        min_ratio: least tokens of a text for each token of its source, 0 or more.
        max_ratio: most tokens of a text for each token of its source, above 0; None for 3 and 20 further ones.
        max_length: most tokens of a text, 1 or more; None for no further limit.
        max_source: tokens after which a source is cut, 1 or more; None for no limit, by default 2,000.
        no_repeat: n, so that no run of n tokens comes twice in a text; 0 for no such rule.
    """

    beam: int = 1
    n_best: int = 1
    alpha: float = 1.0
    min_ratio: float = 0.0
    max_ratio: float | None = None
    max_length: int | None = None
    max_source: int | None = LONGEST_SOURCE
    no_repeat: int = 0

    def __post_init__(self) -> None:
        _check.whole("beam", self.beam, 1)
        if _check.whole("n_best", self.n_best, 1) > self.beam:
            fix = f"Follow as many side by side: beam {self.n_best}."
            raise InputError(describe("n_best", self.n_best, f"at most {self.beam}, the beam", fix))
        _check.number("alpha", self.alpha, 0)
        if self.max_source is not None:
            _check.whole("max_source", self.max_source, 1)
        _check.whole("no_repeat", self.no_repeat, 0)
        self.limits([])

    def limits(self, lengths: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the least and the most tokens (N,) of the texts of sources with these lengths (N,)."""
        ratios: dict[str, Any] = {"min_ratio": self.min_ratio, "max_ratio": self.max_ratio}
        return length_limits(lengths, **ratios, max_length=self.max_length)


def search(
    model: PairSteps, steps: Any, how: Search | None = None, *, stop_early: bool = True
) -> list[list[Hypothesis]]:
    """Return the best token sequences of each source, the best first.

    A source without tokens has empty ones, whose scores are NaN.

    Args:
        model: gives the log-probabilities of the next token.
        steps: token numbers (T,) of each of N sources.
        how: beam and limits; by default the likeliest token at each step.
        stop_early: whether a search ends before its places are taken; see :func:`rekur.decode.beam_search`.
    """
    how = how or Search()
    lengths: NDArray[np.int64] = np.array([len(steps[row]) for row in range(len(steps))], np.int64)
    if how.max_source is not None:
        lengths = np.minimum(lengths, how.max_source)
    results = [[Hypothesis(np.zeros(0, np.int64), math.nan, math.nan)] * how.n_best for _ in range(len(steps))]
    order = np.argsort(-lengths, kind="stable")[: int((lengths > 0).sum())]
    together, rules = max(1, _ROWS // how.beam), dataclasses.replace(RULES, no_repeat=how.no_repeat)
    for start in range(0, len(order), together):
        rows = order[start : start + together]
        sources = model.encode([np.asarray(steps[int(row)])[: lengths[row]] for row in rows])
        least, most = how.limits(lengths[rows])
        limits: dict[str, Any] = {"rules": rules, "least": least, "most": most, "alpha": how.alpha}
        if how.beam == 1:
            best = [[each] for each in greedy_search(model, len(rows), sources, **limits)]
        else:
            limits |= {"beam": how.beam, "n_best": how.n_best, "stop_early": stop_early}
            best = beam_search(model, len(rows), sources, **limits)
        for row, hypotheses in zip(rows.tolist(), best, strict=True):
            results[row] = hypotheses
    return results


def search_of(features: Any, **options: Any) -> Search:
    """Return how texts are searched by default: a source that the features limit has no other limit.

    Args:
        features: of pairs.
        options: of :class:`Search`; None where not given.
    """
    limit: dict[str, Any] = {} if getattr(features, "max_length", None) is None else {"max_source": None}
    return Search(**limit, **{name: value for name, value in options.items() if value is not None})


class SearchTally:
    """Counts sources and texts that were cut, and empty texts of sources that are none.

    Args:
        features: what makes the steps; it counts the sources that are longer than its ``max_length``.
        how: how texts are searched.
        scored: whether the texts are scored, so that empty sources are counted too.
    """

    def __init__(self, features: Any, how: Search, *, scored: bool = False) -> None:
        self._features, self._how, self._earlier = features, how, getattr(features, "n_truncated", 0)
        self._scored, self._sources, self._longer = scored, 0, 0
        self.blank = self.cut = self.empty = 0

    @property
    def cut_sources(self) -> int:
        """Sources that were cut."""
        return self._longer + getattr(self._features, "n_truncated", 0) - self._earlier

    def add(self, items: Sequence[Any] | None, steps: Any, outputs: Sequence[Sequence[Hypothesis]]) -> None:
        """Take sources with their steps and what the search ended with."""
        self._sources += len(outputs)
        for row, best in enumerate(outputs):
            tokens = len(steps[row])
            self.blank += tokens == 0
            self._longer += self._how.max_source is not None and tokens > self._how.max_source
            self.cut += best[0].is_cut
            self.empty += tokens > 0 and not len(best[0].ids)

    def sentence(self, name: str) -> str:
        """Return what a person should know of the texts; nothing where there is nothing."""
        parts = []
        if self.blank and self._scored:
            rest = "is empty, and so is its text" if self.blank == 1 else "are empty, and so are their texts"
            parts.append(f"{self.blank:,} of {counted(self._sources, 'source')} {rest}")
        if self.cut_sources:
            limits = (self._features.max_length, self._how.max_source)
            most = min(limit for limit in limits if limit is not None)
            parts.append(f"{counted(self.cut_sources, 'source')} cut after {counted(most, 'token')}")
        if self.cut:
            parts.append(f"{counted(self.cut, 'text')} cut at the limit of the length, before the model ended")
        if self.empty:
            fix = "" if self._how.n_best > 1 else " (rekur predict --beam 5 --n-best 5 writes others)"
            parts.append(f"{counted(self.empty, 'text')} empty though the source is not{fix}")
        return f"{name}: {'; '.join(parts)}." if parts else ""
