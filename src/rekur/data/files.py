"""Opening files: existence, packing, encoding, and lines of text."""

from __future__ import annotations

import bz2
import codecs
import contextlib
import difflib
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

from rekur.data._zstandard import ZstandardFile
from rekur.data.inputs import PACKED, Input
from rekur.errors import DataError, InputError, describe

#: file ending -> format; each but parquet may be followed by .gz, .bz2, .xz or .zst, or be alone in a .zip
ENDINGS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".txt": "txt",
    ".fa": "fasta",
    ".fasta": "fasta",
    ".fna": "fasta",
    ".faa": "fasta",
    ".ts": "ts",
    ".conllu": "conllu",
    ".conllup": "conllu",
    ".cupt": "conllu",
    ".conll": "conll",
    ".bio": "conll",
    ".iob": "conll",
    ".iob2": "conll",
    ".bioes": "conll",
}
FORMATS = ("csv", "tsv", "jsonl", "json", "parquet", "txt", "fasta", "ts", "conllu", "conll", "folder")

_GARBLED = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, gzip.BadGzipFile)
# What a file begins with when its ending does not tell the truth.
_BEGINNINGS = {
    b"\x1f\x8b": "gzip: rename it so that it ends in .gz",
    b"BZh": "bzip2: rename it so that it ends in .bz2",
    b"\xfd7zXZ": "xz: rename it so that it ends in .xz",
    b"\x28\xb5\x2f\xfd": "zstd: rename it so that it ends in .zst",
    b"PK\x03\x04": "zip (as .xlsx files do): rename it so that it ends in .zip, or save the table as csv",
    b"PAR1": "parquet: rename it so that it ends in .parquet",
    b"%PDF": "PDF: save what it says as plain text",
    b"\xff\xfe\0\0": "utf-32: try encoding 'utf-32' (--encoding utf-32)",
    b"\0\0\xfe\xff": "utf-32: try encoding 'utf-32' (--encoding utf-32)",
    b"\xff\xfe": "utf-16: try encoding 'utf-16' (--encoding utf-16)",
    b"\xfe\xff": "utf-16: try encoding 'utf-16' (--encoding utf-16)",
    b"\x89PNG": "PNG, which is a picture and no text",
    b"\xff\xd8\xff": "JPEG, which is a picture and no text",
    b"GIF8": "GIF, which is a picture and no text",
    b"BM": "BMP, which is a picture and no text",
    b"II*\0": "TIFF, which is a picture and no text",
    b"MM\0*": "TIFF, which is a picture and no text",
    b"RIFF": "WAV, AVI or WebP, which is no text",
    b"OggS": "Ogg, which is sound and no text",
    b"fLaC": "FLAC, which is sound and no text",
    b"ID3": "MP3, which is sound and no text",
    b"\x7fELF": "ELF, which is a program and no text",
    b"MZ": "EXE, which is a program and no text",
    b"\xca\xfe\xba\xbe": "a compiled program, which is no text",
    b"SQLite format 3": "SQLite: save the table as csv",
    b"\x89HDF": "HDF5: save the table as csv",
    b"\x93NUMPY": "a NumPy file: load it in Python, and give fit the array",
    b"ARROW1": "Arrow: save the table as parquet or csv",
    b"\xd0\xcf\x11\xe0": "an old Office document: save the table as csv",
    b"{\\rtf": "RTF: save it as plain text",
    b"7z\xbc\xaf": "7z: unpack it first",
    b"Rar!": "RAR: unpack it first",
}
#: control characters that no text holds
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
#: share of bytes beyond ASCII from which a text is in no Western language
_FOREIGN = 0.3
#: bytes by which an encoding is told
_SAMPLE = 1 << 22


def check_exists(path: Path) -> None:
    """Raise unless ``path`` exists; the message names files nearby."""
    if path.exists():
        return
    text = describe("file", str(path), "a file that exists", _nearby(path))
    error = DataError(text)
    error.path = path
    raise error


def _nearby(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"There is no folder '{folder}'."
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith(".") and entry.exists())
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    if near:
        return "Did you mean " + " or ".join(f"'{folder / name}'" for name in near) + "?"
    if not names:
        return f"The folder '{folder}' is empty."
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"In '{folder}' there is {', '.join(names[:8])}{more}."


def likely_file(folder: Path) -> str:
    """Return a sentence that names a readable file of the folder, or an empty text."""
    files = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")]
    likely = sorted(p for p in files if p.suffix.lower() in ENDINGS or p.suffix.lower() in PACKED)
    return f" Did you mean the file '{likely[0]}'?" if likely else ""


