"""Reading files packed with Zstandard, of one frame or of several behind one another."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from rekur._check import need

_BLOCK = 2**14


class ZstandardFile(io.RawIOBase):
    """The bytes in a ``.zst`` file.

    Args:
        path: the file.

    Raises:
        MissingDependencyError: the package ``zstandard`` is not installed.
        EOFError: when reading: the file is cut off or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._library = need("zstandard", "zstd", "reading .zst files")
        self._raw = path.open("rb")
        self._frame: Any = None
        self._packed, self._plain = b"", memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer with what comes next, and return how many bytes that is; 0 at the end."""
        while not self._plain:
            self._packed = self._packed or self._raw.read(_BLOCK)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("the end before the end of a frame")
                return 0
            self._unpack()
        count = min(len(buffer), len(self._plain))
        buffer[:count] = self._plain[:count]
        self._plain = self._plain[count:]
        return count

    def _unpack(self) -> None:
        if self._frame is None:
            self._frame = self._library.ZstdDecompressor().decompressobj()
        try:
            self._plain = memoryview(self._frame.decompress(self._packed))
        except self._library.ZstdError as error:
            raise EOFError(str(error)) from error
        self._packed = b""
        if self._frame.eof:
            self._packed, self._frame = self._frame.unused_data, None

    def close(self) -> None:
        """Close the file."""
        self._raw.close()
        super().close()
