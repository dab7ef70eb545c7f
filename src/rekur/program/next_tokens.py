"""The last ops of a step of a target, joined: the log-probabilities of the next token in one array.

Axes: N rows, D numbers of a row that is scored, V target tokens.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from rekur import _kernels
from rekur._tensors import Array
from rekur.program.ops import Op
from rekur.program.stages import Stage

_JOINED = ("affine", "log_softmax", "padding")


class NextTokens(Stage):
    """A product with a matrix, the logarithm of its softmax, and padding in front; nothing is copied.

    Args:
        product: the stage of the product.
        last: the op of the padding.
    """

    def __init__(self, product: Stage, last: Op) -> None:
        super().__init__(replace(last, reads=product.op.reads), product.weights, product.threads)
        self._matrix = np.ascontiguousarray(product.weights["weight"].T)

    def rows(self, reads: list[Array]) -> Array:
        scores = np.empty((len(reads[0]), self.op.size), np.float32)
        np.matmul(reads[0], self._matrix, out=scores[:, 1:])
        _kernels.kernels.log_softmax(scores, self.weights.get("bias"), 1, self.threads)
        return scores


def join_scores(stages: list[Stage], output: str, made: dict[str, NextTokens]) -> list[Stage]:
    """Return stages with the last three as one, if they give log-probabilities of tokens and the kernels are there.

    Args:
        stages: the stages.
        output: the register that is read after them.
        made: register -> the stage that writes it, for all lists of ops of an engine; a missing one is added.
    """
    last = stages[-len(_JOINED) :]
    has_kernel = hasattr(_kernels.kernels, "log_softmax")  # kernels that were compiled earlier lack it
    if not has_kernel or tuple(stage.op.kind for stage in last) != _JOINED:
        return stages
    if last[-1].op.writes != output or any(stage.op.reads != (first.op.writes,) for first, stage in pairwise(last)):
        return stages
    if output not in made:
        made[output] = NextTokens(last[0], last[-1].op)
    return [*stages[: -len(_JOINED)], made[output]]
