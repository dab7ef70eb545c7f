"""An export gives what the model gives: every cell, every op, whole sequences and single steps, and faults are found.

Axes: B sequences, T time, D input features.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.laws.models import LANGUAGES, MORE_CELLS, OPTIONS, draw_base, language, made_of, make, shaken, with_cell
from tests.laws.programs import TAGGERS, tagger
from tests.profiles import draws

from rekur.cells import CELLS, make_cell
from rekur.errors import RekurError
from rekur.export.onnx import check_models, make_models
from rekur.lower import lower
from rekur.models import SequenceModel, SeriesSpec, build_series
from rekur.nn import Recurrent
from rekur.program import Engine, Input, Op, Program, State, Weight, in_precision, quantise
from rekur.program.ops import SMALL

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
TensorProto = onnx.TensorProto

#: the models here have large random weights, so that a few of them lose a digit more than trained ones
CLOSE = 4e-5
Arrays = dict[str, np.ndarray[Any, Any]]
PRECISIONS, FEW = ("float32", *SMALL), (TensorProto.INT8, TensorProto.BFLOAT16)
#: a language network whose arrays of 100 numbers or more are matrices
BY_ROWS = {"embedding_size": 12, "hidden_size": 12}


def kinds(model: Any) -> set[str]:
    """Return the operators of a model, those inside its loops too."""
    found = set()
    for node in model.graph.node:
        found.add(node.op_type)
        for attribute in node.attribute:
            found |= {inner.op_type for inner in attribute.g.node}
    return found


def agree(program: Program, weights: Arrays, tolerance: float = CLOSE) -> dict[str, Any]:
    """Hold the ONNX models of a program against the engine, and return them."""
    models = make_models(program, weights)
    assert ("step" in models) == (program.causal and not program.strided)
    check_models(models, Engine(program, weights), tolerance)
    return models


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_with_everything_around_it(cell: str, bidirectional: bool) -> None:
    more = {"residual": True, "norm": True, "kernel_size": 3, "pooling": "last+mean+max+attention"}
    agree(*lower(make(cell=cell, bidirectional=bidirectional, num_layers=2, **more)))


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_by_itself(cell: str, discrete: bool) -> None:
    models = agree(*lower(make(cell=cell, discrete=discrete)))
    operators = ("RNN", "LSTM", "GRU")
    standard = [operator for operator in operators if cell.upper().startswith(operator)]
    assert (standard or ["Scan"])[0] in kinds(models["sequence"])
    assert "Scan" not in kinds(models["step"])


@pytest.mark.parametrize("name", MORE_CELLS)
def test_every_wrapper_and_option_of_a_cell(name: str) -> None:
    for bidirectional in (False, True):
        agree(*lower(with_cell(name, bidirectional)))


@pytest.mark.parametrize("cell", ["lstm", "slstm", "mlstm", "gru"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_learned_states(cell: str, bidirectional: bool) -> None:
    model = make(bidirectional=bidirectional)
    model.recurrent = Recurrent(lambda d: make_cell(cell, d, 6), 5, 6, bidirectional=bidirectional, learned_state=True)
    shaken(model, 2)
    program, weights = lower(model)
    assert any(isinstance(slot.begins, str) for slot in program.state)
    agree(program, weights)


@draws(12)
@given(**TAGGERS, bidirectional=st.booleans(), precision=st.sampled_from(PRECISIONS))
def test_outputs_at_every_step(precision: str, bidirectional: bool, **options: Any) -> None:
    if bidirectional:
        options["delay"] = 0
    program, weights = tagger(**options, bidirectional=bidirectional)
    models = agree(*in_precision(program, weights, precision))
    assert [output.name for output in models["sequence"].graph.output] == ["scores"]
    facts = {fact.key: fact.value for fact in models["sequence"].metadata_props}
    assert facts.get("delay", "0") == str(program.delay)


def test_columns_of_ids_before_a_pool() -> None:
    for precision in PRECISIONS:
        agree(*in_precision(*tagger(pool="last"), precision))
    agree(*tagger(pool="ends", bidirectional=True))


@draws(12)
@given(**OPTIONS, precision=st.sampled_from(PRECISIONS))
def test_an_export_is_its_program(precision: str, **options: Any) -> None:
    agree(*in_precision(*lower(made_of(**options)), precision))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", LANGUAGES)
def test_language_networks(name: str, precision: str) -> None:
    models = agree(*in_precision(*lower(language(**LANGUAGES[name])), precision))
    assert [output.name for output in models["sequence"].graph.output] == ["scores", "steps"]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["tied", "tied clusters"])
def test_a_table_that_two_ops_share_is_kept_once(name: str, precision: str) -> None:
    program, weights = in_precision(*lower(language(**LANGUAGES[name])), precision)
    sizes = [np.prod(array.dims) for array in make_models(program, weights)["step"].graph.initializer]
    table = weights["embedding.weight"].size
    assert sizes.count(table) == 1


@pytest.mark.parametrize("known", [0, 1, 2, 33])
def test_runs_of_tokens_of_which_few_are_known(known: int) -> None:
    program, weights = lower(language(ngrams=(2,)))
    op = next(op for op in program.main.ops if op.kind == "ngrams")
    table, runs = op.weights["table_2"], op.weights["runs_2"]
    weights |= {table: weights[table][: known + 1], runs: weights[runs][:known]}
    shapes = {name: replace(program.weights[name], shape=weights[name].shape) for name in (table, runs)}
    program = replace(program, weights={**program.weights, **shapes})
    models = agree(program, weights)
    sizes = sum(np.prod(array.dims) for array in models["step"].graph.initializer if array.name.startswith(op.writes))
    assert sizes <= 3 * known + 8, "a key, the begin of its bucket, and no more than the fullest bucket beyond the end"


def matrices_of(model: Any) -> dict[str, list[str]]:
    """Return the names of the arrays of a model that hold 100 numbers or more, by their types."""
    found: dict[str, list[str]] = {}
    for array in model.graph.initializer:
        if np.prod(array.dims) >= 100:
            found.setdefault(TensorProto.DataType.Name(array.data_type), []).append(array.name)
    return found


@pytest.mark.parametrize("precision", SMALL)
@pytest.mark.parametrize("cell", CELLS)
def test_matrices_of_every_cell_in_fewer_bits(cell: str, precision: str) -> None:
    more = {"norm": True, "kernel_size": 3, "pooling": "last+attention", "embedding_size": 12, "hidden_size": 12}
    for program, weights in (lower(make(cell=cell, **more)), lower(language(cell=cell, tied=True, **BY_ROWS))):
        models = agree(*quantise(program, weights, precision))
        for model in models.values():
            assert set(matrices_of(model)) == {precision.upper()}


@pytest.mark.parametrize("precision", SMALL)
@pytest.mark.parametrize("name", MORE_CELLS)
def test_every_wrapper_and_option_of_a_cell_in_fewer_bits(name: str, precision: str) -> None:
    for model in agree(*quantise(*lower(with_cell(name)), precision)).values():
        assert set(matrices_of(model)) <= {precision.upper()}


@pytest.mark.parametrize(("precision", "most"), [("int8", 0.3), ("bfloat16", 0.55)])
@pytest.mark.parametrize("cell", CELLS)
def test_files_in_fewer_bits_are_smaller(cell: str, precision: str, most: float) -> None:
    program, weights = lower(make(cell=cell, hidden_size=128, embedding_size=128))
    before, after = make_models(program, weights), make_models(*quantise(program, weights, precision))
    for name, model in after.items():
        assert model.ByteSize() < most * before[name].ByteSize(), name


@pytest.mark.parametrize("precision", SMALL)
@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before", "slstm", "mingru"])
def test_the_runtime_expands_weights_as_it_loads_the_model(cell: str, precision: str, tmp_path: Path) -> None:
    network = language(cell=cell, tied=True, embedding_size=6)
    for name, model in make_models(*quantise(*lower(network), precision)).items():
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / f"{name}.onnx")
        options.log_severity_level = 3
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        small = {array.name for array in model.graph.initializer if array.data_type in FEW}
        read = [node.op_type for node in onnx.load(tmp_path / f"{name}.onnx").graph.node if small & set(node.input)]
        assert read == ["Gather"], f"{name}: what is left to be expanded at each step is a row of the table"


def hand_made(*head: Op, body: tuple[Op, ...] = (), state: tuple[State, ...] = (), **weights: Any) -> None:
    """Hold a program of a few ops on rows of four numbers against the engine."""
    last = Op("last", (body[-1].writes if body else "input",), "last", 4, state={"last": "last"})
    arrays = {name: np.asarray(array, np.float32) for name, array in weights.items()}
    shapes = {name: Weight(array.shape) for name, array in arrays.items()}
    states = (*state, State("last", (4,)))
    agree(Program.of("regress", Input("rows", 4), shapes, states, (*body, last, *head)), arrays, 2e-6)


RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Draw the same weights whatever tests ran before: some of a simple network blow every rounding up."""
    global RNG
    RNG = np.random.default_rng(0)


