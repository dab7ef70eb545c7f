"""Programs with the parts ``encode`` and ``decode``, and their log-probabilities in float64.

Axes: S source steps, T target tokens, V target vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from tests.laws.programs import HIDDEN, Array, op_value

from rekur.program import Input, Op, Part, Program, State, Weight

SOURCES, TOKENS, WIDTH = 9, 8, 5


def pair_program(score: str, *, is_started: bool = True, seed: int = 0) -> tuple[Program, dict[str, Array]]:
    """Return a program and its weights.

    Args:
        score: of the attention, ``dot`` or ``additive``.
        is_started: whether the first state of the target comes from the source.
        seed: of the weights.
    """
    random, weights = np.random.default_rng(seed), dict[str, Array]()

    def weight(name: str, *shape: int) -> str:
        weights[name] = (1.5 * random.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)
        return name

    def gru(reads: str, size: int, name: str, **options: Any) -> Op:
        shapes = {"weight_ih": (3 * HIDDEN, size), "weight_hh": (3 * HIDDEN, HIDDEN)}
        shapes |= {"bias_ih": (3 * HIDDEN,), "bias_hh": (3 * HIDDEN,)}
        roles = {role: weight(f"{name}.{role}", *shape) for role, shape in shapes.items()}
        return Op(
            "recur", (reads,), name, HIDDEN, roles, {"h": f"{name}.h"}, {"cell": "gru", "hidden": HIDDEN} | options
        )

    size = 2 * HIDDEN
    encode = [
        Op("embed", ("input",), "words", WIDTH, {"table": weight("words", SOURCES, WIDTH)}),
        gru("words", WIDTH, "ahead"),
        gru("words", WIDTH, "back", reverse=True),
        Op("concat", ("ahead", "back"), "sides", size),
        Op("affine", ("sides",), "keys", HIDDEN, {"weight": weight("keys", HIDDEN, size)}),
    ]
    state = [State("ahead.h", (HIDDEN,)), State("back.h", (HIDDEN,))]
    outputs = {"memory": "sides", "keys": "keys"}
    if is_started:
        encode += [
            Op("mean", ("sides",), "mean", size, state={"mean": "mean", "count": "count"}),
            Op("affine", ("mean",), "sum", HIDDEN, {"weight": weight("start", HIDDEN, size)}),
            Op("activation", ("sum",), "start", HIDDEN, options={"function": "tanh"}),
        ]
        state += [State("mean", (size,)), State("count", (1,), "int64")]
        outputs["start"] = "start"
    roles = {} if score == "dot" else {"weight": weight("score", 1, HIDDEN)}
    decode = (
        Op("embed", ("input",), "tokens", WIDTH, {"table": weight("tokens", TOKENS, WIDTH)}),
        gru("tokens", WIDTH, "hidden"),
        Op("attend", ("hidden", "keys", "memory"), "context", size, roles, options={"score": score, "scale": 0.7}),
        Op("concat", ("hidden", "context", "tokens"), "joined", size + HIDDEN + WIDTH),
        Op("affine", ("joined",), "scores", TOKENS - 1, {"weight": weight("out", TOKENS, size + HIDDEN + WIDTH)}, {},
           {"rows": [1, TOKENS]}),
        Op("log_softmax", ("scores",), "logs", TOKENS - 1),
        Op("padding", ("logs",), "padded", TOKENS),
    )  # fmt: skip
    state.append(State("hidden.h", (HIDDEN,), output="start" if is_started else ""))
    inputs = {"input": Input("tokens", TOKENS), "memory": Input("memory", size), "keys": Input("memory", HIDDEN)}
    parts = {
        "encode": Part({"input": Input("tokens", SOURCES)}, tuple(encode), outputs),
        "decode": Part(inputs, decode, {"output": "padded"}),
    }
    return Program("translate", parts, {name: Weight(w.shape) for name, w in weights.items()}, tuple(state)), weights


def pair_values(program: Program, weights: Mapping[str, Array], source: Array, target: Array) -> Array:
    """Return the outputs after each target token (T, V), by the definition of each op."""
    arrays = {name: array.astype(np.float64) for name, array in weights.items()}

    def run(part: str, registers: dict[str, Array], begins: Mapping[str, Array]) -> dict[str, Array]:
        for op in program.parts[part].ops:
            roles = {role: arrays[name] for role, name in op.weights.items()}
            begin = begins.get(op.state["h"]) if op.kind == "recur" else None
            registers[op.writes] = op_value(op, [registers[name] for name in op.reads], roles, begin)
        return {name: registers[register] for name, register in program.parts[part].outputs.items()}

    encoded = run("encode", {"input": np.asarray(source, np.int64)[:, None]}, {})
    memories = {name: encoded[name] for name in program.parts["decode"].inputs if name != "input"}
    begins = {slot.name: encoded[slot.output] for slot in program.state if slot.output}
    return run("decode", {"input": np.asarray(target)[:, None], **memories}, begins)["output"]
