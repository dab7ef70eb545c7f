"""Ragged rows, batches of like length and their padding."""

import gc
import itertools

import numpy as np
import pytest

from rekur.data import LengthBuckets, Ragged, collate
from rekur.errors import InputError, SaveError, ShapeError


def rows(*lengths, width=None):
    shape = () if width is None else (width,)
    return [
        np.full((length, *shape), i + 1, np.int32 if width is None else np.float32) for i, length in enumerate(lengths)
    ]


def test_rows_spill_to_a_file_that_goes_with_them(tmp_path):
    given = rows(3, 0, 50, 2, width=4)
    ragged = Ragged.from_iter(iter(given), spill_bytes=100, folder=tmp_path)
    assert ragged.is_spilled
    assert repr(ragged) == "Ragged(4 rows, 55 steps, float32, on disk)"
    assert len(list(tmp_path.iterdir())) == 1
    part = ragged.take([2, 0])
    del ragged
    gc.collect()
    np.testing.assert_array_equal(part[0], given[2])  # still there for the part
    np.testing.assert_array_equal(part[-1], given[0])
    del part
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_close_removes_the_file(tmp_path):
    with Ragged.from_iter(rows(5, 6), spill_bytes=0, folder=tmp_path) as ragged:
        assert ragged.lengths.tolist() == [5, 6]
    assert list(tmp_path.iterdir()) == []
    assert len(ragged) == 0


def test_an_error_on_the_way_leaves_no_file(tmp_path):
    with pytest.raises(ShapeError) as caught:
        Ragged.from_iter([*rows(5, 6, width=2), *rows(1, width=3)], spill_bytes=0, folder=tmp_path)
    assert str(caught.value) == "row 2: got float32 (T, 3); expected float32 (T, 2), as in row 0."
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(SaveError) as caught:
        Ragged.from_iter(rows(5), spill_bytes=0, folder=tmp_path / "no")
    expected = "got 'No such file or directory'; expected room. Free some space, or name another folder."
    assert str(caught.value) == f"temporary file in {tmp_path}/no: {expected}"


def test_rows_that_are_no_numbers():
    with pytest.raises(ShapeError) as caught:
        Ragged.from_iter([np.array(["a", None], dtype=object)])
    assert str(caught.value) == "row 0: got object (2,); expected numbers of shape (T,) or (T, D)."


def test_a_giver_may_write_to_its_array_again():
    buffer = np.zeros(2, np.int32)

    def given():
        for i in range(3):
            buffer[:] = i
            yield buffer

    assert [row.tolist() for row in map(Ragged.from_iter(given()).__getitem__, range(3))] == [[0, 0], [1, 1], [2, 2]]


def test_no_rows_and_rows_beyond():
    ragged = Ragged.from_iter([])
    assert (len(ragged), ragged.lengths.tolist()) == (0, [])
    with pytest.raises(IndexError) as caught:
        Ragged.from_iter(rows(1, 1))[2]
    assert str(caught.value) == "row: got 2; expected a whole number in [0, 1]."


@pytest.mark.parametrize("spill_bytes", [0, 100_000, 10**9])
def test_many_short_rows(tmp_path, spill_bytes):
    given = [np.arange(i % 5, dtype=np.int32) for i in range(20_000)]
    with Ragged.from_iter(iter(given), spill_bytes, tmp_path) as ragged:
        assert ragged.is_spilled == (spill_bytes < 10**9)
        np.testing.assert_array_equal(ragged.values, np.concatenate(given))
        assert all(ragged[i].tolist() == given[i].tolist() for i in range(0, 20_000, 997))


def test_collate_pads_with_zeros():
    x, lengths = collate(Ragged.from_iter(rows(2, 0, 3)), [2, 1])
    assert (x.dtype, x.tolist(), lengths.tolist()) == (np.int64, [[3, 3, 3], [0, 0, 0]], [3, 0])
    x, lengths = collate(Ragged.from_iter(rows(1, 2, width=2)), np.array([0, 1]))
    assert (x.dtype, x.tolist(), lengths.dtype) == (np.float32, [[[1, 1], [0, 0]], [[2, 2], [2, 2]]], np.int64)
    assert collate(Ragged.from_iter(rows(0, 0)), [0, 1])[0].shape == (2, 0)


def test_collate_of_rows_that_are_not_there():
    with pytest.raises(InputError) as caught:
        collate(Ragged.from_iter(rows(1, 1)), [0, 2])
    assert str(caught.value) == "indices: got [0 2]; expected row numbers in [0, 1]."


def test_buckets_waste_less_than_random_batches():
    lengths = np.random.default_rng(0).integers(1, 200, size=5000)
    buckets = LengthBuckets(lengths, 32)
    assert buckets.padding_waste() < 0.05 < 0.4 < buckets.padding_waste(shuffled=True)
    assert LengthBuckets([], 4).padding_waste() == 0.0


def test_buckets_stay_random():
    buckets = LengthBuckets(np.full(1000, 7), 10)
    first, second = (np.concatenate(list(buckets.epoch(n))) for n in (0, 1))
    assert np.mean(first == second) < 0.05
    mates = {frozenset(batch.tolist()) for batch in buckets.epoch(0)} & {
        frozenset(b.tolist()) for b in buckets.epoch(1)
    }
    assert not mates


def test_an_epoch_can_be_taken_up_again():
    buckets = LengthBuckets(np.arange(100), 8, seed=3)
    whole = [batch.tolist() for batch in buckets.epoch(5)]
    again = LengthBuckets(np.arange(100), 8, seed=3)
    assert [b.tolist() for b in itertools.islice(again.epoch(5), 6, None)] == whole[6:]


def test_the_order_is_pinned():
    batches = [batch.tolist() for batch in LengthBuckets([4, 1, 3, 2, 5, 1, 2], 2, seed=1).epoch(2)]
    assert batches == [[6, 3], [5, 1], [2, 0], [4]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (([1, -1], 2), "lengths: got other values; expected one whole number of 0 or more for each row."),
        (([1], 0), "batch_size: got 0; expected a whole number of 1 or more."),
    ],
)
def test_buckets_that_cannot_be(arguments, expected):
    with pytest.raises(InputError) as caught:
        LengthBuckets(*arguments)
    assert str(caught.value) == expected