def drawn(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "options",
    [
        {"scale": "both", "block": 2, "stride": 2, "members": 2, "joint": "softmax"},
        {"members": 2, "joint": "sigmoid"},
        {"scale": "global", "causal": True, "members": 2},
        {"scale": "global", "causal": True, "block": 2, "stride": 3},
        {"members": 2, "base": True, "pooling": "mean+last", "block": 2},
        {"members": 2, "base": True, "base_steps": 1},
        {"base": True, "base_steps": 5, "spread": 0.2, "block": 2},
    ],
)
def test_convolutional_networks(options: dict[str, Any], precision: str) -> None:
    sizes = {"input_size": 2, "output_size": 3, "widths": (3, 5), "channels": 4, "hidden_size": 3}
    model = build_series(SeriesSpec(**{**sizes, **options}), seed=0).eval()
    draw_base(model)
    program, weights = lower(model)
    agree(*in_precision(program, weights, precision))


@pytest.mark.parametrize("kind", ["softmax", "log_softmax", "padding"])
def test_ops_of_a_head(kind: str) -> None:
    hand_made(Op(kind, ("last",), "scores", 4 + (kind == "padding")))


@pytest.mark.parametrize("function", ["relu", "tanh", "sigmoid"])
def test_activations(function: str) -> None:
    op = Op("activation", ("input",), "bent", 4, options={"function": function})
    hand_made(body=(op,))
    hand_made(Op("activation", ("last",), "bent", 4, options={"function": function}))


