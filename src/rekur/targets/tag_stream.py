"""Tags of a live sequence: outputs and contexts that come in pieces.

Axes: R rows of outputs, T steps, K outputs of a step.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

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

    def begins(self, context: Any) -> list[int]: ...

    def join(self, pieces: Sequence[Any]) -> Sequence[Tag]: ...

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
        held = len(self._rows)
        self._rows = np.concatenate([self._rows, finite(outputs)])
        self._context = join_contexts(self._context, context)
        if self._target.exact:
            return None, None
        is_list, end = isinstance(self._context, list), len(self._rows)
        begins = self._target.begins(self._context[held:end]) if is_list else []
        pieces = _Pieces(self._target, self._rows, self._previous)
        for number, (first, last) in enumerate(pairwise([held, *(held + step for step in begins), end])):
            if number:
                pieces.add(self._greedy.finish())
                pieces.previous = -1
            pieces.add(self._greedy.push(self._rows[first:last]))
        return self._take(pieces)

    def finish(self) -> tuple[Sequence[Tag] | None, Any]:
        """Return the tags that were held back."""
        exact = self._target.exact
        pieces = _Pieces(self._target, self._rows, self._previous)
        pieces.add(viterbi(self._rows, self._target.transitions) if exact else self._greedy.finish())
        return self._take(pieces)

    def _take(self, pieces: _Pieces) -> tuple[Sequence[Tag] | None, Any]:
        """Return the tags of pieces and their context, which wait no longer."""
        count, context = pieces.count, self._context
        self._rows, self._previous = self._rows[count:], pieces.previous
        if not count:
            return None, None
        if isinstance(context, list):
            context, self._context = context[:count], context[count:]
        return self._target.join(pieces.tags), context

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


class _Pieces:
    """Tags of the first of some rows, taken piece by piece.

    Args:
        target: names tags.
        rows: outputs, (R, K).
        previous: the number of the tag before them; -1 at the start of a sequence.
    """

    def __init__(self, target: _Decodes, rows: NDArray[np.float64], previous: int) -> None:
        self._target, self._rows = target, rows
        self.count, self.previous = 0, previous
        self.tags: list[Sequence[Tag]] = []

    def add(self, path: NDArray[np.int64]) -> None:
        """Take the numbers of the tags of the next rows, (T,)."""
        if len(path):
            rows = self._rows[self.count : self.count + len(path)]
            self.tags.append(self._target.tags_of_path(path, rows, self.previous))
            self.count, self.previous = self.count + len(path), int(path[-1])


def finite(outputs: Outputs) -> NDArray[np.float64]:
    """Return outputs as float64 without NaN and infinities, which a model that diverged gives."""
    return np.nan_to_num(np.asarray(outputs, np.float64), nan=-1e30, posinf=1e30, neginf=-1e30)
