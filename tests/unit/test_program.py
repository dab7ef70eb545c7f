"""Programs that cannot be: each says what is wrong with it. And what a step costs, files, and the engine's inputs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws

from rekur.errors import InputError, ShapeError
from rekur.program import Engine, Input, Op, Program, State, Weight, check_weights, costs
from rekur.program.cells import Cell


def small() -> Program:
    """Return tokens -> embedding -> GRU -> last -> scores."""
    shapes = {"table": (7, 3), "w_x": (12, 3), "w_h": (12, 4), "b_x": (12,), "out": (2, 4), "out_bias": (2,)}
    body = (
        Op("embed", ("input",), "embedding", 3, {"table": "table"}),
        Op(
            "recur",
            ("embedding",),
            "layer",
            4,
            {"weight_ih": "w_x", "weight_hh": "w_h", "bias_ih": "b_x"},
            {"h": "h"},
            {"cell": "gru", "hidden": 4},
        ),
    )
    return Program.of(
        "classify",
        Input("tokens", 7),
        {name: Weight(shape) for name, shape in shapes.items()},
        (State("h", (4,)), State("last", (4,))),
        (
            *body,
            Op("last", ("layer",), "last", 4, state={"last": "last"}),
            Op("affine", ("last",), "logits", 2, {"weight": "out", "bias": "out_bias"}),
            Op("softmax", ("logits",), "shares", 2),
        ),
    )


def arrays(program: Program) -> dict[str, np.ndarray[Any, Any]]:
    """Return random weights of a program."""
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=weight.shape).astype(np.float32) for name, weight in program.weights.items()}


def change(at: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return what sets, or with None deletes, a value of a saved program, such as ``body.0.op``."""

    def apply(saved: dict[str, Any]) -> None:
        *way, name = at.split(".")
        place: Any = saved
        for step in way:
            place = place[int(step)] if isinstance(place, list) else place[step]
        if value is None:
            del place[name]
        else:
            place[name] = value

    return apply


