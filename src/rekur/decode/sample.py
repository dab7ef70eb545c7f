"""Drawing the next token: temperature, top-k, top-p, min-p, repetition penalty, one random stream for each sample.

Axes: B samples in the batch, V vocabulary, K drawable tokens, W window.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur._ids import UNKNOWN
from rekur.decode.pick import DIRECT, pick
from rekur.decode.steps import Ids, Scores
from rekur.decode.used import Used
from rekur.errors import InputError, describe

#: uniform numbers that a sample generates at once; Philox generates four from each counter
_BLOCK, _PER_COUNTER = 256, 4
#: temperatures that single precision can divide by
_COOLEST, _HOTTEST = 1e-6, 1e6


@dataclass(frozen=True, slots=True)
class Sampler:
    r"""How the next token is drawn from a model's scores; the steps are applied in this order.

    1. *Drawable*: padding (0) is never drawn, unknown (1) only with ``draw_unknown``; their probability goes to the
       other tokens.
    2. *Repetition penalty* :math:`\theta`: the score z of a used token becomes z/θ if it is positive and zθ if it is
       negative; z is relative to the mean score of the drawable tokens, so that adding a number to all scores changes
       nothing.
    3. *Temperature* τ: :math:`p_i \propto e^{z_i / \tau}`; at 0 the likeliest token is taken, the lowest number
       among equals, and the later steps are skipped.
    4. *top_k*: the k likeliest tokens remain.
    5. *top_p*: of these, the smallest set of the likeliest with at least this share of their probability remains.
    6. *min_p*: tokens less likely than this share of the likeliest are removed.

    Among equally likely tokens the lower number goes first. The remaining tokens are drawn in proportion, by the
    inverse of the cumulative distribution in double precision. Token t of sample n uses the t-th number of the
    sample's own stream, Philox keyed by (seed, n): a sample does not depend on the number of other samples, nor on
    which of them have ended.

    Args:
        temperature: 0, or a number in [1e-6, 1e6].
        top_k: the number of likeliest tokens to draw from; 0 for all.
        top_p: share of the probability, in (0, 1]; 1 for all.
        min_p: share of the largest probability, in [0, 1); 0 for all.
        repetition_penalty: 1 or more; 1 for none.
        seed: in [0, 2⁶⁴); None for a new one each time.
        repetition_window: how many of the last tokens count as used, including the prompt's; 0 for all.
        draw_unknown: whether the unknown token may be drawn.

    Raises:
        InputError: an option is out of range.

    Reference:
        Fan et al., Hierarchical Neural Story Generation, 2018 (top_k); Holtzman et al., The Curious Case of Neural
        Text Degeneration, 2020 (top_p); Nguyen et al., Turning Up the Heat: Min-p Sampling, 2024 (min_p); Keskar et
        al., CTRL, 2019 (repetition penalty); Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011.

    Example:
        >>> scores = np.log([[0.0001, 0.0999, 0.6, 0.2, 0.1]])
        >>> Sampler(top_p=0.8).probabilities(scores).round(3).tolist()
        [[0.0, 0.0, 0.75, 0.25, 0.0]]
        >>> Sampler(temperature=0).start(1).draw(scores)[0].tolist()
        [2]
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    _: KW_ONLY
    repetition_window: int = 0
    draw_unknown: bool = False

    def __post_init__(self) -> None:
        checked: dict[str, Any] = {
            "temperature": _temperature(self.temperature),
            "top_k": _check.whole("top_k", self.top_k, 0),
            "top_p": _top_p(self.top_p),
            "min_p": _check.number("min_p", self.min_p, 0, 1, open_high=True),
            "repetition_penalty": _check.number("repetition_penalty", self.repetition_penalty, 1),
            "repetition_window": _check.whole("repetition_window", self.repetition_window, 0),
            "draw_unknown": _check.flag("draw_unknown", self.draw_unknown),
        }
        if self.seed is not None:
            checked["seed"] = _check.whole("seed", self.seed, 0, 2**64 - 1)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def start(
        self, samples: int = 1, *, first_number: int = 0, history: Sequence[int] | Ids = (), position: int = 0
    ) -> Draws:
        """Return the draws of a batch of new samples.

        Args:
            samples: the number of samples B; 1 or more.
            first_number: the number of the first sample; the others follow.
            history: earlier tokens of all samples, the oldest first.
            position: how many tokens each sample has drawn before.
        """
        return Draws(self, samples, first_number, np.asarray(history, np.int64), position)

    def probabilities(self, scores: Scores, history: Sequence[int] | Ids = ()) -> NDArray[np.float64]:
        """Return the probabilities (B, V) with which tokens are drawn.

        Args:
            scores: logits or log-probabilities, (B, V).
            history: earlier tokens, the oldest first.
        """
        rows, size = scores.shape
        centred, _ = _centre(scores[:, self.first :])
        used = None
        if self.repetition_penalty > 1:
            used = Used(np.asarray(history, np.int64), rows, size, self.repetition_window).mask()[:, self.first :]
        weights = self._weights(centred, used)
        if weights is None:
            weights = _only_largest(self._penalised(centred, used))
        full = np.zeros((rows, size))
        full[:, self.first :] = weights / weights.sum(axis=1, keepdims=True, dtype=np.float64)
        return full

    @property
    def first(self) -> int:
        """The lowest token number that may be drawn."""
        return UNKNOWN if self.draw_unknown else UNKNOWN + 1

    def _penalised(self, scores: Scores, used: NDArray[np.bool_] | None) -> Scores:
        """Return scores (B, K) after the penalty, the largest of each row 0."""
        if used is None:
            return scores
        finite = np.isfinite(scores)
        mean = np.where(finite, scores, 0).sum(axis=1, keepdims=True) / finite.sum(axis=1, keepdims=True)
        apart = (scores - mean).astype(scores.dtype)
        theta = self.repetition_penalty
        # the minimum is z/θ for positive z and zθ for negative z
        penalised = np.where(used, np.minimum(apart / theta, apart * theta), apart)
        centred: Scores = penalised - penalised.max(axis=1, keepdims=True)
        return centred

    def _weights(self, scores: Scores, used: NDArray[np.bool_] | None) -> Scores | None:
        """Return unnormalized probabilities (B, K), 0 for removed tokens; None at temperature 0."""
        if self.temperature == 0:
            return None
        scores = self._penalised(scores, used)
        if self.temperature != 1:
            scores = scores / self.temperature
        return self._cut(np.exp(scores))

    def _cut(self, weights: Scores) -> Scores:
        """Return weights (B, K) with 0 for tokens that top_k, top_p and min_p remove; the largest weight is 1."""
        rows, size = weights.shape
        k = min(self.top_k or size, size)
        if k < size or self.top_p < 1:
            best = weights if k == size else np.partition(weights, size - k, axis=1)[:, size - k :]
            count = np.full(rows, k)
            if self.top_p < 1:
                best = np.sort(best, axis=1)[:, ::-1]
                shares = np.add.accumulate(best, axis=1, dtype=np.float64)
                count = np.add.reduce(shares < self.top_p * shares[:, -1:], axis=1, dtype=np.int64) + 1
                lowest = best[np.arange(rows), count - 1]
            else:
                lowest = np.minimum.reduce(best, axis=1)
            weights = weights * _largest(weights, lowest[:, None], count[:, None])
        if self.min_p > 0:
            weights = weights * (weights >= self.min_p)
        return weights


