"""Streams of tokens: examples one can follow by eye, and what is refused."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest

from rekur.data import StreamBatches, Texts, encode_texts, evaluation_chunks, texts_in_memory
from rekur.errors import InputError
from rekur.features import TextFeatures

IDS, STARTS = np.arange(2, 14, dtype=np.int32), np.array([0, 5])


def test_streams_go_on_from_chunk_to_chunk() -> None:
    batches = StreamBatches(IDS, STARTS, batch_size=2, chunk_length=3, seed=3, reset=True)
    first, second = batches.epoch(0)
    rows = np.concatenate([first.targets, second.targets], axis=1)
    fed = np.concatenate([first.x, second.x], axis=1)
    assert sorted(rows.reshape(-1).tolist()) == IDS.tolist()
    for row, before in zip(rows, fed, strict=True):
        assert [int(step) for step in row] == [2 + (int(row[0]) - 2 + k) % 12 for k in range(6)]
        assert before.tolist() == [0 if step in (2, 7) else step - 1 for step in row.tolist()]
    assert first.first
    assert not second.first


def test_epochs_begin_elsewhere() -> None:
    batches = StreamBatches(IDS, STARTS, batch_size=2, chunk_length=3, reset=False)
    assert len({int(next(batches.epoch(epoch)).targets[0, 0]) for epoch in range(8)}) > 3


def test_no_chunk_is_much_shorter_than_the_others() -> None:
    ids = np.arange(2, 1003)
    batches = StreamBatches(ids, np.array([0]), batch_size=1, chunk_length=100, reset=False)
    assert {chunk.x.shape[1] for chunk in batches.epoch(0)} == {91}
    uneven = StreamBatches(ids, np.array([0]), batch_size=1, chunk_length=100, jitter=0.5, reset=False)
    lengths = {chunk.x.shape[1] for epoch in range(9) for chunk in uneven.epoch(epoch)}
    assert len(lengths) > 20
    assert 45 <= min(lengths) < max(lengths) <= uneven.longest <= 150


def test_one_chunk_is_the_whole_text() -> None:
    batches = StreamBatches(IDS, STARTS, batch_size=1, chunk_length=12, reset=False)
    (chunk,) = batches.epoch(0)
    assert chunk.x.shape == (1, 12)
    assert batches.longest == 12


def test_equal_texts_have_equal_fingerprints() -> None:
    features = TextFeatures("char").fit(["abc\n"])
    prints = [
        encode_texts(texts_in_memory(items), features).fingerprint
        for items in (["abca"], ["abca"], ["ab", "ca"], ["abcb"])
    ]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


@pytest.mark.parametrize("tokens", ["char", "byte", "word"])
def test_stretches_are_those_of_the_text_however_it_comes(tokens: str) -> None:
    draw = np.random.default_rng(0)
    texts = ["".join(draw.choice(list("ab é\n"), size)) for size in (1, 16, 17, 33, 700, 7001)]
    features = TextFeatures(tokens).fit(texts)
    whole = encode_texts(texts_in_memory(texts), features)
    pieces = [(number, text[at : at + 5]) for number, text in enumerate(texts) for at in range(0, len(text), 5)]
    cut = encode_texts(Texts("pieces", lambda: iter(pieces)), features)
    np.testing.assert_array_equal(cut.ids, whole.ids)
    np.testing.assert_array_equal(cut.stretches, whole.stretches)
    characters = iter("".join(texts))
    for count, length, size in whole.stretches.tolist():
        part = "".join(islice(characters, length))
        assert size == len(part.encode())
        assert count == len(part if tokens == "char" else part.encode()) or tokens == "word"
    assert next(characters, None) is None
    assert whole.stretches[:, 0].sum() == len(whole)
    assert whole.stretches[:, 1].tolist()[:6] == [1, 16, 16, 1, 16, 16]
    assert whole.stretches[:, 1].tolist()[-2:] == [64, 25]


def test_many_documents_are_a_stretch_each() -> None:
    features = TextFeatures("char").fit(["ab"])
    few, many = (encode_texts(texts_in_memory(["ab" * 20] * count), features) for count in (19, 20))
    assert few.stretches.tolist() == [[16] * 3, [16] * 3, [8] * 3] * 19
    assert many.stretches.tolist() == [[40, 40, 40]] * 20


def test_a_text_of_unknown_size_spills_to_disk() -> None:
    tokens = encode_texts(texts_in_memory(["ab" * 1000, "b"]), TextFeatures("byte"), spill_bytes=1000)
    assert repr(tokens) == "Tokens(2001 in 2 documents, on disk)"
    chunk = next(StreamBatches(tokens.ids, tokens.starts, batch_size=4, chunk_length=8, reset=True).epoch(0))
    assert set(np.unique(chunk.targets)) <= {2 + 97, 2 + 98}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"batch_size": 0}, "batch_size: got 0; expected a whole number of 1 or more."),
        ({"chunk_length": 0}, "chunk_length: got 0; expected a whole number of 1 or more."),
        ({"jitter": 1}, "jitter: got 1; expected a number in [0, 1)."),
        ({"rank": 2, "size": 2}, "rank: got 2; expected a whole number in [0, 1]."),
        (
            {"batch_size": 3, "size": 2},
            "batch_size: got 3; expected a multiple of 2, the number of processes. batch_size=4 would fit.",
        ),
        (
            {"batch_size": 5},
            "tokens of the text: got 12; expected 15 or more, a chunk of 3 for each of 5 streams. "
            "batch_size=4 would fit; or add text.",
        ),
        (
            {"chunk_length": 100},
            "tokens of the text: got 12; expected 200 or more, a chunk of 100 for each of 2 streams. "
            "batch_size=1 with chunk_length=12 would fit; or add text.",
        ),
        (
            {"batch_size": 16, "size": 16},
            "tokens of the text: got 12; expected 48 or more, a chunk of 3 for each of 16 streams. Add text.",
        ),
        ({"starts": np.array([1])}, "starts: got [1]; expected 0 and then rising places of the 12 tokens."),
        ({"starts": np.array([0, 12])}, "starts: got [ 0 12]; expected 0 and then rising places of the 12 tokens."),
    ],
)
def test_streams_that_cannot_be(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as caught:
        StreamBatches(**{"ids": IDS, "starts": STARTS, "batch_size": 2, "chunk_length": 3, "reset": True, **options})
    assert str(caught.value) == text


def test_what_streams_suggest_fits() -> None:
    StreamBatches(IDS, STARTS, batch_size=4, chunk_length=3, reset=True)
    StreamBatches(IDS, STARTS, batch_size=1, chunk_length=12, reset=True)


def test_texts_without_a_token() -> None:
    with pytest.raises(InputError) as caught:
        encode_texts(texts_in_memory(["  "], "X"), TextFeatures("word").fit(["a"]))
    assert str(caught.value) == "X: got no token; expected text to learn from."


def test_documents_are_kept_whole_where_the_state_begins_anew() -> None:
    (chunk,) = evaluation_chunks(IDS, STARTS, reset=True, rows=4, context=100)
    assert chunk.targets.tolist() == [[2, 3, 4, 5, 6, 0, 0], [7, 8, 9, 10, 11, 12, 13]]
    assert chunk.x.tolist() == [[0, 2, 3, 4, 5, 0, 0], [0, 7, 8, 9, 10, 11, 12]]
    assert chunk.resets is not None
    assert np.argwhere(chunk.resets).tolist() == [[0, 0], [1, 0]]


def test_nothing_to_evaluate_is_no_chunk() -> None:
    assert list(evaluation_chunks(IDS[:0], STARTS[:0], reset=True, rows=3)) == []
