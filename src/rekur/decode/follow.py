"""One sequence a search, token by token: the likeliest token, or one that is drawn.

Axes: N searches, B live rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur.decode.hypotheses import Hypothesis
from rekur.decode.listed import likeliest_listed, listed_steps
from rekur.decode.rules import NEVER, Masks, Rules
from rekur.decode.sample import Sampler
from rekur.decode.steps import Ids, Scores, StepFunction
from rekur.errors import InputError, describe


def greedy_search(
    model: StepFunction,
    batch: int,
    memory: Any = None,
    *,
    rules: Rules,
    most: Any,
    least: Any = 0,
    alpha: float = 1.0,
) -> list[Hypothesis]:
    """Return the sequence of the likeliest tokens of each search; the lowest number among equals.

    It is what :func:`rekur.decode.beam_search` finds with a beam of 1.

    Args:
        model: gives the log-probabilities of the next token.
        batch: searches N.
        memory: what the model reads beside the tokens.
        rules: what may be written.
        most: most tokens of a sequence, 1 or more; one number or (N,).
        least: fewest tokens of a sequence; one number or (N,).
        alpha: exponent of the length in the scores, 0 or more.

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
        >>> greedy_search(Coin(), 1, rules=Rules(end=2), most=3)[0].ids.tolist()
        [3, 3, 3]
    """
    every = np.arange(_check.whole("batch", batch, 0))
    masks = Masks(rules, batch, least, most)
    listed = listed_steps(model, masks, 1) if batch else None
    if listed is None:
        return _follow(model, memory, masks, every, alpha, _picked(model, masks, lambda scores, _: _likeliest(scores)))

    def follow(ids: Ids, state: Any, history: Ids, numbers: Ids) -> _Followed:
        best, state = listed.step(ids, state, numbers, history.shape[1])
        return _Followed(*likeliest_listed(best, end=rules.end), best.ends.is_cut, state)

    return _follow(model, memory, masks, every, alpha, follow)


def sample_sequences(
    model: StepFunction,
    batch: int,
    memory: Any = None,
    *,
    rules: Rules,
    most: Any,
    least: Any = 0,
    alpha: float = 1.0,
    sampler: Sampler | None = None,
    first_number: int = 0,
) -> list[Hypothesis]:
    """Return a sequence of drawn tokens of each search.

    Token t of search n uses the t-th random number of the stream (seed, n): it depends neither on the other searches
    nor on the size of the batch.

    Args:
        model: gives the log-probabilities of the next token.
        batch: searches N.
        memory: what the model reads beside the tokens.
        rules: what may be written; of the sampler's options those that fit it.
        most: most tokens of a sequence, 1 or more; one number or (N,).
        least: fewest tokens of a sequence; one number or (N,).
        alpha: exponent of the length in the scores, 0 or more.
        sampler: how tokens are drawn; None for the default ``Sampler()``.
        first_number: the number of the first search; the others follow.

    Raises:
        InputError: an option is out of range, the end cannot be drawn, or a log-probability is NaN or above 0.
    """
    sampler = sampler or Sampler()
    if rules.end < sampler.first:
        raise InputError(describe("end", rules.end, f"a token that may be drawn, {sampler.first} or more"))
    masks = Masks(rules, _check.whole("batch", batch, 0), least, most)
    if not batch:
        return []
    draws = sampler.start(batch, first_number=_check.whole("first_number", first_number, 0))
    numbers = draws.numbers - first_number

    def pick(scores: Scores, live: Ids) -> Ids:
        if len(live) < len(draws.numbers):
            draws.select(np.searchsorted(draws.numbers, live + first_number))
        return draws.draw(scores)[0]

    return _follow(model, memory, masks, numbers, alpha, _picked(model, masks, pick))


class _Followed(NamedTuple):
    """The next tokens of the live rows (B,), their log-probabilities, whether an end comes too early, and the state."""

    ids: Ids
    scores: NDArray[np.float64]
    is_cut: NDArray[np.bool_]
    state: Any


#: from the last token of each row, the state, all tokens (B, T) and the numbers of the searches to the next tokens
_Follow = Callable[[Ids, Any, Ids, Ids], _Followed]


def _picked(model: StepFunction, masks: Masks, pick: Callable[[Scores, Ids], Ids]) -> _Follow:
    """Return what follows a model by ``pick``: the next tokens (B,) of the searches with these numbers (B,)."""
    end = masks.rules.end

    def follow(ids: Ids, state: Any, history: Ids, numbers: Ids) -> _Followed:
        scores, state = model.step(ids, state)
        allowed = masks.apply(scores, history, numbers)
        ends = allowed.ends(allowed.scores.max(axis=1))
        allowed.scores[:, end] = ends.scores
        ids = np.where(ends.must_end, end, pick(allowed.scores, numbers))
        picked = allowed.scores[np.arange(len(ids)), ids].astype(np.float64)
        allowed.restore()
        return _Followed(ids, picked, ends.is_cut, state)

    return follow


def _follow(
    model: StepFunction, memory: Any, masks: Masks, numbers: Ids, alpha: float, follow: _Follow
) -> list[Hypothesis]:
    """Return one sequence a search, of the searches with these numbers (B,)."""
    alpha = _check.number("alpha", alpha, 0)
    end, results = masks.rules.end, dict[int, Hypothesis]()
    state = model.begin(len(numbers), memory) if len(numbers) else None
    ids, totals = np.full(len(numbers), masks.rules.begin, np.int64), np.zeros(len(numbers))
    history = np.empty((len(numbers), 0), np.int64)
    while len(ids):
        ids, scores, is_cut, state = follow(ids, state, history, numbers)
        totals = totals + scores
        is_end = ids == end
        for row in np.flatnonzero(is_end).tolist():
            total = float(totals[row]) if totals[row] > NEVER / 2 else -np.inf
            score = total / (history.shape[1] + 1) ** alpha
            results[int(numbers[row])] = Hypothesis(history[row], total, score, bool(is_cut[row]))
        rows = np.flatnonzero(~is_end)
        history = np.concatenate([history[rows], ids[rows, None]], axis=1)
        ids, totals, numbers = ids[rows], totals[rows], numbers[rows]
        if len(rows) and is_end.any():
            state = model.select(state, rows)
    return [results[number] for number in sorted(results)]


def _likeliest(scores: Scores) -> Ids:
    ids: Ids = scores.argmax(axis=1)
    return ids
