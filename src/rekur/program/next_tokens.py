"""The last ops of a step of a target, joined: the log-probabilities of the next token, all of them or the largest.

Axes: N rows, D numbers of a row that is scored, V target tokens, W tokens that are listed, A tokens apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from rekur import _kernels
from rekur._tensors import Array
from rekur.program.ops import Op
from rekur.program.stages import Stage

_JOINED = ("affine", "log_softmax", "padding")


class NextTokens(Stage):
    """A product with a matrix that is packed once, the logarithm of its softmax, and padding in front.

    Args:
        product: the stage of the product.
        last: the op of the padding.
    """

    def __init__(self, product: Stage, last: Op) -> None:
        super().__init__(replace(last, reads=product.op.reads), product.weights, product.threads)
        self._matrix = _kernels.kernels.Matrix(self.weights["weight"], self.weights.get("bias"))

    def rows(self, reads: list[Array]) -> Array:
        size = self.op.size
        scores = np.empty((len(reads[0]), size), np.float32)
        self._matrix.product(np.ascontiguousarray(reads[0]), scores.reshape(-1)[1:], size, self.threads)
        _kernels.kernels.log_softmax(scores, 1, self.threads)
        return scores

    def largest(self, rows: Array, count: int, apart: Sequence[int]) -> tuple[Array, Array, Array]:
        """Return the likeliest tokens (N, W), their log-probabilities, and those of some others (N, A).

        Args:
            rows: scored rows, (N, D).
            count: W; where a row has fewer tokens, the others have minus infinity.
            apart: the others, which are not listed; padding has minus infinity.
        """
        columns = np.array([number - 1 for number in apart if number], np.int64)
        tokens, scores = np.empty((len(rows), count), np.int64), np.empty((len(rows), count), np.float32)
        others = np.empty((len(rows), len(columns)), np.float32)
        self._matrix.likeliest(np.ascontiguousarray(rows), columns, tokens, scores, others, self.threads)
        tokens += 1
        if len(columns) == len(apart):
            return tokens, scores, others
        of_apart = np.full((len(rows), len(apart)), -np.inf, np.float32)
        of_apart[:, [index for index, number in enumerate(apart) if number]] = others
        return tokens, scores, of_apart


def join_scores(stages: list[Stage], output: str, made: dict[str, NextTokens]) -> list[Stage]:
    """Return stages with the last three as one, if they give log-probabilities of tokens and the kernels are there.

    Args:
        stages: the stages.
        output: the register that is read after them.
        made: register -> the stage that writes it, for all lists of ops of an engine; a missing one is added.
    """
    last = stages[-len(_JOINED) :]
    has_kernel = hasattr(_kernels.kernels, "Matrix")  # kernels that were compiled earlier lack it
    if not has_kernel or tuple(stage.op.kind for stage in last) != _JOINED:
        return stages
    if last[-1].op.writes != output or any(stage.op.reads != (first.op.writes,) for first, stage in pairwise(last)):
        return stages
    if output not in made:
        made[output] = NextTokens(last[0], last[-1].op)
    return [*stages[: -len(_JOINED)], made[output]]
