"""What a wrong cell says: the whole text."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from rekur.cells import (
    GRU,
    LSTM,
    MLSTM,
    SLSTM,
    Cell,
    Elman,
    GRUResetBefore,
    LayerNorm,
    MinGRU,
    PeepholeLSTM,
    RecurrentDropout,
    Residual,
    Zoneout,
    make_cell,
)
from rekur.errors import InputError, ShapeError

TEXTS: dict[str, tuple[Callable[[], object], str]] = {
    "hidden_size": (
        lambda: GRU(3, 0),
        "hidden_size: got 0; expected a whole number of 1 or more.",
    ),
    "input_size": (
        lambda: LSTM(2.5, 3),  # type: ignore[arg-type]
        "input_size: got 2.5; expected a whole number of 1 or more.",
    ),
    "init": (
        lambda: Elman(3, 5, init="pytorch"),
        "init: got 'pytorch'; expected one of 'rekur', 'torch'. Did you mean 'torch'?",
    ),
    "bias": (
        lambda: GRU(3, 5, bias=1),  # type: ignore[arg-type]
        "bias: got 1; expected True or False.",
    ),
    "nonlinearity": (
        lambda: Elman(3, 5, nonlinearity="tahn"),
        "nonlinearity: got 'tahn'; expected one of 'tanh', 'relu'. Did you mean 'tanh'?",
    ),
    "proj_size": (
        lambda: LSTM(3, 5, proj_size=5),
        "proj_size: got 5; expected a whole number smaller than hidden_size (5).",
    ),
    "forget_bias with torch": (
        lambda: LSTM(3, 5, forget_bias=2.0, init="torch"),
        'forget_bias: got 2.0; expected 1.0 with init="torch". '
        'Use init="rekur" to choose it: init="torch" draws every bias from PyTorch\'s uniform range.',
    ),
    "forget_bias without bias": (
        lambda: PeepholeLSTM(3, 5, forget_bias=2.0, bias=False),
        "forget_bias: got 2.0; expected 1.0 with bias=False. Use bias=True.",
    ),
    "num_heads": (
        lambda: SLSTM(3, 6, num_heads=4),
        "num_heads: got 4; expected a divisor of hidden_size (6).",
    ),
    "unknown cell": (
        lambda: make_cell("lstn", 3, 5),
        "cell: got 'lstn'; expected one of 'rnn', 'rnn_relu', 'lstm', 'lstm_peephole', 'gru', 'gru_reset_before', "
        "'mingru', 'minlstm', 'rglru', 'slstm', 'mlstm'. Did you mean 'lstm'?",
    ),
    "unknown option": (
        lambda: make_cell("lstm", 3, 5, projsize=2),
        "option of cell 'lstm': got 'projsize'; expected one of 'proj_size', 'bias', 'init', 'forget_bias'. "
        "Did you mean 'proj_size'?",
    ),
    "option that the name sets": (
        lambda: make_cell("rnn_relu", 3, 5, nonlinearity="tanh"),
        "option of cell 'rnn_relu': got 'nonlinearity'; expected one of 'bias', 'init'.",
    ),
    "layer norm without products": (
        lambda: LayerNorm(MinGRU(3, 5)),
        "cell of LayerNorm: got 'MinGRU'; expected an Elman, LSTM, PeepholeLSTM, GRU, or a GatedCell that keeps "
        "project and product. To normalise what a layer gives, put torch.nn.LayerNorm behind the layer.",
    ),
    "layer norm of two products in turn": (
        lambda: LayerNorm(GRUResetBefore(3, 5)),
        "cell of LayerNorm: got 'GRUResetBefore'; expected an Elman, LSTM, PeepholeLSTM, GRU, or a GatedCell that "
        "keeps project and product. To normalise what a layer gives, put torch.nn.LayerNorm behind the layer.",
    ),
    "layer norm outside": (
        lambda: LayerNorm(Zoneout(GRU(3, 5), 0.1)),
        "cell of LayerNorm: got 'Zoneout'; expected an Elman, LSTM, PeepholeLSTM, GRU, or a GatedCell that keeps "
        "project and product. Put LayerNorm inside: Zoneout(LayerNorm(cell), …).",
    ),
    "eps": (
        lambda: LayerNorm(GRU(3, 5), eps=0),
        "eps: got 0; expected a number of 1e-12 or more.",
    ),
    "dropout": (
        lambda: RecurrentDropout(GRU(3, 5), 1.0),
        "dropout: got 1.0; expected a number in [0, 1).",
    ),
    "dropout of a linear cell": (
        lambda: RecurrentDropout(MinGRU(3, 5), 0.5),
        "cell of RecurrentDropout: got 'MinGRU'; expected an Elman, LSTM, PeepholeLSTM, GRU, GRUResetBefore, SLSTM, "
        "LayerNorm or another ProductCell. No product of its state can be masked: drop units between layers "
        "instead.",
    ),
    "dropout outside": (
        lambda: RecurrentDropout(Residual(GRU(3, 5)), 0.5),
        "cell of RecurrentDropout: got 'Residual'; expected an Elman, LSTM, PeepholeLSTM, GRU, GRUResetBefore, "
        "SLSTM, LayerNorm or another ProductCell. Put RecurrentDropout inside: Residual(RecurrentDropout(cell, …)).",
    ),
    "zoneout": (
        lambda: Zoneout(GRU(3, 5), 1.5),
        "hidden: got 1.5; expected a number in [0, 1].",
    ),
    "zoneout of a stabilised memory": (
        lambda: Zoneout(MLSTM(3, 5), 0.1),
        "cell of Zoneout: got 'MLSTM'; expected a cell whose state is h, or h and c. Its memory is stored relative "
        "to m, so that the old one and the new one do not mix.",
    ),
    "zoneout without a memory": (
        lambda: Zoneout(GRU(3, 5), 0.1, memory=0.5),
        "memory: got 0.5; expected None. GRU has no memory besides h.",
    ),
    "a class for a cell": (
        lambda: Residual(GRU),  # type: ignore[arg-type]
        "cell of Residual: got 'GRU'; expected a cell that was made with its sizes, such as LSTM(64, 128).",
    ),
    "something else for a cell": (
        lambda: RecurrentDropout(torch.nn.GRUCell(3, 5), 0.5),  # type: ignore[arg-type]
        "cell of RecurrentDropout: got 'GRUCell'; expected a cell that was made with its sizes, such as LSTM(64, 128).",
    ),
}


@pytest.mark.parametrize(("call", "text"), TEXTS.values(), ids=TEXTS.keys())
def test_texts(call: Callable[[], object], text: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value) == text


@pytest.mark.parametrize("shape", [(2, 4), (2, 5, 3), (3,)])
def test_an_input_of_the_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as caught:
        GRU(3, 5)(torch.zeros(shape))
    assert str(caught.value) == f"shape of x: got {shape}; expected (B, 3)."


def test_a_cell_with_neither_step_nor_recur() -> None:
    with pytest.raises(InputError) as caught:

        class Empty(Cell):
            pass

    assert str(caught.value) == (
        "Empty: got neither step nor recur; expected a cell that defines step(x, state), "
        "or project(x) and recur(projected, state)."
    )


def test_a_cell_without_state_sizes() -> None:
    class Sizeless(Cell):
        def step(self, x, state):  # type: ignore[no-untyped-def]
            return x, state

    with pytest.raises(InputError) as caught:
        Sizeless(3, 5).initial_state(2)
    assert str(caught.value) == (
        "Sizeless.state_sizes: got no definition; expected a method that returns the shape of each state tensor "
        "without the batch axis, such as ((self.hidden_size,),)."
    )