@pytest.mark.parametrize(
    ("at", "value", "text"),
    [
        ("format", "other", "format of the program: got 'other'; expected 'rekur-program'."),
        (
            "version",
            3,
            "version of the program: got 3; expected a whole number from 1 to 2. "
            "It was written by a newer Rekur: pip install -U rekur.",
        ),
        ("version", "1", "version of the program: got '1'; expected a whole number from 1 to 2."),
        ("state", None, "field of the program: got 'none'; expected the field 'state'."),
        (
            "heads",
            [],
            "field of the program: got 'heads'; expected one of 'format', 'version', 'task', 'input', 'body', 'pool', "
            "'head', 'weights', 'state'. Did you mean 'head'?",
        ),
        ("task", 3, "task of the program: got 3; expected the name of a task."),
        (
            "input.kind",
            "token",
            "kind of the input: got 'token'; expected one of 'tokens', 'rows', 'ids', 'memory'. Did you mean 'tokens'?",
        ),
        ("input.size", 0, "size of the input: got 0; expected a whole number of 1 or more."),
        ("body", {}, "body of the program: got 'dict'; expected a list of ops."),
        (
            "body.1.op",
            "recurr",
            "body[1].op: got 'recurr'; expected one of 'embed', 'ngrams', 'recall', 'conv', 'recur', 'affine', "
            "'activation', 'layer_norm', 'add', 'concat'. Did you mean 'recur'?",
        ),
        (
            "head.0.op",
            "recur",
            "head[0].op: got 'recur'; expected one of 'softmax', 'log_softmax', 'clusters', 'padding', 'affine', "
            "'activation', 'layer_norm', 'add', 'concat'.",
        ),
        (
            "body.1.revers",
            True,
            "field of body[1] (recur): got 'revers'; expected one of 'op', 'reads', 'writes', 'size', 'weights', "
            "'state', 'cell', 'hidden', 'heads', 'norm', 'stay', 'reverse'. Did you mean 'reverse'?",
        ),
        ("body.1.reads", "embedding", "body[1].reads: got 'embedding'; expected a list of registers."),
        (
            "body.1.reads",
            ["later"],
            "body[1].reads: got 'later'; expected a register that an op before it writes. "
            "Those are 'input', 'embedding'.",
        ),
        ("body.1.reads", ["input"], "body[1].reads: got 'input'; expected a register that holds rows of numbers."),
        (
            "body.1.reads",
            ["embedding", "embedding"],
            "registers that body[1] (recur) reads: got 2; expected 1 of them.",
        ),
        (
            "body.1.writes",
            "embedding",
            "body[1].writes: got 'embedding'; expected a register that no op before it writes. "
            "Each op writes its own register.",
        ),
        ("head.1.size", 3, "head[1].size: got 3; expected 2, as its weights and what it reads say."),
        ("head.0.reads", ["layer"], None),
        (
            "body.1.cell",
            "grr",
            "cell: got 'grr'; expected one of 'rnn', 'rnn_relu', 'lstm', 'lstm_peephole', 'gru', 'gru_reset_before', "
            "'mingru', 'minlstm', 'rglru', 'slstm', 'mlstm'. Did you mean 'gru'?",
        ),
        (
            "body.1.cell",
            "lstm",
            "shape of the weight 'w_x': got (12, 3); expected (16, 3), as body[1] (recur) needs for its weight_ih.",
        ),
        ("body.1.stay", [0.5, 0.5], "stay of the cell: got [0.5, 0.5]; expected 0 for c, which this cell lacks."),
        ("body.1.heads", 2, "heads of the cell: got 2; expected 1 for the cell 'gru'."),
        (
            "body.1.weights.weight_hh",
            None,
            "weights of body[1] (recur): got 'bias_ih, weight_ih'; expected one for 'weight_hh'.",
        ),
        (
            "body.1.weights.weight_hh",
            "w_hh",
            "body[1].weights.weight_hh: got 'w_hh'; expected one of 'table', 'w_x', 'w_h', 'b_x', 'out', 'out_bias'. "
            "Did you mean 'w_h'?",
        ),
        (
            "weights.out.shape",
            [2, 5],
            "shape of the weight 'out': got (2, 5); expected (2, 4), as head[0] (affine) needs for its weight.",
        ),
        (
            "weights.table.shape",
            [6, 3],
            "shape of the weight 'table': got (6, 3); expected (7, 3), as body[0] (embed) needs for its table.",
        ),
        (
            "weights.out.dtype",
            "int64",
            "type of the weight 'out': got 'int64'; expected 'float32', as head[0] (affine) needs for its weight.",
        ),
        ("weights.out.shape", [0, 4], "an axis of the weight 'out': got 0; expected a whole number of 1 or more."),
        ("state.h.begins", [0], "begins of the state 'h': got [0]; expected a number."),
        ("weights.out.shape", "wide", "shape of the weight 'out': got 'wide'; expected one or more axes."),
        (
            "weights.out.dtype",
            "float16",
            "type of the weight 'out': got 'float16'; expected one of 'float32', 'int64', 'int8', 'bfloat16'. "
            "Did you mean 'bfloat16'?",
        ),
        (
            "weights.extra",
            {"shape": [1], "dtype": "float32"},
            "weight of no op: got 'extra'; expected only a weight that an op names.",
        ),
        (
            "state.h.shape",
            [5],
            "state 'h': got 'float32 (5,)'; expected float32 (4,), as body[1] (recur) needs for its h.",
        ),
        ("state.h.begins", "nowhere", None),
        (
            "state.h.begins",
            "out_bias",
            "shape of the weight 'out_bias': got (2,); expected (4,), as the state 'h' that begins with it.",
        ),
        ("state.more", {"shape": [1]}, "state of no op: got 'more'; expected only a state that an op names."),
        ("pool.0.state.last", "h", "pool[0].state.last: got 'h'; expected a state that no other op has."),
        ("pool", [], "pool: got []; expected at least one op."),
    ],
)
def test_a_bad_program_says_what_is_wrong(at: str, value: Any, text: str | None) -> None:
    saved = json.loads(small().to_json())
    change(at, value)(saved)
    with pytest.raises(InputError) as error:
        Program.from_json(json.dumps(saved))
    if text is not None:
        assert str(error.value) == text
    else:
        assert "; expected " in str(error.value)


@pytest.mark.parametrize("text", ["", "[", "[]", '"rekur-program"', "\xff"])
def test_text_that_is_no_program(text: str) -> None:
    with pytest.raises(InputError, match="program: got "):
        Program.from_json(text.encode("latin-1"))


