"""FASTA files: sequences of DNA, RNA or protein letters under header lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from rekur.data.files import read_lines
from rekur.data.inputs import Input
from rekur.data.source import Row, Source
from rekur.errors import describe

_LABEL = re.compile(r"(?:^|[\s|;])label=([^\s|;]+)", re.IGNORECASE)
_RECORDS_LOOKED_AT = 100


class Fasta(Source):
    """A FASTA file; columns ``id`` (first word of the header), ``description`` (the rest) and ``sequence``.

    A label may stand in the header. ``label=X`` anywhere gives the column ``label``; else an id of two parts,
    ``>id|X``, gives ``id`` and ``label``; an id of more parts also gives ``part1``, ``part2``, … Which of the
    three holds is decided on the first hundred records; what a later record lacks is empty there.

    Args:
        file: what to read, maybe packed.
        encoding: the encoding of the text.
    """

    def __init__(self, file: Input, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self.name, self.format = file.name, "fasta"
        headers = [header for header, _, _ in islice(self._records(), _RECORDS_LOOKED_AT)]
        if not headers:
            raise self.error("records: got 0; expected 1 or more, each under a line that begins with '>'.")
        self._named = any(_LABEL.search(header) for header in headers)
        parts = 0 if self._named else min(_first_word(header).count("|") + 1 for header in headers)
        self._parts = parts if parts > 1 else 0
        self.columns, self.key = ["id", "description", "sequence"], "id"
        if self._named or self._parts == 2:
            self.columns.append("label")
        elif self._parts:
            self.columns += [f"part{i + 1}" for i in range(self._parts)]

    def rows(self) -> Iterator[Row]:
        """Yield each record with the line of its header."""
        for header, sequence, line in self._records():
            name = _first_word(header)
            row = Row({"id": name, "description": header[len(name) :].strip(), "sequence": sequence}, line)
            if self._named:
                match = _LABEL.search(header)
                row["label"] = match.group(1) if match else ""
            elif self._parts == 2:
                row["id"], _, row["label"] = name.partition("|")
            elif self._parts:
                cut = name.split("|", self._parts - 1)
                row.update((f"part{i + 1}", cut[i] if i < len(cut) else "") for i in range(self._parts))
            yield row

    def _records(self) -> Iterator[tuple[str, str, int]]:
        header: str | None = None
        pieces: list[str] = []
        start = 0
        for number, text in enumerate(read_lines(self._file, self._encoding), 1):
            line = text.strip()
            if line.startswith(">"):
                if header is not None:
                    yield header, "".join(pieces), start
                header, pieces, start = line[1:].strip(), [], number
                if not header:
                    raise self.error("header: got '>' alone; expected a name after it.", number)
            elif line and not line.startswith(";"):  # ';' began comments in the first FASTA files
                if header is None:
                    raise self.error(describe("first line", line, "a header that begins with '>'"), number)
                pieces.append("".join(line.split()))
        if header is not None:
            yield header, "".join(pieces), start


def _first_word(header: str) -> str:
    return header.split(maxsplit=1)[0]
