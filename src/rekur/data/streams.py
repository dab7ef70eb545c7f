"""Long texts as streams: token numbers behind one another, cut into chunks that carry on where the last one ended.

Axes: B streams, T time, N tokens.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur._check import flag, number, whole
from rekur._ids import PADDING, START, UNKNOWN
from rekur.data.ragged import SPILL_BYTES, Ragged
from rekur.errors import InputError, describe

Ids = NDArray[np.int64]

_HASHED = 2**22
#: documents from which on each is a stretch; else stretches of a document, an even number, and their shortest length
MANY_DOCUMENTS, MOST_STRETCHES, SHORTEST_STRETCH = 20, 200, 16


class TextStream(Protocol):
    """One text on its way to token numbers, as a stream of the features takes it."""

    def push(self, event: Any) -> NDArray[Any]: ...

    def pending(self) -> NDArray[Any]: ...

    def reset(self) -> None: ...


class Encoder(Protocol):
    """What turns text into token numbers; ``rekur.features.TextFeatures`` does."""

    def stream(self) -> TextStream: ...


class Pieces(Protocol):
    """Documents in pieces; ``rekur.data.Texts`` are such."""

    @property
    def name(self) -> str: ...

    def pieces(self) -> Iterator[tuple[int, str]]: ...


class Tokens:
    """Texts as token numbers, in memory or in a temporary file.

    Args:
        rows: the token numbers, int32, in any rows; they are taken behind one another.
        starts: where each document begins.
        stretches: tokens, characters and bytes of each stretch of the text, int64 (R, 3).

    Attributes:
        ids: int32 (N,), all documents behind one another.
        starts: int64 (documents,), where each begins; documents without a token are left out.
        characters: Unicode characters of the text.
        bytes: its size in UTF-8.
        unknown: how many of the tokens are unknown.
        stretches: as the argument. Of 20 documents or more each is one stretch; fewer are cut, each into up to 200
            stretches of equally many characters, but for the last. The cuts depend on the text alone; a token belongs
            to the stretch that completes it.
        context: ids and stretches, as the context of one item: all texts.
        fingerprint: sha256 of ids and starts, in hexadecimal; equal texts have equal ones.
    """

    def __init__(self, rows: Ragged, starts: Ids, stretches: Ids) -> None:
        self._rows = rows  # holds the temporary file
        self.ids = np.asarray(rows.values, dtype=np.int32)
        self.starts, self.stretches = starts, stretches
        self.context = {"tokens": self.ids, "stretches": stretches}
        self.characters, self.bytes = (int(total) for total in stretches[:, 1:].sum(axis=0))
        digest, self.unknown = hashlib.sha256(starts.astype("<i8").tobytes()), 0
        for start in range(0, len(self.ids), _HASHED):
            part = self.ids[start : start + _HASHED]
            digest.update(part.astype("<i4").tobytes())
            self.unknown += int((part == UNKNOWN).sum())
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        where = "on disk" if self._rows.is_spilled else "in memory"
        return f"Tokens({len(self.ids)} in {len(self.starts)} documents, {where})"


def encode_texts(texts: Pieces, features: Encoder, *, spill_bytes: int = SPILL_BYTES) -> Tokens:
    """Return texts as token numbers, read in one pass; where they are many they go to a temporary file.

    Args:
        texts: documents in pieces.
        features: what turns text into token numbers.
        spill_bytes: beyond so many bytes the numbers go to a file.

    Raises:
        InputError: there is not a single token.

    Example:
        >>> from rekur.features import TextFeatures
        >>> from rekur.data import texts_in_memory
        >>> tokens = encode_texts(texts_in_memory(["ab", "é"]), TextFeatures("byte"))
        >>> tokens.ids.tolist(), tokens.starts.tolist(), tokens.characters, tokens.bytes
        ([99, 100, 197, 171], [0, 2], 3, 4)
    """
    lengths, stretches = array("q"), _Stretches()

    def counted(ids: NDArray[Any]) -> NDArray[np.int32]:
        lengths[-1] += len(ids)
        return np.asarray(ids, dtype=np.int32)

    def parts() -> Iterator[NDArray[np.int32]]:
        current, stream = -1, features.stream()
        for document, piece in texts.pieces():
            if document != current:
                if lengths:
                    yield counted(stretches.end(stream.pending()))
                    stream.reset()
                current = document
                lengths.append(0)
                stretches.begin()
            for part in stretches.cut(piece):
                yield counted(stretches.add(part, stream.push(part)))
        if lengths:
            yield counted(stretches.end(stream.pending()))

    rows = Ragged.from_iter(parts(), spill_bytes)
    if not len(rows.values):
        raise InputError(f"{texts.name}: got no token; expected text to learn from.")
    each = np.asarray(lengths, dtype=np.int64)
    return Tokens(rows, (np.cumsum(each) - each)[each > 0], stretches.sizes())


class _Stretches:
    """Tokens, characters and bytes of the stretches of documents whose text comes in pieces.

    Stretches begin short. Where a document has too many, neighbours are joined and further ones are twice as long.
    """

    def __init__(self) -> None:
        self._documents: list[list[list[int]]] = []  # while they are few
        self._sizes = array("q")  # of whole documents, once they are many
        self._is_many = False

    def begin(self) -> None:
        """Begin a document."""
        if self._is_many:
            self._sizes.extend((0, 0, 0))
            return
        if len(self._documents) == MANY_DOCUMENTS - 1:
            self._is_many = True
            for rows in self._documents:
                self._sizes.extend(map(sum, zip(*rows, strict=True)))
            self.begin()
            return
        self._documents.append([])
        self._length, self._room = SHORTEST_STRETCH, 0

    def cut(self, piece: str) -> Iterator[str]:
        """Yield a piece of the document in parts, each of one stretch; :meth:`add` takes each before the next."""
        start = 0
        while start < len(piece):
            if not self._is_many and not self._room:
                self._begin_stretch()
            end = len(piece) if self._is_many else start + self._room
            yield piece[start:end]
            start = end

    def add(self, part: str, ids: NDArray[Any]) -> NDArray[Any]:
        """Take a part and the tokens that it completes; they are returned."""
        size = len(part) if part.isascii() else len(part.encode("utf-8", "surrogatepass"))
        row = self._sizes if self._is_many else self._documents[-1][-1]
        for column, count in ((-3, len(ids)), (-2, len(part)), (-1, size)):
            row[column] += count
        self._room -= len(part)
        return ids

    def end(self, ids: NDArray[Any]) -> NDArray[Any]:
        """Take the last tokens of the document; they are returned."""
        row = self._sizes if self._is_many else self._documents[-1][-1]
        row[-3] += len(ids)
        return ids

    def sizes(self) -> Ids:
        """Return tokens, characters and bytes of each stretch, (R, 3)."""
        rows = self._sizes if self._is_many else [row for rows in self._documents for row in rows]
        return np.asarray(rows, dtype=np.int64).reshape(-1, 3)

    def _begin_stretch(self) -> None:
        rows = self._documents[-1]
        if len(rows) == MOST_STRETCHES:
            pairs = zip(rows[::2], rows[1::2], strict=True)
            rows[:] = [[a + b for a, b in zip(*pair, strict=True)] for pair in pairs]
            self._length *= 2
        rows.append([0, 0, 0])
        self._room = self._length


class Chunk(NamedTuple):
    """The next steps of all streams.

    Attributes:
        x: int64 (B, T), the token before each target; 0 where a text begins.
        targets: int64 (B, T), the tokens to predict; 0 where there is none.
        resets: bool (B, T), True where the state begins anew before the step; None where it does nowhere.
        first: whether the streams begin with this chunk.
        places: int64 (B, T), where each target stands in the text.
    """

    x: Ids
    targets: Ids
    resets: NDArray[np.bool_] | None
    first: bool
    places: Ids


class _Text:
    """Token numbers with the borders of documents, looked up by place."""

    def __init__(self, ids: NDArray[Any], starts: Ids, reset: bool) -> None:
        first = starts[:1].tolist() == ([0] if len(ids) else [])
        if not first or (np.diff(starts) < 1).any() or (starts >= len(ids)).any():
            raise InputError(f"starts: got {starts}; expected 0 and then rising places of the {len(ids)} tokens.")
        self.ids = ids
        self._starts = starts if reset else starts[:1]

    def chunk(self, places: Ids, real: NDArray[np.bool_] | None, first: bool) -> Chunk:
        begins = self._starts[np.searchsorted(self._starts, places, side="right") - 1] == places
        x = np.where(begins, START, self.ids[places - 1]).astype(np.int64)
        targets = self.ids[places].astype(np.int64)
        if real is not None:
            x, targets, begins = x * real, targets * real, begins & real
        return Chunk(x, targets, begins if begins.any() else None, first, places)


def fitting_batch_size(tokens: int, batch_size: int, chunk_length: int, size: int = 1) -> int:
    """Return the most streams, up to ``batch_size``, of which each has a whole chunk; 0 where not one a process has.

    Args:
        tokens: length of the text.
        batch_size: the streams wanted.
        chunk_length: steps of a chunk.
        size: number of processes, of which the streams are a multiple.

    Example:
        >>> fitting_batch_size(1000, 32, 100), fitting_batch_size(50, 32, 100)
        (10, 0)
    """
    return min(batch_size, tokens // chunk_length) // size * size


class StreamBatches:
    """A text as B streams side by side, in chunks; each stream's state can be carried from chunk to chunk.

    The text is taken as a ring and begun at a place that is drawn anew for each epoch; from there each stream has
    N // B tokens. In an epoch every token is a target exactly once, but for the fewer than B that are left over.
    Where the text itself begins, and with ``reset`` where each document does, 0 is fed and the state begins anew.
    All chunks of an epoch have nearly the same number of steps, at most T but for the jitter.

    Args:
        ids: the tokens, (N,).
        starts: where each document begins, rising from 0.
        batch_size: streams B of all processes together, 1 or more.
        chunk_length: steps T of a chunk, 1 or more.
        jitter: how much longer or shorter than T a chunk may be, as a share of it, in [0, 1).
        seed: of all that is drawn.
        rank: number of this process; it has its share of the streams.
        size: number of processes; divides the batch size.
        reset: whether the state begins anew with each document.

    Raises:
        InputError: an option is out of range, or the text is too short for so many streams.

    Example:
        >>> batches = StreamBatches(np.arange(2, 14), np.array([0]), batch_size=2, chunk_length=3, reset=False)
        >>> chunk = next(batches.epoch(1))
        >>> len(batches), chunk.x.shape
        (2, (2, 3))
    """

    def __init__(
        self,
        ids: NDArray[Any],
        starts: Ids,
        *,
        batch_size: int,
        chunk_length: int,
        jitter: float = 0.0,
        seed: int = 0,
        rank: int = 0,
        size: int = 1,
        reset: bool,
    ) -> None:
        self.batch_size = whole("batch_size", batch_size, low=1)
        self.chunk_length = whole("chunk_length", chunk_length, low=1)
        self.jitter = number("jitter", jitter, 0, 1, open_high=True)
        self._seed = _check.seed("seed", seed)
        whole("size", size, low=1)
        whole("rank", rank, low=0, high=size - 1)
        self._text = _Text(ids, starts, flag("reset", reset))
        if batch_size % size:
            fix = f"batch_size={-(-batch_size // size) * size} would fit."
            raise InputError(describe("batch_size", batch_size, f"a multiple of {size}, the number of processes", fix))
        if len(ids) < batch_size * chunk_length:
            raise _too_short(len(ids), batch_size, chunk_length, size)
        self._each = len(ids) // batch_size
        self.rows = batch_size // size
        self._rows = np.arange(rank * self.rows, (rank + 1) * self.rows)
        least = self._each // len(self)
        # Neighbouring cuts come nearer by at most twice this, so a step is left between them, however this is rounded.
        self._move = min(int(self.jitter * least / 2), (least - 1) // 2)

    def __len__(self) -> int:
        """Return the chunks of an epoch."""
        return -(-self._each // self.chunk_length)

    @property
    def longest(self) -> int:
        """The steps of the longest chunk there may be."""
        return min(self._each, -(-self._each // len(self)) + 2 * self._move)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Chunk]:
        """Yield the chunks of an epoch from number ``start`` on; the same for the same epoch and seed."""
        draw = np.random.default_rng((self._seed, whole("epoch", epoch, low=0)))
        total, count = len(self._text.ids), len(self)
        begin = int(draw.integers(total)) + self._rows * self._each
        cuts = np.arange(count + 1) * self._each // count
        cuts[1:-1] += draw.integers(-self._move, self._move, count - 1, endpoint=True)
        for k in range(whole("start", start, low=0), count):
            places = (begin[:, None] + np.arange(cuts[k], cuts[k + 1])) % total
            yield self._text.chunk(places, None, k == 0)


def _too_short(tokens: int, batch_size: int, chunk_length: int, size: int) -> InputError:
    fits = fitting_batch_size(tokens, batch_size, chunk_length, size)
    if fits:
        fix = f"batch_size={fits} would fit; or add text."
    elif tokens >= size:
        fix = f"batch_size={size} with chunk_length={tokens // size} would fit; or add text."
    else:
        fix = "Add text."
    what = f"{batch_size * chunk_length} or more, a chunk of {chunk_length} for each of {batch_size} streams"
    return InputError(describe("tokens of the text", tokens, what, fix))


def evaluation_chunks(
    ids: NDArray[Any],
    starts: NDArray[np.int64],
    *,
    reset: bool,
    rows: int = 1,
    context: int = 0,
    chunk_length: int = 256,
) -> Iterator[Chunk]:
    """Yield a text in chunks in which every token is a target exactly once.

    With one row the state runs through the whole text. With more, the text is cut into as many parts: at borders
    of documents where each begins anew; else each part is warmed up on the tokens before it, that are no targets.

    Args:
        ids: the tokens, (N,).
        starts: where each document begins.
        reset: whether the state begins anew with each document.
        rows: parts side by side, 1 or more.
        context: tokens that a part is warmed up on, where documents are not reset.
        chunk_length: steps of a chunk; the last may be shorter, and rows that have ended are filled with 0.

    Example:
        >>> ids, starts = np.array([5, 6, 7, 8, 9]), np.array([0])
        >>> chunk = next(evaluation_chunks(ids, starts, reset=False, rows=2, context=1))
        >>> chunk.x.tolist(), chunk.targets.tolist()
        ([[0, 5, 0, 0], [5, 6, 7, 8]], [[5, 6, 0, 0], [0, 7, 8, 9]])
    """
    whole("rows", rows, low=1)
    whole("context", context, low=0)
    whole("chunk_length", chunk_length, low=1)
    text, total = _Text(ids, starts, reset), len(ids)
    edges = np.linspace(0, total, min(rows, total) + 1).astype(np.int64)
    if reset:
        borders = np.append(starts, total)
        edges = np.unique(np.append(borders[np.searchsorted(borders, edges[:-1])], total))
        context = 0
    begins, ends = edges[:-1], edges[1:]
    warm = np.maximum(0, begins - context)
    for start in range(0, int((ends - warm).max(initial=0)), chunk_length):
        places = warm[:, None] + np.arange(start, start + chunk_length)
        real = places < ends[:, None]
        steps = int(real.sum(1).max())
        places, real = places[:, :steps], real[:, :steps]
        chunk = text.chunk(np.minimum(places, total - 1), real, start == 0)
        yield chunk._replace(targets=np.where(places >= begins[:, None], chunk.targets, PADDING), places=places)
