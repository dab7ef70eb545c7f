"""The network of a tagger: scores at every step, a loss that skips padding and unseen tags, and its program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rekur.data import Ragged
from rekur.lower import lower
from rekur.models import Batch, TaggerSpec, TagNetwork, build_tagger
from rekur.models.tagger import TagsHead
from rekur.program import Engine

SPEC: dict[str, Any] = {"cell": "gru", "hidden_size": 5, "embedding_size": 4, "part_size": 3, "output_size": 3}


def make(**options: Any) -> TagNetwork:
    network = build_tagger(TaggerSpec(**{**SPEC, "columns": (9, 6, 6), "projection_size": 7, **options}), seed=0)
    with torch.no_grad():
        torch.manual_seed(1)
        for _, head in network.members:
            head.weight.normal_()
    return network.eval()


def ids(rows: int, steps: int) -> torch.Tensor:
    return torch.stack([torch.randint(1, size, (rows, steps)) for size in (9, 6, 6)], dim=-1)


def test_a_new_network_gives_every_tag_the_same_score() -> None:
    network = build_tagger(TaggerSpec(**SPEC, columns=(9, 6, 6)), seed=3)
    outputs, loss = network(Batch.of(ids(2, 4), torch.tensor([4, 2])))
    assert outputs.shape == (2, 4, 3)
    assert loss is None
    assert not outputs.any()
    again = build_tagger(network.spec, seed=3).state_dict()
    assert all(torch.equal(weight, again[name]) for name, weight in network.state_dict().items())


def test_the_loss_is_the_mean_over_the_real_steps() -> None:
    network = make(bidirectional=True)
    network.criterion = TagsHead(3)
    x, targets = ids(2, 4), torch.randint(0, 3, (2, 4))
    outputs, loss = network(Batch.of(x, torch.tensor([4, 2]), targets))
    real = torch.tensor([[True] * 4, [True] * 2 + [False] * 2])
    expected = torch.nn.functional.cross_entropy(outputs[real], targets[real])
    torch.testing.assert_close(loss, expected)
    terms = network.criterion.terms(
        [outputs[0].detach().numpy(), outputs[1, :2].detach().numpy()],
        Ragged.from_iter([targets[0].numpy(), targets[1, :2].numpy()]),
    )
    assert terms[:, 1].tolist() == [4, 2]
    assert terms[:, 0].sum() / 6 == pytest.approx(loss.item(), rel=1e-5)


def test_steps_whose_tag_training_lacks_have_no_loss() -> None:
    outputs = [np.random.default_rng(0).normal(size=(3, 2)), np.zeros((1, 2))]
    terms = TagsHead(2).terms(outputs, Ragged.from_iter([np.array([1, -1, 0]), np.array([-1])]))
    kept = TagsHead(2).terms([outputs[0][[0, 2]]], Ragged.from_iter([np.array([1, 0])]))
    np.testing.assert_allclose(terms, [kept[0], [0.0, 0.0]])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bidirectional": True, "num_layers": 2, "dropout": 0.4},
        {"columns": (), "input_size": 4, "kernel_size": 3, "residual": True, "num_layers": 2},
        {"members": 2, "bidirectional": True, "vector_size": 2},
        {"members": 3, "look_ahead": 2, "kernel_size": 2},
    ],
)
def test_a_program_gives_the_scores_of_the_network(options: dict[str, Any]) -> None:
    network = make(**options)
    items = [ids(1, length)[0] for length in (5, 1, 3)]
    if not network.spec.columns:
        items = [torch.randn(length, 4) for length in (5, 1, 3)]
    program, weights = lower(network)
    assert program.causal == network.streams
    engine = Engine(program, weights, threads=1)
    for item, outputs in zip(items, engine.run([item.numpy() for item in items]), strict=True):
        expected = network.outputs(Batch.of(item[None], torch.tensor([len(item)])))[0]
        np.testing.assert_allclose(outputs, expected.detach().numpy(), atol=1e-5)


def test_members_answer_by_the_mean_of_their_scores_and_learn_by_the_mean_of_their_losses() -> None:
    network = make(members=3)
    network.criterion = TagsHead(3)
    x, lengths, targets = ids(2, 4), torch.tensor([4, 2]), torch.randint(0, 3, (2, 4))
    each = [head(encoder(x, lengths)) for encoder, head in network.members]
    outputs, loss = network(Batch.of(x, lengths, targets))
    torch.testing.assert_close(outputs, torch.stack(each).mean(dim=0))
    torch.testing.assert_close(loss, network.criterion.loss(outputs, targets, lengths))
    _, learnt = network.train()(Batch.of(x, lengths, targets))
    losses = [network.criterion.loss(scores, targets, lengths) for scores in each]
    torch.testing.assert_close(learnt, torch.stack(losses).mean())


def test_members_carry_a_state_each() -> None:
    network = make(members=2, kernel_size=2, look_ahead=1)
    x, lengths = ids(1, 7), torch.tensor([7])
    begins, state, parts = torch.tensor([True]), None, []
    for part in (x[:, :3], x[:, 3:]):
        outputs, _, state = network(Batch.of(part, torch.tensor([part.shape[1]]))._replace(state=(begins, state)))
        begins = torch.tensor([False])
        parts.append(outputs)
    whole = network.outputs(Batch.of(x, lengths))
    torch.testing.assert_close(torch.cat(parts, dim=1)[:, 1:], whole[:, :-1])
    with torch.inference_mode():
        long = network.outputs_of_long(x[0].numpy())
    np.testing.assert_allclose(long, whole[0].detach().numpy(), atol=1e-5)


def test_members_read_one_table_of_trained_vectors() -> None:
    network = make(members=2, vector_size=2)
    assert network.encoder.embedding is not None
    network.encoder.embedding.set_vectors(torch.arange(8.0).view(4, 2))
    assert [name for name in network.state_dict() if "vectors" in name] == ["encoder.embedding.vectors.weight"]
    (_, other) = network.members
    assert other[0].embedding is not None
    assert other[0].embedding.fixed is network.encoder.embedding.vectors
    assert set(network.numbering()) <= set(dict(network.named_parameters()))
    assert {name for name in network.numbering() if "head" in name} == {
        name for name, _ in network.named_parameters() if "head" in name
    }
