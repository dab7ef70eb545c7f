r"""Ridge regression in closed form, with its penalty chosen by leaving out one item at a time.

.. math:: \min_{W, b} \sum_i v_i \lVert y_i - W z_i - b \rVert^2 + \alpha \lVert W \rVert^2

Columns are standardized first. With :math:`G = \tilde Z \tilde Z^\top + \alpha I` of the centered rows, times the
roots of their weights, the error at an item that is left out is :math:`(G^{-1} \tilde y)_i / (G^{-1}_{ii} - h_i)`. The
intercept has no penalty, so its part :math:`h_i = v_i / (\alpha \sum_j v_j)` of the diagonal is not one of the fit.

Axes: N items, F numbers of an item, K outputs.

Reference: Golub, Heath and Wahba 1979, Generalized cross-validation, https://doi.org/10.1080/00401706.1979.10489751.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: penalties that are tried, of standardized columns
PENALTIES = tuple(float(each) for each in np.logspace(-3, 5, 13))
#: the same where targets are labels: stronger ones make errors small and labels alike
PENALTIES_OF_LABELS = PENALTIES[:10]
#: columns whose products are added at once
_BLOCK = 1024
#: standard deviation up to which a column is constant but for rounding
_CONSTANT = 1e-7
#: sharpness of scores that is tried: factors before the softmax
_SHARPNESS = tuple(float(each) for each in np.geomspace(0.1, 100.0, 61))
#: added to the log loss for each squared step of a factor from 1, so that separable items keep it finite
EVEN = 1e-3


@dataclass(frozen=True)
class Linear:
    """A linear map: ``table @ weights.T + bias``.

    Attributes:
        weights: (K, F).
        bias: (K,).
        penalty: that was chosen.
        errors: of each item, were it left out, (N, K).
    """

    weights: Floats
    bias: Floats
    penalty: float
    errors: Floats

    def of(self, table: NDArray[Any]) -> Floats:
        """Return the predictions (N, K) of items by their numbers, (N, F)."""
        return np.asarray(table @ self.weights.T + self.bias)


@dataclass(frozen=True)
class _Eigen:
    """The products of items, decomposed.

    Attributes:
        rows: numbers of the items, (N,).
        shares: of their weights in the sum, (N,).
        mean: of their targets, (K,).
        roots: of their weights, (N,).
        values: eigenvalues of the products, (N,).
        vectors: their eigenvectors, (N, N).
        sides: targets along these, (N, K).
    """

    rows: Ints
    shares: Floats
    mean: Floats
    roots: Floats
    values: Floats
    vectors: Floats
    sides: Floats

    def duals(self, penalty: float) -> Floats:
        """Return the dual weights of the regression with a penalty, (N, K)."""
        return np.asarray(self.vectors @ ((1.0 / (self.values + penalty))[:, None] * self.sides))


class Ridge:
    """Ridge regressions on parts of the same items.

    Args:
        table: numbers of the items, (N, F).
        targets: (N, K).
        weights: of the items, (N,), above 0; None for 1.
    """

    def __init__(self, table: NDArray[Any], targets: Floats, weights: Floats | None = None) -> None:
        count = len(table)
        self._targets = np.asarray(targets, np.float64)
        self._weights = np.ones(count) if weights is None else np.asarray(weights, np.float64)
        self._table = table
        self._mean, self._scale = np.empty(table.shape[1]), np.empty(table.shape[1])
        self._products = np.zeros((count, count))
        for first in range(0, table.shape[1], _BLOCK):
            part = slice(first, first + _BLOCK)
            block = np.asarray(table[:, part], np.float64)
            self._mean[part] = np.average(block, axis=0, weights=self._weights)
            scale = np.sqrt(np.average((block - self._mean[part]) ** 2, axis=0, weights=self._weights))
            self._scale[part] = np.where(scale > _CONSTANT, scale, np.inf)  # a constant column says nothing
            block = self._standardized(part)
            self._products += block @ block.T

    def fit(
        self,
        rows: Ints | None = None,
        penalties: Sequence[float] = PENALTIES,
        targets: Floats | None = None,
        folds: Ints | None = None,
    ) -> Linear:
        """Return the regression of some of the items; of all without ``rows``.

        Args:
            rows: numbers of the items.
            penalties: to choose from by the errors at items left out.
            targets: of all items, (N, K), for this regression alone; by default those of all.
            folds: of all items, (N,), where those of one are alike: errors are then those of regressions on the items
                of the other folds. None leaves out one item at a time.
        """
        targets = self._targets if targets is None else np.asarray(targets, np.float64)
        rows = np.arange(len(self._targets)) if rows is None else rows
        if folds is not None and len(penalties) > 1 and len(np.unique(folds[rows])) > 1:
            penalties = (self._best_penalty(rows, penalties, targets, folds[rows]),)
        penalty, duals, mean, errors = self._solve(rows, penalties, targets)
        weights = np.empty((self._targets.shape[1], self._table.shape[1]))
        center = np.empty(self._table.shape[1])
        for first in range(0, self._table.shape[1], _BLOCK):
            part = slice(first, first + _BLOCK)
            block = self._standardized(part)[rows]
            center[part] = np.average(block, axis=0, weights=self._weights[rows])
            weights[:, part] = duals.T @ block / self._scale[part]  # the duals of an output add up to 0
        varies = np.isfinite(self._scale)
        bias = mean - weights[:, varies] @ (self._mean[varies] + self._scale[varies] * center[varies])
        return Linear(weights, bias, penalty, errors)

    def held_out(self, folds: Ints, penalty: float) -> Floats:
        """Return the prediction of each item by the regression on the items of the other folds, (N, K).

        Args:
            folds: the fold of each item, (N,).
            penalty: of every regression.
        """
        predicted = np.empty_like(self._targets)
        for fold in np.unique(folds):
            rows, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            predicted[rows] = self._predictions(rows, self._eigen(others, self._targets), penalty)
        return predicted

    def _best_penalty(self, rows: Ints, penalties: Sequence[float], targets: Floats, folds: Ints) -> float:
        """Return the penalty with the least errors at the items of each fold, by regressions on those of the others."""
        errors = np.zeros(len(penalties))
        for fold in np.unique(folds):
            left_out, others = rows[folds == fold], rows[folds != fold]
            eigen = self._eigen(others, targets)
            for number, alpha in enumerate(penalties):
                away = self._predictions(left_out, eigen, alpha) - targets[left_out]
                errors[number] += float(self._weights[left_out] @ (away**2).sum(axis=1))
        return penalties[int(np.argmin(errors))]

    def _eigen(self, rows: Ints, targets: Floats) -> _Eigen:
        """Return the decomposition of the products of some items, by which any penalty is soon solved."""
        weights = self._weights[rows]
        shares = weights / weights.sum()
        mean, roots = shares @ targets[rows], np.sqrt(weights)
        products = self._products[np.ix_(rows, rows)]
        products = products - shares @ products
        products -= (products @ shares)[:, None]
        values, vectors = np.linalg.eigh(roots[:, None] * products * roots)
        sides = vectors.T @ (roots[:, None] * (targets[rows] - mean))
        return _Eigen(rows, shares, mean, roots, np.maximum(values, 0.0), vectors, sides)

    def _predictions(self, rows: Ints, eigen: _Eigen, penalty: float) -> Floats:
        """Return the predictions of items (N', K) by the regression on other ones."""
        others, duals = eigen.rows, eigen.duals(penalty)
        products = self._products[np.ix_(rows, others)] - eigen.shares @ self._products[np.ix_(others, others)]
        return np.asarray(eigen.mean + products @ (eigen.roots[:, None] * duals))

    def _solve(self, rows: Ints, penalties: Sequence[float], targets: Floats) -> tuple[float, Floats, Floats, Floats]:
        """Return penalty, dual weights (N', K), means of the targets (K,), and errors at items left out (N', K)."""
        eigen, tried = self._eigen(rows, targets), []
        for alpha in penalties:
            duals = eigen.duals(alpha)
            diagonal = (eigen.vectors**2) @ (1.0 / (eigen.values + alpha)) - eigen.shares / alpha
            errors = duals / np.maximum(diagonal, 1e-12)[:, None] / eigen.roots[:, None]
            loss = float(self._weights[rows] @ (errors**2).sum(axis=1))
            tried.append((loss, alpha, eigen.roots[:, None] * duals, errors))
        _, alpha, duals, errors = min(tried, key=lambda each: each[0])
        return alpha, duals, eigen.mean, errors

    def _standardized(self, part: slice) -> Floats:
        return np.asarray((self._table[:, part] - self._mean[part]) / self._scale[part], np.float64)


def even_folds(classes: NDArray[Any], count: int, seed: int = 0) -> Ints:
    """Return the fold of each item, (N,): as many items in each as can be, and of each class too.

    Args:
        classes: by which items are spread; of numbers their order.
        count: of folds; fewer where the items are fewer.
        seed: of the order of the items of a class.

    Example:
        >>> np.bincount(even_folds(np.array([0] * 6 + [1] * 4), 5)).tolist()
        [2, 2, 2, 2, 2]
    """
    shuffled = np.random.default_rng(seed).permutation(len(classes))
    order = shuffled[np.argsort(classes[shuffled], kind="stable")]
    folds = np.empty(len(classes), np.int64)
    folds[order] = np.arange(len(classes)) % count
    return folds


def sharpness(scores: Floats, log_loss: Callable[[Floats], float]) -> float:
    """Return the factor of scores (N, M) with the smallest log loss."""
    losses = [log_loss(factor * scores) + EVEN * np.log(factor) ** 2 for factor in _SHARPNESS]
    return _SHARPNESS[int(np.argmin(losses))]
