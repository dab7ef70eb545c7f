"""Specifications and what is built from them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rekur.cells import CELLS
from rekur.errors import InputError
from rekur.models import Batch, SequenceModel, SequenceSpec, build, count_parameters

LENGTHS = torch.tensor([5, 2, 0, 1])


def spec(**changes: Any) -> SequenceSpec:
    usual = {"discrete": True, "input_size": 9, "output_size": 3, "cell": "gru", "hidden_size": 4, "embedding_size": 6}
    return SequenceSpec(**{**usual, **changes})


def inputs(discrete: bool) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    if discrete:
        return torch.randint(2, 9, (4, 5), generator=random)
    return torch.randn(4, 5, 9, generator=random)


def outputs(model: SequenceModel, x: torch.Tensor, lengths: torch.Tensor = LENGTHS) -> torch.Tensor:
    scores, loss = model(Batch.of(x, lengths))
    assert loss is None
    return scores


@pytest.mark.parametrize("discrete", [True, False])
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_gives_scores_that_padding_does_not_touch(cell: str, discrete: bool) -> None:
    model = build(spec(cell=cell, discrete=discrete), seed=0).eval()
    x = inputs(discrete)
    with torch.no_grad():
        scores = outputs(model, x)
        assert scores.shape == (4, 3)
        other = x.clone()
        other[1, 2:] = 7
        torch.testing.assert_close(outputs(model, other), scores, rtol=0, atol=1e-6)
        torch.testing.assert_close(outputs(model, x[3:, :1], LENGTHS[3:]), scores[3:], rtol=0, atol=1e-6)


def test_a_seed_decides_the_weights_and_leaves_the_global_state_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    a, b, c = (build(spec(), seed=s).state_dict() for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_noise_is_for_training_only() -> None:
    loud = {"token_dropout": 0.5, "input_dropout": 0.5, "dropout": 0.5, "recurrent_dropout": 0.5}
    model = build(spec(**loud), seed=0)
    x = inputs(True)
    with torch.no_grad():
        assert not torch.equal(outputs(model.train(), x), outputs(model, x))
        assert torch.equal(outputs(model.eval(), x), outputs(model, x))


def test_parameters_by_hand() -> None:
    embedding, gru, head = 9 * 6, 3 * 4 * (6 + 4 + 2), 3 * (4 + 1)
    assert count_parameters(build(spec())) == embedding + gru + head


def test_a_bidirectional_model_does_not_stream() -> None:
    assert build(spec()).streams
    assert not build(spec(bidirectional=True)).streams


def test_a_specification_is_plain_json_and_back() -> None:
    import json

    one = spec(kernel_size=3, pooling="mean+max")
    assert SequenceSpec.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    with pytest.raises(InputError) as caught:
        SequenceSpec.from_dict({**one.to_dict(), "hiden_size": 3})
    assert str(caught.value).startswith("model specification key: got 'hiden_size'; expected one of 'discrete', ")
    assert str(caught.value).endswith("Did you mean 'hidden_size'?")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"hidden_size": 0}, "hidden_size: got 0; expected a whole number of 1 or more."),
        ({"dropout": 1.0}, "dropout: got 1.0; expected a number in [0, 1)."),
        ({"kernel_size": -1}, "kernel_size: got -1; expected a whole number of 0 or more."),
        ({"norm": 1}, "norm: got 1; expected True or False."),
        ({"input_noise": -0.1}, "input_noise: got -0.1; expected a number of 0 or more."),
    ],
)
def test_wrong_sizes_and_shares(change: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        spec(**change)
    assert str(caught.value) == text
