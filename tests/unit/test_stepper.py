"""Steppers: values against float64, the same bits in any company, states that carry, and errors that say what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.profiles import draws

from rekur._stepper import GATES, StepLayer, Stepper
from rekur._stepper import stepper as module
from rekur.errors import InputError, ShapeError

Array = NDArray[Any]
KINDS = tuple(GATES)
PRECISIONS = ("float32", "bfloat16", "int8")
#: of a whole output after some steps, with weights up to 1/sqrt(H)
TOLERANCE = {"float32": 2e-6, "bfloat16": 1e-2, "int8": 3e-2}
pytestmark = pytest.mark.skipif(module.kernels is None, reason="installed without the compiled kernels")


def layer(kind: str, inputs: int, hidden: int, seed: int = 0, bias: bool = True) -> StepLayer:
    rng = np.random.default_rng(seed)
    bound, rows = hidden**-0.5, GATES[kind] * hidden

    def draw(*shape: int) -> Array:
        return rng.uniform(-bound, bound, shape).astype(np.float32)

    both = (draw(rows), draw(rows)) if bias else (None, None)
    return StepLayer(kind, draw(rows, inputs), draw(rows, hidden), *both)


def inputs_of(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def reference(layers: list[StepLayer], xs: Array) -> Array:
    """Return the outputs of all steps (T, hidden), in float64."""
    for one in layers:
        h = c = np.zeros(one.hidden)
        b_x, b_h = (0.0 if b is None else b.astype(float) for b in (one.bias_ih, one.bias_hh))
        outputs = []
        for x in xs.astype(float):
            of_x, of_h = one.weight_ih.astype(float) @ x + b_x, one.weight_hh.astype(float) @ h + b_h
            if one.kind == "gru":
                (r_x, z_x, n_x), (r_h, z_h, n_h) = np.split(of_x, 3), np.split(of_h, 3)
                n, z = np.tanh(n_x + sigmoid(r_x + r_h) * n_h), sigmoid(z_x + z_h)
                h = n + z * (h - n)
            elif one.kind == "lstm":
                i, f, g, o = np.split(of_x + of_h, 4)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
            else:
                h = np.tanh(of_x + of_h) if one.kind == "tanh" else np.maximum(of_x + of_h, 0)
            outputs.append(h)
        xs = np.array(outputs)
    return xs


def run_one(stepper: Stepper, xs: Array, slot: int = 0) -> Array:
    return np.array([stepper.step_one(slot, x).copy() for x in xs])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("inputs", "hidden"), [(1, 1), (3, 7), (5, 33), (40, 16), (17, 64), (6, 130)])
def test_values(kind: str, precision: Any, inputs: int, hidden: int) -> None:
    one, xs = layer(kind, inputs, hidden), inputs_of(12, inputs)
    stepper = Stepper([one], precision=precision)
    # an unbounded unit carries its errors on and grows them
    tolerance = TOLERANCE[precision] * (5 if kind == "relu" else 1)
    np.testing.assert_allclose(run_one(stepper, xs), reference([one], xs), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_values_of_layers_of_all_kinds(precision: Any) -> None:
    layers = [
        layer("lstm", 9, 20),
        layer("gru", 20, 33),
        layer("relu", 33, 5),
        layer("tanh", 5, 17),
        layer("gru", 17, 8),
    ]
    xs = inputs_of(10, 9)
    tolerance = 3 * TOLERANCE[precision]
    stepper = Stepper(layers, slots=3, precision=precision)
    np.testing.assert_allclose(run_one(stepper, xs, 2), reference(layers, xs), rtol=tolerance, atol=tolerance)


def test_values_without_biases() -> None:
    for kind in KINDS:
        one, xs = layer(kind, 4, 9, bias=False), inputs_of(5, 4)
        np.testing.assert_allclose(run_one(Stepper([one]), xs), reference([one], xs), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_int8_and_bfloat16_keep_their_bound(kind: str, precision: Any) -> None:
    """One step from zero: each sum is off by no more than the weights and inputs may be."""
    one, x = layer(kind, 50, 12), inputs_of(50)
    got = Stepper([one], precision=precision).step_one(0, x)
    wide = {"float32": 0.0, "bfloat16": 2.0**-8, "int8": 0.0}[precision] * np.abs(one.weight_ih)
    if precision == "int8":
        wide = wide + np.abs(one.weight_ih).max(1, keepdims=True) / 254
    of_x = np.abs(x).max() / 16382 if precision == "int8" else 0.0
    bound = (wide * np.abs(x)).sum(1) + of_x * (np.abs(one.weight_ih) + wide).sum(1) + 1e-5
    # every output is 1-Lipschitz in each of the sums that it is made of
    allowed = bound.reshape(GATES[kind], -1).sum(0)
    assert (np.abs(got - reference([one], x[None])[0]) <= allowed).all()


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [1, 7, 33, 96, 130])
def test_company_changes_no_bit(kind: str, precision: Any, hidden: int) -> None:
    layers, rng = [layer(kind, 6, hidden), layer(kind, hidden, 11)], np.random.default_rng(2)
    alone, together, shuffled = (Stepper(layers, slots=40, precision=precision) for _ in range(3))
    xs, slots = inputs_of(6, 37, 6), rng.permutation(40)[:37]
    for step in xs:
        expected = np.array([alone.step_one(int(slot), x).copy() for slot, x in zip(slots, step, strict=True)])
        np.testing.assert_array_equal(together.step(slots, step), expected)
        order, got = rng.permutation(37), np.empty_like(expected)
        for part in np.array_split(order, 4):
            got[part] = shuffled.step(slots[part], step[part])
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_threads_and_blocks_of_rows_change_no_bit(precision: Any) -> None:
    layers, rows = [layer("gru", 20, 48), layer("lstm", 48, 32)], 601
    steppers = [Stepper(layers, slots=rows, precision=precision, threads=threads) for threads in (1, 2, 3)]
    alone, slots = Stepper(layers, precision=precision), np.random.default_rng(0).permutation(rows)
    xs = inputs_of(3, rows, 20)
    for step in xs:
        first, *others = [stepper.step(slots, step) for stepper in steppers]
        for other in others:
            np.testing.assert_array_equal(first, other)
        np.testing.assert_array_equal(first[500], alone.step_one(0, step[500]))


@draws(25)
@given(
    kind=st.sampled_from(KINDS),
    inputs=st.integers(1, 40),
    hidden=st.integers(1, 70),
    rows=st.integers(1, 30),
    precision=st.sampled_from(PRECISIONS),
)
def test_any_size_has_the_same_bits_alone(kind: str, inputs: int, hidden: int, rows: int, precision: Any) -> None:
    layers = [layer(kind, inputs, hidden)]
    together, alone = Stepper(layers, slots=rows, precision=precision), Stepper(layers, precision=precision)
    for step in inputs_of(3, rows, inputs):
        np.testing.assert_array_equal(together.step(range(rows), step)[rows // 2], alone.step_one(0, step[rows // 2]))


def of_cell(cell: Any, kind: str) -> StepLayer:
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return StepLayer(kind, *(getattr(cell, name).detach().numpy() for name in names))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("inputs", "hidden"), [(1, 1), (3, 7), (5, 33), (64, 64), (17, 130)])
def test_bits_of_the_scan(kind: str, inputs: int, hidden: int) -> None:
    torch = pytest.importorskip("torch")
    from rekur.cells import GRU, LSTM, Elman
    from rekur.scan import scan

    torch.manual_seed(0)
    made = {"gru": GRU, "lstm": LSTM}.get(kind)
    cell = (made(inputs, hidden) if made else Elman(inputs, hidden, nonlinearity=kind)).eval()
    xs = inputs_of(50, 3, inputs)
    with torch.no_grad():
        y, state = scan(cell, torch.from_numpy(xs).transpose(0, 1), path="native")
    stepper = Stepper([of_cell(cell, kind)], slots=3)
    for t, step in enumerate(xs):
        stepper.step([1, 2], step[1:])
        np.testing.assert_array_equal(stepper.step_one(0, step[0]), y[0, t].numpy())
    for slot in range(3):
        for got, expected in zip(stepper.get_state(slot), state, strict=True):
            np.testing.assert_array_equal(got, expected[slot].numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_steps_carry_the_state(kind: str) -> None:
    one, xs = layer(kind, 3, 24), inputs_of(1000, 3)
    stepper, moved = Stepper([one]), Stepper([one], slots=9)
    outputs = run_one(stepper, xs)
    # an unbounded unit is held to what it has grown to
    np.testing.assert_allclose(outputs, reference([one], xs), rtol=1e-4, atol=1e-4)
    run_one(moved, xs[:500], 4)
    moved.set_state(8, moved.get_state(4))
    np.testing.assert_array_equal(run_one(moved, xs[500:], 8), outputs[500:])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_nan_stays_in_its_stream(kind: str, precision: Any) -> None:
    layers, xs = [layer(kind, 4, 21), layer(kind, 21, 6)], inputs_of(8, 10, 4)
    clean, other = (Stepper(layers, slots=10, precision=precision) for _ in range(2))
    slots = list(range(10))
    for t, step in enumerate(xs):
        spoiled = step.copy()
        if t == 2:
            spoiled[3, 1] = np.nan
        expected, got = clean.step(slots, step), other.step(slots, spoiled)
        np.testing.assert_array_equal(np.delete(got, 3, 0), np.delete(expected, 3, 0))
        assert np.isnan(got[3]).all() == (t >= 2)
    other.reset([3])
    clean.reset([3])
    np.testing.assert_array_equal(other.step_one(3, xs[0, 3]), clean.step_one(3, xs[0, 3]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_int8_makes_nan_of_a_row_that_is_not_finite(value: float) -> None:
    x = inputs_of(5)
    x[2] = value
    assert np.isnan(Stepper([layer("gru", 5, 9)], precision="int8").step_one(0, x)).all()


def test_state_reset_copy_and_resize() -> None:
    layers, xs = [layer("lstm", 4, 5), layer("gru", 5, 18)], inputs_of(6, 3, 4)
    stepper = Stepper(layers, slots=3)
    for step in xs:
        stepper.step([0, 1, 2], step)
    state = stepper.get_state(1)
    assert [array.shape for array in state] == [(5,), (5,), (18,)]
    stepper.copy(1, 2)
    np.testing.assert_array_equal(stepper.step_one(2, xs[0, 0]).copy(), stepper.step_one(1, xs[0, 0]))
    stepper.resize(200)
    assert stepper.slots == 200
    assert all((array == 0).all() for array in stepper.get_state(150))
    stepper.set_state(150, state)
    for array, expected in zip(stepper.get_state(150), state, strict=True):
        np.testing.assert_array_equal(array, expected)
    kept = stepper.get_state(0)
    stepper.resize(1)
    for array, expected in zip(stepper.get_state(0), kept, strict=True):
        np.testing.assert_array_equal(array, expected)
    fresh = Stepper(layers).step_one(0, xs[0, 0]).copy()
    stepper.reset()
    np.testing.assert_array_equal(stepper.step_one(0, xs[0, 0]), fresh)


def test_a_refused_step_changes_nothing() -> None:
    stepper = Stepper([layer("gru", 2, 3)], slots=4)
    stepper.step([0, 1, 2, 3], inputs_of(4, 2))
    before = [stepper.get_state(slot)[0] for slot in range(4)]
    for slots in ([0, 1, 0], [0, 1, 4], [-1, 2, 3]):
        with pytest.raises(InputError):
            stepper.step(slots, inputs_of(3, 2))
    np.testing.assert_array_equal([stepper.get_state(slot)[0] for slot in range(4)], before)
    stepper.step([0, 1, 2], inputs_of(3, 2))  # and the refused ones are free


def test_inputs_of_any_layout() -> None:
    one = layer("lstm", 4, 6)
    wide = inputs_of(3, 8)
    expected = Stepper([one], slots=3).step(np.arange(3), np.ascontiguousarray(wide[:, ::2]))
    strided = Stepper([one], slots=3)
    np.testing.assert_array_equal(strided.step(np.arange(3, dtype=np.uint8), wide[:, ::2]), expected)
    strided.reset()
    np.testing.assert_array_equal(strided.step_one(np.int32(1), wide[1, ::2]), expected[1])
    out = np.empty((3, 6), np.float32)
    strided.reset()
    assert strided.step((0, 1, 2), wide[:, ::2], out) is out
    np.testing.assert_array_equal(out, expected)
    assert strided.step([], np.empty((0, 4), np.float32)).shape == (0, 6)


def test_step_one_gives_the_same_array_each_time() -> None:
    stepper, xs = Stepper([layer("gru", 2, 3)]), inputs_of(2, 2)
    first = stepper.step_one(0, xs[0])
    assert stepper.step_one(0, xs[1]) is first


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda s: s.step_one(5, inputs_of(2)), r"^slot: got 5; expected a whole number from 0 to 4\. resize\(\)"),
        (lambda s: s.step_one(-1, inputs_of(2)), "^slot: got -1; expected a whole number from 0 to 4"),
        (lambda s: s.step_one(True, inputs_of(2)), "^slot: got True; expected a whole number"),
        (lambda s: s.step_one(1.0, inputs_of(2)), "^slot: got 1.0; expected a whole number"),
        (lambda s: s.step_one(2**70, inputs_of(2)), "^slot: got 1180591620717411303424; expected a whole number"),
        (lambda s: s.step_one(0, inputs_of(3)), r"^x, its shape: got \(3,\); expected \(2,\)"),
        (lambda s: s.step_one(0, inputs_of(1, 2)), r"^x, its shape: got \(1, 2\); expected \(2,\)"),
        (lambda s: s.step_one(0, np.zeros(2)), "^x: got float64; expected a NumPy array of float32. Convert it"),
        (lambda s: s.step_one(0, [1.0, 2.0]), "^x: got <class 'list'>; expected a NumPy array of float32"),
        (lambda s: s.step([0, 3, 0], inputs_of(3, 2)), "^slots: got .0, 0.; expected each slot once"),
        (lambda s: s.step([0, 5], inputs_of(2, 2)), "^slot: got 5; expected a whole number from 0 to 4"),
        (lambda s: s.step([0.0], inputs_of(1, 2)), "got \\('float64', \\(1,\\)\\); expected one axis"),
        (lambda s: s.step([False], inputs_of(1, 2)), "got \\('bool', \\(1,\\)\\); expected one axis"),
        (lambda s: s.step(3, inputs_of(1, 2)), "^slots .type, shape.: got .* step_one"),
        (lambda s: s.step([0, 1], inputs_of(3, 2)), r"^x, its shape: got \(3, 2\); expected \(2, 2\)"),
        (lambda s: s.step([0], np.zeros((1, 2))), "^x: got float64; expected a NumPy array of float32"),
        (lambda s: s.step([0], inputs_of(1, 2), np.zeros((1, 3))), "^out: got float64; expected a NumPy array"),
        (
            lambda s: s.step([0], inputs_of(1, 2), inputs_of(1, 6)[:, ::2]),
            "^out: got {'contiguous': False, 'writable': True}; expected a contiguous",
        ),
        (lambda s: s.reset([7]), "^slot: got 7; expected a whole number from 0 to 4"),
        (lambda s: s.get_state(5), "^slot: got 5"),
        (lambda s: s.copy(0, 5), "^slot: got 5"),
        (lambda s: s.set_state(0, []), "^arrays of state: got 0; expected 1: h"),
        (lambda s: s.set_state(0, [inputs_of(4)]), r"^state\[0\], its shape: got \(4,\); expected \(3,\)"),
        (lambda s: s.resize(0), "^slots: got 0; expected a whole number from 1"),
    ],
)
def test_errors_of_calls(call: Any, text: str) -> None:
    stepper = Stepper([layer("gru", 2, 3)], slots=5)
    with pytest.raises(InputError, match=text):
        call(stepper)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Stepper([]), "^layers: got ..; expected one or more"),
        (lambda: Stepper([layer("gru", 2, 3)], precision="int9"), "^precision: got 'int9'; .* Did you mean 'int8'"),  # type: ignore[arg-type]
        (lambda: Stepper([layer("gru", 2, 3)], threads=0), "^threads: got 0"),
        (lambda: Stepper([layer("gru", 2, 3)], slots=0), "^slots: got 0"),
        (lambda: Stepper([layer("gru", 2, 3), layer("gru", 4, 3)]), r"^layers\[1\].weight_ih, its shape: got \(9, 4\)"),
        (lambda: Stepper([StepLayer("grv", *2 * [inputs_of(9, 3)])]), r"^layers\[0\].kind: got 'grv'; .*'gru'"),
        (
            lambda: Stepper([StepLayer("gru", *2 * [inputs_of(8, 3)])]),
            r"weight_ih, its shape: got \(8, 3\); .* \(9, 3\)",
        ),
        (lambda: Stepper([StepLayer("gru", *2 * [np.ones((9, 3))])]), "weight_ih: got float64; expected a NumPy"),
        (lambda: Stepper([StepLayer("gru", *3 * [inputs_of(9, 3)])]), r"bias_ih, its shape: got \(9, 3\); .* \(9,\)"),
        (lambda: Stepper([StepLayer("gru", inputs_of(9), inputs_of(9, 3))]), r"weight_ih: got \(9,\); expected"),
    ],
)
def test_errors_of_construction(make: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        make()


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_only_float32_holds_weights_that_are_not_finite(precision: Any) -> None:
    one = layer("gru", 2, 3)
    one.weight_hh[4, 1] = np.inf
    with pytest.raises(InputError, match=r"^layers\[0\].weight_hh: got inf; expected finite numbers"):
        Stepper([one], precision=precision)
    assert Stepper([one]).slots == 1


def test_a_shape_is_a_shape_error() -> None:
    with pytest.raises(ShapeError):
        Stepper([layer("gru", 2, 3)]).step_one(0, inputs_of(3))


def test_one_thread_at_a_time() -> None:
    """While a long step runs elsewhere, a second call is refused and changes nothing."""

    class Busy:
        busy, width = True, 16

        def step_one(self, slot: int, x: Array) -> None:
            return None

    stepper = Stepper([layer("gru", 2, 3)])
    stepper._engine = Busy()  # type: ignore[assignment]
    for call in (lambda: stepper.step_one(0, inputs_of(2)), lambda: stepper.step([0], inputs_of(1, 2)), stepper.reset):
        with pytest.raises(InputError, match="one thread at a time"):
            call()


def test_a_twin_has_the_weights_and_states_of_its_own() -> None:
    rng = np.random.default_rng(0)
    draw = [rng.normal(size=(12, size)).astype(np.float32) for size in (3, 4)]
    first = Stepper([StepLayer("gru", *draw)], slots=2)
    x = np.ones(3, np.float32)
    alone = first.step_one(0, x).copy()
    second = first.twin(slots=3)
    assert second.slots == 3
    np.testing.assert_array_equal(second.step_one(2, x), alone)
    np.testing.assert_array_equal(second.get_state(0)[0], np.zeros(4))
    kept = first.get_state(0)[0]
    del first
    for _ in range(3):
        second.step_one(0, x)
    np.testing.assert_array_equal(kept, alone)
