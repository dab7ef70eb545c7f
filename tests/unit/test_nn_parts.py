"""Pools, attention and embeddings: values worked out by hand, options, and what is said of mistakes."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from rekur.errors import InputError, NotStreamableError, ShapeError
from rekur.nn import (
    AdditiveAttention,
    DotAttention,
    Embedding,
    FullSoftmax,
    MultiHeadAttention,
    Recurrent,
    make_pool,
)
from rekur.nn.attention import masked_softmax
from rekur.nn.pool import JoinedPool, LastPool, MeanPool

torch.set_num_threads(1)
NAN = float("nan")


def test_pools_give_what_their_names_say() -> None:
    outputs = torch.tensor([[[1.0, -5.0], [3.0, -1.0], [NAN, NAN]]])
    expected = {
        "last": [3.0, -1.0],
        "mean": [2.0, -3.0],
        "max": [3.0, -1.0],
        "max+mean": [3.0, -1.0, 2.0, -3.0],
        "mean + last": [2.0, -3.0, 3.0, -1.0],
    }
    for name, vector in expected.items():
        assert make_pool(name, 2)(outputs, torch.tensor([2])).tolist() == [vector]


def test_attention_pool_weighs_by_its_scores() -> None:
    pool = make_pool("attention", 2)
    outputs = torch.randn(1, 3, 2)
    weights = torch.softmax(pool.score(torch.tanh(pool.hidden(outputs))), dim=1)
    torch.testing.assert_close(pool(outputs), (weights * outputs).sum(dim=1))


def test_attention_pool_stands_large_scores_live() -> None:
    pool = make_pool("attention", 1)
    with torch.no_grad():
        pool.score.weight.fill_(500.0)
        pool.hidden.weight.fill_(1.0)
    outputs = torch.tensor([[[-3.0], [-2.0], [3.0], [0.5]]])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [0, 1, 1, 0]):
        state = pool.initial_state(1)
        for t in order:
            state = pool.update(outputs[:, t], state)
        torch.testing.assert_close(pool.read(state), pool(outputs[:, order]))


def test_the_last_of_both_directions_is_that_of_the_layer() -> None:
    layers = Recurrent("gru", 3, 4, bidirectional=True)
    result = layers(torch.randn(3, 5, 3), lengths=[5, 2, 0])
    pool = make_pool("last", layers.output_size, bidirectional=True)
    torch.testing.assert_close(pool(result.output, [5, 2, 0]), result.last)
    with pytest.raises(NotStreamableError) as error:
        make_pool("mean+last", 8, bidirectional=True).initial_state(1)
    assert str(error.value) == (
        "bidirectional: got True; expected False for a pool that runs live. The backward half needs the whole sequence."
    )


def test_masked_softmax_matches_softmax_over_what_is_left() -> None:
    scores, mask = torch.randn(4), torch.tensor([True, False, True, True])
    expected = torch.zeros(4)
    expected[mask] = torch.softmax(scores[mask], dim=0)
    torch.testing.assert_close(masked_softmax(scores, mask), expected)
    assert masked_softmax(scores, torch.zeros(4, dtype=torch.bool)).tolist() == [0, 0, 0, 0]
    torch.testing.assert_close(masked_softmax(scores, None), torch.softmax(scores, dim=0))


def test_dot_attention_against_torch() -> None:
    query, keys, values = torch.randn(2, 3, 4), torch.randn(2, 5, 4), torch.randn(2, 5, 6)
    lengths = torch.tensor([5, 2])
    mask = (torch.arange(5) < lengths[:, None])[:, None]
    expected = torch.nn.functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
    torch.testing.assert_close(DotAttention(4)(query, keys, values, lengths)[0], expected)
    _, plain = DotAttention(4, scaled=False)(query, keys)
    torch.testing.assert_close(plain, torch.softmax(query @ keys.transpose(1, 2), dim=-1))
    learned = DotAttention(4, 7, learned=True)
    keys = torch.randn(2, 5, 7)
    scores = torch.einsum("bsq,qk,btk->bst", query, learned.key.weight, keys) / math.sqrt(4)
    torch.testing.assert_close(learned(query, keys)[1], torch.softmax(scores, dim=-1))


def test_multi_head_attention_against_torch() -> None:
    theirs = torch.nn.MultiheadAttention(8, 2, kdim=6, vdim=5, batch_first=True)
    ours = MultiHeadAttention(8, 6, num_heads=2, value_size=5)
    with torch.no_grad():
        for name, matrix in (
            ("query", theirs.q_proj_weight),
            ("key", theirs.k_proj_weight),
            ("value", theirs.v_proj_weight),
        ):
            getattr(ours, name).weight.copy_(matrix)
            getattr(ours, name).bias.copy_(torch.randn(8))
        ours.out.load_state_dict(theirs.out_proj.state_dict())
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
    query, keys, values = torch.randn(2, 3, 8), torch.randn(2, 5, 6), torch.randn(2, 5, 5)
    lengths = torch.tensor([5, 2])
    padding = torch.arange(5) >= lengths[:, None]
    expected, expected_weights = theirs(query, keys, values, key_padding_mask=padding, average_attn_weights=False)
    context, weights = ours(query, keys, values, lengths)
    torch.testing.assert_close(context, expected)
    torch.testing.assert_close(weights, expected_weights)


def test_additive_attention_by_its_equation() -> None:
    attention = AdditiveAttention(4, 6, hidden_size=3)
    query, keys = torch.randn(2, 4), torch.randn(2, 5, 6)
    hidden = torch.tanh(attention.query(query)[:, None] + attention.key(keys))
    weights = torch.softmax(attention.score(hidden).squeeze(-1), dim=-1)
    context, given = attention(query, keys)
    torch.testing.assert_close(given, weights)
    torch.testing.assert_close(context, torch.einsum("bt,btk->bk", weights, keys))


@pytest.mark.parametrize("attention", [AdditiveAttention(4, 4), DotAttention(4), MultiHeadAttention(4, num_heads=2)])
def test_prepared_keys_serve_many_queries_and_no_steps_give_zeros(attention: Any) -> None:
    keys, lengths = torch.randn(2, 5, 4), torch.tensor([5, 2])
    memory = attention.prepare(keys, lengths=lengths)
    for _ in range(2):
        query = torch.randn(2, 4)
        torch.testing.assert_close(attention.read(query, memory), attention(query, keys, lengths=lengths))
    context, weights = attention(torch.randn(2, 4), torch.zeros(2, 0, 4))
    assert context.tolist() == [[0.0] * 4] * 2
    assert weights.shape[-1] == 0


def test_multi_head_dropout_acts_in_training_only() -> None:
    attention = MultiHeadAttention(4, num_heads=2, dropout=0.5)
    query, keys = torch.randn(2, 4), torch.randn(2, 50, 4)
    assert not torch.equal(attention(query, keys)[0], attention(query, keys)[0])
    attention.eval()
    assert torch.equal(attention(query, keys)[0], attention(query, keys)[0])


def test_padding_stays_zeros_through_training_even_when_tied() -> None:
    torch.manual_seed(0)
    embedding = Embedding(6, 4)
    head = FullSoftmax(4, 6, embedding)
    optimiser = torch.optim.AdamW([*embedding.parameters(), *head.parameters()], lr=0.1)
    ids = torch.tensor([[2, 3, 0]])
    for _ in range(3):
        loss = head(embedding(ids).flatten(0, 1), torch.tensor([3, 4, 5])).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (embedding.weight[0] == 0).all()
    assert (embedding(ids)[0, 2] == 0).all()
    assert (embedding.weight[1:] != 0).all()


def test_tied_weights_are_one_parameter_in_copies_too() -> None:
    embedding = Embedding(6, 4)
    both = torch.nn.ModuleDict({"embedding": embedding, "head": FullSoftmax(4, 6, embedding)})
    assert [name for name, _ in both.named_parameters()] == ["embedding.weight", "head.bias"]
    copied: Any = copy.deepcopy(both).double()
    h = torch.randn(2, 4)
    torch.testing.assert_close(both["head"].logits(h)[:, 1:], h @ embedding.weight[1:].t())
    with torch.no_grad():
        copied["embedding"].weight[3] = 7.0
    torch.testing.assert_close(copied["head"].logits(h.double())[:, 3], 7 * h.double().sum(dim=1))


def test_tokens_and_rows_drop_in_training_only() -> None:
    torch.manual_seed(0)
    ids = torch.randint(2, 50, (20, 30))
    ids[:, -5:] = 0
    tokens = Embedding(50, 4, token_dropout=0.5)
    plain = tokens.eval()(ids)
    given = tokens.train()(ids)
    unknown = (given == tokens.weight[1]).all(dim=-1)
    assert not unknown[:, -5:].any()
    assert 0.4 < unknown[:, :-5].float().mean() < 0.6
    assert torch.equal(given[~unknown], plain[~unknown])

    rows = Embedding(50, 4, row_dropout=0.5)
    given = rows(ids)
    dropped = (given == 0).all(dim=-1)
    for word in range(2, 50):
        here = dropped[ids == word]
        assert here.all() or not here.any()
    assert torch.equal(given[~dropped], 2 * rows.weight[ids][~dropped])
    assert torch.equal(rows.eval()(ids), rows.weight[ids])


def test_parts_print_what_they_are() -> None:
    assert repr(Embedding(6, 4, row_dropout=0.1)) == "Embedding(6, 4, row_dropout=0.1)"
    assert repr(MeanPool(3)) == "MeanPool(3)"


ONE = ", one length for each row of x."
MISTAKES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "pool name": (
        lambda: make_pool("men", 3),
        InputError,
        "pool: got 'men'; expected one of 'last', 'mean', 'max', 'attention'. Did you mean 'mean'?",
    ),
    "pool twice": (lambda: make_pool("max+max", 3), InputError, "pool: got 'max+max'; expected each name once."),
    "pool type": (
        lambda: make_pool(3, 3),  # type: ignore[arg-type]
        InputError,
        "pool: got 3; expected a name such as 'last' or 'mean+max'.",
    ),
    "pool size": (lambda: make_pool("max", 0), InputError, "size: got 0; expected a whole number of 1 or more."),
    "pool halves": (
        lambda: LastPool(3, bidirectional=True),
        InputError,
        "size: got 3; expected an even number, as both directions have the same size.",
    ),
    "pool sizes": (
        lambda: JoinedPool([MeanPool(3), MeanPool(4)]),
        InputError,
        "pools: got sizes [3, 4]; expected at least one pool, all of one size.",
    ),
    "pool shape": (
        lambda: make_pool("max", 3)(torch.zeros(2, 3)),
        ShapeError,
        "shape of output: got (2, 3); expected (B, T, 3).",
    ),
    "pool lengths": (
        lambda: make_pool("max", 3)(torch.zeros(2, 5, 3), [5]),
        ShapeError,
        f"shape of lengths: got (1,); expected (2,){ONE}",
    ),
    "keys": (
        lambda: DotAttention(4)(torch.zeros(2, 4), torch.zeros(2, 5, 3)),
        ShapeError,
        "shape of keys: got (2, 5, 3); expected (B, T, 4).",
    ),
    "values": (
        lambda: DotAttention(4)(torch.zeros(2, 4), torch.zeros(2, 5, 4), torch.zeros(2, 6, 4)),
        ShapeError,
        "shape of values: got (2, 6, 4); expected (2, 5, V), one value for each key.",
    ),
    "values of heads": (
        lambda: MultiHeadAttention(4, num_heads=2)(torch.zeros(2, 4), torch.zeros(2, 5, 4), torch.zeros(2, 5, 3)),
        ShapeError,
        "shape of values: got (2, 5, 3); expected (B, T, 4).",
    ),
    "query": (
        lambda: AdditiveAttention(4, 4)(torch.zeros(3, 4), torch.zeros(2, 5, 4)),
        ShapeError,
        "shape of query: got (3, 4); expected (2, 4) or (2, S, 4).",
    ),
    "sizes": (
        lambda: DotAttention(4, 3),
        InputError,
        "key_size: got 3; expected 4, as query_size. Or use learned=True.",
    ),
    "heads": (
        lambda: MultiHeadAttention(4, num_heads=3),
        InputError,
        "query_size: got 4; expected a multiple of num_heads=3.",
    ),
    "ids": (
        lambda: Embedding(6, 4)(torch.tensor([6])),
        InputError,
        "token id: got 6; expected a whole number in [0, 6). Was the text read with the vocabulary that this model "
        "was made for?",
    ),
    "negative ids": (
        lambda: Embedding(6, 4)(torch.tensor([-1])),
        InputError,
        "token id: got -1; expected a whole number in [0, 6). Was the text read with the vocabulary that this model "
        "was made for?",
    ),
    "dtype of ids": (
        lambda: Embedding(6, 4)(torch.tensor([1.0])),
        InputError,
        "dtype of ids: got torch.float32; expected torch.int32 or torch.int64. Ids are whole numbers.",
    ),
    "vocabulary": (
        lambda: Embedding(1, 4),
        InputError,
        "vocabulary_size: got 1; expected a whole number of 2 or more.",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_told(case: str) -> None:
    make, kind, text = MISTAKES[case]
    with pytest.raises(kind) as error:
        make()
    assert str(error.value) == text
