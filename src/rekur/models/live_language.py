"""A language network as the decoder sees it: NumPy in, NumPy out, the state of many texts side by side.

Axes: B texts side by side, T tokens, V vocabulary.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rekur.models.language import LanguageNetwork, LanguageState, select_rows

#: tokens of a prompt that are read at once
_CHUNK = 1024

Ids = NDArray[np.int64]


class LiveLanguage:
    """The step function of a trained network that no program can be made of; see :class:`rekur.decode.StepFunction`.

    Args:
        network: the network; it is put into evaluation mode.

    Example:
        >>> from rekur.models import LanguageSpec, build_language
        >>> spec = LanguageSpec(vocabulary_size=10, hidden_size=8, embedding_size=4)
        >>> live = LiveLanguage(build_language(spec, seed=0))
        >>> scores, state = live.step(np.array([0, 0]), live.initial_state(2))
        >>> scores.shape, bool((scores[0] == scores[1]).all())
        ((2, 10), True)
    """

    def __init__(self, network: LanguageNetwork) -> None:
        self._network = network.eval()
        self._device = next(network.parameters()).device

    @torch.inference_mode()
    def initial_state(self, batch: int) -> LanguageState:
        """Return the state of B texts before their first token."""
        return self._network.initial_state(batch, device=self._device)

    @torch.inference_mode()
    def step(self, ids: Ids, state: LanguageState) -> tuple[NDArray[np.float32], LanguageState]:
        """Return the scores (B, V) of what follows one more token of each text, (B,), and the state."""
        scores, after = self._network.step(self._tensor(ids), state)
        return scores.float().numpy(force=True), after

    @torch.inference_mode()
    def read(self, ids: Ids, state: LanguageState) -> tuple[NDArray[np.float32], LanguageState]:
        """Return the scores (1, V) of what follows T >= 1 more tokens of one text, (T,), and the state."""
        tokens = self._tensor(ids)[None, :-1]
        for start in range(0, tokens.shape[1], _CHUNK):
            _, state = self._network.read(tokens[:, start : start + _CHUNK], state)
        return self.step(ids[-1:], state)

    @torch.inference_mode()
    def select(self, state: LanguageState, rows: Ids) -> LanguageState:
        """Return the state of some of the texts, (k,), each as often as it is asked for."""
        return select_rows(state, self._tensor(rows))

    def _tensor(self, numbers: Ids) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(numbers)).to(self._device)
