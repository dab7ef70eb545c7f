"""The recurrent layers of a saved model, from its program; no PyTorch.

Axes: D input features.
"""

from __future__ import annotations

import os
from pathlib import Path

from rekur.errors import InputError, describe
from rekur.export.weights.layer import GATES, LayerWeights
from rekur.program import Op, Program, dequantise
from rekur.program.cells import cell_from
from rekur.program.ops import op_arrays
from rekur.program.parts import is_pool
from rekur.runtime import Bundle, read_bundle

_OTHERS = "torch.nn, Keras and ONNX"
_ARRAYS = "The arrays themselves are in read_bundle(FOLDER).program()."


def from_bundle(bundle: Bundle | str | os.PathLike[str]) -> dict[str, LayerWeights]:
    """Return the recurrent layers of a saved model, from the input on, by their names: ``layer.0`` and so on.

    Stacked, they are the part of the model between its input (the features, or an embedding or convolution of them) and
    its pooling, or its scores of each step. 8-bit and 16-bit weights are converted to float32.

    Args:
        bundle: a bundle, or its folder.

    Raises:
        BundleError: the bundle is missing or damaged.
        InputError: torch.nn, Keras and ONNX do not have such layers: another cell, normalization or zoneout inside the
            cell, normalization or a residual connection between layers, or a learned initial state.

    Example:
        >>> import tempfile
        >>> from rekur import Classifier
        >>> texts, labels = ["aa b", "aa", "c dd", "c"] * 4, [0, 0, 1, 1] * 4
        >>> model = Classifier(cell="gru", epochs=1, hidden_size=4, baseline=False).fit(texts, labels)
        >>> layers = from_bundle(model.save(tempfile.mkdtemp() + "/small"))
        >>> {name: (layer.cell, layer.hidden_size) for name, layer in layers.items()}
        {'layer.0': ('gru', 4)}
    """
    saved = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
    program, weights = dequantise(*saved.program())
    groups: dict[str, list[Op]] = {}
    for op in program.main.ops:
        if op.kind == "recur":
            groups.setdefault(op.reads[0], []).append(op)
    layers: dict[str, LayerWeights] = {}
    previous = ""
    for reads, ops in groups.items():
        name = _output(program, ops)
        if previous:
            _follows(program, saved.folder, previous, reads)
        for op in ops:
            _check(program, op, f"{saved.folder}: {name}")
        backwards = [bool(op.options.get("reverse", False)) for op in ops]
        if backwards not in ([False], [True], [False, True]):
            got = ", ".join("backwards" if back else "forwards" for back in backwards)
            raise InputError(describe(f"{saved.folder}: directions of {name}", got, "one, or forwards and backwards"))
        arrays = tuple(op_arrays(op, weights) for op in ops)
        layers[name] = LayerWeights(ops[0].options["cell"], arrays, reverse=backwards == [True])
        previous = name
    if not layers:
        raise InputError(describe(f"{saved.folder}: recurrent layers", "none", "one or more"))
    ahead = {op.writes: op.reads[0] for op in program.main.ops if op.kind == "shift"}
    for op in program.main.ops:
        if is_pool(op) or (program.per_step and op.writes == program.output):
            _follows(program, saved.folder, previous, ahead.get(op.reads[0], op.reads[0]))
    return layers


def _output(program: Program, ops: list[Op]) -> str:
    """Return the register of a layer's outputs; those of two directions are concatenated."""
    if len(ops) == 1:
        return ops[0].writes
    registers = tuple(op.writes for op in ops)
    joined = [op.writes for op in program.main.ops if op.kind == "concat" and op.reads == registers]
    return joined[0] if joined else registers[0]


def _follows(program: Program, folder: Path, name: str, reads: str) -> None:
    """Raise if an op changes the outputs of a layer before the next layer or the pooling."""
    if reads != name:
        between = next(op.kind for op in program.main.ops if op.writes == reads)
        expected = f"nothing, as in stacked layers of {_OTHERS}"
        raise InputError(describe(f"{folder}: what follows {name}", between, expected, _ARRAYS))


def _check(program: Program, op: Op, layer_name: str) -> None:
    """Raise if torch.nn, Keras and ONNX do not have the cell."""
    if op.options["cell"] not in GATES:
        expected = f"one of {', '.join(GATES)}"
        fix = f"{_OTHERS} have only these; rekur export writes the equations of others."
        raise InputError(describe(f"{layer_name}: cell", op.options["cell"], expected, fix))
    cell = cell_from(op.options, 1, op.size)
    for feature, there in (("layer normalisation", bool(cell.norm)), ("zoneout", any(cell.stay))):
        if there:
            raise InputError(describe(f"{layer_name}: cell", feature, f"a plain cell, as in {_OTHERS}", _ARRAYS))
    begins = {slot.name: slot.begins for slot in program.state}
    for state in op.state.values():
        if begins[state] != 0:
            got, expected = "learned values", f"zeros, with which layers of {_OTHERS} begin"
            raise InputError(describe(f"{layer_name}: first state", got, expected, _ARRAYS))
