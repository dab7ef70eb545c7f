"""C code computes what the program does that it was written from: every op, every cell, both precisions.

Axes: B sequences, T time.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from tests.laws.models import LANGUAGES, MORE_CELLS, draw_base, language, make, shaken, with_cell
from tests.laws.programs import TAGGERS, tagger
from tests.profiles import draws
from torch import nn

from rekur.cells import CELLS, make_cell
from rekur.errors import InputError, NotStreamableError
from rekur.export.c import check
from rekur.export.c.constants import identifier
from rekur.export.c.source import Extra, Lowered, Style, lower_to_c
from rekur.export.c.write import header, source
from rekur.lower import lower
from rekur.models import SeriesSpec, build_series
from rekur.nn import Recurrent
from rekur.program import Engine, draw_sequences, in_precision, quantise

LENGTHS = (5, 0, 12, 1, 30)

pytestmark = pytest.mark.skipif(check.compiler() is None, reason="no C compiler: neither $CC nor cc, gcc or clang")


def written(lowered: Lowered) -> dict[str, str]:
    """Return the header and the source."""
    name = lowered.style.name
    return {f"{name}.h": header(lowered, Extra()), f"{name}.c": source(lowered, Extra())}


def agree(model: nn.Module, *styles: Style) -> None:
    """Hold the C code of a model against the engine on the same weights, rounded or not."""
    program, weights = lower(model)  # type: ignore[arg-type]
    sequences = draw_sequences(program, LENGTHS)
    for style in styles:
        lowered = lower_to_c(program, weights, style)
        found = check.outputs(written(lowered), style.name, program, sequences)
        assert lowered.program.precision == style.precision
        wanted = Engine(*in_precision(program, weights, style.precision)).run(sequences)
        assert check.largest_difference(found, wanted) <= (1e-5 if style.activations == "exact" else 5e-3)


PLAIN, SMALL = Style("m"), Style("m", precision="int8")


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_with_everything_around_it(cell: str) -> None:
    more = {"residual": True, "norm": True, "kernel_size": 3, "pooling": "last+mean+max+attention"}
    agree(make(cell=cell, num_layers=2, **more), PLAIN, SMALL)


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_on_rows_of_numbers(cell: str) -> None:
    agree(make(cell=cell, discrete=False), Style("m"), Style("m", activations="table"))


@pytest.mark.parametrize("name", MORE_CELLS)
def test_every_wrapper_and_option_of_a_cell(name: str) -> None:
    agree(with_cell(name), PLAIN, SMALL)


def test_learned_states() -> None:
    model = make()
    model.recurrent = Recurrent(lambda d: make_cell("lstm", d, 6), 5, 6, learned_state=True)
    agree(shaken(model, 2), PLAIN)


@pytest.mark.parametrize("name", LANGUAGES)
def test_language_networks(name: str) -> None:
    agree(language(**LANGUAGES[name]), PLAIN, SMALL)


@pytest.mark.parametrize("style", [PLAIN, SMALL, Style("m", activations="table")], ids=["plain", "int8", "table"])
@draws(6)
@given(**TAGGERS)
def test_outputs_at_every_step(style: Style, **options: Any) -> None:
    program, weights = tagger(**options)
    lowered = lower_to_c(program, weights, style)
    sequences = draw_sequences(program, LENGTHS)
    found = check.outputs(written(lowered), style.name, program, sequences)
    engine = Engine(*in_precision(program, weights, style.precision))
    for outputs, wanted in zip(found, engine.run(sequences), strict=True):
        assert check.largest_difference(outputs, wanted) <= (1e-5 if style.activations == "exact" else 5e-3)
    assert ("#define M_DELAY" in written(lowered)["m.h"]) == bool(program.delay)


@pytest.mark.parametrize(
    "options",
    [
        {"members": 2, "joint": "softmax", "stride": 3},
        {"members": 2, "joint": "sigmoid", "block": 2, "stride": 2},
        {"members": 2, "base": True, "pooling": "mean+last", "block": 2},
        {"members": 2, "base": True, "base_steps": 1},
        {"base": True, "base_steps": 5, "spread": 0.2, "block": 2},
        {},
    ],
)
def test_convolutional_networks(options: dict[str, Any]) -> None:
    sizes = {"input_size": 2, "output_size": 3, "widths": (3, 5), "channels": 4, "hidden_size": 3}
    spec = SeriesSpec(**{**sizes, "causal": True, "scale": "global", **options})
    model = build_series(spec, seed=0).eval()
    draw_base(model)
    agree(model, PLAIN, SMALL)


def test_int8_numbers_are_written_as_the_program_has_them() -> None:
    program, weights = quantise(*lower(make(kernel_size=2, pooling="last+attention")), "int8")
    small = lower_to_c(program, weights, SMALL)
    assert small.weights.keys() == weights.keys()
    text = source(small, Extra())
    for name in ("embedding.weight", "recurrent.layers.0.cell.weight_hh", "head.weight"):
        kind = "table" if name == "embedding.weight" else "values"
        (body,) = re.findall(rf"int8_t {identifier(name)}_{kind}\[\d+\] = {{([^}}]*)}}", text)
        found = np.array([int(number) for number in body.replace(",", " ").split()])
        np.testing.assert_array_equal(found, (weights[name] if kind == "table" else weights[name].T).reshape(-1))


def test_a_program_that_is_int8_in_part_is_refused() -> None:
    program, weights = quantise(*lower(make()), "int8")
    part = replace(program.weights["head.weight"], dtype="float32")
    rest = {name: weight for name, weight in program.weights.items() if name != "head.weight.scale"}
    program = replace(program, weights={**rest, "head.weight": part})
    with pytest.raises(InputError) as error:
        lower_to_c(program, {**weights, "head.weight": weights["head.weight"].astype(np.float32)}, SMALL)
    assert str(error.value) == (
        "type of the weight 'head.weight': got 'float32'; expected 'int8', as other matrices. Export it in float32."
    )


def test_what_is_shared_takes_no_memory_twice() -> None:
    plain = lower_to_c(*lower(make(cell="gru", embedding_size=5)), PLAIN)
    assert [(field[1], field[2]) for field in plain.fields] == [("layer_0_h", 6)]  # the last step is the state itself
    assert plain.buffer == 4 * 6  # the embedding is a row of the table, the gates take the buffer
    tied = lower_to_c(*lower(language(tied=True, embedding_size=6, softmax="sampled", samples=4)), PLAIN)
    text = source(tied, Extra())
    assert text.count("static const float embedding_weight") == 1
    assert "output + 1" in text  # scores are written where the caller wants them, behind padding's


def test_a_program_that_reads_from_the_end_is_refused() -> None:
    with pytest.raises(NotStreamableError) as error:
        lower_to_c(*lower(make(bidirectional=True)), PLAIN)
    assert str(error.value) == (
        "program: got 'one that reads from the end'; expected a causal one. "
        "Train a model that reads forward only (without --bidirectional; of series with --causal), or export it with "
        "--to onnx."
    )
    with pytest.raises(NotStreamableError) as same:
        lower_to_c(*tagger(bidirectional=True), PLAIN)
    assert str(same.value) == str(error.value).replace(
        "without --bidirectional; of series with --causal", "with --causal"
    )


def test_only_what_is_used_is_written() -> None:
    text = source(lower_to_c(*lower(make(cell="rnn_relu")), Style("m")), Extra())
    for absent in ("exponential", "tangent", "sigmoid", "math.h", "normalise", "lstm", "malloc"):
        assert absent not in text
