"""The step function: what sampling, greedy decoding and beam search run on, whatever computes it.

Axes: N rows (sequences side by side), T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Scores = NDArray[np.floating[Any]]


class StepFunction(Protocol):
    """A model that scores the next token of many sequences side by side.

    A state is whatever the model makes of it. None of the methods may change its argument ``state``.
    """

    def begin(self, batch: int, memory: Any = None, /) -> Any:
        """Return the state of N sequences before their first token.

        Args:
            batch: N.
            memory: what the model reads beside the tokens, such as an encoded sentence for each of the N sequences.
        """

    def step(self, ids: Ids, state: Any, /) -> tuple[Scores, Any]:
        """Return the scores (N, V) of the next token after one more token of each sequence, int64 (N,), and the state.

        Searches need log-probabilities; the drawing of texts takes logits too.
        """

    def select(self, state: Any, rows: Ids, /) -> Any:
        """Return the state of the sequences with these indices, int64 (k,), which may repeat.

        It copies what steps write. Of what they only read (a memory and its keys) it moves row numbers. In a search
        the sequences that share a memory stay next to each other.
        """


@runtime_checkable
class PromptReader(Protocol):
    """A step function that can take several tokens at once."""

    def read(self, ids: Ids, state: Any, /) -> tuple[Scores, Any]:
        """Return the scores (1, V) of the next token after T >= 1 more tokens of one sequence, and the state."""


@runtime_checkable
class Lister(Protocol):
    """A step function that finds the likeliest tokens of a row itself, so that nobody looks through all of them."""

    @property
    def most_listed(self) -> int:
        """Most tokens W that it lists of a row; 0 where it lists none."""

    @property
    def vocabulary(self) -> int:
        """Vocabulary size V."""

    def largest(self, ids: Ids, state: Any, count: int, apart: Sequence[int], /) -> tuple[Ids, Scores, Scores, Any]:
        """Return the likeliest tokens (N, W) after one more token of each sequence, int64 (N,), and the state.

        Args:
            ids: one more token of each sequence, int64 (N,).
            state: of the sequences.
            count: W, in [1, most_listed].
            apart: A tokens that are not listed.

        Returns:
            the tokens, the likeliest first, of equals the lower; their log-probabilities (N, W), minus infinity where a
            row has fewer tokens; those of the tokens apart (N, A); and the state.
        """