class Draws:
    """The draws of a batch of samples, token by token; made by :meth:`Sampler.start`.

    Example:
        >>> draws = Sampler(seed=1).start(3)
        >>> ids, log_probabilities = draws.draw(np.zeros((3, 12), np.float32))
        >>> ids.shape, log_probabilities.round(3).tolist()
        ((3,), [-2.398, -2.398, -2.398])
        >>> draws.select([0, 2])
        >>> draws.numbers.tolist()
        [0, 2]
    """

    def __init__(self, sampler: Sampler, samples: int, first_number: int, history: Ids, position: int) -> None:
        samples = _check.whole("samples", samples, 1)
        self.sampler = sampler
        self.numbers = np.arange(first_number, first_number + samples)
        self.position = position
        self._seed = int.from_bytes(os.urandom(8), "little") if sampler.seed is None else sampler.seed
        self._history = history
        self._used: Used | None = None
        self._block, self._uniforms = -1, np.empty((samples, 0))
        cuts = sampler.top_k > 0 or sampler.top_p < 1 or sampler.min_p > 0
        self._shapes = cuts or sampler.temperature != 1 or sampler.repetition_penalty > 1

    def draw(self, scores: Scores) -> tuple[Ids, NDArray[np.float64]]:
        """Return one token for each sample, and its log-probability.

        Args:
            scores: logits or log-probabilities of the next token, (B, V); padding (0) counts as impossible.

        Returns:
            token numbers (B,), and their log-probabilities (B,) in nats under the model itself: at temperature 1,
            without cuts or penalty, and including the unknown token.

        Raises:
            InputError: the scores have another number of samples, or are not finite.
        """
        first = self.sampler.first
        if scores.ndim != 2 or len(scores) != len(self.numbers) or scores.shape[1] <= first:
            expected = f"({len(self.numbers)}, V) with V above {first}"
            raise InputError(describe("shape of the scores", scores.shape, expected))
        if self._used is None and self.sampler.repetition_penalty > 1:
            window = self.sampler.repetition_window
            self._used = Used(self._history, len(scores), scores.shape[1], window)
        ids, log_probabilities = (self._draw_one if len(scores) == 1 else self._draw_all)(scores, first)
        self.position += 1
        if self._used is not None:
            self._used.add(ids)
        return ids, log_probabilities

    def _draw_all(self, scores: Scores, first: int) -> tuple[Ids, NDArray[np.float64]]:
        centred, top = _centre(scores[:, first:])
        plain = np.exp(centred)
        weights = self._weights(centred, plain)
        if weights is plain:
            picked, total = pick(plain, self._next_uniforms())
        else:
            picked = self._likeliest(centred) if weights is None else pick(weights, self._next_uniforms())[0]
            total = np.add.reduce(plain, axis=1, dtype=np.float64)
        normaliser: NDArray[np.float64] = np.log(total)
        if first > UNKNOWN:
            normaliser = np.logaddexp(normaliser, scores[:, UNKNOWN].astype(np.float64) - top[:, 0])
        log_probabilities: NDArray[np.float64] = centred[np.arange(len(scores)), picked] - normaliser
        return picked + first, log_probabilities

    def _draw_one(self, scores: Scores, first: int) -> tuple[Ids, NDArray[np.float64]]:
        """Do the same as :meth:`_draw_all` for a batch of one, with fewer calls of NumPy."""
        row = scores[0, first:]
        top = row.item(row.argmax())
        if not math.isfinite(top):
            raise _not_finite()
        centred = row - top
        plain = np.exp(centred)
        weights = self._weights(centred[None], plain[None]) if self._shapes else plain[None]
        if weights is None:
            picked, total = int(self._likeliest(centred[None])[0]), float(plain.sum(dtype=np.float64))
        elif row.size > DIRECT:
            several, totals = pick(weights, self._next_uniforms())
            picked, total = int(several[0]), float(totals[0])
        else:
            cumulative = np.add.accumulate(weights[0], dtype=np.float64)
            total = cumulative.item(-1)
            picked = int(cumulative.searchsorted(self._next_uniforms().item(0) * total, "right"))
        if self._shapes and weights is not None:
            total = float(plain.sum(dtype=np.float64))
        normaliser = math.log(total)
        if first > UNKNOWN:
            normaliser = _log_add(normaliser, scores.item(UNKNOWN) - top)
        return np.array([picked + first]), np.array([centred.item(picked) - normaliser])

    def select(self, rows: Sequence[int] | Ids) -> None:
        """Continue with some of the samples only, by their rows in the batch."""
        indices = np.asarray(rows, np.int64)
        self.numbers, self._uniforms = self.numbers[indices], self._uniforms[indices]
        if self._used is not None:
            self._used.select(indices)

    def _mask(self) -> NDArray[np.bool_] | None:
        return None if self._used is None else self._used.mask()[:, self.sampler.first :]

    def _likeliest(self, centred: Scores) -> NDArray[np.int64]:
        likeliest: NDArray[np.int64] = self.sampler._penalised(centred, self._mask()).argmax(axis=1)
        return likeliest

    def _weights(self, centred: Scores, plain: Scores) -> Scores | None:
        """Return the weights for drawing; ``plain``, the exponentials of ``centred``, if no option changes them."""
        return self.sampler._weights(centred, self._mask()) if self._shapes else plain

    def _next_uniforms(self) -> NDArray[np.float64]:
        """Return the number in [0, 1) of each sample for this position, (B,)."""
        block, column = divmod(self.position, _BLOCK)
        if block != self._block:
            self._block = block
            self._uniforms = np.stack([_uniforms(self._seed, int(number), block) for number in self.numbers])
        uniforms: NDArray[np.float64] = self._uniforms[:, column]
        return uniforms


