"""Programs as text: format 2 with its parts, and format 1 with a body, a pool and a head.

A program that format 1 can hold is written in it, so that older versions can read it; format 1 is read for ever.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from rekur._check import no_unknown
from rekur.errors import InputError, describe
from rekur.program.ops import Op, State
from rekur.program.parts import INPUT, MAIN, OUTPUT, Input, Part, Weight, is_pool
from rekur.program.rules import RULES, Rule

FORMAT = "rekur-program"
VERSION = 2
_FIELDS = {
    1: ("format", "version", "task", "input", "body", "pool", "head", "weights", "state"),
    2: ("format", "version", "task", "parts", "weights", "state"),
}
_SHARED = ("affine", "activation", "layer_norm", "add", "concat")


def _rules(*kinds: str) -> Mapping[str, Rule]:
    return MappingProxyType({kind: replace(RULES[kind], options=_options(kind)) for kind in kinds})


def _options(kind: str) -> tuple[str, ...]:
    """Return the options of an op in format 1, whose tokens have one column and whose convolutions are causal."""
    return () if kind in ("embed", "conv") else tuple(name for name in RULES[kind].options if name != "column")


#: the sections of format 1 and their ops: from steps to steps, from steps to a row, from rows to a row
SECTIONS: Mapping[str, Mapping[str, Rule]] = MappingProxyType(
    {
        "body": _rules("embed", "ngrams", "recall", "conv", "recur", *_SHARED),
        "pool": _rules("last", "ends", "mean", "max", "attention"),
        "head": _rules("softmax", "log_softmax", "clusters", "padding", *_SHARED),
    }
)


@dataclass(frozen=True)
class Content:
    """The content of a program's text.

    Attributes:
        task: such as ``classify``.
        parts: name -> part.
        weights: name -> shape and type.
        state: in the order of the ops.
    """

    task: str
    parts: Mapping[str, Part]
    weights: Mapping[str, Weight]
    state: tuple[State, ...]


def read_text(text: str | bytes) -> Content:
    """Return the content of a program's text, of either format.

    Raises:
        InputError: the text is not a program, or one of a newer version, or an invalid one; the error says where.
    """
    saved = _parse(text)
    fields = _FIELDS[saved["version"]]
    no_unknown("field of the program", saved, fields)
    for name in fields:
        if name not in saved:
            raise InputError(describe("field of the program", "none", f"the field '{name}'"))
    source = _input(saved["input"]) if saved["version"] == 1 else None
    weights = {name: _weight(name, value) for name, value in _object("weights", saved["weights"]).items()}
    state = tuple(State.from_json(name, value) for name, value in _object("state", saved["state"]).items())
    if source is not None:
        return Content(saved["task"], {MAIN: _part_of_sections(saved, source)}, weights, state)
    parts = {name: _part(name, value) for name, value in _object("parts", saved["parts"]).items()}
    return Content(saved["task"], parts, weights, state)


def write_text(content: Content) -> str:
    """Return a program as readable text: one line for each op, weight and state."""
    sections, fields = sections_of(content.parts), dict[str, Any]()
    if sections is None:
        fields = {"format": FORMAT, "version": 2, "task": content.task}
        fields["parts"] = {name: _written(part) for name, part in content.parts.items()}
    else:
        fields = {"format": FORMAT, "version": 1, "task": content.task}
        fields["input"] = content.parts[MAIN].inputs[INPUT].to_json()
        fields |= {name: [op.to_json() for op in section] for name, section in sections.items()}
    fields["weights"] = {
        name: {"shape": list(weight.shape), "dtype": weight.dtype} for name, weight in content.weights.items()
    }
    fields["state"] = {slot.name: slot.to_json() for slot in content.state}
    return "{\n" + ",\n".join(f" {_line(key)}: {_block(value)}" for key, value in fields.items()) + "\n}\n"


def sections_of(parts: Mapping[str, Part]) -> dict[str, tuple[Op, ...]] | None:
    """Return body, pool and head of a program that format 1 can hold; None for others."""
    if list(parts) != [MAIN] or list(parts[MAIN].inputs) != [INPUT] or parts[MAIN].inputs[INPUT].kind == "ids":
        return None
    ops = parts[MAIN].ops
    pools = [index for index, op in enumerate(ops) if is_pool(op)]
    if not pools or parts[MAIN].outputs != {OUTPUT: ops[-1].writes}:
        return None
    sections = {"body": ops[: pools[0]], "pool": ops[pools[0] : pools[-1] + 1], "head": ops[pools[-1] + 1 :]}
    for name, rules in SECTIONS.items():
        for op in sections[name]:
            if op.kind not in rules or not set(op.options) <= set(rules[op.kind].options):
                return None
    pooled = {op.writes for op in ops[pools[0] :]}
    if any(register not in pooled for op in sections["head"] for register in op.reads):
        return None
    return sections


def paths_of(parts: Mapping[str, Part]) -> dict[str, list[str]]:
    """Return the path of each op of each part in the program's text, for messages."""
    sections = sections_of(parts)
    if sections is None:
        return {name: [f"{name}.ops[{index}]" for index in range(len(part.ops))] for name, part in parts.items()}
    return {MAIN: [f"{name}[{index}]" for name, section in sections.items() for index in range(len(section))]}