def check_encoding(encoding: str) -> str:
    """Return the encoding if Python knows it; utf-8 with or without a byte order mark is one."""
    try:
        "".encode(encoding)
    except (LookupError, TypeError):
        expected = "the name of a text encoding, such as 'utf-8', 'latin-1' or 'utf-16'"
        raise InputError(describe("encoding", encoding, expected)) from None
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def inner_name(source: Input) -> PurePath:
    """Return the name of the file without its packing: ``a.csv.gz`` is ``a.csv``, a zip's is its member's."""
    if source.packing == "zip":
        try:
            with zipfile.ZipFile(source.place) as archive:
                return PurePath(_only_member(source, archive).filename)
        except zipfile.BadZipFile as error:
            raise _garbled(source, error) from error
    return source.hint.with_suffix("") if source.hint.suffix.lower() in PACKED else source.hint


def _only_member(source: Input, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        fix = "Unpack it and name one of its files."
        raise DataError(describe("files in the zip", len(members), "1", fix), source.name)
    if members[0].flag_bits & 1:
        text = "zip: got a file locked with a password; expected an open one. Unpack it first."
        raise DataError(text, source.name)
    return members[0]


#: bytes shown on either side of one that cannot be decoded, and bytes kept for that
_AROUND, _KEPT = 10, 32


class Bytes(io.BufferedReader):
    """The unpacked bytes of a file; remembers enough of one pass to tell where an error is.

    Attributes:
        first: the first few bytes.
        zero: offset of the first zero byte that was read; -1 if there was none.
    """

    def __init__(self, raw: Any) -> None:
        super().__init__(raw)
        self.first, self.zero = b"", -1
        self._size = self._lines = 0
        self._tail = self._last = b""  # of what was read before the last read, and by it

    def read1(self, size: int = -1, /) -> bytes:
        """Return the bytes that have arrived."""
        return self._counted(super().read1(size))

    def read(self, size: int | None = -1, /) -> bytes:
        """Return ``size`` bytes, or all that remain."""
        return self._counted(super().read(size))

    def line_of(self, error: UnicodeDecodeError) -> tuple[int, bytes]:
        """Return the number, from 1, of the line that a decoder refused after the last read, and its bytes."""
        refused = error.object[error.start :]
        number = self._lines - refused.count(b"\n") + 1
        window = self._tail + self._last
        start = len(window) - len(refused)
        end = start + error.end - error.start
        if b"\n" not in refused and len(window) < end + _AROUND:
            window += self.peek(_AROUND)
        first = max(window.rfind(b"\n", 0, start) + 1, start - _AROUND)
        return number, window[first : end + _AROUND].partition(b"\n")[0]

    def _counted(self, data: bytes) -> bytes:
        if not self._size:
            self.first = data[:_KEPT]
        if self.zero < 0 and b"\0" in data:
            self.zero = self._size + data.index(b"\0")
        self._tail, self._last = (self._tail + self._last)[-_KEPT:], data
        self._size += len(data)
        self._lines += data.count(b"\n")
        return data


class _Packed(io.BufferedReader):
    """Packed bytes: large reads return what has arrived, so that unpacking never waits for bytes it does not need."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Return exactly ``size`` bytes of a header, or at most ``size`` bytes of the data behind it."""
        return super().read(size) if size is None or size < 256 else self.read1(size)


class _Unpacked(io.RawIOBase):
    """Unpacked bytes, as soon as the unpacker has some."""

    def __init__(self, unpacker: Any) -> None:
        self._unpacker = unpacker

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data: bytes = self._unpacker.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._unpacker.close()
        super().close()


_UNPACKERS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "gzip": lambda packed: _Unpacked(gzip.GzipFile(fileobj=packed)),
        "bzip2": lambda packed: _Unpacked(bz2.BZ2File(packed)),
        "xz": lambda packed: _Unpacked(lzma.LZMAFile(packed)),  # noqa: SIM115 — whoever reads it closes it
        "zstd": ZstandardFile,
    }
)


@contextmanager
def open_bytes(source: Input) -> Iterator[Bytes]:
    """Open a file, unpacking it on the way."""
    if source.packing == "zip":
        with zipfile.ZipFile(source.place) as archive, archive.open(_only_member(source, archive)) as member:
            yield Bytes(member)
        return
    if source.packing:
        with _Packed(source.open()) as packed, Bytes(_UNPACKERS[source.packing](packed)) as unpacked:
            yield unpacked
        return
    with Bytes(source.open()) as plain:
        yield plain


@contextmanager
def open_text(source: Input, encoding: str, newline: str = "") -> Iterator[io.TextIOWrapper]:
    """Open a file as text with its line ends kept; what goes wrong while reading is raised as DataError.

    Args:
        source: the file.
        encoding: of the text.
        newline: what ends a line: ``"\\n"``, or ``""`` for LF, CR LF and CR.
    """
    raw: Bytes | None = None
    try:
        with open_bytes(source) as raw, io.TextIOWrapper(raw, encoding=encoding, newline=newline) as text:
            try:
                yield text
            except UnicodeDecodeError as error:
                raise _wrong_encoding(source, raw, encoding, error) from error
    except UnicodeError as error:  # utf-16 without its mark
        first = b"" if raw is None else raw.first
        fix = begins_like(first) or _likely_encoding(first, encoding)
        raise DataError(f"text: got {error}; expected text in {encoding}. {fix}", source.name) from error
    except _GARBLED as error:
        raise _garbled(source, error) from error
    except OSError as error:
        if error.errno is None and source.packing:
            raise _garbled(source, error) from error
        expected = "a file that can be read"
        raise DataError(f"file: got '{error.strerror or error}'; expected {expected}.", source.name) from error