def test_a_program_reads_like_a_table() -> None:
    lines = small().to_json().splitlines()
    assert lines[1:4] == [' "format": "rekur-program",', ' "version": 1,', ' "task": "classify",']
    assert [json.loads(line.strip().rstrip(","))["op"] for line in lines if '"op"' in line] == [
        "embed",
        "recur",
        "last",
        "affine",
        "softmax",
    ]


def test_weights_that_do_not_fit() -> None:
    program = small()
    weights = arrays(program)
    assert list(check_weights(program, {"unused": np.zeros(1, np.float32), **weights})) == list(weights)
    with pytest.raises(ShapeError) as shape:
        check_weights(program, {**weights, "out": np.zeros((4, 2), np.float32)})
    assert str(shape.value) == "shape of the weight 'out': got (4, 2); expected (2, 4), as the program says."
    with pytest.raises(InputError) as kind:
        check_weights(program, {**weights, "out": np.zeros((2, 4))})
    assert str(kind.value) == "type of the weight 'out': got float64; expected float32, as the program says."
    del weights["out_bias"]
    with pytest.raises(InputError) as missing:
        Engine(program, weights)
    assert str(missing.value).startswith("weights: got 'table, w_x, w_h, b_x, out'; expected 'out_bias' too.")


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([7], "a token of steps: got 7; expected a whole number in [0, 7)."),
        ([-1], "a token of steps: got -1; expected a whole number in [0, 7)."),
        ([[1]], "steps: got 'int64 (1, 1)'; expected whole numbers (T,), one token a step."),
        ([0.5], "steps: got 'float64 (1,)'; expected whole numbers (T,), one token a step."),
    ],
)
def test_steps_that_cannot_be(steps: Any, text: str) -> None:
    engine = Engine(small(), arrays(small()))
    with pytest.raises(InputError) as error:
        engine.advance(steps, engine.initial_state())
    assert str(error.value) == text


def test_a_number_that_is_not_finite() -> None:
    last = Op("last", ("input",), "last", 2, state={"last": "last"})
    engine = Engine(Program.of("regress", Input("rows", 2), {}, (State("last", (2,)),), (last,)), {})
    with pytest.raises(InputError) as error:
        engine.run([[[1.0, 2.0]], [[1.0, float("nan")]]])
    assert str(error.value) == "a number of sequences[1]: got nan; expected finite numbers."
    with pytest.raises(InputError) as large:
        engine.run([[[1.0, 1e200]]])
    assert str(large.value) == "a number of sequences[0]: got inf; expected finite numbers."
    with pytest.raises(ShapeError, match=r"sequences\[0\]: got .*; expected rows of one length"):
        engine.run([[[1.0, 2.0], [3.0]]])
    with pytest.raises(ShapeError) as shape:
        engine.run([[1.0, 2.0]])
    assert str(shape.value) == "sequences[0]: got 'float64 (2,)'; expected numbers (T, 2), a row a step."