def _part_of_sections(saved: dict[str, Any], source: Input) -> Part:
    """Return the part that body, pool and head of format 1 make."""
    sections = {
        name: [Op.from_json(f"{name}[{k}]", value, rules) for k, value in enumerate(_list(name, saved[name]))]
        for name, rules in SECTIONS.items()
    }
    if not sections["pool"]:
        raise InputError(describe("pool", [], "at least one op"))
    pooled = [op.writes for op in sections["pool"]]
    for index, op in enumerate(sections["head"]):
        for register in op.reads:
            if register not in pooled:
                names = ", ".join(f"'{name}'" for name in pooled)
                expected = "a register that an op before it writes"
                raise InputError(describe(f"head[{index}].reads", register, expected, f"Those are {names}."))
        pooled.append(op.writes)
    ops = tuple(op for section in sections.values() for op in section)
    return Part({INPUT: source}, ops, {OUTPUT: ops[-1].writes})


def _part(name: str, value: Any) -> Part:
    fields = _object(f"part '{name}'", value, ("inputs", "ops", "outputs"))
    sources = _object(f"inputs of the part '{name}'", fields["inputs"])
    ops = _list(f"ops of the part '{name}'", fields["ops"])
    outputs = _object(f"outputs of the part '{name}'", fields["outputs"])
    for output, register in outputs.items():
        if not isinstance(register, str):
            raise InputError(describe(f"{name}.outputs.{output}", register, "the name of a register"))
    return Part(
        {source: _input(entry) for source, entry in sources.items()},
        tuple(Op.from_json(f"{name}.ops[{k}]", entry, RULES) for k, entry in enumerate(ops)),
        outputs,
    )


def _written(part: Part) -> dict[str, Any]:
    return {
        "inputs": {name: source.to_json() for name, source in part.inputs.items()},
        "ops": [op.to_json() for op in part.ops],
        "outputs": dict(part.outputs),
    }


def _input(value: Any) -> Input:
    saved = _object("input", value)
    names = ("kind", "size", "columns") if saved.get("kind") == "ids" else ("kind", "size")
    fields = _object("input", saved, names)
    columns = fields.get("columns", [])
    if not isinstance(columns, list):
        raise InputError(describe("columns of the input", columns, "a list of sizes"))
    return Input(fields["kind"], fields["size"], tuple(columns))


def _parse(text: str | bytes) -> dict[str, Any]:
    try:
        saved = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"program: got text that is not JSON ({error}); expected the output of Program.to_json."
        ) from error
    if not isinstance(saved, dict) or saved.get("format") != FORMAT:
        got = saved.get("format") if isinstance(saved, dict) else type(saved).__name__
        raise InputError(describe("format of the program", got, f"'{FORMAT}'"))
    version = saved.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= VERSION:
        fix = "It was written by a newer Rekur: pip install -U rekur."
        newer = isinstance(version, int) and version > VERSION
        raise InputError(
            describe("version of the program", version, f"a whole number from 1 to {VERSION}", fix if newer else "")
        )
    return saved


def _object(thing: str, value: Any, names: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(describe(f"{thing} of the program", type(value).__name__, "an object: name -> value"))
    if names:
        no_unknown(f"field of {thing}", value, names)
        for name in names:
            if name not in value:
                raise InputError(describe(f"field of {thing}", "none", f"the field '{name}'"))
    return value


def _list(thing: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(describe(f"{thing} of the program", type(value).__name__, "a list of ops"))
    return value


def _weight(name: str, value: Any) -> Weight:
    fields = _object(f"weight '{name}'", value, ("shape", "dtype"))
    shape = fields["shape"]
    return Weight(tuple(shape) if isinstance(shape, list) else shape, fields["dtype"])


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _block(value: Any, indent: str = " ") -> str:
    """Return a value as JSON, with one line for each entry of a list or of an object of objects."""
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"{indent} {_line(entry)}" for entry in value) + f"\n{indent}]"
    if isinstance(value, dict) and value and all(isinstance(inner, dict) for inner in value.values()):
        entries = [f"{indent} {_line(name)}: {_entry(inner, indent + ' ')}" for name, inner in value.items()]
        return "{\n" + ",\n".join(entries) + f"\n{indent}}}"
    return _line(value)


def _entry(value: dict[str, Any], indent: str) -> str:
    """Return an object on one line, or a part with one line for each op."""
    if "ops" not in value:
        return _line(value)
    inner = ",\n".join(f"{indent} {_line(name)}: {_block(entry, indent + ' ')}" for name, entry in value.items())
    return "{\n" + inner + f"\n{indent}}}"
