"""The ways in which a command is given its input: a file, and what can be read only once."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

#: each but the file can be read only once
WAYS = ("file", "file without an ending", "fifo", "fifo without an ending", "descriptor", "socket", "-")
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
try:
    import zstandard

    PACKERS[".zst"] = zstandard.ZstdCompressor().compress
except ImportError:
    pass


def keeps_its_name(way: str) -> bool:
    """Return whether the name that Rekur sees has the ending."""
    return way in ("file", "fifo")


@contextmanager
def given(way: str, folder: Path, ending: str, content: bytes) -> Iterator[str]:
    """Let content be read in a way, and yield the name under which it is."""
    folder.mkdir(exist_ok=True)
    if "file" in way or "fifo" in way:
        path = folder / (f"input{ending}" if keeps_its_name(way) else "input")
        path.unlink(missing_ok=True)
        if "file" in way:
            path.write_bytes(content)
        else:
            os.mkfifo(path)
            _aside(lambda: path.write_bytes(content))
        yield str(path)
    elif way == "descriptor":
        reading, writing = os.pipe()
        _aside(lambda: _write_all(writing, content))
        try:
            yield f"/dev/fd/{reading}"
        finally:
            os.close(reading)
    elif way == "socket":
        path = Path("/tmp") / f"rekur-{os.getpid()}-{threading.get_ident()}"  # a long path has no room in it
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            server.listen(1)
            _aside(lambda: _serve(server, content))
            try:
                yield str(path)
            finally:
                path.unlink()
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
            yield "-"


def _aside(work: Callable[[], object]) -> None:
    def run() -> None:
        with suppress(OSError):  # the reader has enough
            work()

    threading.Thread(target=run, daemon=True).start()


def _write_all(writing: int, content: bytes) -> None:
    with os.fdopen(writing, "wb") as file:
        file.write(content)


def _serve(server: socket.socket, content: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(content)
