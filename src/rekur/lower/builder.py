"""A program under construction, op by op, with the weights of its model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from rekur.program import Input, Op, Part, Program, State, Weight

Arrays = dict[str, np.ndarray[Any, Any]]


class Builder:
    """A program under construction: ops, weights and state in the order in which they are added.

    Args:
        names: parameter or buffer -> its name in the model.

    Attributes:
        prefix: of the names of registers and states that are added.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self.prefix = ""
        self.arrays: Arrays = {}
        self.state: list[State] = []
        self.ops: list[Op] = []

    def weight(self, tensor: Tensor) -> str:
        """Add a weight of the model and return its name."""
        tensor_on_cpu = tensor.detach().cpu()
        values = tensor_on_cpu.float() if tensor_on_cpu.is_floating_point() else tensor_on_cpu
        return self.array(self._names[id(tensor)], np.array(values.numpy()))

    def weights(self, tensors: Mapping[str, Tensor | None]) -> dict[str, str]:
        """Add the weights that are not None and return role -> name."""
        return {role: self.weight(tensor) for role, tensor in tensors.items() if tensor is not None}

    def array(self, name: str, array: np.ndarray[Any, Any]) -> str:
        """Add an array that the model has in another form, and return its name."""
        self.arrays[name] = np.ascontiguousarray(array)
        return name

    def remember(self, name: str, shape: tuple[int, ...], dtype: str = "float32", begins: float | str = 0.0) -> str:
        """Add a state and return its name."""
        self.state.append(State(self.prefix + name, shape, dtype, begins))
        return self.prefix + name

    def add(self, op: Op) -> str:
        """Add an op and return the register that it writes."""
        self.ops.append(dataclasses.replace(op, writes=self.prefix + op.writes))
        return self.prefix + op.writes

    def affine(self, reads: str, writes: str, linear: nn.Linear, *, factor: float = 1.0) -> str:
        """Add the op of a linear layer, whose outputs are multiplied by a factor."""
        weights = self.weights({"weight": linear.weight, "bias": linear.bias})
        if factor != 1:
            scaled = {role: (name, np.float32(factor) * self.arrays.pop(name)) for role, name in weights.items()}
            weights = {role: self.array(f"{name}.scaled", array) for role, (name, array) in scaled.items()}
        return self.add(Op("affine", (reads,), writes, linear.out_features, weights))

    def padding(self, reads: str) -> str:
        """Add padding in front of the scores of all other tokens, and return the register that holds all."""
        return self.add(Op("padding", (reads,), "scores", self.ops[-1].size + 1))

    def part(self, inputs: Mapping[str, Input], outputs: Mapping[str, str]) -> Part:
        """Return the ops so far as a part; those of the next part follow."""
        part = Part(inputs, tuple(self.ops), outputs)
        self.ops = []
        return part

    def weight_shapes(self) -> dict[str, Weight]:
        """Return name -> shape and type of the weights so far."""
        return {name: Weight(array.shape, str(array.dtype)) for name, array in self.arrays.items()}

    def program(self, task: str, source: Input) -> Program:
        """Return the program of one list of ops."""
        return Program.of(task, source, self.weight_shapes(), tuple(self.state), tuple(self.ops))


def builder_of(model: nn.Module) -> Builder:
    """Return a builder that knows the names of a model's parameters and buffers."""
    named = [*model.named_parameters(), *model.named_buffers()]
    return Builder({id(tensor): name for name, tensor in named})
