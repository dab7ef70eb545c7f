"""A language network as the decoder sees it: NumPy in, NumPy out, the state of many texts side by side.

Axes: B texts side by side, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rekur.models.language import LanguageNetwork, LanguageState, select_rows

#: tokens of a prompt that are read at once
_CHUNK = 1024


class LiveLanguage:
    """The step function of a trained network; see :class:`rekur.decode.StepFunction`.

    Args:
        network: the network; it is put into evaluation mode.
    """

    def __init__(self, network: LanguageNetwork) -> None:
        self._network = network.eval()

    @torch.inference_mode()
    def start(self, prompt: NDArray[np.int64]) -> tuple[NDArray[np.float32], LanguageState]:
        """Return the scores (1, V) of what follows a prompt (T,), and the state behind it."""
        ids = torch.from_numpy(np.concatenate([np.zeros(1, np.int64), prompt]))[None]  # 0 is where a text begins
        state = self._network.initial_state(1)
        for start in range(0, ids.shape[1], _CHUNK):
            hidden, state = self._network.read(ids[:, start : start + _CHUNK], state)
        return np.asarray(self._network.head.logits(hidden[:, -1]).numpy()), state

    @torch.inference_mode()
    def step(self, ids: NDArray[np.int64], state: LanguageState) -> tuple[NDArray[np.float32], LanguageState]:
        """Return the scores (B, V) of what follows one more token of each text, (B,), and the state."""
        scores, after = self._network.step(torch.from_numpy(ids), state)
        return np.asarray(scores.numpy()), after

    @torch.inference_mode()
    def select(self, state: Any, rows: NDArray[np.int64]) -> LanguageState:
        """Return the state of some of the texts."""
        return select_rows(state, torch.from_numpy(rows))
