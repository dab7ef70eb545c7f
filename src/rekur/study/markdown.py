"""A page as Markdown: the answer, tables, items, caveats and how to repeat it, without plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rekur._numbers import shown
from rekur.runtime.examples import ShownItem
from rekur.study.page import Head

Table = tuple[str, Sequence[str], Sequence[Sequence[Any]]]
#: how the text begins, by which it is known
_MARK = "<!-- made by rekur compare -->\n"


def markdown_page(
    head: Head,
    tables: Sequence[tuple[Table, str]],
    items: Sequence[tuple[str, Sequence[ShownItem]]],
    items_note: str,
    caveats: Sequence[str],
    command: str,
    repeat: Sequence[tuple[str, str]],
) -> str:
    """Return a page as Markdown.

    Args:
        head: the question and the answer.
        tables: each with a note, which may be empty.
        items: a heading and items.
        items_note: a sentence on the model that answered these; may be empty.
        caveats: a sentence each.
        command: as it was typed; may be empty.
        repeat: name and value of what else is needed to repeat it.
    """
    lines = [f"# {head.question}", "", f"**{head.sentence}**", ""]
    for (title, names, rows), note in tables:
        lines += [f"## {title}", "", *([note, ""] if note else []), *markdown_table(names, rows), ""]
    for heading, listed in items:
        if listed:
            facts = ["; ".join(f"{name}: {_text(value)}" for name, value in each.facts) for each in listed]
            cells = [[each.name, _content(each), told] for each, told in zip(listed, facts, strict=True)]
            lines += [f"## {heading}", "", *([items_note, ""] if items_note else [])]
            lines += [*markdown_table(("item", "input", "facts"), cells), ""]
    lines += ["## What to keep in mind", "", *[f"- {each}" for each in caveats], "", "## How to repeat it", ""]
    if command:
        lines += ["```sh", command, "```", ""]
    lines += [f"- {name}: {value}" for name, value in repeat]
    return _MARK + "\n".join(lines) + "\n\nPlots: report.html. All numbers: result.json.\n"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Return a table as lines of Markdown.

    Example:
        >>> markdown_table(["a", "b"], [["x|y", 0.5]])
        ['| a | b |', '| --- | --- |', '| x\\\\|y | 0.5000 |']
    """
    lines = [[_escaped(name) for name in head], ["---"] * len(head)]
    lines += [[_escaped(_text(value)) for value in row] for row in rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else shown(value) if isinstance(value, float) else str(value)


def _escaped(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())


def _content(item: ShownItem) -> str:
    if item.tokens:
        return " ".join("…" if token is None else token.text for token in item.tokens)
    return str(item.content)[:200]