def test_nothing_but_a_pool() -> None:
    hand_made()


def test_rows_of_a_matrix_in_body_and_head() -> None:
    middle = Op("affine", ("input",), "middle", 4, {"weight": "w"}, options={"rows": [1, 5]})
    end = Op("affine", ("last",), "end", 2, {"weight": "w", "bias": "b"}, options={"rows": [3, 5]})
    hand_made(end, body=(middle,), w=drawn(6, 4), b=drawn(2))


def test_layer_normalisation_of_rows_far_from_zero() -> None:
    shift = Op("affine", ("input",), "far", 4, {"weight": "w", "bias": "b"})
    norm = Op("layer_norm", ("far",), "norm", 4, {"gain": "g", "bias": "s"}, options={"epsilon": 1e-5})
    hand_made(body=(shift, norm), w=drawn(4, 4), b=np.full(4, 3.0), g=drawn(4), s=drawn(4))


@pytest.mark.parametrize("cell", ["rnn", "gru", "mingru"])
def test_states_that_begin_with_a_number(cell: str) -> None:
    gates = {"rnn": 1, "gru": 3, "mingru": 2}[cell]
    weights = {"weight_ih": drawn(gates * 4, 4), "weight_hh": drawn(gates * 4, 4)}
    if cell == "mingru":
        del weights["weight_hh"]
    op = Op("recur", ("input",), "cell", 4, {name: name for name in weights}, {"h": "h"}, {"cell": cell, "hidden": 4})
    hand_made(body=(op,), state=(State("h", (4,), begins=0.5),), **weights)


def test_a_window_that_begins_with_learned_steps() -> None:
    conv = Op("conv", ("input",), "conv", 4, {"weight": "w", "bias": "b"}, {"before": "before"})
    state = (State("before", (2, 4), begins="first"),)
    hand_made(body=(conv,), state=state, w=drawn(4, 4, 3), b=drawn(4), first=drawn(2, 4))


def test_long_sequences() -> None:
    program, weights = lower(make(cell="rglru", pooling="mean"))
    model = make_models(program, weights)["sequence"].SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).integers(0, 11, size=(2, 3000))
    found = session.run(["scores"], {"input": x, "lengths": np.array([3000, 2000], np.int64)})[0]
    np.testing.assert_allclose(found, Engine(program, weights).run([x[0], x[1, :2000]]), atol=CLOSE, rtol=CLOSE)


def changed(model: SequenceModel, name: str) -> tuple[Program, Arrays, Arrays]:
    program, weights = lower(model)
    other = {key: array.copy() for key, array in weights.items()}
    other[name].reshape(-1)[0] += 0.1
    return program, weights, other


@pytest.mark.parametrize("name", ["embedding.weight", "recurrent.layers.0.cell.weight_hh", "head.bias"])
def test_a_planted_fault_is_found(name: str) -> None:
    program, weights, other = changed(make(), name)
    with pytest.raises(RekurError, match=r"^largest difference to the model's own scores: got .* in .*\.onnx, "):
        check_models(make_models(program, other), Engine(program, weights))


def test_a_fault_of_the_state_alone_is_found() -> None:
    program, weights = lower(make(pooling="mean"))
    models = make_models(program, weights)
    for node in models["step"].graph.node:
        if node.output[0] == "next.mean.count":
            node.input[0] = "state.mean.count"
    with pytest.raises(RekurError, match=r"in step\.onnx, \d sequences after \d+ steps, "):
        check_models(models, Engine(program, weights))


def test_a_model_that_breaks_a_rule_is_refused() -> None:
    program, weights = lower(make())
    models = make_models(program, weights)
    del models["sequence"].graph.node[0]
    with pytest.raises(RekurError, match=r"^sequence\.onnx: got '.*'; expected a model that is valid and runs\.$"):
        check_models(models, Engine(program, weights))
