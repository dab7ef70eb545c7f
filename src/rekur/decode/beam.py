"""Beam search over a step function: all searches and their rows in one batch, which those that end leave.

Axes: N searches, k rows of a search at most, B live rows, T tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur.decode.candidates import Candidates, best_candidates
from rekur.decode.hypotheses import Hypothesis
from rekur.decode.listed import best_listed, listed_steps
from rekur.decode.rules import NEVER, Masks, Rules
from rekur.decode.steps import Ids, StepFunction

#: most rows of a search
_WIDEST = 10_000


def beam_search(
    model: StepFunction,
    batch: int,
    memory: Any = None,
    *,
    rules: Rules,
    most: Any,
    least: Any = 0,
    beam: int = 5,
    alpha: float = 1.0,
    n_best: int = 1,
    stop_early: bool = True,
) -> list[list[Hypothesis]]:
    r"""Return the best sequences of each search, the best first.

    A search begins with one row and k places. At each step the likeliest continuations of its rows fill the places
    that are free; one that ends keeps its place. The search ends when all places are taken, or when no row can reach
    the score of the ``n_best``-th sequence any more. A row with log-probability l and a limit of M tokens reaches at
    most :math:`l / (M + 1)^\alpha`. So stopping changes nothing, and which sequences are looked at does not depend
    on α.

    .. math:: \text{score} = \frac{\log p(y_1, \dots, y_T, \text{end})}{(T + 1)^\alpha}

    After ``most`` tokens only the end follows; the hypothesis says so (``is_cut``) where something else was likelier.
    The result of a search does not depend on the others, except for how the model rounds in a batch.

    Args:
        model: gives the log-probabilities of the next token.
        batch: searches N.
        memory: what the model reads beside the tokens.
        rules: what may be written.
        most: most tokens of a sequence, 1 or more; one number or (N,).
        least: fewest tokens of a sequence; one number or (N,).
        beam: k, in [1, 10,000]; it may exceed the vocabulary.
        alpha: exponent of the length, 0 or more; 0 ranks by the log-probability alone.
        n_best: sequences of each search, in [1, beam]; fewer come where fewer are possible.
        stop_early: whether a search ends before its places are taken; without, all exponents can be ranked.

    Returns:
        N lists of different sequences.

    Raises:
        InputError: an option is out of range, or a log-probability is NaN or above 0.

    Example:
        >>> class Coin:  # the end is token 2
        ...     def begin(self, batch, memory=None):
        ...         return None
        ...     def step(self, ids, state):
        ...         return np.tile(np.log(np.array([0, 0, 0.3, 0.7], np.float32) + 1e-30), (len(ids), 1)), state
        ...     def select(self, state, rows):
        ...         return state
        >>> best = beam_search(Coin(), 1, rules=Rules(end=2), most=3, beam=4, alpha=0, n_best=4)[0]
        >>> [(hypothesis.ids.tolist(), round(hypothesis.score, 2)) for hypothesis in best]
        [([], -1.2), ([3], -1.56), ([3, 3], -1.92), ([3, 3, 3], -2.27)]
    """
    beam = _check.whole("beam", beam, 1, _WIDEST)
    n_best = _check.whole("n_best", n_best, 1, beam)
    alpha = _check.number("alpha", alpha, 0)
    run = _Run(Masks(rules, _check.whole("batch", batch, 0), least, most), batch, beam, alpha, n_best)
    if not batch:
        return []
    state, ids = model.begin(batch, memory), np.full(batch, rules.begin, np.int64)
    listed = listed_steps(model, run.masks, beam)
    while len(ids):
        if listed is None:
            scores, state = model.step(ids, state)
            best = run.best(scores)
        else:
            best_tokens, state = listed.step(ids, state, run.numbers, run.length)
            best = best_listed(best_tokens, run.totals, run.searches, beam, end=rules.end)
        rows, ids = run.advance(best, stop_early=stop_early)
        if len(ids):
            state = model.select(state, rows)
    return run.results()


class _Run:
    """The live rows and the finished sequences of one call of :func:`beam_search`."""

    def __init__(self, masks: Masks, batch: int, beam: int, alpha: float, n_best: int) -> None:
        self.masks, self._beam, self._alpha, self._n_best = masks, beam, alpha, n_best
        # of the live rows: the search, and the log-probability so far
        self.numbers = np.arange(batch)
        self.totals = np.zeros(batch)
        self._history = np.empty((batch, 0), np.int64)
        # of each place of a search: its score, and the sequence
        self._scores = np.full((batch, beam), -np.inf)
        self._finished = np.zeros(batch, np.int64)
        self._ended: list[tuple[Ids, NDArray[np.float64], NDArray[np.bool_], Ids]] = []

    @property
    def length(self) -> int:
        """Tokens of a live row."""
        return self._history.shape[1]

    @property
    def searches(self) -> Ids:
        """The search of each live row (B,), of those that have one: 0, …, none left out."""
        return np.cumsum(np.diff(self.numbers, prepend=self.numbers[:1]) > 0)

    def best(self, scores: NDArray[Any]) -> Candidates:
        """Return the likeliest continuations, from the log-probabilities of the next token (B, V)."""
        allowed = self.masks.apply(scores, self._history, self.numbers)
        best = best_candidates(allowed, self.totals, self.searches, self._beam, end=self.masks.rules.end)
        allowed.restore()
        return best

    def advance(self, best: Candidates, *, stop_early: bool) -> tuple[Ids, Ids]:
        """Take the likeliest continuations; return the rows that go on, and their next tokens (B,)."""
        numbers = self.numbers[best.rows]
        has_place = best.order < self._beam - self._finished[numbers]
        is_end = best.tokens == self.masks.rules.end
        self._finish(best, numbers, np.flatnonzero(has_place & is_end))
        goes_on = has_place & ~is_end
        if stop_early:
            goes_on &= self._can_win(best, numbers, goes_on)[numbers]
        rows, tokens = best.rows[goes_on], best.tokens[goes_on]
        self.numbers, self.totals = numbers[goes_on], best.totals[goes_on]
        self._history = np.concatenate([self._history[rows], tokens[:, None]], axis=1)
        return rows, tokens

    def results(self) -> list[list[Hypothesis]]:
        """Return the best sequences of each search."""
        pools: list[list[Hypothesis]] = [[] for _ in self._finished]
        for numbers, totals, is_cut, history in self._ended:
            length = (history.shape[1] + 1) ** self._alpha
            columns = numbers.tolist(), totals.tolist(), is_cut.tolist()
            for row, (number, total, cut) in enumerate(zip(*columns, strict=True)):
                total = total if total > NEVER / 2 else -np.inf
                pools[number].append(Hypothesis(history[row], total, total / length, cut))
        return [sorted(pool, key=lambda each: -each.score)[: self._n_best] for pool in pools]

    def _finish(self, best: Candidates, numbers: Ids, which: Ids) -> None:
        rows, numbers = best.rows[which], numbers[which]
        totals = best.totals[which]
        self._ended.append((numbers, totals, best.is_cut[which], self._history[rows]))
        # candidates are sorted by search: the places of one search are filled one after the other
        places = self._finished[numbers] + np.arange(len(numbers)) - np.searchsorted(numbers, numbers)
        self._scores[numbers, places] = totals / (self._history.shape[1] + 1) ** self._alpha
        np.add.at(self._finished, numbers, 1)

    def _can_win(self, best: Candidates, numbers: Ids, goes_on: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return for each search whether a row that goes on can reach the worst score that is to be returned."""
        size = len(self._finished)
        highest = np.full(size, -np.inf)
        np.maximum.at(highest, numbers[goes_on], best.totals[goes_on])
        reach = highest / (self.masks.most + 1.0) ** self._alpha
        worst = np.partition(self._scores, self._beam - self._n_best, axis=1)[:, self._beam - self._n_best]
        can_win: NDArray[np.bool_] = reach > worst
        return can_win
