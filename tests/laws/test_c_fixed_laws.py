"""C code without floating point computes what the program with 8-bit weights does, within what 16 bits can tell.

Axes: B sequences, T time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.models import MORE_CELLS, language, make, shaken, with_cell
from tests.laws.programs import TAGGERS, tagger
from tests.profiles import draws
from torch import nn

from rekur.cells import CELLS, make_cell
from rekur.errors import InputError
from rekur.export.c import check
from rekur.export.c.fixed import FixedConstants, Matrix, kind_of, long_of, tables
from rekur.export.c.fixed_api import fixed_functions
from rekur.export.c.fixed_ops import KNOWN
from rekur.export.c.parts import assemble
from rekur.export.c.source import Extra, Lowered, Style, lower_to_c
from rekur.export.c.write import header, source
from rekur.lower import lower
from rekur.nn import Recurrent
from rekur.program import Engine, Input, Op, Program, State, Weight, draw_sequences, in_precision
from rekur.program.cells import FORMS
from rekur.program.rules import RULES

LENGTHS = (5, 0, 12, 1, 30, 200)
FIXED = Style("m", precision="int8", activations="fixed")
REFUSED = {cell: form.unbounded for cell, form in FORMS.items() if form.unbounded}
WRITTEN = [cell for cell in CELLS if cell not in REFUSED]
#: flags with which undefined behaviour ends the program
CHECKED = ("-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")

needs_compiler = pytest.mark.skipif(check.compiler() is None, reason="no C compiler: neither $CC nor cc, gcc or clang")


def written(lowered: Lowered) -> dict[str, str]:
    """Return the header and the source."""
    extra = Extra()
    extra.add(fixed_functions(lowered.program, lowered.style))
    return {"m.h": header(lowered, extra), "m.c": source(lowered, extra)}


def agree(program: Program, weights: dict[str, Any], tolerance: float = 1e-3, size: float = 1.0) -> Lowered:
    """Hold the code of a program in fixed point against the engine on the same 8-bit weights."""
    sequences = draw_sequences(program, LENGTHS)
    if program.input.kind == "rows":
        sequences = [np.float32(size) * x for x in sequences]
    lowered = lower_to_c(program, weights, FIXED)
    found = check.outputs(written(lowered), "m", program, sequences)
    wanted = Engine(*in_precision(program, weights, "int8")).run(sequences)
    pairs = zip(found, wanted, strict=True) if program.per_step else [(found, wanted)]
    assert max(check.largest_difference(*pair) for pair in pairs) <= tolerance
    return lowered


def model_agrees(model: nn.Module, tolerance: float = 1e-3) -> Lowered:
    """Hold the code of a model in fixed point against the engine."""
    return agree(*lower(model), tolerance)  # type: ignore[arg-type]


@needs_compiler
@pytest.mark.parametrize("cell", WRITTEN)
def test_every_cell_with_everything_around_it(cell: str) -> None:
    more = {"residual": True, "norm": True, "kernel_size": 3, "pooling": "last+mean+max+attention"}
    model_agrees(make(cell=cell, num_layers=2, **more))


@needs_compiler
@pytest.mark.parametrize("cell", WRITTEN)
def test_every_cell_on_rows_of_numbers(cell: str) -> None:
    model_agrees(make(cell=cell, discrete=False), 2e-4)


@needs_compiler
@draws(8)
@given(**TAGGERS)
def test_outputs_at_every_step(**options: Any) -> None:
    lowered = agree(*tagger(**options), 2e-3)
    assert (lowered.per_step, lowered.delay) == (True, options["delay"])


@needs_compiler
@pytest.mark.parametrize("name", [name for name in MORE_CELLS if not any(cell in name for cell in REFUSED)])
def test_every_wrapper_and_option_of_a_cell(name: str) -> None:
    model_agrees(with_cell(name, seed=3), 2e-3)  # with some other seeds states grow without end


@needs_compiler
@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm", "num_layers": 2, "residual": True, "norm": True, "tied": True},
        {"tied": True, "softmax": "sampled", "samples": 4},
        {"softmax": "adaptive", "vocabulary_size": 40, "cutoffs": (8, 20)},
        {"softmax": "adaptive", "vocabulary_size": 40, "cutoffs": (8, 20), "tied": True, "embedding_size": 6},
        {"ngrams": (2, 4)},
    ],
    ids=["tied", "projected", "clusters", "tied clusters", "ngrams"],
)
def test_language_networks(options: dict[str, Any]) -> None:
    lowered = model_agrees(language(**options))
    text = source(lowered, Extra())
    assert text.count("embedding_weight_values[") == 1, "a table that is multiplied too is kept once"


@needs_compiler
def test_learned_states_and_those_that_begin_too_far() -> None:
    model = make()
    model.recurrent = Recurrent(lambda d: make_cell("lstm", d, 6), 5, 6, learned_state=True)
    program, weights = lower(shaken(model, 2))  # type: ignore[arg-type]
    agree(program, weights)
    (name,) = (str(slot.begins) for slot in program.state if slot.name.endswith(".h"))
    with pytest.raises(InputError, match=r"^number that the state '.*\.h' begins with: got 1\.5; expected at most 1 "):
        lower_to_c(program, weights | {name: np.full(6, 1.5, np.float32)}, FIXED)


RNG = np.random.default_rng(0)


def drawn(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.normal(size=shape).astype(np.float32)


def hand_made(
    *head: Op, body: tuple[Op, ...] = (), pool: str = "last", size: float = 1.0, tolerance: float = 1e-4, **weights: Any
) -> None:
    """Hold a program of a few ops on rows of four numbers against the engine."""
    arrays = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    names = {"last": ("last",), "mean": ("mean", "count"), "max": ("largest", "count")}[pool]
    op = Op(pool, (body[-1].writes if body else "input",), "pool", 4, state={name: name for name in names})
    states = tuple(State(name, (1,), "int64") if name == "count" else State(name, (4,)) for name in names)
    states += tuple(State(name, (2, 4)) for inner in body for name in inner.state.values())
    shapes = {name: Weight(array.shape) for name, array in arrays.items()}
    agree(Program.of("regress", Input("rows", 4), shapes, states, (*body, op, *head)), arrays, tolerance, size)


@needs_compiler
@pytest.mark.parametrize("kind", ["softmax", "log_softmax", "padding"])
def test_ops_of_a_head(kind: str) -> None:
    hand_made(Op(kind, ("pool",), "scores", 4 + (kind == "padding")))


@needs_compiler
@pytest.mark.parametrize("function", ["relu", "tanh", "sigmoid"])
def test_activations(function: str) -> None:
    hand_made(body=(Op("activation", ("input",), "bent", 4, options={"function": function}),))
    hand_made(Op("activation", ("pool",), "bent", 4, options={"function": function}))


@needs_compiler
@pytest.mark.parametrize("pool", ["last", "mean", "max"])
def test_nothing_but_a_pool_of_large_numbers_and_small_ones(pool: str) -> None:
    hand_made(pool=pool, size=5000.0)
    hand_made(pool=pool, size=0.01)


@needs_compiler
@pytest.mark.parametrize("pool", ["mean", "attention"])
def test_a_mean_of_thirty_thousand_steps_does_not_drift(pool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    seldom = (rng.random((30_000, 4)) < 0.05).astype(np.float32)
    late = np.repeat(np.array([[0.0], [0.25]], np.float32), 15_000, axis=0) * np.ones(4, np.float32)
    monkeypatch.setattr("test_c_fixed_laws.draw_sequences", lambda *_: [seldom, late])
    if pool == "mean":
        hand_made(pool=pool, tolerance=2e-4)
        return
    roles = {"weight": "w", "bias": "b", "score": "s"}
    op = Op("attention", ("input",), "pool", 4, roles, {"total": "total", "mass": "mass", "top": "top"})
    state = (State("total", (4,)), State("mass", (1,)), State("top", (1,)))
    arrays = {"w": drawn(3, 4), "b": drawn(3), "s": drawn(1, 3)}
    shapes = {name: Weight(array.shape) for name, array in arrays.items()}
    agree(Program.of("regress", Input("rows", 4), shapes, state, (op,)), arrays, 2e-3)


@pytest.mark.parametrize(("gain", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (2e4, "20000.0")])
def test_a_vector_that_fixed_point_cannot_hold_is_refused(gain: float, shown: str) -> None:
    norm = Op("layer_norm", ("input",), "norm", 4, {"gain": "g", "bias": "s"}, options={"epsilon": 1e-5})
    last = Op("last", ("norm",), "pool", 4, state={"last": "last"})
    arrays = {"g": np.full(4, gain, np.float32), "s": drawn(4)}
    shapes = {name: Weight(array.shape) for name, array in arrays.items()}
    program = Program.of("regress", Input("rows", 4), shapes, (State("last", (4,)),), (norm, last))
    with pytest.raises(InputError, match=rf"a number of the weight 'g': got {shown}; expected numbers between"):
        lower_to_c(program, arrays, FIXED)


@needs_compiler
def test_a_window_of_rows() -> None:
    op = Op("conv", ("input",), "conv", 4, {"weight": "w", "bias": "b"}, {"before": "before"})
    hand_made(body=(op,), tolerance=3e-4, w=drawn(4, 4, 3), b=drawn(4))
    hand_made(body=(op,), size=1000.0, tolerance=1e-3, w=drawn(4, 4, 3), b=drawn(4))


@needs_compiler
@pytest.mark.parametrize("size", [1.0, 1000.0])
def test_normalised_rows(size: float) -> None:
    op = Op("layer_norm", ("input",), "norm", 4, {"gain": "g", "bias": "s"}, options={"epsilon": 1e-5})
    hand_made(body=(op,), size=size, tolerance=3e-4, g=drawn(4), s=drawn(4))


@needs_compiler
def test_numbers_that_are_too_large_stop_at_the_end_of_the_range(tmp_path: Path) -> None:
    op = Op("affine", ("pool",), "scores", 1, {"weight": "w"})
    state = (State("last", (4,)),)
    last = Op("last", ("input",), "pool", 4, state={"last": "last"})
    program = Program.of("regress", Input("rows", 4), {"w": Weight((1, 4))}, state, (last, op))
    sources = written(lower_to_c(program, {"w": np.full((1, 4), 3000, np.float32)}, FIXED))
    for name, text in {**sources, "harness.c": check.harness("m", program)}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    binary = check.build(tmp_path, ["m.c", "harness.c"], "harness", CHECKED)
    rows = ("1e30 inf nan -1e30", "1e9 1e9 1e9 1e9", "-1e9 -1e9 -1e9 -1e9", "0.5 0.5 0.5 0.5")
    found = check.run(binary, "".join(f"1 {row}\n" for row in rows).encode() + b"-1\n").split()
    np.testing.assert_allclose([float(one) for one in found[1:]], [32768, -32768, 6000], rtol=1e-4)


@needs_compiler
@pytest.mark.parametrize("cell", WRITTEN)
def test_no_row_makes_a_step_overflow(cell: str, tmp_path: Path) -> None:
    more = {"residual": True, "norm": True, "kernel_size": 3, "pooling": "last+mean+max+attention"}
    program, weights = lower(make(cell=cell, discrete=False, num_layers=2, **more))
    rng = np.random.default_rng(0)
    weights = {name: array * np.float32(rng.choice([1, 50])) for name, array in weights.items()}
    sources = written(lower_to_c(program, weights, FIXED))
    for name, text in {**sources, "harness.c": check.harness("m", program)}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    binary = check.build(tmp_path, ["m.c", "harness.c"], "harness", CHECKED)
    rows = rng.choice([0.0, 1e-5, 1.0, -1.0, 200.0, -32767.0, 32768.0, 1e9, -1e9, 3e38], size=(20, 30, 4))
    given = "".join(f"30 {' '.join(f'{value:.9g}' for value in one.reshape(-1).tolist())}\n" for one in rows)
    found = [float(value) for value in check.run(binary, given.encode() + b"-1\n").split()]
    assert len(found) == 20 * program.output_size
    assert np.abs(found).max() <= 32768


@pytest.mark.parametrize("cell", REFUSED)
def test_cells_that_are_refused_say_why(cell: str) -> None:
    with pytest.raises(InputError) as error:
        lower_to_c(*lower(make(cell=cell)), FIXED)
    assert str(error.value) == (
        f"cell in fixed point: got '{cell}'; expected one of {', '.join(WRITTEN)}: {REFUSED[cell]}. "
        "Export it with activations='exact' or 'table' (--activations exact)."
    )


def test_every_cell_and_op_of_a_program_is_written_or_refused() -> None:
    assert {*WRITTEN, *REFUSED} == set(FORMS)
    assert not set(WRITTEN) & set(REFUSED)
    apart = {"attend", "average", "clip", "ends", "mix", "quantiles", "recur", "shares", "shift", "slice"}
    apart |= {"sample", "standardize"}
    assert set(RULES) - apart == KNOWN


def test_states_take_half_where_they_are_bounded() -> None:
    def members(**options: Any) -> dict[str, str]:
        return {name: kind for kind, name, *_ in lower_to_c(*lower(make(**options)), FIXED).fields}

    assert members(cell="gru") == {"layer_0_h": "int16_t"}
    assert members(cell="lstm", kernel_size=3) == {
        "conv_before": "int16_t",
        "layer_0_h": "int16_t",
        "layer_0_c": "int32_t",
    }
    assert members(cell="rnn_relu", pooling="max") == {
        "layer_0_h": "int32_t",
        "max": "int32_t",
        "max_count": "uint32_t",
    }


def test_weights_that_are_too_large_are_refused() -> None:
    program, weights = lower(make(cell="gru"))
    with pytest.raises(InputError, match=r"^weight 'head\.weight': got '2e\+06'; expected numbers below 1,040,384"):
        lower_to_c(program, weights | {"head.weight": np.full((3, 6), 2e6, np.float32)}, FIXED)


@draws(25)
@given(
    rows=st.integers(1, 5),
    columns=st.integers(1, 3000),
    top=st.integers(0, 127),
    seed=st.integers(0, 9),
    ahead=st.integers(0, 2),
)
def test_no_sum_of_products_overflows(rows: int, columns: int, top: int, seed: int, ahead: int) -> None:
    rng = np.random.default_rng(seed)
    numbers = rng.choice([-top, top], size=(rows, ahead + columns)).astype(np.int8)
    matrix = Matrix(numbers, np.zeros(rows), 0, "m")
    pieces = matrix.pieces(0, rows, ahead, columns)
    assert [begin for begin, _ in pieces] == [ahead + sum(size for _, size in pieces[:n]) for n in range(len(pieces))]
    assert sum(size for _, size in pieces) == columns
    for begin, size in pieces:
        sums = np.abs(numbers[:, begin : begin + size].astype(np.int64)).sum(axis=1)
        assert int(sums.max()) * 2**15 < 2**31


@needs_compiler
def test_a_row_that_is_cut_in_pieces() -> None:
    wide, arrays = 1500, {"w": np.ones((2, 1500), np.float32)}
    last = Op("last", ("input",), "pool", wide, state={"last": "last"})
    head = Op("affine", ("pool",), "scores", 2, {"weight": "w"})
    shapes, state = {"w": Weight((2, wide))}, (State("last", (wide,)),)
    lowered = agree(Program.of("regress", Input("rows", wide), shapes, state, (last, head)), arrays, 3e-3, 0.5)
    assert sum("fixed_add_wide_product" in line for line in lowered.read.lines) == 3
    assert lowered.narrow == 516


def test_kinds_hold_their_bounds() -> None:
    for bound in (1e-3, 0.3, 1.0, 1.001, 2.0, 7.9, 8.0):
        kind = kind_of(bound)
        assert kind.type == "int16_t"
        assert round(bound * 2**kind.bits) <= 2**15  # 1 is rounded down to the largest number
    for bound in (0.1, 1.0, 3.0, 16383.0):
        assert bound * 2 ** long_of(bound).bits <= 2**30
    assert kind_of(9.0).wide
    assert kind_of(None).wide
    assert long_of(None).wide


def test_rows_of_a_matrix_keep_their_scales() -> None:
    numbers = np.array([[127, 1], [127, -127], [0, 0]], np.int8)
    scales = np.array([0.5, 1e-4, 1.0], np.float32)
    matrix = FixedConstants().factors("w", numbers, scales)
    np.testing.assert_allclose(matrix.factors / 2.0**matrix.bits, [0.5, 1e-4, 0], rtol=1e-5)


@needs_compiler
def test_functions_are_within_their_bits(tmp_path: Path) -> None:
    code, _ = assemble(("fixed_tanh", "fixed_sigmoid", "fixed_exponential", "fixed_logarithm"), ())
    constants = FixedConstants()
    for name, values in tables().items():
        constants.array(name, values)
    calls = "(int)fixed_tanh(x), (int)fixed_sigmoid(x), (unsigned)fixed_exponential(size), (int)fixed_logarithm(above)"
    main = f"""int main(void)
{{
    long long given;
    while (scanf("%lld", &given) == 1) {{
        const int32_t x = (int32_t)given;
        const uint32_t size = (uint32_t)(given < 0 ? -given : given);
        const uint64_t above = ((uint64_t)1 << 30) + ((uint64_t)size << 14);
        printf("%d %d %u %d\\n", {calls});
    }}
    return 0;
}}
"""
    text = f"#include <stdint.h>\n#include <stdio.h>\n{constants.arrays}{code}{main}"
    (tmp_path / "t.c").write_text(text, encoding="utf-8")
    binary = check.build(tmp_path, ["t.c"], "t", CHECKED)
    x = np.concatenate([np.arange(-20 * 65536, 20 * 65536, 611), [-(2**31), 2**31 - 1, -1, 0, 1]])
    lines = check.run(binary, "\n".join(map(str, x.tolist())).encode()).splitlines()
    tanh, sigmoid, exponential, logarithm = np.array([line.split() for line in lines], np.float64).T
    wide = x / 65536
    np.testing.assert_allclose(tanh / 2**15, np.tanh(wide), atol=4e-5)
    np.testing.assert_allclose(sigmoid / 2**15, 1 / (1 + np.exp(-np.maximum(wide, -700))), atol=4e-5)
    np.testing.assert_allclose(exponential / 2**30, np.exp(-np.abs(wide)), atol=5e-8)
    np.testing.assert_allclose(logarithm / 2**16, np.log1p(np.abs(wide)), atol=1e-5)
