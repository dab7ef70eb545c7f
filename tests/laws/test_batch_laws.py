"""Laws of rows and batches: nothing is lost, nothing depends on anything but its arguments."""

import tempfile

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rekur.data import LengthBuckets, Ragged, collate, split

LENGTHS = st.lists(st.integers(0, 30), max_size=60)
SMALL = {"batch_size": st.integers(1, 9), "window": st.integers(1, 4), "seed": st.integers(0, 2**40)}


@st.composite
def ragged_rows(draw):
    """Rows (T,) of token numbers or (T, D) of values, some of them empty."""
    width = draw(st.sampled_from([None, 1, 3]))
    lengths = draw(st.lists(st.integers(0, 6), max_size=12))
    if width is None:
        return [draw(arrays.arrays(np.int32, (length,))) for length in lengths]
    finite = st.floats(-1e6, 1e6, width=32)
    return [draw(arrays.arrays(np.float32, (length, width), elements=finite)) for length in lengths]


@given(lengths=LENGTHS, shuffle=st.booleans(), epoch=st.integers(0, 5), **SMALL)
def test_every_row_is_in_one_batch_of_each_epoch(lengths, shuffle, epoch, batch_size, window, seed):
    buckets = LengthBuckets(lengths, batch_size, shuffle=shuffle, seed=seed, window=window)
    batches = list(buckets.epoch(epoch))
    assert sorted(i for batch in batches for i in batch.tolist()) == list(range(len(lengths)))
    assert len(batches) == len(buckets)
    assert sum(len(batch) != batch_size for batch in batches) <= 1
    assert all(batch.dtype == np.int64 for batch in batches)


@given(
    lengths=LENGTHS,
    shuffle=st.booleans(),
    epochs=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    limit=st.integers(1, 90),
    **SMALL,
)
def test_no_batch_has_more_steps_than_allowed(lengths, shuffle, epochs, limit, batch_size, window, seed):
    buckets = LengthBuckets(lengths, batch_size, shuffle=shuffle, seed=seed, window=window, max_steps=limit)
    for epoch in epochs:
        batches = list(buckets.epoch(epoch))
        assert sorted(i for batch in batches for i in batch.tolist()) == list(range(len(lengths)))
        assert len(batches) == len(buckets)
        for batch in batches:
            longest = max(lengths[i] for i in batch)
            assert len(batch) <= batch_size
            assert len(batch) == 1 or len(batch) * longest <= limit
    if not shuffle:
        in_order = [lengths[i] for batch in buckets.epoch(0) for i in sorted(batch.tolist(), key=lambda i: lengths[i])]
        assert in_order == sorted(lengths)


@given(
    lengths=LENGTHS,
    shuffle=st.booleans(),
    epochs=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    steps=st.integers(1, 90),
    seed=SMALL["seed"],
)
def test_batches_of_steps_have_equal_sums(lengths, shuffle, epochs, steps, seed):
    buckets = LengthBuckets(lengths, 1, shuffle=shuffle, seed=seed, batch_steps=steps)
    short = sum(length for length in lengths if length <= steps)
    mean = short / max(1, short // steps)
    for epoch in epochs:
        batches = [batch.tolist() for batch in buckets.epoch(epoch)]
        assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
        assert len(batches) == len(buckets)
        for batch in batches:
            assert abs(sum(lengths[i] for i in batch) - mean) < steps or max(lengths[i] for i in batch) > steps


@given(lengths=LENGTHS, epoch=st.integers(0, 5), **SMALL)
def test_the_seed_and_the_epoch_decide_the_batches(lengths, epoch, batch_size, window, seed):
    first, second = (LengthBuckets(lengths, batch_size, seed=seed, window=window) for _ in range(2))
    list(second.epoch(epoch + 1))  # what ran before does not matter
    expected = [batch.tolist() for batch in first.epoch(epoch)]
    assert [batch.tolist() for batch in second.epoch(epoch)] == expected


@given(lengths=LENGTHS, **SMALL)
def test_padding_is_a_share(lengths, batch_size, window, seed):
    buckets = LengthBuckets(lengths, batch_size, seed=seed, window=window)
    assert 0 <= buckets.padding_waste() < 1
    assert 0 <= buckets.padding_waste(shuffled=True) < 1


@given(rows=ragged_rows(), spill_bytes=st.sampled_from([0, 20, 10**6]))
def test_rows_come_back_from_memory_and_from_disk(rows, spill_bytes):
    with tempfile.TemporaryDirectory() as folder, Ragged.from_iter(iter(rows), spill_bytes, folder) as ragged:
        assert ragged.is_spilled == (sum(row.nbytes for row in rows) > spill_bytes)
        assert ragged.lengths.tolist() == [len(row) for row in rows]
        for i, row in enumerate(rows):
            np.testing.assert_array_equal(ragged[i], row)
            assert ragged[i].dtype == row.dtype
        order = list(range(len(rows)))[::-2]
        for row, i in zip(map(ragged.take(order).__getitem__, range(len(order))), order, strict=True):
            np.testing.assert_array_equal(row, rows[i])


@given(rows=ragged_rows(), data=st.data())
def test_collate_and_trim_give_the_rows_back(rows, data):
    ragged = Ragged.from_iter(rows)
    indices = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8)) if rows else []
    x, lengths = collate(ragged, np.asarray(indices, dtype=np.int64))
    assert x.shape[:2] == (len(indices), max((len(rows[i]) for i in indices), default=0))
    for row, length, i in zip(x, lengths, indices, strict=True):
        np.testing.assert_array_equal(row[:length], rows[i])
        assert not row[length:].any()


@given(
    rows=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 9)), min_size=4, max_size=60),
    fraction=st.sampled_from([0.1, 0.25, 0.5]),
    seed=st.integers(0, 9),
)
def test_a_split_holds_all_rows_and_keeps_equal_ones_together(rows, fraction, seed):
    labels, keys, groups = zip(*[("a", -1, -1), ("a", -2, -2), *rows], strict=True)
    parts = split(labels, fraction, seed, keys=keys, groups=groups)
    assert sorted([*parts.train, *parts.valid]) == list(range(len(labels)))
    assert len(parts.train)
    assert len(parts.valid)
    for values in (keys, groups):
        assert not {values[i] for i in parts.train} & {values[i] for i in parts.valid}