def read_lines(source: Input, encoding: str, newline: str = "") -> Iterator[str]:
    """Yield the lines of a file with their ends; refuse NUL characters, which no text holds."""
    with open_text(source, encoding, newline) as text:
        for number, line in enumerate(text, 1):
            if "\0" in line:
                first: bytes = text.buffer.first  # type: ignore[attr-defined]
                raise DataError(nul_text(first), source.name, number)
            yield line


def lf_lines(source: Input, encoding: str) -> Iterator[str]:
    """Yield the lines of a file without their ends, which are LF or CR LF; other breaks are characters of a line."""
    for line in read_lines(source, encoding, "\n"):
        yield line[:-2] if line.endswith("\r\n") else line.removesuffix("\n")


def nul_text(first: bytes) -> str:
    """Return the message for a text with a NUL character, by the first bytes of its file."""
    fix = begins_like(first) or "Take it out, or name a text file."
    return f"text: got a NUL character; expected text. {fix}"


def begins_like(head: bytes) -> str:
    """Return a sentence that names the type of a file by its first bytes, or an empty text.

    Example:
        >>> begins_like(b"BZh9")
        'The file begins like bzip2: rename it so that it ends in .bz2.'
    """
    kind = next((kind for start, kind in _BEGINNINGS.items() if head.startswith(start)), "")
    if not kind and (wide := _wide_encoding(head)):
        kind = f"{wide}: try encoding '{wide}' (--encoding {wide})"
    return f"The file begins like {kind}." if kind else ""


def _wide_encoding(head: bytes) -> str:
    """Return the encoding of a text whose characters have two or four bytes, by where its zeros are; else nothing."""
    head = head[: len(head) // 4 * 4]
    zeros = [head[offset::4].count(0) * 4 / max(1, len(head)) for offset in range(4)]
    if not head:
        return ""
    if min(zeros[1:]) > 0.9 and zeros[0] < 0.1:
        return "utf-32-le"
    if min(zeros[:3]) > 0.9 and zeros[3] < 0.1:
        return "utf-32-be"
    even, odd = (zeros[0] + zeros[2]) / 2, (zeros[1] + zeros[3]) / 2
    if odd > 0.5 and even < 0.1:
        return "utf-16-le"
    return "utf-16-be" if even > 0.5 and odd < 0.1 else ""


def _garbled(source: Input, error: BaseException) -> DataError:
    fix = "Download or pack it again; if it is not packed at all, rename it."
    return DataError(f"packing: got '{error}'; expected a whole {source.packing} file. {fix}", source.name)


def _wrong_encoding(source: Input, raw: Bytes, encoding: str, error: UnicodeDecodeError) -> DataError:
    """Return the error that names the line that cannot be decoded, and the likely type of the file."""
    shown_encoding = "utf-8" if encoding == "utf-8-sig" else encoding
    number, piece = raw.line_of(error)
    shown = "".join(chr(b) if 32 <= b < 127 else f"\\x{b:02x}" for b in piece.strip(b"\r\n"))
    fix = begins_like(raw.first)
    if not fix and encoding == "utf-8-sig" and not error.object[: error.start].isascii():
        fix = "The text above it is utf-8: mend this line."
    if not fix:
        data = error.object
        if source.path is not None:
            with open_bytes(source) as again:
                data = again.read(_SAMPLE)
        fix = _likely_encoding(data, encoding)
    return DataError(describe("text", shown, f"text in {shown_encoding}", fix), source.name, number)


def _likely_encoding(data: bytes, encoding: str) -> str:
    """Return a sentence with the likely encoding of bytes that another one cannot decode."""
    if encoding != "utf-8-sig":
        with contextlib.suppress(UnicodeDecodeError):
            codecs.getincrementaldecoder("utf-8")().decode(data)
            return "Try encoding 'utf-8' (--encoding utf-8)."
    if _CONTROL.search(data):
        return "It is no text, since it holds control characters. Name a text file."
    if len(data.translate(None, bytes(range(128)))) > _FOREIGN * len(data):
        return "Name the encoding that it was saved in, such as --encoding windows-1251, gb18030 or shift_jis."
    if not re.search(rb"[\x80-\x9f]", data):
        return "Try encoding 'latin-1' (--encoding latin-1)."
    try:
        data.decode("windows-1252")
    except UnicodeDecodeError:
        return "Name the encoding that it was saved in, such as --encoding mac-roman or cp850."
    return "Try encoding 'windows-1252' (--encoding windows-1252)."
