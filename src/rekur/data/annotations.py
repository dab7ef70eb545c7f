"""Shapes in which annotation tools export texts with spans, as rows with named columns."""

from __future__ import annotations

from typing import Any

from rekur._values import is_missing

#: columns of the text and the spans of a row that has no names of its own
TEXT, SPANS = "text", "entities"


def as_object(value: Any) -> Any:
    """Return the object that a value of JSON stands for; itself if it is an object, or stands for none.

    A pair of a text and an object is a row with the columns ``text`` and ``entities``, as spaCy is trained on it. An
    object whose ``data`` is another has the columns of that one too, as Label Studio exports it.

    Example:
        >>> as_object(["Ada left", {"entities": [[0, 3, "PER"]]}])
        {'text': 'Ada left', 'entities': [[0, 3, 'PER']]}
        >>> as_object({"data": {"text": "Ada left"}, "annotations": []})
        {'text': 'Ada left', 'data': {'text': 'Ada left'}, 'annotations': []}
    """
    if is_pair(value):
        text, others = value
        return {TEXT: text, **others}
    if isinstance(value, dict) and isinstance(value.get("data"), dict) and isinstance(value.get("annotations"), list):
        return {**value["data"], **value}
    return value


def is_pair(value: Any) -> bool:
    """Return whether a value is a text with an object that holds its spans."""
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)):
        return False
    return isinstance(value[1].get(SPANS), list)


def is_annotation(value: Any) -> bool:
    """Return whether a value is an annotation of Label Studio, which holds spans and what else was said of a text."""
    return isinstance(value, dict) and isinstance(value.get("result"), list)


def results(annotations: list[Any]) -> list[list[Any]]:
    """Return the spans of each annotation of a text that was not cancelled."""
    valid = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
    return [[entry for entry in annotation["result"] if _may_be_span(entry)] for annotation in valid]


def _may_be_span(entry: Any) -> bool:
    """Return whether an entry of an annotation is a span; relations and choices for the whole text are none."""
    value = entry.get("value") if isinstance(entry, dict) else entry
    return not isinstance(entry, dict) or (isinstance(value, dict) and ("start" in value or "end" in value))


def reason_to_leave_out(row: dict[str, Any], label: str) -> str:
    """Return why a row is not learned from, as its tool says; an empty text where it is.

    Args:
        row: a row of a table of JSON.
        label: the column with the spans.

    Example:
        >>> reason_to_leave_out({"text": "Ada", "spans": [], "answer": "reject"}, "spans")
        'rejected'
    """
    cell = row.get(label)
    if label == "answer" or not (is_missing(cell) or isinstance(cell, list)):
        return ""
    if (answer := row.get("answer")) in ("reject", "ignore"):
        return {"reject": "rejected", "ignore": "ignored"}[str(answer)]
    if label != "annotations" or not isinstance(row.get("data"), dict):
        return ""
    entries = cell or []
    return "" if not all(map(is_annotation, entries)) or results(entries) else "without an annotation"
