"""Tagged items in the formats that other programs read: a table with a row a token, CoNLL, and texts with spans."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rekur.errors import InputError, describe

#: the columns of a table, and what they are called in a prediction
_COLUMNS = {"tokens": "token", "tags": "tag", "probabilities": "probability"}
#: what cuts a line of CoNLL into columns, or a file into lines, and what no text holds
_CUTS = re.compile("[ \t\r\n\0]")
#: a line that begins like this marks the beginning of a document
_DOCUMENT = "-DOCSTART-"


def token_columns(presented: Mapping[str, Any], *, offsets: bool) -> list[str]:
    """Return the names of the columns of :func:`token_rows`, also of an item without tokens."""
    names = [name for column, name in _COLUMNS.items() if column in presented]
    return ["start", "end", *names] if offsets else names


def token_rows(presented: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row of a table for each token: the token, its tag and probability, and its offsets in a text.

    Args:
        presented: the prediction of an item, as a target of tags presents it.

    Example:
        >>> list(token_rows({"tokens": ["Ada"], "tags": ["N"], "probabilities": [0.9], "spans": []}))
        [{'token': 'Ada', 'tag': 'N', 'probability': 0.9}]
    """
    has_offsets = "offsets" in presented
    names = token_columns(presented, offsets=has_offsets)
    cells = zip(*(presented[column] for column in _COLUMNS if column in presented), strict=True)
    if not has_offsets:
        return (dict(zip(names, row, strict=True)) for row in cells)
    placed = zip(presented["offsets"], cells, strict=True)
    return (dict(zip(names, (*offsets, *row), strict=True)) for offsets, row in placed)


def conll(presented: Mapping[str, Any], starts: Sequence[int] = ()) -> str:
    r"""Return lines with a token and its tag, with a tab between, and a blank line behind each sentence.

    Args:
        presented: the prediction of an item, as a target of tags presents it.
        starts: the tokens that begin further sentences of the item.

    Raises:
        InputError: a token or a tag would be read as something else.

    Example:
        >>> conll({"tokens": ["Ada", "left"], "tags": ["N", "V"]})
        'Ada\tN\nleft\tV\n\n'
    """
    lines = []
    for number, (token, tag) in enumerate(zip(presented["tokens"], presented["tags"], strict=True)):
        for name, value in (("token", token), ("tag", str(tag))):
            if _CUTS.search(value) or not value or value.startswith(_DOCUMENT):
                expected = f"one without blanks, line ends and NUL, that is no {_DOCUMENT}"
                fix = "CoNLL cannot hold it; use the output format jsonl."
                raise InputError(describe(f"{name} {number + 1}", value, expected, fix))
        gap = "\n" if number in starts else ""
        lines.append(f"{gap}{token}\t{tag}\n")
    return "".join([*lines, "\n"])


def text_with_spans(presented: Mapping[str, Any], text: str | None = None) -> str:
    r"""Return a line of JSON with a text and its spans in characters, as tools for annotation read it.

    Args:
        presented: the prediction of an item, as a target of tags presents it.
        text: the text that spans count in; None where they count in tokens, which are joined by blanks.

    Example:
        >>> span = {"start": 1, "end": 2, "label": "LOC", "text": "Oslo", "probability": 0.9}
        >>> print(text_with_spans({"tokens": ["in", "Oslo"], "spans": [span]}), end="")
        {"text": "in Oslo", "spans": [[3, 7, "LOC"]]}
    """
    spans = [[span["start"], span["end"], span["label"]] for span in presented["spans"]]
    if text is None:
        tokens, bounds, start = presented["tokens"], [], 0
        for token in tokens:
            bounds.append((start, start + len(token)))
            start += len(token) + 1
        text = " ".join(tokens)
        spans = [[bounds[first][0], bounds[last - 1][1], label] for first, last, label in spans]
    return json.dumps({"text": text, "spans": spans}, ensure_ascii=False) + "\n"
