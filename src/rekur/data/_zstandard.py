"""Reading Zstandard files with one frame or several."""

from __future__ import annotations

import io
from typing import Any

from rekur._check import need

_BLOCK = 2**14
# Long archives, such as dumps of forums, are packed with `zstd --long=31`.
_LARGEST_WINDOW = 2**31


class ZstandardFile(io.RawIOBase):
    """The bytes in a ``.zst`` file.

    Args:
        packed: reader of the packed bytes; a read returns the bytes that have arrived.

    Raises:
        MissingDependencyError: the package ``zstandard`` is not installed.
        EOFError: when reading: the file is cut off or damaged.
    """

    def __init__(self, packed: io.RawIOBase) -> None:
        self._library = need("zstandard", "zstd", "reading .zst files")
        self._raw = packed
        self._frame: Any = None
        self._packed, self._plain = b"", memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer with what comes next, and return how many bytes that is; 0 at the end."""
        while not self._plain:
            self._packed = self._packed or self._raw.read(_BLOCK) or b""
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
            self._frame = self._library.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).decompressobj()
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
