"""Programs of int8 and bfloat16: how far each weight is off, what they compute, how they are saved, what cannot be."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as some
from safetensors.torch import load as load_torch

from rekur._tensors import unpack
from rekur.errors import InputError
from rekur.lower import lower
from rekur.models import SequenceModel, SequenceSpec, build
from rekur.program import (
    Engine,
    Input,
    Op,
    Program,
    State,
    Weight,
    check_weights,
    costs,
    dequantise,
    quantise,
)
from rekur.program.stored_weights import pack_weights

Array = np.ndarray[Any, Any]
BOTH = pytest.mark.parametrize("precision", ["int8", "bfloat16"])


def small() -> Program:
    """Return rows -> affine -> last, whose state begins with a weight, -> scores of rows of the first's matrix."""
    return Program.of(
        "regress",
        Input("rows", 2),
        {"w": Weight((4, 2)), "b": Weight((4,)), "begin": Weight((4,)), "v": Weight((3, 4))},
        (State("last", (4,), begins="begin"),),
        (
            Op("affine", ("input",), "first", 4, {"weight": "w", "bias": "b"}),
            Op("last", ("first",), "last", 4, state={"last": "last"}),
            Op("affine", ("last",), "scores", 2, {"weight": "v"}, options={"rows": [1, 3]}),
        ),
    )


def arrays(program: Program) -> dict[str, Array]:
    """Return random weights of a program."""
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=weight.shape).astype(np.float32) for name, weight in program.weights.items()}


def make(cell: str, **options: Any) -> SequenceModel:
    """Return a small model with a convolution, two layers and every pool."""
    usual = {"kernel_size": 3, "num_layers": 2, "pooling": "last+mean+max+attention", "norm": True}
    options = {"embedding_size": 5, "hidden_size": 6, **usual, **options}
    spec = SequenceSpec(discrete=True, input_size=9, output_size=3, cell=cell, **options)
    return build(spec, seed=0).eval()


@BOTH
def test_matrices_alone_are_rounded(precision: str) -> None:
    program, weights = quantise(small(), arrays(small()), precision)
    assert program.precision == precision
    assert {name for name, weight in program.weights.items() if weight.dtype == precision} == {"w", "v"}
    assert ("w.scale" in weights) == (precision == "int8")
    for name in ("b", "begin"):
        np.testing.assert_array_equal(weights[name], arrays(small())[name])
    again, whole = dequantise(program, weights)
    assert again == small()
    assert {array.dtype for array in whole.values()} == {np.dtype(np.float32)}


@given(
    rows=some.arrays(
        np.float32, some.array_shapes(min_dims=2, max_dims=2), elements=st.floats(-(2.0**99), 2.0**99, width=32)
    )
)
def test_how_far_a_weight_is_off(rows: Array) -> None:
    size, width = rows.shape
    op = Op("affine", ("input",), "y", size, {"weight": "w"})
    last = Op("last", ("y",), "last", size, state={"last": "last"})
    state = (State("last", (size,)),)
    program = Program.of("regress", Input("rows", width), {"w": Weight(rows.shape)}, state, (op, last))
    for precision in ("int8", "bfloat16"):
        _, found = dequantise(*quantise(program, {"w": rows}, precision))
        off = np.abs(found["w"].astype(float) - rows)
        most = np.abs(rows.astype(float))
        allowed = most.max(axis=1, keepdims=True) / 253.9 if precision == "int8" else most / 256
        assert (off <= allowed + 1e-36).all()


@BOTH
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru", "mingru", "minlstm", "rglru", "slstm", "mlstm"])
def test_whole_sequences_chunks_and_steps_are_those_of_the_expanded_weights(cell: str, precision: str) -> None:
    program, weights = lower(make(cell))
    quantised = quantise(program, weights, precision)
    engine, expanded = Engine(*quantised), Engine(*dequantise(*quantised))
    sequences = [np.random.default_rng(n).integers(0, 9, size=n) for n in (12, 1, 5, 0)]
    whole = engine.run(sequences)
    np.testing.assert_array_equal(whole, expanded.run(sequences))
    assert np.abs(whole - Engine(program, weights).run(sequences)).max() > 0
    live = engine.live()
    for sequence, scores in zip(sequences, whole, strict=True):
        live.reset()
        state = engine.initial_state()
        for start in range(0, len(sequence), 10):
            state = engine.advance(sequence[start : start + 10], state)
        for token in sequence:
            live.step(token)
        np.testing.assert_allclose(live.read(), scores, atol=1e-5)
        np.testing.assert_allclose(engine.read(state), scores, atol=1e-5)