def _uniforms(seed: int, number: int, block: int) -> NDArray[np.float64]:
    """Return one block of a sample's uniform numbers, a pure function of the arguments."""
    key = np.array([seed, number], np.uint64)
    counter = np.array([block * (_BLOCK // _PER_COUNTER), 0, 0, 0], np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=key)).random(_BLOCK)


def _centre(scores: Scores) -> tuple[Scores, Scores]:
    """Return scores minus the largest of their row, and the largest, (B, 1)."""
    top = np.maximum.reduce(scores, axis=1, keepdims=True)
    if not np.isfinite(top).all():
        raise _not_finite()
    return scores - top, top


def _not_finite() -> InputError:
    fix = "The model's weights may be damaged, or its training diverged."
    return InputError(f"scores of the next token: got NaN or infinity; expected finite numbers. {fix}")


def _log_add(a: float, b: float) -> float:
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))


def _largest(weights: Scores, lowest: Scores, count: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a mask of the ``count`` (B, 1) largest; ``lowest`` (B, 1) is the smallest of them, ties go by number."""
    mask = weights >= lowest
    if np.count_nonzero(mask) > count.sum():
        equal = weights == lowest
        above = count - (mask.sum(axis=1, keepdims=True) - equal.sum(axis=1, keepdims=True))
        mask &= ~equal | (equal.cumsum(axis=1) <= above)
    return mask


def _only_largest(scores: Scores) -> Scores:
    """Return 1 for the first maximum of each row, 0 elsewhere."""
    only = np.zeros_like(scores)
    only[np.arange(len(scores)), scores.argmax(axis=1)] = 1
    return only


def _temperature(value: Any) -> float:
    real = _check.number("temperature", value, 0)
    if real == 0 or _COOLEST <= real <= _HOTTEST:
        return real
    fix = "For the likeliest token take 0." if real < _COOLEST else ""
    raise InputError(describe("temperature", value, f"0, or a number in [{_COOLEST:g}, {_HOTTEST:g}]", fix))


def _top_p(value: Any) -> float:
    real = _check.number("top_p", value)
    if 0 < real <= 1:
        return real
    fix = "For the likeliest token take top_k=1." if real == 0 else ""
    raise InputError(describe("top_p", value, "a number in (0, 1]", fix))
