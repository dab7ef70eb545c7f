"""A trained model as the runtime sees it: NumPy in, NumPy out, the state a flat list of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils import _pytree

from rekur.models.build import LiveState, SequenceModel

Arrays = list[NDArray[Any]]


class LiveModel:
    """One step of a causal :class:`SequenceModel` for one live sequence.

    Args:
        model: the model; it is put into evaluation mode.
        fingerprint: of the bundle, to which saved states are bound.
    """

    def __init__(self, model: SequenceModel, fingerprint: str) -> None:
        self._model = model.eval()
        self.fingerprint = fingerprint
        with torch.no_grad():
            self._layout = _pytree.tree_structure(model.initial_state(1))

    def initial_state(self) -> Arrays:
        """Return the state before the first step."""
        with torch.no_grad():
            return self._flat(self._model.initial_state(1))

    def step(self, steps: NDArray[Any], state: Arrays) -> Arrays:
        """Return the state after the steps (k,) or (k, D)."""
        if len(steps) == 0:
            return state
        x = torch.from_numpy(np.ascontiguousarray(steps))
        x = x.long() if self._model.spec.discrete else x.float()
        with torch.no_grad():
            return self._flat(self._model.advance(x.unsqueeze(0), self._nested(state)))

    def read(self, state: Arrays) -> NDArray[Any]:
        """Return the scores (K,) as if the sequence ended here."""
        with torch.no_grad():
            return np.asarray(self._model.read(self._nested(state))[0].numpy())

    def _flat(self, state: LiveState) -> Arrays:
        return [leaf.numpy().copy() for leaf in _pytree.tree_leaves(state)]

    def _nested(self, state: Arrays) -> LiveState:
        leaves = [torch.from_numpy(array) for array in state]
        nested: LiveState = _pytree.tree_unflatten(leaves, self._layout)
        return nested
