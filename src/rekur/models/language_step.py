"""One token after the other through a language network, with as few operations as possible.

Axes: B texts side by side, E embedding features, H hidden, O outputs, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from rekur.cells import GRU, LSTM, Cell, RecurrentDropout
from rekur.models.language import LanguageNetwork, LanguageState
from rekur.nn import FullSoftmax

State = tuple[Tensor, ...]
Step = Callable[[Tensor, State], tuple[Tensor, State]]

#: numbers of a table that is made beforehand: the product of every token's vector with the first layer's weights
_TABLE = 1 << 20
#: numbers of the output layer's weights that are copied at most
_COPIED = 1 << 22


class LanguageStepper:
    """What :meth:`LanguageNetwork.step` does, for a network whose weights stay as they are from now on.

    The weights of LSTM and GRU layers are laid out anew for one product a step; with few tokens, the part of it that
    only depends on the token is looked up in a table. Other cells run as they are.

    Args:
        network: the network; it is put into evaluation mode.

    Example:
        >>> from rekur.models import LanguageSpec, build_language
        >>> network = build_language(LanguageSpec(vocabulary_size=10, hidden_size=8, embedding_size=4), seed=0)
        >>> scores, state = LanguageStepper(network)(torch.tensor([3, 5]), network.initial_state(2))
        >>> torch.allclose(scores, network.step(torch.tensor([3, 5]), network.initial_state(2))[0], atol=1e-6)
        True
    """

    @torch.no_grad()
    def __init__(self, network: LanguageNetwork) -> None:
        self._network = network.eval()
        spec = network.spec
        self._joined = spec.norm or spec.residual
        cells = [layer.cell for layer in network.recurrent_layers()]
        first = _plain(cells[0])
        gates = 4 if first.kind == "lstm" else 3
        small = spec.vocabulary_size * gates * first.hidden_size <= _TABLE
        self._by_token = bool(small and network.ngram_embedding is None and _known(first))
        self._steps = [_make_step(cell) for cell in cells]
        if self._by_token:
            self._steps[0] = _make_step(cells[0], network.embedding.weight.detach())
        self._score = _make_scores(network)

    @torch.no_grad()
    def __call__(self, ids: Tensor, state: LanguageState) -> tuple[Tensor, LanguageState]:
        """Return the scores (B, V) of what follows token numbers (B,), and the state behind them, without gradients."""
        before = state.before
        if self._by_token:
            x = ids
        elif self._network.ngram_embedding is None:
            x = functional.embedding(ids, self._network.embedding.weight)
        else:
            encoded, before = self._network.encode(ids[:, None], before)
            x = encoded[:, 0]
        after = []
        for index, (step, own) in enumerate(zip(self._steps, state.layers, strict=True)):
            out, new = step(x, own)
            after.append(new)
            x = self._network.join(index, x, out) if self._joined else out
        return self._score(x), LanguageState(before, tuple(after))


def _plain(cell: Cell) -> Cell:
    return cell.cell if isinstance(cell, RecurrentDropout) else cell


def _known(cell: Cell) -> bool:
    lstm = isinstance(cell, LSTM) and cell.kind == "lstm" and cell.weight_hr is None
    return lstm or (isinstance(cell, GRU) and cell.kind == "gru")


def _make_step(cell: Cell, tokens: Tensor | None = None) -> Step:
    """Return a cell's step; with the vectors of tokens (V, E), its input are token numbers (B,)."""
    if isinstance(cell, RecurrentDropout):
        inner = _make_step(cell.cell, tokens)

        def keep_mask(x: Tensor, state: State) -> tuple[Tensor, State]:
            y, after = inner(x, state[:-1])
            return y, (*after, state[-1])

        return keep_mask
    if not _known(cell):
        return cell.step
    return _lstm(cell, tokens) if cell.kind == "lstm" else _gru(cell, tokens)


def _lstm(cell: Any, tokens: Tensor | None) -> Step:
    size = cell.hidden_size
    order = torch.arange(4 * size, device=cell.weight_hh.device)
    order = torch.cat([order[: 2 * size], order[3 * size :], order[2 * size : 3 * size]])  # i, f, o, then g
    from_input, from_state = cell.weight_ih.detach()[order].t(), cell.weight_hh.detach()[order].t().contiguous()
    bias = from_state.new_zeros(4 * size) if cell.bias_ih is None else (cell.bias_ih + cell.bias_hh).detach()[order]
    both = torch.cat([from_input, from_state])
    table = None if tokens is None else torch.addmm(bias, tokens, from_input)

    def step(x: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = state
        if table is None:
            gates = torch.addmm(bias, torch.cat((x, h), 1), both)
        else:
            gates = torch.addmm(functional.embedding(x, table), h, from_state)
        i, f, o = gates[:, : 3 * size].sigmoid_().chunk(3, 1)
        c = torch.addcmul(f * c, i, gates[:, 3 * size :].tanh_())
        h = o * c.tanh()
        return h, (h, c)

    return step


def _gru(cell: Any, tokens: Tensor | None) -> Step:
    size = cell.hidden_size
    from_input, from_state = (w.detach().t().contiguous() for w in (cell.weight_ih, cell.weight_hh))
    none = from_state.new_zeros(3 * size)
    bias_input, bias_state = ((none if b is None else b.detach()) for b in (cell.bias_ih, cell.bias_hh))
    table = None if tokens is None else torch.addmm(bias_input, tokens, from_input)

    def step(x: Tensor, state: State) -> tuple[Tensor, State]:
        (h,) = state
        given = torch.addmm(bias_input, x, from_input) if table is None else functional.embedding(x, table)
        carried = torch.addmm(bias_state, h, from_state)
        r, z = (given[:, : 2 * size] + carried[:, : 2 * size]).sigmoid_().chunk(2, 1)
        n = torch.addcmul(given[:, 2 * size :], r, carried[:, 2 * size :]).tanh_()
        h = torch.lerp(n, h, z)
        return h, (h,)

    return step


def _make_scores(network: LanguageNetwork) -> Callable[[Tensor], Tensor]:
    """Return the function from outputs (B, O) to scores (B, V)."""
    head = network.head
    if not isinstance(head, FullSoftmax) or network.spec.vocabulary_size * network.spec.hidden_size > _COPIED:
        return head.logits
    matrix, bias = (tensor.detach() for tensor in head.rows())
    matrix = matrix.t().contiguous()
    projection = head.projection

    def scores(y: Tensor) -> Tensor:
        return torch.addmm(bias, y if projection is None else projection(y), matrix)

    return scores