@BOTH
def test_packed_weights_are_small_and_read_back(precision: str) -> None:
    program, weights = quantise(*lower(make("gru", hidden_size=64, embedding_size=64)), precision)
    data = pack_weights(program, weights)
    read = check_weights(program, unpack(data, bfloat16=True))
    for name, array in weights.items():
        np.testing.assert_array_equal(read[name], array)
    _, whole = dequantise(program, weights)
    assert len(data) < (0.3 if precision == "int8" else 0.55) * sum(array.nbytes for array in whole.values())
    seen = load_torch(data)
    assert {str(tensor.dtype) for name, tensor in seen.items() if tensor.ndim > 1} == {f"torch.{precision}"}
    if precision == "bfloat16":
        for name, tensor in seen.items():
            np.testing.assert_array_equal(tensor.to(torch.float32).numpy(), whole[name])


def test_what_a_step_reads() -> None:
    program, weights = lower(make("gru"))
    bytes_of = {
        how: sum(cost.weight_bytes for cost in costs(quantise(program, weights, how)[0]))
        for how in ("int8", "bfloat16")
    }
    before = sum(cost.weight_bytes for cost in costs(program))
    assert bytes_of["int8"] < bytes_of["bfloat16"] < before
    only = costs(quantise(small(), arrays(small()), "int8")[0])
    assert [cost.weight_bytes for cost in only] == [4 * 2 + 4 * 4 + 4 * 4, 0, 2 * 4 + 2 * 4]


@BOTH
def test_weights_that_cannot_be_rounded(precision: str) -> None:
    weights = arrays(small())
    weights["w"][2, 1] = np.nan
    with pytest.raises(InputError) as error:
        quantise(small(), weights, precision)
    assert str(error.value) == ("a number of the weight 'w': got nan; expected finite numbers that its new type holds.")


def test_a_number_too_large_for_bfloat16() -> None:
    weights = arrays(small())
    weights["w"][0, 0] = 3.4e38
    with pytest.raises(InputError, match=r"a number of the weight 'w': got 3\.4"):
        quantise(small(), weights, "bfloat16")
    quantise(small(), weights, "int8")


def test_another_precision_and_a_second_time() -> None:
    with pytest.raises(InputError) as error:
        quantise(small(), arrays(small()), "int4")
    assert str(error.value) == "precision: got 'int4'; expected one of 'int8', 'bfloat16'. Did you mean 'int8'?"
    with pytest.raises(InputError) as error:
        quantise(*quantise(small(), arrays(small()), "int8"), "int8")
    assert str(error.value) == (
        "precision of the program: got 'int8'; expected 'float32'. Quantise the original program."
    )


def test_rows_of_zeros_stay_zeros() -> None:
    weights = arrays(small())
    weights["w"][1] = 0
    _, whole = dequantise(*quantise(small(), weights, "int8"))
    np.testing.assert_array_equal(whole["w"][1], [0, 0])


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (
            "w.scale",
            None,
            "weight 'w.scale': got 'none'; expected float32 (4,), a number for each row of 'w'.",
        ),
        (
            "w.scale",
            {"shape": [3], "dtype": "float32"},
            "weight 'w.scale': got 'float32 (3,)'; expected float32 (4,), a number for each row of 'w'.",
        ),
        (
            "b",
            {"shape": [4], "dtype": "bfloat16"},
            "shape of the bfloat16 weight 'b': got (4,); expected two or more axes. "
            "Only matrices are bfloat16; a vector is float32.",
        ),
        (
            "w",
            {"shape": [4, 2], "dtype": "float32"},
            "weight of no op: got 'w.scale'; expected only a weight that an op names.",
        ),
        (
            "w",
            {"shape": [4, 2], "dtype": "int16"},
            "type of the weight 'w': got 'int16'; expected one of 'float32', 'int64', 'int8', 'bfloat16'.",
        ),
    ],
)
def test_programs_that_cannot_be(name: str, value: Any, text: str) -> None:
    program, _ = quantise(small(), arrays(small()), "int8")
    saved = json.loads(program.to_json())
    if value is None:
        del saved["weights"][name]
    else:
        saved["weights"][name] = value
    with pytest.raises(InputError) as error:
        Program.from_json(json.dumps(saved))
    assert str(error.value) == text


def test_weights_of_another_type_than_the_program_says() -> None:
    program, weights = quantise(small(), arrays(small()), "bfloat16")
    with pytest.raises(InputError) as error:
        check_weights(program, weights | {"w": arrays(small())["w"]})
    assert str(error.value) == (
        "type of the weight 'w': got float32; expected bfloat16 (its bits as uint16), as the program says."
    )
