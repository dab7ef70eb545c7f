"""C code computes what the program does that it was written from: every op, every cell, both precisions.

Axes: B sequences, T time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_program_laws import MORE_CELLS, language, make, shaken
from torch import nn

from rekur.cells import CELLS, make_cell
from rekur.errors import NotStreamableError
from rekur.nn import Recurrent
from rekur.program import Engine, draw_sequences
from rekur.ship import lower
from rekur.ship.c import check
from rekur.ship.c.source import Extra, Lowered, Style, lower_to_c, rounded_weights
from rekur.ship.c.write import header, source

LENGTHS = (5, 0, 12, 1, 30)

pytestmark = pytest.mark.skipif(check.compiler() is None, reason="no C compiler: neither $CC nor cc, gcc or clang")


def written(lowered: Lowered) -> dict[str, str]:
    """Return the header and the source."""
    name = lowered.style.name
    return {f"{name}.h": header(lowered, Extra()), f"{name}.c": source(lowered, Extra())}


def agree(model: nn.Module, *styles: Style) -> None:
    """Hold the C code of a model against the engine on the same weights, and rounded weights against exact ones."""
    program, weights = lower(model)  # type: ignore[arg-type]
    sequences = draw_sequences(program, LENGTHS)
    for style in styles:
        lowered = lower_to_c(program, weights, style)
        found = check.outputs(written(lowered), style.name, program, sequences, style.libm)
        wanted = Engine(program, rounded_weights(lowered, weights)).run(sequences)
        assert check.largest_difference(found, wanted) <= (1e-5 if style.activations == "exact" else 5e-3)
        if style.precision == "float32":
            assert lowered.constants.rounded == {}
        else:
            for name, array in lowered.constants.rounded.items():
                rows = weights[name].reshape(len(weights[name]), -1)
                steps = np.abs(rows).max(axis=1, keepdims=True) / 127
                apart = np.abs(array.reshape(rows.shape) - rows) if array.ndim < 3 else 0 * rows
                assert (apart <= 0.51 * steps + 1e-9).all()


PLAIN, SMALL = Style("m"), Style("m", precision="int8", libm=False)


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_with_everything_around_it(cell: str) -> None:
    more = {"residual": True, "norm": True, "kernel_size": 3, "pooling": "last+mean+max+attention"}
    agree(make(cell=cell, num_layers=2, **more), PLAIN, SMALL)


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_on_rows_of_numbers(cell: str) -> None:
    agree(make(cell=cell, discrete=False), Style("m", libm=False), Style("m", activations="table"))


@pytest.mark.parametrize("name", MORE_CELLS)
def test_every_wrapper_and_option_of_a_cell(name: str) -> None:
    cell: Callable[[int], Any] = MORE_CELLS[name]
    model = make(hidden_size=cell(5).output_size)
    model.recurrent = Recurrent(cell, 5, cell(5).hidden_size, num_layers=2)
    agree(shaken(model, 1), PLAIN, SMALL)


def test_learned_states() -> None:
    model = make()
    model.recurrent = Recurrent(lambda d: make_cell("lstm", d, 6), 5, 6, learned_state=True)
    agree(shaken(model, 2), PLAIN)


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm", "num_layers": 2, "residual": True, "norm": True, "tied": True},
        {"tied": True, "softmax": "sampled", "samples": 4},
        {"softmax": "adaptive", "vocabulary_size": 40, "cutoffs": (8, 20)},
        {"softmax": "adaptive", "vocabulary_size": 40, "cutoffs": (8, 20), "tied": True, "embedding_size": 6},
        {"ngrams": (2, 4)},
    ],
    ids=["tied", "projected", "clusters", "tied clusters", "ngrams"],
)
def test_language_networks(options: dict[str, Any]) -> None:
    agree(language(**options), PLAIN, SMALL)


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
        "Train a model that reads forward only (without --bidirectional), or export it with --to onnx."
    )


def test_only_what_is_used_is_written() -> None:
    text = source(lower_to_c(*lower(make(cell="rnn_relu")), Style("m", libm=False)), Extra())
    for absent in ("exponential", "tangent", "sigmoid", "math.h", "normalise", "lstm", "malloc"):
        assert absent not in text
