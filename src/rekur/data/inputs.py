"""Sources of bytes: regular files, and pipes, FIFOs, sockets and standard input, which are opened once.

A *stream* can be read only once. Readers open an :class:`Input` as often as they like. A stream is therefore copied
to disk, or, if one pass is enough, read as a :class:`Stream`, which keeps its beginning until the format is known.
"""

from __future__ import annotations

import errno
import io
import os
import re
import select
import socket
import stat
import sys
import tempfile
import weakref
from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

from rekur.errors import DataError, InputError, SaveError, describe, printable

#: the path that stands for standard input
STDIN = "-"
STDIN_NAME = "standard input"
#: endings of packed files, and the name of the packing
PACKED = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".zip": "zip"}

_BLOCK = 1 << 18
_DESCRIPTOR = re.compile(r"/dev/stdin|(?:/dev/fd|/proc/self/fd)/([0-9]+)")
_MAGIC = {
    "gzip": re.compile(rb"\x1f\x8b\x08"),
    "bzip2": re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zX"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
    "zip": re.compile(rb"PK(?:\x03\x04|\x05\x06)"),
}
_PARQUET = b"PAR1"
#: the first bytes of packed files and of parquet
_FIRST = [bytes([byte]) for byte in (0x1F, 0x28, 0x42, 0xFD, *range(0x50, 0x60))]

Location = str | os.PathLike[str]


class Input(ABC):
    """A source of bytes that readers open at its first byte.

    Attributes:
        name: its name in messages.
        hint: the file name whose endings tell the packing and the format; it may have no ending.
        path: the file on disk; None for a :class:`Stream`.
    """

    name: str
    hint: PurePath
    path: Path | None

    @abstractmethod
    def open(self) -> io.RawIOBase:
        """Return a new reader at the first byte; a read returns the bytes that have arrived."""

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes, or all if there are fewer."""
        with self.open() as reader:
            return _read_exactly(reader, size)

    @cached_property
    def packing(self) -> str:
        """The packing, by the ending or, for names without one, by the first bytes; empty if it is not packed."""
        if self.hint.suffix:
            return PACKED.get(self.hint.suffix.lower(), "")
        return next((name for name, magic in _MAGIC.items() if magic.match(self.beginning)), "")

    @cached_property
    def beginning(self) -> bytes:
        """The first bytes, enough to tell packed files and parquet from text; of live text a single one."""
        head = self.head(1)
        if head in _FIRST:
            head = self.head(4)
        return self.head(10) if head.startswith(b"BZh") else head

    @property
    def place(self) -> Path:
        """The file on disk, for readers that need random access."""
        if self.path is None:
            raise InputError(f"{self.name}: got a stream; expected a file on disk. Save it in one.")
        return self.path


class File(Input):
    """A regular file.

    Args:
        path: the file.
        name: its name in messages; by default its path.
        hint: the file name whose endings count; by default its path.
    """

    def __init__(self, path: Path, name: str | None = None, hint: PurePath | None = None) -> None:
        self.path: Path = path
        self.name, self.hint = name or name_of(path), hint or path

    def open(self) -> io.RawIOBase:
        """Return a new reader at the first byte."""
        return self.path.open("rb", buffering=0)


class Copy(File):
    """A temporary copy of a stream; it is removed with this object, or when the process ends."""

    def __init__(self, stream: Stream) -> None:
        number, path = _made(lambda: tempfile.mkstemp(prefix="rekur-", suffix="".join(_endings(stream.hint))), stream)
        self._remove = weakref.finalize(self, _unlink, path)
        super().__init__(Path(path), stream.name, stream.hint)
        fix = "Make room, or set TMPDIR to a folder on a disk that has some."
        with os.fdopen(number, "wb", buffering=0) as file:
            _copy(stream, file, self.path.parent, fix)


class Stream(Input):
    """A source that can be read only once; its beginning is kept until :meth:`keep_no_more`.

    Args:
        location: as the user named it.
    """

    def __init__(self, location: Location) -> None:
        self.path = None
        self.name = name_of(location)
        self.hint = PurePath("") if is_stdin(location) else PurePath(location)
        self._raw = _opened(location, self.name)
        if self._raw is not getattr(sys.stdin, "buffer", None):
            self._close = weakref.finalize(self, self._raw.close)
        self._start, self._head, self._keeps, self._ended = 0, bytearray(), True, False

    def open(self) -> io.RawIOBase:
        """Return a new reader at the first byte; after :meth:`keep_no_more` only one reader can be opened."""
        return _StreamReader(self)

    def keep_no_more(self) -> None:
        """Keep no bytes from now on: the next reader is the last one."""
        self._keeps = False

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes from ``offset`` on, as soon as some have arrived; none at the end."""
        if offset < self._start:
            fix = "Save it in a file to read it again."
            raise InputError(f"{self.name}: got a second pass over a stream; expected one. {fix}")
        if offset < self._start + len(self._head):
            begin = offset - self._start
            return bytes(self._head[begin : begin + size])
        data = b"" if self._ended else self._arrived(size)
        self._ended = not data  # a terminal would go on after its end
        if self._keeps:
            self._head += data
        else:
            self._start, self._head = offset + len(data), bytearray()
        return data

    def _arrived(self, size: int) -> bytes:
        try:
            while (data := self._raw.read(size)) is None:  # does not block, and nothing has arrived
                select.select([self._raw], [], [])
        except OSError as error:
            raise _unreadable(self.name, error) from error
        return bytes(data)


