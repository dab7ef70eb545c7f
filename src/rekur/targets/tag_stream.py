"""Tags of a live sequence: outputs and contexts that come in pieces.

Axes: R rows of outputs, T steps, K outputs of a step.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rekur._tokenizer import begins_of
from rekur.decode.transitions import GreedyTags, Transitions, viterbi
from rekur.targets.base import Outputs, TargetStream, join_contexts


class Tag(NamedTuple):
    """The predicted tag of a step.

    Attributes:
        name: the tag, as labels have it.
        probability: of the tag, in [0, 1].
    """

    name: Any
    probability: float


class _Decodes(Protocol):
    """A target of tags."""

    exact: bool
    transitions: Transitions

    @property
    def size(self) -> int: ...

    def tags_of_path(self, path: NDArray[np.int64], rows: NDArray[np.float64], previous: int = -1) -> Sequence[Tag]: ...


class TagStream(TargetStream):
    """Tags from outputs that come in pieces; contexts wait for the tags of their steps.

    Where an entry of a context begins another sequence of a text, tags are decoded anew from there on.

    Args:
        target: the target.
    """

    def __init__(self, target: _Decodes) -> None:
        self._target = target
        self._greedy = GreedyTags(target.transitions)
        self._rows = np.empty((0, target.size))
        self._context: Any = None
        self._previous = -1

    def push(self, outputs: Outputs, context: Any = None) -> tuple[Sequence[Tag] | None, Any]:
        """Take the next outputs (R, K); return the tags that will not change, and their context."""
        rows, held = finite(outputs), len(self._rows)
        self._context = join_contexts(self._context, context)
        if self._target.exact:
            self._rows = np.concatenate([self._rows, rows])
            return None, None
        begins = begins_of(self._context[held : held + len(rows)] if isinstance(self._context, list) else None)
        pieces = []
        for start, end in pairwise([*([] if begins[:1] == [0] else [0]), *begins, len(rows)]):
            if start in begins:
                pieces.append(self.finish())
                self._previous = -1
            self._rows = np.concatenate([self._rows, rows[start:end]])
            pieces.append(self._take(self._greedy.push(rows[start:end])))
        return _joined(pieces)

    def finish(self) -> tuple[Sequence[Tag] | None, Any]:
        """Return the tags that were held back."""
        exact = self._target.exact
        return self._take(viterbi(self._rows, self._target.transitions) if exact else self._greedy.finish())

    def _take(self, path: NDArray[np.int64]) -> tuple[Sequence[Tag] | None, Any]:
        count, context = len(path), self._context
        if not count:
            return None, None
        tags = self._target.tags_of_path(path, self._rows[:count], self._previous)
        self._rows, self._previous = self._rows[count:], int(path[-1])
        if isinstance(context, list):
            context, self._context = context[:count], context[count:]
        return tags, context

    def get_state(self) -> dict[str, Any]:
        """Return outputs and contexts that wait, and the tag before them, as plain JSON."""
        return {
            "greedy": self._greedy.get_state(),
            "rows": self._rows.tolist(),
            "context": copy.deepcopy(self._context),
            "previous": self._previous,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`get_state` returned."""
        self._greedy.set_state(state["greedy"])
        self._rows = np.array(state["rows"], np.float64).reshape(-1, self._target.size)
        self._context, self._previous = copy.deepcopy(state["context"]), int(state["previous"])


def _joined(pieces: list[tuple[Sequence[Tag] | None, Any]]) -> tuple[Sequence[Tag] | None, Any]:
    """Return pieces of a prediction, each with its context, as one."""
    filled = [(tags, context) for tags, context in pieces if tags is not None]
    if len(filled) < 2:
        return filled[0] if filled else (None, None)
    return [tag for tags, _ in filled for tag in tags], reduce(join_contexts, [context for _, context in filled])


def finite(outputs: Outputs) -> NDArray[np.float64]:
    """Return outputs as float64 without NaN and infinities, which a model that diverged gives."""
    return np.nan_to_num(np.asarray(outputs, np.float64), nan=-1e30, posinf=1e30, neginf=-1e30)