def test_no_steps_leave_the_state_as_it_was() -> None:
    engine = Engine(small(), arrays(small()))
    state = engine.advance([3, 4], engine.initial_state())
    for before, after in zip(state, engine.advance([], state), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("rows", [1, 3, 40])
def test_a_mean_is_that_of_each_sequence(rows: int) -> None:
    state = {"mean": "mean", "count": "count"}
    op = Op("mean", ("input",), "mean", 3, state=state)
    slots = (State("mean", (3,)), State("count", (1,), "int64"))
    random = np.random.default_rng(rows)
    sequences = [random.normal(size=(length, 3)) for length in random.integers(0, 6, rows)]
    expected = [each.mean(axis=0) if len(each) else np.zeros(3) for each in sequences]
    engine = Engine(Program.of("regress", Input("rows", 3), {}, slots, (op,)), {})
    np.testing.assert_allclose(engine.run(sequences), expected, atol=1e-6)


def test_state_of_another_model() -> None:
    engine = Engine(small(), arrays(small()))
    state = engine.initial_state()
    with pytest.raises(ShapeError) as few:
        engine.read(state[:1])
    assert str(few.value) == "arrays of the state: got 1; expected 2: h, last."
    with pytest.raises(ShapeError) as other:
        engine.advance([1], [state[0], np.zeros(5, np.float32)])
    assert str(other.value) == "state 'last': got 'float32 (5,)'; expected float32 (4,)."


def test_the_softmax_of_no_steps_is_that_of_the_bias() -> None:
    program = small()
    weights = arrays(program)
    powers = np.exp(weights["out_bias"])
    np.testing.assert_allclose(Engine(program, weights).run([[]])[0], powers / powers.sum(), rtol=1e-6)


def test_clusters_give_the_probabilities_of_all_tokens() -> None:
    first, inside = np.log(np.array([0.5, 0.3, 0.2], np.float32)), np.log(np.array([0.9, 0.1], np.float32))
    weights = {"first": first[:, None], "inside": inside[:, None]}
    head = (
        Op("affine", ("last",), "a", 3, {"weight": "first"}),
        Op("affine", ("last",), "b", 2, {"weight": "inside"}),
        Op("log_softmax", ("a",), "first", 3),
        Op("log_softmax", ("b",), "inside", 2),
        Op("clusters", ("first", "inside"), "tokens", 4),
        Op("padding", ("tokens",), "scores", 5),
    )
    last = Op("last", ("input",), "last", 1, state={"last": "last"})
    shapes = {name: Weight(array.shape) for name, array in weights.items()}
    engine = Engine(Program.of("language", Input("rows", 1), shapes, (State("last", (1,)),), (last, *head)), weights)
    np.testing.assert_allclose(np.exp(engine.run([[[1.0]]])[0]), [0.0, 0.5, 0.3, 0.18, 0.02], rtol=1e-5)


def test_what_a_step_costs() -> None:
    found = {cost.op.kind: (cost.multiply_adds, cost.weight_bytes, cost.state_bytes) for cost in costs(small())}
    assert found == {
        "embed": (0, 12, 0),
        "recur": (12 * 3 + 12 * 4, 4 * (12 * 3 + 12 * 4 + 12), 16),
        "last": (0, 0, 16),
        "affine": (8, 4 * (8 + 2), 0),
        "softmax": (0, 0, 0),
    }


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kind": "gru", "heads": 2}, "heads of the cell: got 2; expected 1 for the cell 'gru'."),
        ({"kind": "slstm", "heads": 3}, "heads of the cell: got 3; expected a divisor of hidden, 4."),
        ({"kind": "gru", "output": 3}, "output of the cell: got 3; expected 4, as hidden."),
        ({"kind": "lstm", "output": 5}, "output of the cell: got 5; expected at most 4, as hidden."),
        ({"kind": "mingru", "norm": 1e-5}, "norm of the cell: got 1e-05; expected 0 for the cell 'mingru'."),
        (
            {"kind": "mlstm", "stay": (0.1, 0.0)},
            "stay of the cell: got [0.1, 0.0]; expected [0, 0] for the cell 'mlstm'.",
        ),
    ],
)
def test_cells_that_cannot_be(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as error:
        Cell(**{"input": 3, "hidden": 4, "output": 4, **options})
    assert str(error.value) == text


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value inside a saved program."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for name, each in inner for found in ((*way, name), *places(each, (*way, name)))]


JUNK = [None, True, -1, 0, 7, 2**70, 0.5, "", "h", "table", [], [1], ["input"], {}, {"a": 1}]


@draws(25)
@given(place=st.sampled_from(places(json.loads(small().to_json()))), junk=st.sampled_from(JUNK))
def test_whatever_stands_in_a_program_it_runs_or_is_refused(place: tuple[Any, ...], junk: Any) -> None:
    check_junk(place, junk)


def check_junk(place: tuple[Any, ...], junk: Any) -> None:
    """Put junk somewhere into a program: it is refused with a clear text, or what it says is run."""
    saved = json.loads(small().to_json())
    target = saved
    for step in place[:-1]:
        target = target[step]
    target[place[-1]] = junk
    refused = ""
    try:
        program = Program.from_json(json.dumps(saved))
    except InputError as error:
        refused = str(error)
    else:
        assert Engine(program, arrays(program)).run([[1, 2]]).shape == (1, program.output_size)
    assert not refused or re.search(": got .*; expected ", refused)


def test_a_pool_writes_no_register_of_the_body() -> None:
    last = Op("last", ("input",), "input", 2, state={"last": "last"})
    with pytest.raises(InputError) as caught:
        Program.of("regress", Input("rows", 2), {}, (State("last", (2,)),), (last,))
    assert str(caught.value) == (
        "pool[0].writes: got 'input'; expected a register that no op before it writes. Each op writes its own register."
    )
