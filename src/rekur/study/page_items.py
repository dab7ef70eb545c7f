"""Items on a page: those that a model gets wrong, and those that it is unsure of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rekur._numbers import shown
from rekur.runtime.examples import ShownItem
from rekur.study.page import CELL, ITEM, clean, section
from rekur.targets.gallery import Token

#: characters of a token that are shown
_TOKEN = 60
_KEY = (
    '<p class="soft key">Below a token stands its tag; where it is wrong, the <i class="true">true tag ✓</i> '
    'and the <i class="said">predicted tag ✗</i>.</p>'
)


def items_part(heading: str, items: Sequence[ShownItem], note: str = "") -> str:
    """Return items with facts about them: sentences with both taggings, or what an item holds.

    Args:
        heading: above them.
        items: in their order.
        note: a sentence below the heading.
    """
    key = _KEY if any(item.tokens for item in items) else ""
    return section(heading, key, *map(_item, items), note=note)


def _item(item: ShownItem) -> str:
    facts = "; ".join(f"{clean(name, CELL)}: {_fact(value)}" for name, value in item.facts)
    body = _sentence(item.tokens) if item.tokens else f"<p><bdi>{clean(item.content, ITEM)}</bdi></p>"
    return f'<div class="item"><p><b>{clean(item.name, CELL)}</b> <span class="soft">{facts}</span></p>{body}</div>'


def _fact(value: Any) -> str:
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return shown(value) if isinstance(value, float) else f"<bdi>{clean(value, CELL)}</bdi>"


def _sentence(tokens: Iterable[Token | None]) -> str:
    return f'<div class="tags">{"".join(map(_token, tokens))}</div>'


def _token(token: Token | None) -> str:
    if token is None:
        return "<span>…</span>"
    text, true = f"<bdi>{clean(token.text, _TOKEN)}</bdi>", clean(token.true, _TOKEN)
    if token.true == token.predicted:
        return f"<span>{text}<i>{true}</i></span>"
    said = clean(token.predicted, _TOKEN)
    return f'<span class="miss">{text}<i class="true">{true} ✓</i><i class="said">{said} ✗</i></span>'
