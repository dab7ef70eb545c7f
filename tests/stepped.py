"""A model that is written as functions of its state, as a session runs it."""

from __future__ import annotations

from typing import Any

import numpy as np


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
