"""Laws of streams: each token is a target once, state can be carried, documents keep their borders."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.profiles import draws

from rekur.data import StreamBatches, encode_texts, evaluation_chunks, fitting_batch_size, open_texts, texts_in_memory
from rekur.data.streams import Chunk
from rekur.errors import InputError
from rekur.features import TextFeatures


class Text(NamedTuple):
    ids: np.ndarray[Any, Any]
    starts: np.ndarray[Any, Any]


@st.composite
def texts(draw: st.DrawFn) -> Text:
    """Documents of differing length; token k of the text is k + 2, so that each tells its place."""
    lengths = draw(st.lists(st.integers(1, 25), min_size=1, max_size=8))
    ends = np.cumsum(lengths)
    return Text(np.arange(2, ends[-1] + 2, dtype=np.int32), np.concatenate([[0], ends[:-1]]).astype(np.int64))


@st.composite
def streams(draw: st.DrawFn) -> tuple[Text, dict[str, Any]]:
    """A text and options that fit it."""
    text = draw(texts())
    batch_size = draw(st.integers(1, len(text.ids)))
    return text, {
        "batch_size": batch_size,
        "chunk_length": draw(st.integers(1, len(text.ids) // batch_size)),
        "jitter": draw(st.sampled_from([0.0, 0.3, 0.99])),
        "seed": draw(st.integers(0, 2**40)),
        "reset": draw(st.booleans()),
    }


def check_chunk(chunk: Chunk, text: Text, reset: bool) -> None:
    """Raise unless each step that has a target is fed the token before it, or 0 and a reset where a text begins."""
    starts = text.starts if reset else text.starts[:1]
    begins = np.isin(chunk.places, starts) & (chunk.targets != 0)
    real = chunk.targets != 0
    np.testing.assert_array_equal(chunk.targets[real], text.ids[chunk.places[real]])
    np.testing.assert_array_equal(chunk.x[real], np.where(begins, 0, text.ids[chunk.places - 1])[real])
    assert chunk.x.dtype == chunk.targets.dtype == chunk.places.dtype == np.int64
    np.testing.assert_array_equal(chunk.resets if chunk.resets is not None else np.zeros_like(real), begins)


@draws(60)
@given(drawn=streams(), epoch=st.integers(0, 3))
def test_every_token_is_a_target_once_an_epoch(drawn: tuple[Text, dict[str, Any]], epoch: int) -> None:
    text, options = drawn
    batches = StreamBatches(*text, **options)
    chunks = list(batches.epoch(epoch))
    assert len(chunks) == len(batches)
    assert [chunk.first for chunk in chunks] == [True] + [False] * (len(chunks) - 1)
    seen = np.concatenate([chunk.places.reshape(-1) for chunk in chunks])
    assert len(np.unique(seen)) == len(seen) == len(text.ids) - len(text.ids) % options["batch_size"]
    for chunk in chunks:
        check_chunk(chunk, text, options["reset"])
        assert (chunk.targets != 0).all()
        assert 1 <= chunk.x.shape[1] <= batches.longest
        assert chunk.x.shape[0] == batches.rows == options["batch_size"]
    if not options["jitter"]:
        assert batches.longest <= options["chunk_length"]


@draws(40)
@given(drawn=streams(), epoch=st.integers(0, 3))
def test_each_row_goes_on_where_it_stood(drawn: tuple[Text, dict[str, Any]], epoch: int) -> None:
    text, options = drawn
    for before, after in pairwise(StreamBatches(*text, **options).epoch(epoch)):
        np.testing.assert_array_equal((before.places[:, -1] + 1) % len(text.ids), after.places[:, 0])
        begins = after.x[:, 0] == 0
        np.testing.assert_array_equal(after.x[~begins, 0], before.targets[~begins, -1])


@draws(40)
@given(drawn=streams(), epoch=st.integers(0, 3), start=st.integers(0, 30))
def test_the_seed_and_the_epoch_decide_and_a_start_skips(
    drawn: tuple[Text, dict[str, Any]], epoch: int, start: int
) -> None:
    text, options = drawn
    first, second = (StreamBatches(*text, **options) for _ in range(2))
    list(second.epoch(epoch + 1))  # what ran before does not matter
    expected = list(first.epoch(epoch))[start:]
    got = list(second.epoch(epoch, start))
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert a.first == b.first
        for left, right in zip(a, b, strict=True):
            np.testing.assert_array_equal(left, right)


@draws(40)
@given(drawn=streams(), epoch=st.integers(0, 3), size=st.integers(1, 4))
def test_the_rows_of_all_processes_are_those_of_one(drawn: tuple[Text, dict[str, Any]], epoch: int, size: int) -> None:
    text, options = drawn
    options["batch_size"] = fitting_batch_size(len(text.ids), options["batch_size"], options["chunk_length"], size)
    assume(options["batch_size"])  # 0: a process would have no stream
    whole = StreamBatches(*text, **options)
    parts = [StreamBatches(*text, rank=rank, size=size, **options) for rank in range(size)]
    assert {len(part) for part in parts} == {len(whole)}
    for chunk, *shares in zip(whole.epoch(epoch), *(part.epoch(epoch) for part in parts), strict=True):
        for name in ("x", "targets", "places"):
            joined = np.concatenate([getattr(share, name) for share in shares])
            np.testing.assert_array_equal(joined, getattr(chunk, name))


@draws(80)
@given(
    text=texts(),
    reset=st.booleans(),
    rows=st.integers(1, 9),
    context=st.integers(0, 12),
    chunk_length=st.integers(1, 12),
)
def test_evaluation_counts_every_token_once(
    text: Text, reset: bool, rows: int, context: int, chunk_length: int
) -> None:
    seen: list[int] = []
    options = {"reset": reset, "rows": rows, "context": context, "chunk_length": chunk_length}
    for number, chunk in enumerate(evaluation_chunks(*text, **options)):
        assert chunk.first == (number == 0)
        assert 1 <= chunk.x.shape[1] <= chunk_length
        check_evaluation_chunk(chunk, text, reset)
        seen += chunk.places[chunk.targets != 0].tolist()
    assert sorted(seen) == list(range(len(text.ids)))


def check_evaluation_chunk(chunk: Chunk, text: Text, reset: bool) -> None:
    counted = chunk.targets != 0
    np.testing.assert_array_equal(chunk.targets[counted], text.ids[chunk.places[counted]])
    starts = text.starts if reset else text.starts[:1]
    begins = np.isin(chunk.places, starts) & (chunk.places < len(text.ids))
    before = np.where(begins, 0, text.ids[np.minimum(chunk.places, len(text.ids)) - 1])
    np.testing.assert_array_equal(chunk.x[counted], before[counted])
    if chunk.resets is not None:
        assert (chunk.resets <= begins).all()
        np.testing.assert_array_equal(chunk.resets[counted], begins[counted])


@draws(40)
@given(text=texts(), reset=st.booleans(), chunk_length=st.integers(1, 12))
def test_one_row_of_evaluation_is_the_text_in_order(text: Text, reset: bool, chunk_length: int) -> None:
    chunks = list(evaluation_chunks(*text, reset=reset, chunk_length=chunk_length))
    assert np.concatenate([chunk.targets[0] for chunk in chunks]).tolist() == text.ids.tolist()


@draws(40)
@given(text=texts(), rows=st.integers(2, 9), context=st.integers(1, 12))
def test_each_part_is_warmed_up_on_the_tokens_before_it(text: Text, rows: int, context: int) -> None:
    chunk = next(evaluation_chunks(*text, reset=False, rows=rows, context=context, chunk_length=1000))
    for x, targets, places in zip(chunk.x, chunk.targets, chunk.places, strict=True):
        begin = int(places[targets != 0][0])
        warm = min(begin, context)
        assert (targets[:warm] == 0).all()
        fed = [0, *text.ids.tolist()]
        assert x[: warm + 1].tolist() == fed[begin - warm : begin + 1]


ITEMS = st.lists(st.text(st.sampled_from("ab \n.é漢\u2028"), max_size=30), max_size=8)


@draws(40)
@given(items=ITEMS, tokens=st.sampled_from(["char", "word", "byte"]), spill=st.sampled_from([0, 20, 10**6]))
def test_encoded_texts_are_the_documents_behind_one_another(items: list[str], tokens: str, spill: int) -> None:
    features = TextFeatures(tokens).fit(["a b. é 漢\n"])
    rows = [features.transform(item) for item in items]
    if not sum(map(len, rows)):
        with pytest.raises(InputError):
            encode_texts(texts_in_memory(items), features)
        return
    encoded = encode_texts(texts_in_memory(items), features, spill_bytes=spill)
    assert encoded.ids.tolist() == np.concatenate(rows).tolist()
    full = [row for row in rows if len(row)]
    assert encoded.starts.tolist() == [0, *np.cumsum([len(row) for row in full])[:-1]]
    assert encoded.characters == sum(map(len, items))
    assert encoded.bytes == sum(len(item.encode()) for item in items)
    assert encoded.unknown == sum(int((row == 1).sum()) for row in rows)
    assert ("on disk" in repr(encoded)) == (4 * len(encoded.ids) > spill)


@draws(60)
@given(
    files=st.lists(st.lists(st.sampled_from(["a", "b", " ", "\n", "\n", "\r\n", "\u2028"]), max_size=40).map("".join)),
    document=st.sampled_from(["file", "line", "blank"]),
    piece=st.sampled_from([1, 3, 7, 2**18]),
)
def test_the_pieces_of_files_are_the_files(files: list[str], document: str, piece: int) -> None:
    whole = "".join(files)
    assume(whole)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("rekur.data.texts.PIECE", piece)
        for number, text in enumerate(files):
            Path(folder, f"{number:03}.txt").write_text(text, encoding="utf-8", newline="")
        found = list(open_texts(folder, document=document).pieces())
    assert "".join(text for _, text in found) == whole
    assert all(text for _, text in found)
    numbers = [number for number, _ in found]
    assert numbers == sorted(numbers)
    documents: dict[int, str] = {}
    for number, text in found:
        documents[number] = documents.get(number, "") + text
    expected = [part for text in files for part in cut_into_documents(text, document)]
    assert list(documents.values()) == expected


def cut_into_documents(text: str, document: str) -> list[str]:
    """Cut a file as the words of the documentation say, in the plainest way."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    lines = [line for line in lines if line]
    if document == "line":
        return lines
    if document == "file":
        return [text] if text else []
    documents: list[str] = []
    for number, line in enumerate(lines):
        begins = line.strip() and number and not lines[number - 1].strip() and documents[-1].strip()
        if begins or not documents:
            documents.append(line)
        else:
            documents[-1] += line
    return documents
