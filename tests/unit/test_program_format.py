"""Programs of format 2: columns of ids, a look-ahead, an output at every step; and what cannot be one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.laws.programs import tagger

from rekur.errors import InputError, NotStreamableError, ShapeError
from rekur.program import Engine, Input, Op, Part, Program, State, Weight, costs
from rekur.program.stepwise import stepwise

FORMATS = Path(__file__).parents[1] / "formats"


@pytest.mark.parametrize("path", sorted(FORMATS.glob("v1/*/program.json")), ids=lambda path: path.parent.name)
def test_a_program_that_format_1_can_hold_is_written_as_it_was(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert Program.from_json(text).to_json() == text


def changed(change: Callable[[dict[str, Any]], None], **options: Any) -> str:
    """Return the message that refuses a changed program."""
    saved = json.loads(tagger(**options)[0].to_json())
    change(saved["parts"])
    with pytest.raises(InputError) as error:
        Program.from_json(json.dumps(saved))
    return str(error.value)


def op_of(parts: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = next(op for op in parts["main"]["ops"] if op["op"] == kind)
    return found


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda parts: parts.update(decode=parts["main"]),
            "parts of the program: got 'main, decode'; expected 'main' alone, or 'encode' and 'decode' or 'ahead'.",
        ),
        (
            lambda parts: parts["main"]["inputs"].update(more={"kind": "rows", "size": 2}),
            "inputs of the part 'main': got 'input, more'; expected 'input' alone.",
        ),
        (
            lambda parts: parts["main"]["outputs"].update(more="words"),
            "outputs of the part 'main': got 'output, more'; expected 'output' alone.",
        ),
        (
            lambda parts: parts["main"]["outputs"].update(output=3),
            "main.outputs.output: got 3; expected the name of a register.",
        ),
        (
            lambda parts: parts["main"]["outputs"].update(output="score"),
            "outputs.output: got 'score'; expected one of 'words', 'part.1', 'part.2', 'embedding', 'ahead', 'later', "
            "'scores'. Did you mean 'scores'?",
        ),
        (
            lambda parts: parts["main"]["inputs"]["input"].update(columns=[11, 5]),
            "columns of the input: got 2; expected 3 of them, one for each id.",
        ),
        (
            lambda parts: parts["main"]["inputs"]["input"].update(columns=[11, 5, 0]),
            "size of a column of the input: got 0; expected a whole number of 1 or more.",
        ),
        (
            lambda parts: op_of(parts, "embed").update(column=3),
            "main.ops[0].column: got 3; expected a whole number in [0, 2].",
        ),
        (
            lambda parts: op_of(parts, "embed").pop("column"),
            "main.ops[0].column: got 'none'; expected a whole number in [0, 3), the column of ids.",
        ),
        (
            lambda parts: op_of(parts, "embed").update(rows=[1, 5]),
            "main.ops[0].rows: got [1, 5]; expected 11 rows, one for each id.",
        ),
        (
            lambda parts: op_of(parts, "embed").update(vocabulary=12),
            "main.ops[0].vocabulary: got 12; expected a whole number in [2, 11].",
        ),
        (
            lambda parts: op_of(parts, "embed").update(vocabulary=10),
            "shape of the weight 'words': got (11, 5); expected (10, 5), as main.ops[0] (embed) needs for its table.",
        ),
        (
            lambda parts: op_of(parts, "shift").update(steps=0),
            "main.ops[5].steps: got 0; expected a whole number in [1, 1024].",
        ),
        (
            lambda parts: op_of(parts, "recur").update(reverse=True),
            "program with a 'shift': got 'one that reads from the end'; expected a causal one: what reads from the end "
            "needs no look-ahead.",
        ),
        (
            lambda parts: parts["main"].update(ops={}),
            "ops of the part 'main' of the program: got 'dict'; expected a list of ops.",
        ),
        (lambda parts: parts["main"].pop("ops"), "field of part 'main': got 'none'; expected the field 'ops'."),
    ],
)
def test_a_part_that_cannot_be(change: Callable[[dict[str, Any]], None], text: str) -> None:
    assert changed(change, delay=2) == text


def test_what_remembers_does_not_follow_a_look_ahead() -> None:
    ops = (
        Op("shift", ("input",), "later", 2, state={"seen": "seen"}, options={"steps": 1}),
        Op("last", ("later",), "last", 2, state={"last": "last"}),
    )
    state = (State("seen", (1,), "int64"), State("last", (2,)))
    with pytest.raises(InputError) as error:
        Program.of("tag", Input("rows", 2), {}, state, ops)
    assert str(error.value) == (
        "main.ops[1].reads: got 'later'; expected a register without look-ahead. "
        "A shift comes after all ops that remember."
    )


def test_registers_of_another_time_or_type_are_not_joined() -> None:
    shift = Op("shift", ("input",), "later", 2, state={"seen": "seen"}, options={"steps": 1})
    last = Op("last", ("input",), "later", 2, state={"last": "last"})
    text = "main.ops[1].reads: got 'input, later'; expected registers of one type, with the same look-ahead."
    for op, state in ((shift, State("seen", (1,), "int64")), (last, State("last", (2,)))):
        with pytest.raises(InputError) as error:
            Program.of("tag", Input("rows", 2), {}, (state,), (op, Op("add", ("input", "later"), "sum", 2)))
        assert str(error.value).replace("head[0]", "main.ops[1]") == text


def test_a_program_without_an_op() -> None:
    with pytest.raises(InputError) as error:
        Program.of("tag", Input("rows", 2), {}, (), ())
    assert str(error.value) == "ops of the program: got 'none'; expected at least one."
    with pytest.raises(InputError, match=r"outputs\.output: got 'input'; expected one of "):
        Program("tag", {"main": Part({"input": Input("rows", 2)}, (), {"output": "input"})}, {}, ())


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([1, 2], "steps: got 'int64 (2,)'; expected whole numbers (T, 3), one of each column a step."),
        ([[1.0, 2.0, 3.0]], "steps: got 'float64 (1, 3)'; expected whole numbers (T, 3), one of each column a step."),
        ([[1, 2, 3], [1, 5, 3]], "an id of steps in column 1: got 5; expected a whole number in [0, 5)."),
        ([[1, 2, -1]], "an id of steps in column 2: got -1; expected a whole number in [0, 4)."),
    ],
)
def test_ids_that_cannot_be(steps: Any, text: str) -> None:
    engine = Engine(*tagger())
    with pytest.raises(InputError) as error:
        engine.run_steps(np.array(steps))
    assert str(error.value).replace("sequence", "steps") == text
    with pytest.raises((InputError, ShapeError), match=r"sequences\[0\]"):
        engine.run([np.array(steps)])


def test_outputs_at_every_step_are_not_lost() -> None:
    engine = Engine(*tagger())
    for call in (lambda: engine.advance(np.ones((1, 3), int), engine.initial_state()), lambda: engine.read([])):
        with pytest.raises(InputError) as error:
            call()
        assert str(error.value) == (
            "program: got 'one with an output at every step'; expected one with a pool. "
            "Take the outputs of run_steps, or of a live program."
        )
    with pytest.raises(NotStreamableError):
        Engine(*tagger(bidirectional=True)).live()


def test_a_pool_gives_its_output_at_the_end() -> None:
    last = Op("last", ("input",), "last", 1, state={"last": "last"})
    live = Engine(Program.of("regress", Input("rows", 1), {}, (State("last", (1,)),), (last,)), {}).live()
    assert live.advance(np.array([[2.0], [5.0]], np.float32)).shape == (0, 1)
    assert live.finish().tolist() == [[5.0]]


def test_what_remembers_stays_in_the_body_of_the_stepwise_form() -> None:
    program, _ = tagger(delay=2, head=("layer_norm", "activation"))
    other = stepwise(program)
    on_steps = ["embed", "embed", "embed", "concat", "recur"]
    assert [op.kind for op in other.main.ops] == [*on_steps, "last", "affine", "layer_norm", "activation"]
    assert other.main.ops[5].reads == ("ahead",)
    assert [op.kind for op in other.main.ops if other.reads_rows(op)] == ["affine", "layer_norm", "activation"]
    assert [slot.name for slot in other.state] == ["ahead.h", "ahead.last"]
    recurrent, _ = tagger(columns=())
    cut = Program.of(
        "tag",
        Input("rows", 4),
        {name: Weight(recurrent.weights[name].shape) for name in recurrent.main.ops[0].weights.values()},
        recurrent.state,
        recurrent.main.ops[:1],
    )
    assert stepwise(cut).output == stepwise(cut).main.ops[-1].writes == "ahead.last"


def test_what_a_step_of_columns_costs() -> None:
    table = {
        cost.op.writes: (cost.multiply_adds, cost.weight_bytes, cost.state_bytes) for cost in costs(tagger(delay=2)[0])
    }
    assert table["words"] == (0, 4 * 5, 0)
    assert table["part.1"] == table["part.2"] == (0, 4 * 3, 0)
    assert table["later"] == (0, 0, 8)
    assert table["scores"] == (4 * 6, 4 * (4 * 6 + 4), 0)
