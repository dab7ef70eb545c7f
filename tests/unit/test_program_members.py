"""A program of several members with fewer of them: the same answers as a network of these alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.laws.models import draw_base

from rekur.errors import InputError
from rekur.lower import lower
from rekur.models import SeriesNetwork, SeriesSpec, TaggerSpec, build_series, build_tagger
from rekur.program import Engine, draw_sequences, in_precision
from rekur.program.members import members_of, with_members


def network(joint: str, *, base: bool = False) -> SeriesNetwork:
    """Return a small network of three members."""
    sizes: dict[str, Any] = {"widths": (3,), "channels": 2, "hidden_size": 2, "members": 3}
    model = build_series(SeriesSpec(input_size=2, output_size=3, joint=joint, base=base, **sizes), seed=0).eval()
    draw_base(model)
    return model


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize(
    ("joint", "base"), [("outputs", False), ("outputs", True), ("softmax", False), ("sigmoid", False)]
)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_members_give_what_they_give_alone(joint: str, base: bool, count: int, precision: str) -> None:
    model = network(joint, base=base)
    program, weights = in_precision(*lower(model), precision)
    assert members_of(program) == 3
    fewer, kept_weights = with_members(program, weights, count)
    assert members_of(fewer) == count
    model.members = torch.nn.ModuleList(list(model.members)[:count])
    if model.base is not None:
        model.base.matrices, model.base.offsets = model.base.matrices[:count], model.base.offsets[:count]
    sequences = draw_sequences(program, (5, 1, 9))
    expected = Engine(*in_precision(*lower(model), precision)).run(sequences)
    outputs = Engine(fewer, kept_weights).run(sequences)
    if joint == "softmax":  # scores mean the same up to a constant
        outputs, expected = (each - each.max(axis=1, keepdims=True) for each in (outputs, expected))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_fewer_members_of_a_tagger_give_what_they_give_alone(precision: str) -> None:
    model = build_tagger(TaggerSpec(columns=(9, 6), cell="gru", hidden_size=5, output_size=3, members=2), seed=0).eval()
    for _, head in model.members:
        torch.nn.init.normal_(head.weight)
    program, weights = in_precision(*lower(model), precision)
    assert members_of(program) == 2
    fewer, kept_weights = with_members(program, weights, 1)
    model.others = torch.nn.ModuleList()
    sequences = draw_sequences(program, (5, 1, 9))
    outputs = Engine(fewer, kept_weights).run(sequences)
    for one, other in zip(outputs, Engine(*in_precision(*lower(model), precision)).run(sequences), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_more_members_than_there_are_is_refused() -> None:
    program, weights = lower(network("softmax"))
    with pytest.raises(InputError, match=r"members: got 4; expected a whole number"):
        with_members(program, weights, 4)
