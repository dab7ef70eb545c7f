"""A trained model as a session sees it: NumPy in, NumPy out, the state a flat list of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import _pytree

from rekur.models.build import LiveState, SequenceModel

Arrays = list[NDArray[Any]]


class LiveModel:
    """A causal :class:`SequenceModel` for one live sequence after another, where no program can be made of it.

    Args:
        model: the model; it is put into evaluation mode.
        fingerprint: of the bundle, to which saved states are bound.
    """

    def __init__(self, model: SequenceModel, fingerprint: str) -> None:
        self._model = model.eval()
        self.fingerprint = fingerprint

    def live(self) -> LiveSteps:
        """Return a new sequence."""
        return LiveSteps(self._model)


class LiveSteps:
    """One sequence of a model.

    Args:
        model: the model, in evaluation mode.
    """

    def __init__(self, model: SequenceModel) -> None:
        self._model = model
        with torch.no_grad():
            self._state = model.initial_state(1)
        self._layout = _pytree.tree_structure(self._state)

    def advance(self, steps: NDArray[Any]) -> None:
        """Take the steps (T,) or (T, D)."""
        self._state = self._after(steps)

    def scores(self, pending: NDArray[Any]) -> NDArray[Any]:
        """Return the scores (K,) as if the sequence ended after these steps, which are forgotten again."""
        with torch.no_grad():
            return np.asarray(self._model.read(self._after(pending))[0].numpy())

    def get_state(self) -> Arrays:
        """Return copies of everything that is remembered."""
        return [leaf.numpy().copy() for leaf in _pytree.tree_leaves(self._state)]

    def set_state(self, state: Arrays) -> None:
        """Take over what :meth:`get_state` returned."""
        self._state = _pytree.tree_unflatten([torch.tensor(array) for array in state], self._layout)

    def _after(self, steps: NDArray[Any]) -> LiveState:
        if len(steps) == 0:
            return self._state
        x = torch.from_numpy(np.ascontiguousarray(steps))
        x = x.long() if self._model.spec.discrete else x.float()
        with torch.no_grad():
            return self._model.advance(x.unsqueeze(0), self._state)
