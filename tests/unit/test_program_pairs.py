"""Programs with the parts ``encode`` and ``decode``: what cannot be one, and what refuses one."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from tests.laws.pair_programs import pair_program
from tests.laws.programs import tagger

from rekur.decode import Rules, beam_search
from rekur.errors import InputError, ShapeError
from rekur.program import Engine, Input, PairEngine, Part, Program, costs, quantise

Change = Callable[[dict[str, Any]], Any]


def op_of(saved: dict[str, Any], part: str, kind: str) -> dict[str, Any]:
    op: dict[str, Any] = next(op for op in saved["parts"][part]["ops"] if op["op"] == kind)
    return op


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda saved: saved["parts"].pop("encode"),
            "parts of the program: got 'decode'; expected 'main' alone, or 'encode' and 'decode' or 'ahead'.",
        ),
        (
            lambda saved: saved["state"]["hidden.h"].update(output="begin"),
            "output that the state 'hidden.h' begins with: got 'begin'; expected one of 'memory', 'keys', 'start'.",
        ),
        (
            lambda saved: saved["state"]["hidden.h"].update(output=3),
            "output of the state 'hidden.h': got 3; expected the name of an output.",
        ),
        (
            lambda saved: saved["state"]["hidden.h"].update(output="keys"),
            "output that the state 'hidden.h' begins with: got 'a steps of 6'; expected a row of float32 (6,)",
        ),
        (
            lambda saved: saved["state"]["ahead.h"].update(output="start"),
            "state 'ahead.h': got 'one of the part 'encode''; expected one of the part 'decode'.",
        ),
        (
            lambda saved: saved["state"]["hidden.h"].update(output=""),
            "outputs of the part 'encode': got 'start'; expected what the part 'decode' reads.",
        ),
        (
            lambda saved: saved["parts"]["decode"]["inputs"].update(more={"kind": "memory", "size": 6}),
            "memory 'more' of the part 'decode': got 'more'; expected one of",
        ),
        (
            lambda saved: (
                saved["parts"]["decode"]["inputs"]["keys"].update(size=12)
                or saved["parts"]["encode"]["outputs"].update(keys="keys", memory="keys")
            ),
            "decode.ops[2].reads: got ['hidden', 'keys', 'memory']; expected a query and keys of the same size",
        ),
        (
            lambda saved: saved["parts"]["encode"]["outputs"].update(memory="words"),
            "memory 'memory' of the part 'decode': got 'steps of 5'; expected steps of 12.",
        ),
        (
            lambda saved: saved["parts"]["encode"]["inputs"].update(input={"kind": "memory", "size": 5}),
            "encode.ops[0].reads: got 'input'; expected a register that holds tokens.",
        ),
        (
            lambda saved: op_of(saved, "decode", "attend").update(reads=["hidden", "keys", "hidden"]),
            "decode.ops[2].reads: got 'hidden'; expected a register that holds the steps of a source.",
        ),
        (
            lambda saved: op_of(saved, "decode", "attend").update(reads=["keys", "keys", "memory"]),
            "decode.ops[2].reads: got 'keys'; expected a register that holds rows of numbers",
        ),
        (
            lambda saved: op_of(saved, "decode", "attend").update(score="cosine"),
            "decode.ops[2].score: got 'cosine'; expected one of 'dot', 'additive'.",
        ),
        (
            lambda saved: op_of(saved, "decode", "attend").update(weights={"weight": "out"}),
            "decode.ops[2].weights: got 'weight'; expected none for the score 'dot'.",
        ),
        (
            lambda saved: op_of(saved, "decode", "attend").update(score="additive"),
            "weights of decode.ops[2] (attend): got 'none'; expected one for 'weight'.",
        ),
        (
            lambda saved: op_of(saved, "decode", "recur").update(reverse=True),
            "decode.ops[1]: got 'recur'; expected an op with an output at every step, which needs no later one.",
        ),
    ],
)
def test_a_program_that_cannot_be_searched_is_refused(change: Change, text: str) -> None:
    saved = json.loads(pair_program("dot")[0].to_json())
    change(saved)
    with pytest.raises(InputError) as error:
        Program.from_json(json.dumps(saved))
    assert str(error.value).startswith(text)


def test_a_searched_program_runs_where_it_is_searched_alone() -> None:
    program, weights = pair_program("dot")
    message = "parts of the program: got 'encode and decode'; expected 'main' alone. Search with a PairEngine."
    with pytest.raises(InputError) as error:
        Engine(program, weights)
    assert str(error.value) == message
    with pytest.raises(InputError, match="parts of the program: got 'main'; expected 'encode' and 'decode'"):
        PairEngine(*tagger())


def test_sources_and_memories_are_checked() -> None:
    engine = PairEngine(*pair_program("dot"))
    with pytest.raises(InputError, match=r"a token of sequences\[1\]: got 9; expected a whole number in \[0, 9\)"):
        engine.encode([[1], [9]])
    with pytest.raises(ShapeError, match=r"sequences\[0\]: got 'int64 \(1, 1\)'"):
        engine.encode([[[1]]])
    with pytest.raises(InputError, match="batch: got 2; expected 1, the number of sources"):
        engine.begin(2, engine.encode([[1]]))


def test_memories_are_not_copied_for_each_row() -> None:
    engine = PairEngine(*pair_program("additive"))
    state = engine.begin(2, engine.encode([[1, 2], [3]]))
    chosen = engine.select(state, np.array([0, 0, 0, 1]))
    assert all(chosen.steps[name] is steps for name, steps in state.steps.items())
    assert chosen.arrays["hidden.h"].shape == (4, 6)


def test_costs_name_the_part() -> None:
    by_part = {(cost.part, cost.op.kind): cost for cost in costs(pair_program("dot")[0])}
    assert by_part["decode", "attend"].multiply_adds == 6 + 12
    assert by_part["encode", "mean"].state_bytes == 12 * 4 + 8


@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_a_quantised_program_is_searched_too(precision: str) -> None:
    program, weights = pair_program("dot")
    small = PairEngine(*quantise(program, weights, precision))
    large = PairEngine(program, weights)
    outputs = []
    for engine in (small, large):
        outputs.append(engine.step(np.array([4]), engine.begin(1, engine.encode([[1, 2, 3]])))[0][0, 1:])
    assert 0 < np.abs(outputs[0] - outputs[1]).max() < 0.2


def test_a_main_part_reads_no_memory() -> None:
    part = Part({"input": Input("memory", 3)}, (), {"output": "input"})
    with pytest.raises(InputError):
        Program("x", {"main": part}, {}, ())


def test_an_engine_serves_several_threads() -> None:
    engine, sources = PairEngine(*pair_program("dot")), [[1, 2, 3], [4]]

    def search(_: int) -> list[list[int]]:
        options = {"rules": Rules(end=3, begin=2), "most": 20, "beam": 3}
        return [best[0].ids.tolist() for best in beam_search(engine, 2, engine.encode(sources), **options)]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(search, range(24)))
    assert all(result == results[0] for result in results)
