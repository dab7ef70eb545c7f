"""RNN, LSTM and GRU as modules against ``torch.nn``'s: weights, copies, devices, printing, and errors."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.func import functional_call
from torch.nn.utils import parametrize

from rekur import nn
from rekur.errors import ShapeError

torch.set_num_threads(1)

NAMES = ["RNN", "LSTM", "GRU"]
CASES = [
    {"input_size": 3, "hidden_size": 4},
    {"input_size": 3, "hidden_size": 4, "num_layers": 2, "bidirectional": True, "batch_first": True},
    {"input_size": 3, "hidden_size": 4, "num_layers": 3, "bias": False, "dropout": 0.25},
]


def both(name: str, settings: dict[str, Any]) -> tuple[Any, Any]:
    made = []
    for module in (torch.nn, nn):
        torch.manual_seed(11)
        made.append(getattr(module, name)(**settings))
    return made[0].eval(), made[1].eval()


def first(result: Any) -> torch.Tensor:
    return result[0]


@pytest.mark.parametrize("settings", CASES)
@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_numbers_and_the_same_next_ones(name: str, settings: dict[str, Any]) -> None:
    torch.manual_seed(5)
    theirs = getattr(torch.nn, name)(**settings)
    after = torch.rand(3)
    torch.manual_seed(5)
    ours = getattr(nn, name)(**settings)
    assert torch.equal(torch.rand(3), after)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value)


@pytest.mark.parametrize("name", NAMES)
def test_a_call_takes_no_random_numbers(name: str) -> None:
    _, ours = both(name, CASES[1])
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    ours(torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("settings", CASES)
@pytest.mark.parametrize("name", NAMES)
def test_weights_load_both_ways(name: str, settings: dict[str, Any], assign: bool) -> None:
    x = torch.randn(4, 5, 3)
    theirs, _ = both(name, settings)
    ours = getattr(nn, name)(**settings).eval()
    ours(x)
    ours.load_state_dict(theirs.state_dict(), assign=assign)
    torch.testing.assert_close(first(ours(x)), first(theirs(x)))
    back = getattr(torch.nn, name)(**settings).eval()
    back.load_state_dict(ours.state_dict(), assign=assign)
    torch.testing.assert_close(first(back(x)), first(ours(x)))


def saved(module: Any) -> Any:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "pickle": lambda module: pickle.loads(pickle.dumps(module)),
    "torch.save": saved,
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", NAMES)
def test_copies_compute_the_same_and_stand_alone(name: str, how: str) -> None:
    _, ours = both(name, CASES[1])
    x = torch.randn(2, 5, 3)
    expected = first(ours(x)).clone()
    copied = COPIES[how](ours)
    torch.testing.assert_close(first(copied(x)), expected)
    if how != "copy":
        with torch.no_grad():
            for parameter in copied.parameters():
                parameter.zero_()
        torch.testing.assert_close(first(ours(x)), expected)
        assert (first(copied(x)) == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_moves_after_a_call_are_followed(name: str) -> None:
    theirs, ours = both(name, CASES[1])
    x = torch.randn(2, 5, 3)
    ours(x)
    expected = first(theirs.double()(x.double()))
    torch.testing.assert_close(first(ours.double()(x.double())), expected)
    assert first(ours.to(torch.float32)(x)).dtype == torch.float32
    assert first(ours.to("cpu")(x)).device.type == "cpu"


@pytest.mark.parametrize("name", NAMES)
def test_a_module_made_without_memory_is_filled_later(name: str) -> None:
    theirs, _ = both(name, CASES[1])
    with torch.device("meta"):
        ours = getattr(nn, name)(**CASES[1])
    ours.load_state_dict(theirs.state_dict(), assign=True)
    x = torch.randn(2, 5, 3)
    torch.testing.assert_close(first(ours.eval()(x)), first(theirs(x)))


@pytest.mark.parametrize("name", NAMES)
def test_everything_else_a_module_says(name: str) -> None:
    for settings in CASES:
        theirs, ours = both(name, settings)
        ours.flatten_parameters()
        assert repr(ours) == repr(theirs)
        assert isinstance(ours, getattr(torch.nn, name))
        assert ours.mode == theirs.mode
        assert len(ours.all_weights) == len(theirs.all_weights)
        for mine, other in zip(ours.all_weights, theirs.all_weights, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(mine, other, strict=True))
        ours(torch.randn(2, 5, 3))
        assert [n for n, _ in ours.named_modules()] == [""]
        assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]


def test_device_and_dtype_may_be_given_by_place() -> None:
    assert nn.LSTM(3, 4, 1, True, False, 0.0, False, 2, "cpu", torch.float64).weight_hr_l0.dtype == torch.float64
    assert nn.GRU(3, 4, 1, True, False, 0.0, False, "cpu", torch.float64).weight_hh_l0.dtype == torch.float64
    rnn = nn.RNN(3, 4, 1, "relu", True, True, 0.0, False, "cpu", torch.float64)
    assert (rnn.mode, rnn.batch_first, rnn.weight_hh_l0.dtype) == ("RNN_RELU", True, torch.float64)


@pytest.mark.parametrize("name", NAMES)
def test_borrowed_and_computed_weights_are_used(name: str) -> None:
    theirs, ours = both(name, CASES[1])
    x = torch.randn(2, 5, 3)
    ours(x)
    other = {key: torch.randn_like(value) for key, value in ours.named_parameters()}
    torch.testing.assert_close(first(functional_call(ours, other, (x,))), first(functional_call(theirs, other, (x,))))

    class Half(torch.nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return weight / 2

    parametrize.register_parametrization(ours, "weight_hh_l0", Half())
    with torch.no_grad():
        theirs.weight_hh_l0.div_(2)
    torch.testing.assert_close(first(ours(x)), first(theirs(x)))


@pytest.mark.parametrize("name", NAMES)
def test_frozen_weights_get_no_gradient(name: str) -> None:
    _, ours = both(name, CASES[0])
    ours.weight_hh_l0.requires_grad_(False)
    first(ours(torch.randn(2, 5, 3))).sum().backward()
    assert ours.weight_hh_l0.grad is None
    assert ours.weight_ih_l0.grad is not None


@pytest.mark.parametrize("name", NAMES)
def test_dropout_with_one_layer_warns_as_torch_does(name: str) -> None:
    texts = []
    for module in (torch.nn, nn):
        with pytest.warns(UserWarning, match="dropout option adds dropout after all but last") as caught:
            getattr(module, name)(3, 4, dropout=0.5)
        texts.append(str(caught[0].message))
    assert texts[0] == texts[1]


CONSTRUCTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "dropout range": ({"dropout": 1.5}, "dropout: got 1.5; expected a number in [0, 1]."),
    "dropout flag": ({"dropout": True}, "dropout: got True; expected a number in [0, 1]."),
    "bias": ({"bias": 1}, "bias: got 1; expected True or False."),
    "batch_first": ({"batch_first": None}, "batch_first: got None; expected True or False."),
    "input type": ({"input_size": 3.0}, "input_size: got 3.0; expected a whole number of 1 or more."),
    "input range": ({"input_size": 0}, "input_size: got 0; expected a whole number of 1 or more."),
    "hidden type": ({"hidden_size": "4"}, "hidden_size: got '4'; expected a whole number of 1 or more."),
    "hidden range": ({"hidden_size": -1}, "hidden_size: got -1; expected a whole number of 1 or more."),
    "layers": ({"num_layers": 0}, "num_layers: got 0; expected a whole number of 1 or more."),
}


@pytest.mark.parametrize("case", CONSTRUCTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_constructors_refuse_what_torch_refuses(name: str, case: str) -> None:
    options, text = CONSTRUCTIONS[case]
    settings = {"input_size": 3, "hidden_size": 4, **options}
    with pytest.raises((ValueError, TypeError)) as theirs:
        getattr(torch.nn, name)(**settings)
    with pytest.raises(theirs.type) as ours:
        getattr(nn, name)(**settings)
    assert str(ours.value) == text


def test_constructors_refuse_options_of_other_layers() -> None:
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("LSTM", {"proj_size": 4}, "proj_size: got 4; expected a whole number in [0, hidden_size)."),
        ("LSTM", {"proj_size": -1}, "proj_size: got -1; expected a whole number in [0, hidden_size)."),
        ("GRU", {"proj_size": 2}, "proj_size: got 2; expected no projection in GRU. Only an LSTM has one."),
        ("RNN", {"proj_size": 0}, "proj_size: got 0; expected no projection in RNN. Only an LSTM has one."),
        ("RNN", {"nonlinearity": "relo"}, "nonlinearity: got 'relo'; expected 'tanh' or 'relu'."),
        ("GRU", {"hiden": 2}, "option of GRU: got 'hiden'; expected an option of torch.nn.GRU."),
    ]
    for name, options, text in cases:
        with pytest.raises((ValueError, TypeError)) as theirs:
            getattr(torch.nn, name)(3, 4, **options)
        with pytest.raises(theirs.type) as ours:
            getattr(nn, name)(3, 4, **options)
        assert str(ours.value) == text


DOUBLE = torch.float64
CALLS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "one axis": (
        lambda hx: (torch.zeros(3),),
        "shape of input: got (3,); expected (T, B, D), (B, T, D) with batch_first, or (T, D).",
    ),
    "features": (
        lambda hx: (torch.zeros(5, 2, 4),),
        "features of input: got 4; expected 3, the layer's input_size.",
    ),
    "swapped": (
        lambda hx: (torch.zeros(5, 3, 4),),
        "features of input: got 4; expected 3, the layer's input_size. Is batch_first as it should be?",
    ),
    "dtype": (
        lambda hx: (torch.zeros(5, 2, 3, dtype=DOUBLE),),
        "dtype of input: got torch.float64; expected torch.float32, that of the weights. "
        "Use input.to(torch.float32), or move the layer with .to(torch.float64).",
    ),
    "no steps": (
        lambda hx: (torch.zeros(0, 2, 3),),
        "steps of input: got 0; expected 1 or more. Empty rows need lengths.",
    ),
    "hx axes": (
        lambda hx: (torch.zeros(5, 2, 3), hx(1, 4)),
        "shape of {hx}: got (1, 4); expected (1, 2, 4), that is (layers·directions, B, H).",
    ),
    "hx batch": (
        lambda hx: (torch.zeros(5, 2, 3), hx(1, 3, 4)),
        "shape of {hx}: got (1, 3, 4); expected (1, 2, 4), that is (layers·directions, B, H).",
    ),
    "hx of one": (
        lambda hx: (torch.zeros(5, 3), hx(1, 1, 4)),
        "shape of {hx}: got (1, 1, 4); expected (1, 4), that is (layers·directions, H).",
    ),
    "hx dtype": (
        lambda hx: (torch.zeros(5, 2, 3), hx(1, 2, 4, dtype=DOUBLE)),
        "dtype of {hx}: got torch.float64; expected torch.float32, that of input.",
    ),
}


@pytest.mark.parametrize("case", CALLS)
@pytest.mark.parametrize("name", NAMES)
def test_calls_refuse_what_torch_refuses(name: str, case: str) -> None:
    def state(*shape: int, dtype: torch.dtype | None = None) -> Any:
        tensor = torch.zeros(*shape, dtype=dtype)
        return (tensor, tensor) if name == "LSTM" else tensor

    make, text = CALLS[case]
    theirs, ours = both(name, CASES[0])
    with pytest.raises((ValueError, RuntimeError)) as refused:
        theirs(*make(state))
    with pytest.raises(refused.type) as error:
        ours(*make(state))
    assert str(error.value) == text.format(hx="hx[0]" if name == "LSTM" else "hx")


def test_states_of_the_wrong_kind_are_told() -> None:
    x, h = torch.zeros(5, 2, 3), torch.zeros(1, 2, 4)
    cases = [
        (nn.LSTM(3, 4), h, "hx: got a tensor; expected the pair (h, c)."),
        (nn.LSTM(3, 4), (h,), "hx: got 1 tensors; expected the pair (h, c)."),
        (nn.GRU(3, 4), (h, h), "hx: got tuple; expected one tensor."),
    ]
    for layer, hx, text in cases:
        with pytest.raises(RuntimeError) as error:
            layer(x, hx)
        assert str(error.value) == text


def test_lengths_that_cannot_be_are_told() -> None:
    layer = nn.GRU(3, 4)
    packed = torch.nn.utils.rnn.pack_sequence([torch.zeros(2, 3)])
    cases: list[tuple[Any, Any, str]] = [
        (
            torch.zeros(5, 2, 3),
            [1, 6],
            "lengths[1]: got 6; expected whole numbers in [0, 5], as x has 5 time steps.",
        ),
        (
            torch.zeros(5, 2, 3),
            [1],
            "shape of lengths: got (1,); expected (2,), one length for each row of x.",
        ),
        (
            torch.zeros(5, 2, 3),
            [0.5, 1.0],
            "dtype of lengths: got torch.float32; expected torch.int64. Use lengths.long().",
        ),
        (
            torch.zeros(5, 3),
            [5],
            "lengths: got [5]; expected None for an input (T, D). A single sequence has no padding: cut it to its "
            "length.",
        ),
        (packed, [2], "lengths: got [2]; expected None for a PackedSequence. It knows its lengths."),
    ]
    for x, lengths, text in cases:
        with pytest.raises(ValueError, match="lengths") as error:
            layer(x, lengths=lengths)
        assert str(error.value) == text


WRONG_WEIGHTS: dict[str, Callable[[int], tuple[str, tuple[int, ...]]]] = {
    "more features": lambda gates: ("weight_ih_l0", (4 * gates, 8)),
    "fewer features": lambda gates: ("weight_ih_l0", (4 * gates, 2)),
    "fewer units": lambda gates: ("weight_hh_l0", (2 * gates, 2)),
    "a longer bias": lambda gates: ("bias_hh_l0", (9 * gates,)),
    "a bias with two axes": lambda gates: ("bias_ih_l0", (4 * gates, 1)),
}


@pytest.mark.parametrize("how", ["parameter", "data"])
@pytest.mark.parametrize("case", WRONG_WEIGHTS)
@pytest.mark.parametrize(("name", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_weights_of_another_shape_are_refused(name: str, gates: int, case: str, how: str) -> None:
    layer = getattr(nn, name)(3, 4)
    parameter, shape = WRONG_WEIGHTS[case](gates)
    if how == "data":
        getattr(layer, parameter).data = torch.zeros(shape)
    else:
        setattr(layer, parameter, torch.nn.Parameter(torch.zeros(shape)))
    with pytest.raises(ShapeError, match=f"shape of {parameter}: got"):
        layer(torch.zeros(5, 2, 3))


@pytest.mark.parametrize("called", [False, True], ids=["never called", "called"])
def test_options_may_be_changed_where_the_weights_allow_it(called: bool) -> None:
    x = torch.randn(5, 2, 3)
    layers = [module.RNN(3, 4, 2) for module in (torch.nn, nn)]
    layers[1].load_state_dict(layers[0].state_dict())
    for layer in layers:
        if called:
            layer(x)
        layer.mode, layer.batch_first = "RNN_RELU", True
    torch.testing.assert_close(layers[1](x), layers[0](x))


@pytest.mark.parametrize(
    ("option", "value"),
    [("num_layers", 1), ("num_layers", 3), ("bidirectional", True), ("bias", False), ("hidden_size", 8)],
)
def test_options_that_the_weights_contradict_are_refused(option: str, value: Any) -> None:
    layer = nn.GRU(3, 4, 2)
    setattr(layer, option, value)
    with pytest.raises(ShapeError):
        layer(torch.zeros(5, 2, 3))