class _StreamReader(io.RawIOBase):
    """One pass over a stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._offset = stream, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._stream.read_at(self._offset, len(buffer))
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)


def is_stdin(location: Location) -> bool:
    """Return whether a location is ``-``, which names standard input."""
    return os.fspath(location) == STDIN


def name_of(location: Location | Input) -> str:
    """Return the name of a file in messages."""
    if isinstance(location, Input):
        return location.name
    return STDIN_NAME if is_stdin(location) else printable(os.fspath(location))


def is_stream(location: Location | Input) -> bool:
    """Return whether a location can be read only once: standard input, or neither a regular file nor a folder.

    An open descriptor, such as ``/dev/stdin``, always counts as a stream: its name means nothing after the process.
    """
    if isinstance(location, Input):
        return isinstance(location, Stream)
    if is_stdin(location):
        return True
    try:
        mode = os.stat(location).st_mode
    except OSError:
        return False
    if stat.S_ISREG(mode):
        return _DESCRIPTOR.fullmatch(os.fspath(location)) is not None
    return not stat.S_ISDIR(mode)


def identity(location: Location | Input) -> tuple[Any, ...]:
    """Return a key that is equal for two names of one file or stream."""
    if isinstance(location, Input):
        return ("input", id(location)) if location.path is None else identity(location.path)
    try:
        status = os.fstat(sys.stdin.fileno()) if is_stdin(location) else os.stat(location)
    except (OSError, ValueError, AttributeError):
        return (os.path.abspath(location),)
    return status.st_dev, status.st_ino


def refuse_twice(locations: list[Any]) -> None:
    """Raise if one stream is listed twice: its first reader would leave nothing for the second."""
    seen: dict[tuple[Any, ...], Any] = {}
    for location in locations:
        if is_stream(location):
            key = identity(location)
            if key in seen:
                both = f"{name_of(seen[key])} and {name_of(location)}, which are one stream"
                raise InputError(f"files: got {both}; expected it once. Save it in a file to read it twice.")
            seen[key] = location


def open_input(location: Location | Input, *, once: bool = False, movable: bool = False) -> Input:
    """Return the input at a location, ready to be read.

    Args:
        location: a path, or ``-`` for standard input.
        once: one pass is enough, so that a stream need not be copied.
        movable: the reader needs random access, so that a stream is copied.

    Raises:
        DataError: there is no such file, or it cannot be opened.
        SaveError: there is no room for a copy.
    """
    if isinstance(location, Input):
        return location
    if not is_stream(location):
        return File(Path(location))
    stream = Stream(location)
    if once and not (movable or _must_be_movable(stream)):
        return stream
    return Copy(stream)


def copy_stream(location: Location, folder: Path, number: int) -> tuple[Path, int]:
    """Copy a stream into a folder, and return the copy and its size in bytes.

    Raises:
        SaveError: it cannot be written there.
    """
    stream = Stream(location)
    path = folder / "".join([str(number), *_endings(stream.hint)])
    fix = "Make room, or choose another folder."
    with _made(lambda: path.open("wb", buffering=0), stream) as file:
        _copy(stream, file, folder, fix)
    return path, path.stat().st_size


def _must_be_movable(stream: Stream) -> bool:
    return stream.packing == "zip" or stream.hint.suffix.lower() == ".parquet" or stream.beginning == _PARQUET


def _opened(location: Location, name: str) -> Any:
    """Return a reader of a stream; an open descriptor is duplicated."""
    try:
        if is_stdin(location):
            return _standard_input()
        if match := _DESCRIPTOR.fullmatch(os.fspath(location)):
            return os.fdopen(os.dup(int(match[1] or 0)), "rb", buffering=0)
        if stat.S_ISSOCK(os.stat(location).st_mode):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(os.fspath(location))
                return connection.makefile("rb", buffering=0)
        return Path(location).open("rb", buffering=0)
    except OSError as error:
        raise _unreadable(name, error) from error


def _standard_input() -> Any:
    if sys.stdin is None:
        raise OSError(errno.EBADF, "closed")
    try:
        return os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)
    except io.UnsupportedOperation:  # replaced by an object in memory
        return sys.stdin.buffer


def _copy(stream: Stream, file: Any, folder: Path, fix: str) -> None:
    stream.keep_no_more()
    with stream.open() as reader:
        while data := reader.read(_BLOCK):
            try:
                view = memoryview(data)
                while view:
                    view = view[file.write(view) :]
            except OSError as error:
                raise _no_room(stream.name, folder, error, fix) from error


def _made(make: Any, stream: Stream) -> Any:
    try:
        return make()
    except OSError as error:
        fix = "Set TMPDIR to a folder that can be written."
        raise _no_room(stream.name, error.filename or tempfile.gettempdir(), error, fix) from error


def _no_room(name: str, folder: Any, error: OSError, fix: str) -> SaveError:
    return SaveError(describe(f"{name}: copy in {folder}", error.strerror or str(error), "room for all of it", fix))


def _unreadable(name: str, error: OSError) -> DataError:
    got = "a closed one" if error.errno == errno.EBADF else f"'{error.strerror or error}'"
    return DataError(f"file: got {got}; expected one that can be read.", name)


def _unlink(path: str) -> None:
    Path(path).unlink(missing_ok=True)


def _endings(hint: PurePath) -> list[str]:
    return [ending for ending in hint.suffixes[-2:] if len(ending) < 20]


def _read_exactly(reader: io.RawIOBase, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := reader.read(size - len(data))):
        data += more
    return data
