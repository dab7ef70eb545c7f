"""Laws of the decoder: padding and batch mates change nothing, a step is the scan, tables that are tied are one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.profiles import draws
from torch import Tensor
from torch.nn import functional

from rekur._ids import BEGIN, END, PADDING
from rekur.cells import CELLS
from rekur.errors import InputError
from rekur.models import Batch, DecoderSpec, EncoderDecoder, build_decoder
from rekur.nn import Embedding, FullSoftmax

few = draws(15)
SIZES: dict[str, Any] = {"columns": (11,), "output_size": 11, "hidden_size": 4, "decoder_size": 8, "embedding_size": 6}
BOTH_WAYS = {"bidirectional": True}
KINDS = [
    *({"cell": cell, **BOTH_WAYS} for cell in sorted(CELLS)),
    {"cell": "gru", "attention": "additive", "num_layers": 2, "decoder_layers": 2, "residual": True, "norm": True},
    {"cell": "lstm", "tying": "all", "decoder_layers": 2, **BOTH_WAYS},
    {"cell": "gru", "tying": "none", "attention": "additive", **BOTH_WAYS},
]
NAMES = ["-".join(str(value) for value in kind.values()) for kind in KINDS]
kinds = pytest.mark.parametrize("kind", KINDS, ids=NAMES)


def network(kind: dict[str, Any], **options: Any) -> EncoderDecoder:
    """Return a network in double precision whose biases are not zero."""
    model = build_decoder(DecoderSpec(**SIZES | kind | options), seed=1).double().eval()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(2)
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_(std=0.3)
    return model


def batch_of(pairs: list[tuple[list[int], list[int]]], width: tuple[int, int] = (0, 0), fill: int = 0) -> Batch:
    """Return a batch of pairs of ids, padded to a width at least; sources are filled with an id."""
    width = (max(width[0], *(len(s) for s, _ in pairs)), max(width[1], *(len(t) for _, t in pairs)))
    sources = torch.full((len(pairs), width[0]), fill)
    targets = torch.zeros(len(pairs), width[1], dtype=torch.int64)
    for row, (source, target) in enumerate(pairs):
        sources[row, : len(source)] = torch.tensor(source, dtype=torch.int64)
        targets[row, : len(target)] = torch.tensor(target)
    return Batch.of(sources, torch.tensor([len(s) for s, _ in pairs]), targets)


def gradients(model: EncoderDecoder, loss: Tensor) -> dict[str, Tensor]:
    weights = dict(model.named_parameters())
    grads = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return {name: torch.zeros(()) if grad is None else grad for name, grad in zip(weights, grads, strict=True)}


ids = st.integers(4, 10)
texts = st.lists(ids, min_size=1, max_size=6)
pairs = st.lists(st.tuples(texts, texts.map(lambda text: [*text, END])), min_size=1, max_size=4)
PAIRS = [([4, 9, 5], [7, 4, END]), ([6], [8, 8, 5, 10, END]), ([5, 5, 10, 7], [END])]
SOURCES = [source for source, _ in PAIRS]


@kinds
def test_a_row_depends_on_neither_padding_nor_batch_mates(kind: dict[str, Any]) -> None:
    model = network(kind)
    together, loss = model(batch_of(PAIRS, (7, 9), fill=3))
    assert loss is not None
    alone = [model(batch_of([pair]))[0] for pair in PAIRS]
    for row, nats in enumerate(alone):
        count = nats.shape[1]
        torch.testing.assert_close(together[row, :count], nats[0], rtol=1e-9, atol=1e-9)
        assert not together[row, count:].any()
    count = sum(nats.numel() for nats in alone)
    expected = sum(nats.sum() for nats in alone) / count
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-9)
    ours, theirs = gradients(model, loss), gradients(model, expected)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-7, atol=1e-9, msg=name)


@few
@given(drawn=pairs)
def test_rows_of_any_lengths_are_those_of_one_by_one(drawn: list[tuple[list[int], list[int]]]) -> None:
    model = network({"cell": "gru", **BOTH_WAYS})
    together = model(batch_of(drawn, (8, 8), fill=7))[0]
    for row, pair in enumerate(drawn):
        nats = model(batch_of([pair]))[0][0]
        torch.testing.assert_close(together[row, : len(nats)], nats, rtol=1e-9, atol=1e-9)


@kinds
def test_gradients_in_single_precision_are_those_in_double(kind: dict[str, Any]) -> None:
    double = network(kind)
    single = build_decoder(double.spec, seed=1)
    single.load_state_dict({name: weight.float() for name, weight in double.state_dict().items()})
    exact = gradients(double, double(batch_of(PAIRS))[1])
    for name, grad in gradients(single.eval(), single(batch_of(PAIRS))[1]).items():
        torch.testing.assert_close(grad.double(), exact[name].double(), rtol=1e-3, atol=1e-5, msg=name)


@kinds
def test_steps_are_the_scan(kind: dict[str, Any]) -> None:
    model = network(kind)
    batch = batch_of(PAIRS)
    nats = model(batch)[0]
    steps = model.steps()
    state = steps.begin(len(PAIRS), steps.encode(SOURCES))
    last = np.full(len(PAIRS), BEGIN)
    assert batch.targets is not None
    for step in range(batch.targets.shape[1]):
        scores, state = steps.step(last, state)
        last = batch.targets[:, step].numpy()
        rows = np.flatnonzero(last != PADDING)
        assert scores[rows, last[rows]] == pytest.approx(-nats[rows, step].detach().numpy(), abs=1e-5)
        assert np.isneginf(scores[:, :END]).all()
        assert np.isfinite(scores[:, END:]).all()


@few
@given(data=st.data())
def test_selected_rows_go_on_as_they_would_alone(data: st.DataObject) -> None:
    model = network({"cell": "lstm", **BOTH_WAYS})
    steps = model.steps()
    sources = [steps.encode(SOURCES[row : row + 1]) for row in range(3)]
    state, alone = steps.begin(3, steps.encode(SOURCES)), [steps.begin(1, s) for s in sources]
    last = np.full(3, BEGIN)
    for _ in range(3):
        scores, state = steps.step(last, state)
        each = [steps.step(last[row : row + 1], one) for row, one in enumerate(alone)]
        assert scores == pytest.approx(np.concatenate([row for row, _ in each]), abs=1e-5)
        rows = np.array(data.draw(st.lists(st.integers(0, len(last) - 1), min_size=1, max_size=6)))
        before = state
        state, alone = steps.select(state, rows), [each[row][1] for row in rows]
        assert len(before.sources) == len(last)
        last = np.array(data.draw(st.lists(ids, min_size=len(rows), max_size=len(rows))))


def test_sources_that_no_row_reads_leave_the_memory_and_none_is_copied_for_a_row() -> None:
    steps = network({"cell": "gru"}).steps()
    state = steps.begin(3, steps.encode(SOURCES))
    twice = steps.select(state, np.array([0, 0, 1, 1, 2, 2]))
    assert twice.memory.keys is state.memory.keys
    assert len(steps.select(twice, np.array([5, 4])).memory.keys) == 1


def test_the_first_state_comes_from_the_source() -> None:
    steps = network({"cell": "gru", **BOTH_WAYS}).steps()
    first = [steps.encode([source]).layers[0][0][0] for source in ([4, 5], [6, 7])]
    assert (first[0] != first[1]).all()
    assert (first[0].abs() < 1).all()


@pytest.mark.parametrize(("tying", "tables"), [("none", 3), ("target", 2), ("all", 1)])
def test_tied_tables_are_one(tying: str, tables: int) -> None:
    model = network({"cell": "gru"}, tying=tying)
    of_tokens = [weight for weight in model.parameters() if weight.dim() == 2 and weight.shape[0] in (10, 11)]
    assert len(of_tokens) == tables
    assert set(model.numbering().values()) == {"features"}
    assert len(model.numbering()) == tables + 1  # and the bias of the scores
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()} | {
        name for name, _ in model.named_buffers() if name in model.state_dict()
    }


def test_vocabularies_of_other_sizes_have_no_common_table() -> None:
    with pytest.raises(InputError, match="source tokens: 12, target tokens: 11"):
        DecoderSpec(**SIZES | {"columns": (12,), "cell": "gru", "tying": "all"})
    assert network({"cell": "gru"}, columns=(12,))(batch_of([([11], [4, END])]))[0].shape == (1, 2)


@pytest.mark.parametrize("tied", [False, True])
def test_smoothing_is_that_of_the_tokens_without_padding(tied: bool) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        embedding = Embedding(7, 5).double()
        layer = FullSoftmax(4, 7, embedding if tied else None).double()
        torch.nn.init.normal_(layer.bias)
        hidden, targets = torch.randn(6, 4, dtype=torch.float64, requires_grad=True), torch.tensor([1, 6, 3, 0, 2, 2])
    ours = layer(hidden, targets, smoothing=0.3)
    scores = layer.logits(hidden)[:, 1:]
    expected = functional.cross_entropy(scores, targets - 1, ignore_index=-1, reduction="none", label_smoothing=0.3)
    torch.testing.assert_close(ours, expected)
    weights = [*layer.parameters(), *([embedding.weight] if tied else [])]
    pair = [torch.autograd.grad(loss.sum(), [hidden, *weights], retain_graph=True) for loss in (ours, expected)]
    for mine, theirs in zip(*pair, strict=True):
        torch.testing.assert_close(mine, theirs)
    with torch.no_grad():
        torch.testing.assert_close(layer(hidden, targets, smoothing=0.3), ours)


def test_dropout_and_smoothing_are_for_training_alone() -> None:
    chances = {"input_dropout": 0.4, "state_dropout": 0.4, "output_dropout": 0.4, "label_smoothing": 0.2}
    plain, model = network({"cell": "gru"}), network({"cell": "gru"}, **chances)
    model.load_state_dict(plain.state_dict())
    batch = batch_of(PAIRS)
    assert torch.equal(plain(batch)[0], model(batch)[0])
    model.train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert not torch.equal(model(batch)[0], model(batch)[0])


@pytest.mark.parametrize("tying", ["all", "none"])
def test_a_softmax_over_drawn_tokens_is_exact_where_all_are_drawn_and_in_evaluation(tying: str) -> None:
    options = {"cell": "gru", "tying": tying, "label_smoothing": 0.2, **BOTH_WAYS}
    full, all_drawn, few_drawn = (network(options, samples=samples) for samples in (0, 11, 2))
    batch = batch_of(PAIRS)
    for model in (full, all_drawn, few_drawn):
        model.load_state_dict(full.state_dict(), strict=False)
        model.start_bias(torch.arange(11))
        model.train()
    exact = full(batch)[0]
    torch.testing.assert_close(all_drawn(batch)[0], exact)
    torch.manual_seed(0)
    assert not torch.allclose(few_drawn(batch)[0], exact)
    torch.testing.assert_close(few_drawn.eval()(batch)[0], full.eval()(batch)[0])


def test_the_output_bias_begins_with_the_frequency_of_the_tokens() -> None:
    model = network({"cell": "gru", **BOTH_WAYS})
    counts = torch.tensor([0, 0, 0, 9, 4, 0, 0, 0, 1, 0, 0])
    model.start_bias(counts)
    assert torch.softmax(model.decoder.head.bias, dim=0).tolist() == pytest.approx(((counts[1:] + 1) / 24).tolist())


def test_weights_of_pairs_count_in_the_loss() -> None:
    model, batch = network({"cell": "gru"}), batch_of(PAIRS)
    nats = model(batch)[0].detach()
    loss = model(batch._replace(weights=torch.tensor([2.0, 0.0, 1.0])))[1].detach()
    assert loss == pytest.approx(float((2 * nats[0].sum() + nats[2].sum()) / 9))
