"""Models that run step by step: as functions of their state for a session, and a language network in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from rekur.check.raw_outputs import RawOutputs

if TYPE_CHECKING:
    from torch import Tensor

    from rekur.models import LanguageNetwork, LanguageState


class Decoded(RawOutputs):
    """A decoder whose prediction of an item is made of its output (K,) by a function."""

    def __init__(self, decode: Callable[[Any], Any]) -> None:
        super().__init__(per_step=False)
        self._decode = decode

    def answer(self, outputs: Any) -> Any:
        return self._decode(outputs)


class Stepped:
    """One live sequence of a model that has ``initial_state``, ``step(steps, state)`` and ``read(state)``."""

    def __init__(self, model: Any) -> None:
        self.model, self.state = model, model.initial_state()

    def advance(self, steps: Any) -> None:
        if len(steps):
            self.state = self.model.step(steps, self.state)

    def scores(self, pending: Any) -> Any:
        return self.model.read(self.model.step(pending, self.state) if len(pending) else self.state)

    def get_state(self) -> list[Any]:
        return [np.array(array) for array in self.state]

    def set_state(self, state: list[Any]) -> None:
        self.state = [np.array(array) for array in state]


def language_step(network: LanguageNetwork, ids: Tensor, state: LanguageState) -> tuple[Tensor, LanguageState]:
    """Return the scores (B, V) of the next tokens after tokens (B,), and the state; the definition, cell by cell."""
    encoded, new_state = network.encode(ids[:, None], state)
    y = encoded[:, 0]
    new_layers = []
    for index, (layer, layer_state) in enumerate(zip(network.recurrent_layers(), state.layers, strict=True)):
        out, new_layer = layer.cell.step(y, layer_state)
        new_layers.append(new_layer)
        y = network.join(index, y, out)
    return network.head.logits(y), new_state._replace(layers=tuple(new_layers))
