"""The encoder: columns of ids or rows of numbers in, a vector a step out; padding changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from rekur.errors import InputError
from rekur.models import Encoder, EncoderSpec, TaggerSpec
from rekur.models.encoder import ColumnEmbedding, locked_dropout

SPEC = {"cell": "gru", "hidden_size": 5, "embedding_size": 4, "part_size": 3}


def make(**options: Any) -> Encoder:
    torch.manual_seed(0)
    return Encoder(EncoderSpec(**{**SPEC, **options})).eval()


@pytest.mark.parametrize(
    "options",
    [
        {"columns": (9, 6, 7)},
        {"columns": (9,), "bidirectional": True},
        {"columns": (9, 6), "projection_size": 8, "num_layers": 2, "dropout": 0.5},
        {"input_size": 3, "kernel_size": 3},
        {"input_size": 3, "projection_size": 4, "bidirectional": True, "num_layers": 2, "residual": True},
    ],
)
def test_padding_and_batch_mates_change_nothing(options: dict[str, Any]) -> None:
    encoder = make(**options)
    columns = encoder.spec.columns
    lengths = torch.tensor([4, 2, 0])
    if columns:
        x = torch.stack([torch.randint(1, size, (3, 4)) for size in columns], dim=-1)
    else:
        x = torch.randn(3, 4, 3)
    outputs = encoder(x, lengths)
    assert outputs.shape == (3, 4, encoder.output_size)
    for row, length in enumerate(lengths.tolist()):
        if length:
            alone = encoder(x[row : row + 1, :length], lengths[row : row + 1])
            torch.testing.assert_close(outputs[row, :length], alone[0])
        assert not outputs[row, length:].any()


def test_each_column_has_vectors_of_its_own() -> None:
    embedding = ColumnEmbedding((5, 4, 4), 2, 3)
    assert embedding.parts is not None
    assert embedding.parts.weight.shape == (8, 3)
    vectors = embedding(torch.tensor([[[2, 1, 1], [2, 1, 0], [0, 0, 0]]]))[0]
    torch.testing.assert_close(vectors[0, 2:5], embedding.parts.weight[1])
    torch.testing.assert_close(vectors[0, 5:], embedding.parts.weight[5])
    assert not vectors[1, 5:].any()
    assert not vectors[2].any()


def test_a_dropped_word_is_read_as_unknown_and_keeps_its_parts() -> None:
    torch.manual_seed(0)
    embedding = ColumnEmbedding((50, 6), 4, 3, token_dropout=0.5)
    ids = torch.tensor([[[2, 3]] * 400])
    vectors = embedding(ids)[0]
    dropped = (vectors[:, :4] == embedding.words.weight[1]).all(dim=1)
    assert 0.4 < dropped.float().mean() < 0.6
    assert (vectors[:, 4:] == vectors[0, 4:]).all()
    assert not (embedding.eval()(ids)[0, :, :4] == embedding.words.weight[1]).all(dim=1).any()


def test_locked_dropout_drops_a_feature_for_a_whole_sequence() -> None:
    torch.manual_seed(0)
    x = torch.ones(50, 7, 40)
    dropped = locked_dropout(x, 0.25, training=True)
    assert (dropped == dropped[:, :1]).all()
    assert 0.2 < (dropped == 0).float().mean() < 0.3
    assert dropped.max() == pytest.approx(1 / 0.75)
    assert locked_dropout(x, 0.25, training=False) is x


@pytest.mark.parametrize("column", [1, 2])
def test_ids_beyond_their_column_are_refused(column: int) -> None:
    ids = torch.ones(1, 2, 3, dtype=torch.int64)
    ids[0, 1, column] = 6
    with pytest.raises(InputError) as caught:
        ColumnEmbedding((9, 6, 6), 4, 3)(ids)
    assert str(caught.value) == f"id in column {column + 1}: got 6; expected a whole number in [0, 6)."


def test_a_specification_is_saved_and_checked() -> None:
    spec = TaggerSpec(columns=(9, 6), output_size=3, **SPEC)
    assert TaggerSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    with pytest.raises(InputError, match=r"^encoder: got columns=\(\) and input_size=0; expected one of them\.$"):
        EncoderSpec(**SPEC)
    with pytest.raises(InputError, match="expected one of them"):
        EncoderSpec(columns=(3,), input_size=2, **SPEC)
    with pytest.raises(InputError, match=r"^size of a column: got 1; expected"):
        EncoderSpec(columns=(9, 1), **SPEC)
    with pytest.raises(InputError, match=r"^dropout: got 1"):
        EncoderSpec(columns=(9,), dropout=1.0, **SPEC)
    with pytest.raises(InputError, match="output_size"):
        TaggerSpec(columns=(9,), output_size=0, **SPEC)
    with pytest.raises(InputError, match="poolng"):
        TaggerSpec.from_dict({**spec.to_dict(), "poolng": "last"})
