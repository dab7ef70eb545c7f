"""Drawing the next token.

Axes: B samples side by side, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur.errors import InputError, describe

Ids = NDArray[np.int64]
Scores = NDArray[np.floating[Any]]

#: padding and unknown stand for no text, and are never drawn
_NEVER = 2
#: random numbers that a sample gets at a time
_BLOCK = 256


class Sampler:
    r"""How the next token is drawn from its scores z.

    .. math:: p = \mathrm{keep}\left(\mathrm{softmax}(z / \tau)\right)

    In this order: the repetition penalty, the temperature, the k likeliest, the fewest that have ``top_p`` together,
    those with at least ``min_p`` times the largest probability; what is left is scaled to 1.

    Args:
        temperature: :math:`\tau`, 0 or more; 0 always takes the likeliest token.
        top_k: how many of the likeliest tokens are kept; 0 for all.
        top_p: probability that the tokens kept have together at least, in (0, 1].
        min_p: share of the largest probability that a token must have, in [0, 1).
        repetition_penalty: positive scores of tokens that were used are divided by it, negative ones multiplied; 1
            or more, 1 for no penalty.
        seed: of the draws, 0 or more; None for another each time.

    Raises:
        InputError: a value out of range.

    Reference:
        Holtzman et al., The Curious Case of Neural Text Degeneration, 2020 (top p); Fan et al., Hierarchical Neural
        Story Generation, 2018 (top k); Nguyen et al., Turning Up the Heat, 2024 (min p); Keskar et al., CTRL, 2019
        (repetition penalty).

    Example:
        >>> Sampler(temperature=0).keep(np.array([[0.0, 0.0, 1.0, 3.0]])).round(2).tolist()
        [[0.0, 0.0, 0.0, 1.0]]
    """

    def __init__(
        self,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        seed: int | None = None,
    ) -> None:
        self.temperature = _check.number("temperature", temperature, 0)
        self.top_k = _check.whole("top_k", top_k, low=0)
        self.top_p = _check.number("top_p", top_p, 0, 1)
        if self.top_p == 0:
            raise InputError(describe("top_p", top_p, "a number in (0, 1]", "For the likeliest token: temperature 0."))
        self.min_p = _check.number("min_p", min_p, 0, 1, open_high=True)
        self.repetition_penalty = _check.number("repetition_penalty", repetition_penalty, 1)
        self.seed = None if seed is None else _check.whole("seed", seed, low=0)

    def keep(self, scores: Scores, used: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Return the probabilities (B, V) with which tokens are drawn from scores (B, V).

        Args:
            scores: logits or log-probabilities of the next token.
            used: True for the tokens that a sample has used, (B, V); None for none.
        """
        wide = scores.astype(np.float64)
        wide[:, :_NEVER] = -np.inf
        if self.repetition_penalty > 1 and used is not None:
            penalised = np.where(wide > 0, wide / self.repetition_penalty, wide * self.repetition_penalty)
            wide = np.where(used, penalised, wide)
        if self.temperature == 0:
            chosen = np.zeros_like(wide)
            chosen[np.arange(len(wide)), wide.argmax(axis=1)] = 1.0
            return chosen
        wide -= wide.max(axis=1, keepdims=True)
        if self.temperature != 1:
            wide /= self.temperature
        np.exp(wide, out=wide)
        if 0 < self.top_k < wide.shape[1]:
            least = np.partition(wide, -self.top_k, axis=1)[:, -self.top_k, None]
            wide[wide < least] = 0.0
        if self.top_p < 1:
            wide = _nucleus(wide, self.top_p)
        if self.min_p:
            wide[wide < self.min_p * wide.max(axis=1, keepdims=True)] = 0.0
        return np.asarray(wide / wide.sum(axis=1, keepdims=True))

    def draw(self, scores: Scores, chances: NDArray[np.float64], used: NDArray[np.bool_] | None = None) -> Ids:
        """Return one token number for each sample, (B,).

        Args:
            scores: logits or log-probabilities of the next token, (B, V).
            chances: a number in [0, 1) for each sample, (B,); the same number gives the same token.
            used: True for the tokens that a sample has used, (B, V); None for none.
        """
        if self.temperature == 0 and self.repetition_penalty == 1:
            return scores[:, _NEVER:].argmax(axis=1) + _NEVER
        total = self.keep(scores, used).cumsum(axis=1)
        if len(total) == 1:
            found = np.searchsorted(total[0], chances * total[0, -1], side="right")
        else:
            found = (total <= (chances * total[:, -1])[:, None]).sum(axis=1)
        return np.minimum(found, scores.shape[1] - 1)

    def chances(self, samples: int) -> Chances:
        """Return the random numbers of a number of samples; those of a sample do not depend on the others."""
        return Chances(self.seed, samples)


class Chances:
    """Random numbers in [0, 1): one sequence a sample, from the seed and the sample's number alone.

    Args:
        seed: of all; None for another each time.
        samples: how many sequences there are.
    """

    def __init__(self, seed: int | None, samples: int) -> None:
        root = np.random.SeedSequence(seed).entropy
        self._draws = [np.random.default_rng((root, number)) for number in range(samples)]
        self._block = np.empty((samples, _BLOCK))
        self._step = _BLOCK

    def next(self, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the next number of these samples; all samples move on together."""
        if self._step == _BLOCK:
            for number in samples:
                self._block[number] = self._draws[number].random(_BLOCK)
            self._step = 0
        self._step += 1
        return self._block[samples, self._step - 1]


def _nucleus(weights: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Return the weights with all but the fewest largest ones that make up this share of each row set to 0."""
    order = np.argsort(-weights, axis=1, kind="stable")
    ranked = np.take_along_axis(weights, order, axis=1)
    before = ranked.cumsum(axis=1) - ranked
    ranked[before >= share * ranked.sum(axis=1, keepdims=True)] = 0.0
    kept = np.zeros_like(weights)
    np.put_along_axis(kept, order, ranked, axis=1)
    return kept
