"""Recurrent: what it takes as a cell, its options, its result, and what it says of mistakes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tests.laws.models import Leaky

from rekur.cells.base import Cell
from rekur.cells.elman import Elman
from rekur.cells.gru import GRU
from rekur.cells.lstm import LSTM
from rekur.cells.wrap import RecurrentDropout
from rekur.cells.xlstm import SLSTM
from rekur.errors import InputError, NotStreamableError, ShapeError
from rekur.nn import Bidirectional, Layer, Recurrent, RecurrentOutput

torch.set_num_threads(1)


def cells_of(layers: Recurrent) -> list[Cell]:
    return [module for module in layers.modules() if isinstance(module, Layer) for module in [module.cell]]


def test_a_result_names_its_parts() -> None:
    layers = Recurrent("lstm", 3, 5, num_layers=2, bidirectional=True, proj_size=2)
    result = layers(torch.randn(4, 6, 3), lengths=[6, 3, 1, 0])
    assert isinstance(result, RecurrentOutput)
    assert result._fields == ("output", "state", "last_forward", "last_backward")
    assert result.output.shape == (4, 6, 4)
    assert result.last.shape == (4, 4)
    assert layers.output_size == 4
    assert len(result.state) == 2
    assert [[t.shape for t in cell] for cell in result.state[1]] == [[(4, 2), (4, 5)]] * 2
    torch.testing.assert_close(result.last_forward, result.state[1][0][0])
    torch.testing.assert_close(result.last_backward, result.state[1][1][0])


def test_the_last_of_one_direction_is_the_forward_one() -> None:
    result = Recurrent("gru", 3, 5)(torch.randn(2, 4, 3), lengths=[4, 2])
    assert result.last_backward is None
    assert result.last is result.last_forward
    torch.testing.assert_close(result.last[1], result.output[1, 1])


def test_cells_by_name_class_and_callable() -> None:
    assert [type(cell) for cell in cells_of(Recurrent("gru", 3, 5, num_layers=2))] == [GRU, GRU]
    assert [cell.input_size for cell in cells_of(Recurrent(LSTM, 3, 5, num_layers=2, proj_size=2))] == [3, 2]
    assert cells_of(Recurrent(Leaky, 3, 5, leak_rate=0.5))[0].leak_rate == 0.5
    made = Recurrent(lambda size: RecurrentDropout(GRU(size, 5), 0.5), 3, 5, num_layers=2, bidirectional=True)
    assert [cell.input_size for cell in cells_of(made)] == [3, 3, 10, 10]


def test_every_weight_learns() -> None:
    layers = Recurrent("lstm", 3, 4, num_layers=3, bidirectional=True, residual=True, norm=True, learned_state=True)
    result = layers(torch.randn(2, 5, 3), lengths=[5, 3])
    (result.output.square().sum() + result.last.sum()).backward()
    for name, parameter in layers.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_dropout_acts_between_layers_in_training_only() -> None:
    layers = Recurrent("gru", 3, 64, num_layers=2, dropout=0.5)
    x = torch.randn(2, 5, 3)
    first, second = layers(x), layers(x)
    torch.testing.assert_close(first.state[0], second.state[0])
    assert not torch.equal(first.output, second.output)
    layers.eval()
    torch.testing.assert_close(layers(x).output, layers(x).output)


def test_residual_adds_the_input_from_the_second_layer_on() -> None:
    torch.manual_seed(0)
    layers = Recurrent("gru", 3, 4, num_layers=2, residual=True)
    x = torch.randn(2, 5, 3)
    first, _ = layers.layers[0](x)
    second, _ = layers.layers[1](first)
    torch.testing.assert_close(layers(x).output, first + second)


def test_norm_normalises_each_output() -> None:
    output = Recurrent("gru", 3, 8, norm=True)(torch.randn(2, 5, 3), lengths=[5, 2]).output
    torch.testing.assert_close(output[0].mean(dim=-1), torch.zeros(5), atol=1e-5, rtol=0)
    assert (output[1, 2:] == 0).all()


def test_a_learned_state_starts_as_the_usual_one_and_is_used() -> None:
    torch.manual_seed(0)
    usual = Recurrent("lstm", 3, 4)
    torch.manual_seed(0)
    learned = Recurrent("lstm", 3, 4, learned_state=True)
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(learned(x).output, usual(x).output)
    assert [tuple(p.shape) for n, p in learned.named_parameters() if "start" in n] == [(1, 4), (1, 4)]
    with torch.no_grad():
        learned.layers[0].start[0].fill_(2.0)
    assert (learned.initial_state(3)[0][0][0] == 2).all()
    assert (learned(x, lengths=[0, 5]).state[0][0][0][0] == 2).all()


def test_masks_and_normalisers_of_a_state_are_not_learned() -> None:
    dropped = Recurrent(lambda size: RecurrentDropout(GRU(size, 64), 0.5), 3, 64, learned_state=True)
    assert len(dropped.layers[0].start) == 1
    h, mask = dropped.initial_state(2)[0][0]
    assert h.requires_grad
    assert sorted(mask.unique().tolist()) == [0.0, 2.0]
    assert len(Recurrent(SLSTM, 3, 4, learned_state=True).layers[0].start) == 2  # h and c, not n and m


def test_a_state_is_made_where_the_weights_are() -> None:
    layers = Recurrent("gru", 3, 4, num_layers=2, bidirectional=True).double()
    state = layers.initial_state(2)
    assert {t.dtype for directions in state for cell in directions for t in cell} == {torch.float64}
    assert layers.initial_state(2, dtype=torch.float32)[0][0][0].dtype == torch.float32
    assert layers(torch.randn(2, 3, 3).double()).output.dtype == torch.float64


def test_a_step_without_a_state_is_the_first() -> None:
    layers = Recurrent("lstm", 3, 4, num_layers=2)
    x = torch.randn(2, 3)
    torch.testing.assert_close(layers.step(x)[0], layers(x[:, None]).last)


def test_weights_survive_saving_and_loading() -> None:
    torch.manual_seed(1)
    options: dict[str, Any] = {"num_layers": 2, "bidirectional": True, "norm": True, "learned_state": True}
    saved, loaded = Recurrent("lstm", 3, 4, **options), Recurrent("lstm", 3, 4, **options)
    loaded.load_state_dict(saved.state_dict())
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(loaded(x).output, saved(x).output, rtol=0, atol=0)
    assert "layers.0.forward_layer.cell.weight_ih" in saved.state_dict()


def test_a_layer_prints_what_it_is() -> None:
    text = repr(Recurrent("gru", 3, 4, num_layers=2, dropout=0.5, residual=True))
    assert text.startswith("Recurrent(\n  3, 4, num_layers=2, dropout=0.5, residual=True\n")
    assert (
        repr(Layer(Elman(3, 4), reverse=True))
        == "Layer(\n  reverse=True\n  (cell): Elman(3, 4)\n  (start): ParameterList()\n)"
    )


NOT_LIVE = (
    "bidirectional: got True; expected False for a layer that runs one step at a time. The backward direction starts "
    "at the end: call the layer on whole sequences, or train a model with bidirectional=False."
)


def test_both_directions_do_not_run_live() -> None:
    with pytest.raises(NotStreamableError) as error:
        Recurrent("gru", 3, 4, bidirectional=True).step(torch.zeros(2, 3))
    assert str(error.value) == NOT_LIVE
    with pytest.raises(NotStreamableError) as error:
        Bidirectional(Layer(Elman(3, 4)), Layer(Elman(3, 4), reverse=True)).step(torch.zeros(2, 3), ())
    assert str(error.value) == NOT_LIVE
    with pytest.raises(NotStreamableError) as error:
        Layer(Elman(3, 4), reverse=True).step(torch.zeros(2, 3), ())
    assert str(error.value) == "reverse: got True; expected False for a layer that runs one step at a time."


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "dropout": (
        lambda: Recurrent("gru", 3, 4, dropout=0.5),
        "dropout: got 0.5; expected 0 with num_layers=1, as it acts between layers. Use num_layers=2 or more; "
        "rekur.cells.wrap.RecurrentDropout around the cell; or torch.nn.Dropout on the output.",
    ),
    "residual": (
        lambda: Recurrent("gru", 3, 4, residual=True),
        "residual: got True; expected False with num_layers=1, as it adds a layer's input from the second layer on. "
        "Use num_layers=2 or more, or rekur.cells.wrap.Residual around the cell.",
    ),
    "dropout range": (
        lambda: Recurrent("gru", 3, 4, num_layers=2, dropout=1.0),
        "dropout: got 1.0; expected a number in [0, 1).",
    ),
    "layers": (
        lambda: Recurrent("gru", 3, 4, num_layers=0),
        "num_layers: got 0; expected a whole number of 1 or more.",
    ),
    "size": (
        lambda: Recurrent("gru", 3.0, 4),  # type: ignore[arg-type]
        "input_size: got 3.0; expected a whole number of 1 or more.",
    ),
    "option of a class": (
        lambda: Recurrent(Leaky, 3, 4, leak_rat=0.5),
        "option of Leaky: got 'leak_rat'; expected one of 'leak_rate'. Did you mean 'leak_rate'?",
    ),
    "option of a callable": (
        lambda: Recurrent(lambda size: GRU(size, 4), 3, 4, bias=False),
        "options of the cell: got 'bias'; expected none for a callable. Pass them to the cell inside the callable.",
    ),
    "an object": (
        lambda: Recurrent(GRU(3, 4), 3, 4),
        "cell: got a GRU object; expected a name, a subclass of rekur.cells.Cell, or a callable from an input size "
        "to a new cell. One object cannot be several layers: use rekur.nn.Layer(cell), or lambda input_size: ….",
    ),
    "no cell": (
        lambda: Recurrent(7, 3, 4),  # type: ignore[arg-type]
        "cell: got 7; expected a name, a subclass of rekur.cells.Cell, or a callable from an input size to a new cell.",
    ),
    "not a cell": (
        lambda: Recurrent(lambda size: torch.nn.GRUCell(size, 4), 3, 4),  # type: ignore[arg-type,return-value]
        "result of the callable: got GRUCell; expected a rekur.cells.Cell.".replace("GRUCell", "'GRUCell'"),
    ),
    "not its input": (
        lambda: Recurrent(lambda size: GRU(7, 4), 3, 4),
        "input_size of the cell: got 7; expected 3, as the layer was told.",
    ),
    "not its hidden": (
        lambda: Recurrent(lambda size: GRU(size, 7), 3, 4),
        "hidden_size of the cell: got 7; expected 4, as the layer was told.",
    ),
    "scan": (
        lambda: Recurrent(Leaky, 3, 4, scan="bptt"),
        "scan: got 'bptt'; expected 'auto', or one that can run this Leaky: 'loop'.",
    ),
    "directions": (
        lambda: Bidirectional(Layer(Elman(3, 4)), Layer(Elman(3, 4))),
        "directions: got reverse=False and reverse=False; expected a forward layer and a backward layer.",
    ),
    "sizes of directions": (
        lambda: Bidirectional(Layer(Elman(3, 4)), Layer(Elman(5, 4), reverse=True)),
        "input_size of the backward layer: got 5; expected 3, that of the forward layer.",
    ),
    "layer of no cell": (
        lambda: Layer(torch.nn.GRUCell(3, 4)),  # type: ignore[arg-type]
        "cell: got 'GRUCell'; expected a rekur.cells.Cell.",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_in_making_a_layer_are_told(case: str) -> None:
    make, text = MISTAKES[case]
    with pytest.raises(InputError) as error:
        make()
    assert str(error.value) == text


def test_a_misspelt_name_is_told() -> None:
    with pytest.raises(InputError, match="Did you mean 'lstm'"):
        Recurrent("lstn", 3, 4)
    with pytest.raises(InputError, match="Did you mean 'bias'"):
        Recurrent("lstm", 3, 4, bia=False)


X = torch.zeros(2, 5, 3)
H = torch.zeros(2, 4)
CALLS: dict[str, tuple[Callable[[Recurrent], Any], type[Exception], str]] = {
    "axes": (
        lambda r: r(X[0]),
        ShapeError,
        "shape of x: got (5, 3); expected three axes (B, T, D). One sequence is a batch of one: x.unsqueeze(0).",
    ),
    "features": (
        lambda r: r(torch.zeros(2, 5, 4)),
        ShapeError,
        "shape of x: got (2, 5, 4); expected (B, T, 3), as the cell's input_size says.",
    ),
    "step": (lambda r: r.step(X), ShapeError, "shape of x: got (2, 5, 3); expected (B, 3)."),
    "dtype": (
        lambda r: r(X.double()),
        InputError,
        "dtype of x: got torch.float64; expected torch.float32, the dtype of the cell's weights. Use "
        "x.to(torch.float32), or cell.to(torch.float64).",
    ),
    "lengths": (
        lambda r: r(X, lengths=[1, 2, 3]),
        ShapeError,
        "shape of lengths: got (3,); expected (2,), one length for each row of x.",
    ),
    "long": (
        lambda r: r(X, lengths=[6, 5]),
        InputError,
        "lengths[0]: got 6; expected whole numbers in [0, 5], as x has 5 time steps.",
    ),
    "negative": (
        lambda r: r(X, lengths=torch.tensor([-1, 5])),
        InputError,
        "lengths[0]: got -1; expected whole numbers in [0, 5], as x has 5 time steps.",
    ),
    "fractions": (
        lambda r: r(X, lengths=torch.tensor([1.0, 5.0])),
        InputError,
        "dtype of lengths: got torch.float32; expected torch.int64. Use lengths.long().",
    ),
    "torch's state": (
        lambda r: r(X, torch.zeros(1, 2, 4)),
        ShapeError,
        "state: got a tensor; expected a tuple with an entry for each of 1 layers. Give the state of a result, or "
        "initial_state(batch_size).",
    ),
    "layers of the state": (
        lambda r: r(X, (((H,),), ((H,),))),
        ShapeError,
        "state: got 2 layers; expected a tuple with an entry for each of 1 layers. Give the state of a result, or "
        "initial_state(batch_size).",
    ),
    "no directions": (
        lambda r: r(X, (H,)),
        ShapeError,
        "state[0]: got a tensor; expected a tuple with an entry for each of 1 directions. Give the state of a "
        "result, or initial_state(batch_size).",
    ),
    "directions of the state": (
        lambda r: r(X, (((H,), (H,)),)),
        ShapeError,
        "state[0]: got 2 directions; expected a tuple with an entry for each of 1 directions. Give the state of a "
        "result, or initial_state(batch_size).",
    ),
    "tensors of the state": (
        lambda r: r(X, (((H, H),),)),
        ShapeError,
        "number of tensors in state: got 2; expected 1: (B, 4).",
    ),
    "batch of the state": (
        lambda r: r(X, (((torch.zeros(3, 4),),),)),
        ShapeError,
        "shape of state[0]: got (3, 4); expected (2, 4).",
    ),
    "state of a step": (
        lambda r: r.step(X[:, 0], (((torch.zeros(4),),),)),
        ShapeError,
        "shape of state[0]: got (4,); expected (2, 4).",
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_mistakes_in_calling_a_layer_are_told(case: str) -> None:
    call, kind, text = CALLS[case]
    with pytest.raises(kind) as error:
        call(Recurrent("gru", 3, 4))
    assert str(error.value) == text
