"""The frame of every report: one self-contained HTML page, light and dark, from the width of a telephone on.

Whatever comes from data is escaped; marks that would turn the direction of the text or hide something are written out.
"""

from __future__ import annotations

import html
import io
import re
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.figure import Figure

from rekur._numbers import shown
from rekur.errors import printable
from rekur.study.figures import INK

#: the start of a page, now and before pages named their generator
_BEGIN = '<!doctype html><html lang="en"><meta charset="utf-8">'
_MARK = '<meta name="generator" content="rekur">'
_EARLIER = '<meta name="viewport" content="width=device-width"><style>\nbody { font: 16px/1.5 system-ui, sans-serif; '
#: no script runs and nothing is loaded, whatever the data hold
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
)
_LIGHT = """--ink: #22313f; --soft: #5b6b79; --paper: #fff; --card: #f4f7f9; --line: #dde4ea; --accent: #1f6ca6;
  --good: #17703c; --bad: #b3261e; --good-paper: #e2f3e8; --bad-paper: #fbe6e4"""
_STYLE = (
    f":root {{ color-scheme: light dark; {_LIGHT} }}"
    """
@media (prefers-color-scheme: dark) { :root { --ink: #e4eaf0; --soft: #9fb0be; --paper: #12181e; --card: #1c252d;
  --line: #33414d; --accent: #7cbcf0; --good: #7ed6a0; --bad: #ff9d94; --good-paper: #17352a; --bad-paper: #40211f } }
* { box-sizing: border-box }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 72rem;
  margin: 0 auto; padding: 1.25rem 1rem 3rem; overflow-wrap: anywhere }
.over { margin: 0; color: var(--soft); font-size: .9rem }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .2rem 0 .8rem }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem } section > p { margin: 0 0 .7rem; max-width: 46rem }
.sentence { font-size: 1.15rem; line-height: 1.45; margin: 0 0 1.1rem; padding: .7rem 1rem; border-radius: .6rem;
  background: var(--card); border-left: .3rem solid var(--accent); max-width: 60rem }
.sentence.better { background: var(--good-paper); border-color: var(--good) }
.sentence.worse { background: var(--bad-paper); border-color: var(--bad) }
.cards { display: flex; flex-wrap: wrap; gap: .75rem }
.cards div { flex: 1 1 10rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .6rem 1rem } .cards .rival { border-style: dashed }
.cards b { display: block; font-size: 1.7rem; line-height: 1.25; font-variant-numeric: tabular-nums }
.cards span, .soft { color: var(--soft); font-size: .9rem }
.wide { overflow-x: auto; background: linear-gradient(to left, var(--paper) 40%, transparent) right / 2.5rem 100%
  no-repeat local, linear-gradient(to left, var(--line), transparent) right / .9rem 100% no-repeat scroll }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .3rem 1.1rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
td, th { overflow-wrap: break-word; max-width: min(32rem, 70vw) } th { color: var(--soft); font-weight: 600 }
th.number { max-width: 10rem } th.number, td.number { text-align: right } td.number, td.short { white-space: nowrap }
td:first-child, th:first-child { position: sticky; left: 0; background: var(--paper) }
@media (max-width: 30rem) { h1 { font-size: 1.35rem } .cards div { flex-basis: 8.5rem; padding: .5rem .7rem }
  .cards b { font-size: 1.35rem } td, th { padding-right: .8rem } }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); gap: 1.25rem;
  align-items: start } .plots div { min-width: 0 }
.plots.three { grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)) }
svg { width: 100%; max-width: 44rem; height: auto; fill: currentColor }
svg text { font-family: system-ui, sans-serif !important }
.item { border-top: 1px solid var(--line); padding: .7rem 0 } .item p { margin: 0 0 .35rem }
.tags { display: flex; flex-wrap: wrap; gap: .3rem .45rem }
.tags > span { display: inline-flex; flex-direction: column; line-height: 1.3; padding: 0 .2rem; border-radius: .25rem }
.tags i { font-style: normal; font-size: .72rem; color: var(--soft) }
.tags .miss { background: var(--bad-paper) } .tags .miss .true { color: var(--good) } .tags .miss .said {
  color: var(--bad) } .key i { font-style: normal } .key .true { color: var(--good) } .key .said { color: var(--bad) }
ul { padding-left: 1.2rem; max-width: 52rem } li { margin: .25rem 0 }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .7rem 1rem;
  margin: 0 0 .8rem; white-space: pre-wrap; font-size: .9rem }
"""
    f"@media print {{ :root {{ color-scheme: light; {_LIGHT} }}"
    """
  body { max-width: none; padding: 0; font-size: 10.5pt } .wide { overflow: visible } td, th { padding-right: .6rem }
  .plots div, .item, tr, .cards, .sentence { break-inside: avoid } h2 { break-after: avoid } }
"""
)
#: characters of a cell, of an item and of an answer that are shown
CELL, ITEM, ANSWER = 200, 400, 2000
#: what stands to the right: a number, maybe with its unit or a sign
_NUMBER = re.compile(r"[+-]?\d[\d,]*(\.\d+)?(e[+-]\d+)?( ?(%|[kMG]?B|[mµ]?s|points))?( \(\d+/\d+\))?|nan|inf")
#: characters of a cell that stays on one line
_SHORT = 24
#: what would turn the direction of a text, or is not seen
_HIDDEN = re.compile("[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
#: the colours of a figure that follow the page
_FIGURE_INK = re.compile(rf"#000000|{INK}")


class Card(NamedTuple):
    """A number at the head of a page.

    Attributes:
        label: above it.
        value: as text.
        below: further words; may be empty.
        is_rival: whether it is that of a rival.
    """

    label: str
    value: str
    below: str = ""
    is_rival: bool = False


class Head(NamedTuple):
    """The head of a page: the question, and the answer in one sentence.

    Attributes:
        question: that the page answers.
        sentence: the answer.
        kind: ``better`` or ``worse`` where the answer is good or bad news; may be empty.
        cards: the numbers behind it.
    """

    question: str
    sentence: str
    kind: str = ""
    cards: Sequence[Card] = ()


def is_report(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a report from Rekur.

    Example:
        >>> is_report(b"<!doctype html><title>my thesis</title>")
        False
    """
    return head.startswith(_BEGIN.encode()) and any(mark.encode() in head for mark in (_MARK, _EARLIER))


def page(title: str, head: Head | None, parts: Iterable[str]) -> str:
    """Return a page of parts that are HTML already.

    Args:
        title: of the page; it is escaped.
        head: its head; None for the title alone.
        parts: below it.
    """
    name = clean(title, CELL)
    top = f"<header><h1>{name}</h1></header>" if head is None else _head(name, head)
    return (
        f"{_BEGIN}{_MARK}{_POLICY}<title>{name}</title>"
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style>'
        f"<body>{top}" + "\n".join(parts) + "</body></html>\n"
    )


def _head(name: str, head: Head) -> str:
    """Return the head of a page; ``name`` is escaped already."""
    cards = "".join(
        f"<div{' class=rival' if card.is_rival else ''}>{clean(card.label, CELL)}<b>{clean(card.value, CELL)}</b>"
        f"<span>{clean(card.below, CELL) or '&nbsp;'}</span></div>"
        for card in head.cards
    )
    return (
        f'<header><p class="over">{name}</p><h1>{clean(head.question, ITEM)}</h1>'
        f'<p class="sentence {head.kind}">{clean(head.sentence, ANSWER)}</p>'
        + (f'<div class="cards">{cards}</div>' if cards else "")
        + "</header>"
    )


def clean(value: Any, most: int) -> str:
    r"""Return a value as HTML that shows it: escaped, cut, with hidden characters written out.

    Args:
        value: anything.
        most: the most characters.

    Example:
        >>> clean("<b>\u202eabc", 100)
        '&lt;b&gt;⟨U+202E⟩abc'
    """
    text = printable("" if value is None else str(value))
    text = f"{text[:most]}…" if len(text) > most else text
    text = text.replace("\n", " ⏎ ").replace("\t", " ")
    text = _HIDDEN.sub(lambda hidden: f"⟨U+{ord(hidden[0]):04X}⟩", text)
    return html.escape(_few_marks(text))


def _few_marks(text: str) -> str:
    """Return a text without the marks above and below a letter that follow three others."""
    if text.isascii():
        return text
    marks, shown_text = 0, []
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= 3:
            shown_text.append(character)
    return "".join(shown_text)


def section(heading: str, *parts: str, note: str = "") -> str:
    """Return a section of a page.

    Args:
        heading: is escaped.
        parts: HTML already.
        note: a sentence below the heading; is escaped.
    """
    told = f'<p class="soft">{clean(note, ANSWER)}</p>' if note else ""
    return f"<section><h2>{clean(heading, CELL)}</h2>{told}{''.join(parts)}</section>"


def table_part(heading: str, head: Sequence[str], rows: Iterable[Sequence[Any]], note: str = "") -> str:
    """Return a table with its heading; numbers stand to the right."""
    listed = [list(row) for row in rows]
    numeric = [bool(listed) and all(_is_number(row[k]) for row in listed) for k in range(len(head))]
    classes = [' class="number"' if is_number else "" for is_number in numeric]
    cells = "".join(f"<th{k}>{clean(name, CELL)}</th>" for name, k in zip(head, classes, strict=True))
    body = "".join(f"<tr>{''.join(map(_cell, row, classes))}</tr>" for row in listed)
    return section(heading, f'<div class="wide"><table><tr>{cells}</tr>{body}</table></div>', note=note)


def _is_number(value: Any) -> bool:
    return value in (None, "") or isinstance(value, int | float) or _NUMBER.fullmatch(str(value)) is not None


def _cell(value: Any, kind: str) -> str:
    if isinstance(value, float):
        value = shown(value)
    elif isinstance(value, int):
        value = f"{value:,}"
    text = clean(value, CELL)
    short = ' class="short"' if len(text) <= _SHORT else ""
    return f"<td{kind}>{text}</td>" if kind else f"<td{short}><bdi>{text}</bdi></td>"


def notes_part(heading: str, sentences: Iterable[str]) -> str:
    """Return a list of sentences."""
    return section(heading, f"<ul>{''.join(f'<li>{clean(each, ANSWER)}</li>' for each in sentences)}</ul>")


def repeat_part(command: str, facts: Iterable[tuple[str, str]]) -> str:
    """Return how to repeat what a page tells.

    Args:
        command: as it was typed; empty where there was none.
        facts: name and value, such as versions.
    """
    rows = "".join(f"<tr><th>{clean(name, CELL)}</th><td>{clean(value, CELL)}</td></tr>" for name, value in facts)
    typed = f"<pre>{clean(command, ANSWER)}</pre>" if command else ""
    return section("How to repeat it", typed, f'<div class="wide"><table>{rows}</table></div>')


def plots_part(plots: Sequence[Figure], heading: str = "Plots", note: str = "", *, small: bool = False) -> str:
    """Return figures as SVG whose lines and letters have the colour of the page, where small with three in a row."""
    drawn = "".join(f"<div>{svg(plot)}</div>" for plot in plots)
    return section(heading, f'<div class="plots{" three" if small else ""}">{drawn}</div>', note=note)


def svg(figure: Figure) -> str:
    """Return a figure as an SVG element whose lines and letters have the current colour."""
    out = io.StringIO()
    with warnings.catch_warnings(), rc_context({"svg.fonttype": "none"}):  # letters are text, of any script
        warnings.filterwarnings("ignore", "Glyph ")
        figure.savefig(out, format="svg", transparent=True)
    text = out.getvalue()
    return _FIGURE_INK.sub("currentColor", text[text.index("<svg") :])
