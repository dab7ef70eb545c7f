"""Opening files: what is there, what it is packed in, and its lines of text."""

from __future__ import annotations

import bz2
import difflib
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from rekur.data._zstandard import ZstandardFile
from rekur.errors import DataError, InputError, describe

#: endings of packed files, and the name of the packing
PACKED = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".zip": "zip"}

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
}
FORMATS = ("csv", "tsv", "jsonl", "json", "parquet", "txt", "fasta", "ts", "folder")

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
    b"\xff\xfe": "utf-16: try encoding 'utf-16' (--encoding utf-16)",
    b"\xfe\xff": "utf-16: try encoding 'utf-16' (--encoding utf-16)",
}


def check_exists(path: Path) -> None:
    """Raise unless something stands at ``path``; say what stands nearby."""
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
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    if near:
        return "Did you mean " + " or ".join(f"'{folder / name}'" for name in near) + "?"
    if not names:
        return f"The folder '{folder}' is empty."
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"In '{folder}' there is {', '.join(names[:8])}{more}."


def likely_file(folder: Path) -> str:
    """Return a sentence that names a file of the folder that could be read, or nothing."""
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


def inner_name(path: Path) -> str:
    """Return the name of the file without its packing: ``a.csv.gz`` is ``a.csv``, a zip's is its member's."""
    ending = path.suffix.lower()
    if ending == ".zip":
        try:
            with zipfile.ZipFile(path) as archive:
                return Path(_only_member(path, archive).filename).name
        except zipfile.BadZipFile as error:
            raise _garbled(path, error) from error
    return path.stem if ending in PACKED else path.name


def _only_member(path: Path, archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    if len(members) != 1:
        fix = "Unpack it and name one of its files."
        raise DataError(describe("files in the zip", len(members), "1", fix), path)
    if members[0].flag_bits & 1:
        text = "zip: got a file locked with a password; expected an open one. Unpack it first."
        raise DataError(text, path)
    return members[0]


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, unpacking it on the way if its ending says that it is packed."""
    ending = path.suffix.lower()
    if ending == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(_only_member(path, archive)) as member:
            yield member
        return
    if ending == ".zst":
        with io.BufferedReader(ZstandardFile(path)) as unpacked:
            yield unpacked
        return
    openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    with openers.get(ending, open)(path, "rb") as opened:
        yield opened


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[io.TextIOWrapper]:
    """Open a file as text with its line ends kept; what goes wrong while reading is raised as DataError."""
    try:
        with open_bytes(path) as raw, io.TextIOWrapper(raw, encoding=encoding, newline="") as text:
            yield text
    except UnicodeDecodeError as error:
        raise _wrong_encoding(path, encoding) from error
    except UnicodeError as error:  # utf-16 without its mark
        raise DataError(f"text: got {error}; expected text in {encoding}. Try another encoding.", path) from error
    except _GARBLED as error:
        raise _garbled(path, error) from error
    except OSError as error:
        if error.errno is None and path.suffix.lower() in PACKED:
            raise _garbled(path, error) from error
        expected = "a file that can be read"
        raise DataError(f"file: got '{error.strerror or error}'; expected {expected}.", path) from error


def read_lines(path: Path, encoding: str) -> Iterator[str]:
    """Yield the lines of a file with their ends; refuse NUL characters, which no text holds."""
    with open_text(path, encoding) as text:
        for number, line in enumerate(text, 1):
            if "\0" in line:
                fix = "If the file was saved as Unicode text, try encoding 'utf-16' (--encoding utf-16)."
                raise DataError(f"text: got a NUL character; expected text. {fix}", path, number)
            yield line


def begins_like(head: bytes) -> str:
    """Return a sentence on what the first bytes of a file tell of it, or nothing.

    Example:
        >>> begins_like(b"BZh9")
        'The file begins like bzip2: rename it so that it ends in .bz2.'
    """
    kinds = (kind for start, kind in _BEGINNINGS.items() if head.startswith(start))
    return next((f"The file begins like {kind}." for kind in kinds), "")


def _garbled(path: Path, error: BaseException) -> DataError:
    packing = PACKED[path.suffix.lower()]
    fix = "Download or pack it again; if it is not packed at all, rename it."
    return DataError(f"packing: got '{error}'; expected a whole {packing} file. {fix}", path)


def _wrong_encoding(path: Path, encoding: str) -> DataError:
    """Find the first line that cannot be decoded, and what the file may be instead."""
    shown_encoding = "utf-8" if encoding == "utf-8-sig" else encoding
    with open_bytes(path) as raw:
        line = next(raw, b"")
        fix = begins_like(line) or "Try encoding 'latin-1' (--encoding latin-1)."
        number = 1
        while line:
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                piece = line[max(0, error.start - 10) : error.end + 10]
                shown = "".join(chr(b) if 32 <= b < 127 else f"\\x{b:02x}" for b in piece.strip(b"\r\n"))
                return DataError(describe("text", shown, f"text in {shown_encoding}", fix), path, number)
            line = next(raw, b"")
            number += 1
    return DataError(f"text: got other bytes; expected text in {shown_encoding}. {fix}", path)
