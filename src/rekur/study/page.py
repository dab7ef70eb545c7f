"""The frame of every report: one self-contained HTML page, light and dark, from the width of a telephone on.

Whatever comes from data is escaped; marks that would turn the direction of the text or hide something are written out.
"""

from __future__ import annotations

import html
import io
import re
import unicodedata
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.figure import Figure

from rekur._numbers import shown
from rekur.errors import printable
from rekur.study.figures import INK
from rekur.targets.gallery import Token, WorstItem

#: the start of a page, now and before pages named their generator
_BEGIN = '<!doctype html><html lang="en"><meta charset="utf-8">'
_MARK = '<meta name="generator" content="rekur">'
_EARLIER = '<meta name="viewport" content="width=device-width"><style>\nbody { font: 16px/1.5 system-ui, sans-serif; '
#: no script runs and nothing is loaded, whatever the data hold
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
)
_STYLE = """
:root { color-scheme: light dark; --ink: #22313f; --soft: #5b6b79; --paper: #fff; --card: #f4f7f9; --line: #dde4ea;
  --accent: #1f6ca6; --good: #17703c; --bad: #b3261e; --good-paper: #e2f3e8; --bad-paper: #fbe6e4 }
@media (prefers-color-scheme: dark) { :root { --ink: #e4eaf0; --soft: #9fb0be; --paper: #12181e; --card: #1c252d;
  --line: #33414d; --accent: #7cbcf0; --good: #7ed6a0; --bad: #ff9d94; --good-paper: #17352a; --bad-paper: #40211f } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 72rem;
  margin: 0 auto; padding: 1.25rem 1rem 3rem; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0 1rem } h2 { font-size: 1.15rem; margin: 2.25rem 0 .6rem }
.answer { display: flex; flex-wrap: wrap; gap: .75rem; margin-bottom: .75rem }
.answer div { flex: 1 1 13rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .7rem 1rem }
.answer b { display: block; font-size: 1.9rem; line-height: 1.2; font-variant-numeric: tabular-nums }
.answer span, .soft { color: var(--soft); font-size: .9rem }
.verdict { margin: 0; font-weight: 600 } .better { color: var(--good) } .worse { color: var(--bad) }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
td, th { overflow-wrap: break-word; max-width: min(32rem, 70vw) } th { color: var(--soft); font-weight: 600 }
th.number { max-width: 10rem } th.number, td.number { text-align: right } td.number { white-space: nowrap }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1.25rem;
  align-items: start }
svg { max-width: 100%; height: auto; fill: currentColor }
.item { border-top: 1px solid var(--line); padding: .7rem 0 } .item p { margin: 0 0 .35rem }
.tags { display: flex; flex-wrap: wrap; gap: .3rem .45rem }
.tags > span { display: inline-flex; flex-direction: column; line-height: 1.3; padding: 0 .2rem; border-radius: .25rem }
.tags i { font-style: normal; font-size: .72rem; color: var(--soft) }
.tags .miss { background: var(--bad-paper) } .tags .miss .true { color: var(--good) } .tags .miss .said {
  color: var(--bad) } .key i { font-style: normal } .key .true { color: var(--good) } .key .said { color: var(--bad) }
"""
#: characters of a cell, of an item and of a token that are shown
_CELL, _ITEM, _TOKEN = 200, 400, 60
#: what would turn the direction of a text, or is not seen
_HIDDEN = re.compile("[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
#: the colours of a figure that follow the page
_FIGURE_INK = re.compile(rf"#000000|{INK}")


class Answer(NamedTuple):
    """The answer of a page, and the rival beside it.

    Attributes:
        name: of the score.
        score: of the model.
        interval: of the score, as text; may be empty.
        rival: name of the rival; empty without one.
        rival_score: of the rival; None without one.
        is_better: whether the model's score is the better one; None without a rival, or where both are equal.
        may_be_chance: whether the rival's score lies within the interval.
    """

    name: str
    score: float
    interval: str = ""
    rival: str = ""
    rival_score: float | None = None
    is_better: bool | None = None
    may_be_chance: bool = False


class Worst(NamedTuple):
    """The worst items of a page.

    Attributes:
        items: the worst first.
        names: number of an item -> its name.
        contents: number of an item -> what it holds, where it has no tokens.
    """

    items: Sequence[WorstItem]
    names: Mapping[int, str]
    contents: Mapping[int, Any]


def is_report(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a report from Rekur.

    Example:
        >>> is_report(b"<!doctype html><title>my thesis</title>")
        False
    """
    return head.startswith(_BEGIN.encode()) and any(mark.encode() in head for mark in (_MARK, _EARLIER))


def page(title: str, parts: Iterable[str]) -> str:
    """Return a page of parts that are HTML already.

    Args:
        title: of the page; it is escaped.
        parts: below it.
    """
    name = clean(title, _CELL)
    return (
        f"{_BEGIN}{_MARK}{_POLICY}<title>{name}</title>"
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style>'
        f"<body><h1>{name}</h1>" + "\n".join(parts) + "</body></html>\n"
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


def answer_part(answer: Answer) -> str:
    """Return the head of a page: the score that decides, and that of the rival."""
    name = clean(answer.name.replace("_", " "), _CELL)
    between = f"95 % interval {clean(answer.interval, _CELL)}" if answer.interval else "&nbsp;"
    cards = [f"<div>this model, {name}<b>{shown(answer.score)}</b><span>{between}</span></div>"]
    verdict = '<p class="soft">No rival was scored on these items.</p>'
    if answer.rival_score is not None:
        rival = clean(answer.rival, _CELL)
        cards.append(f"<div>rival, {name}<b>{shown(answer.rival_score)}</b><span>{rival}</span></div>")
        kind, text = "", "This model scores as well as the rival."
        if answer.is_better is not None:
            kind = "better" if answer.is_better else "worse"
            text = f"This model scores {kind} than the rival."
        if answer.may_be_chance:
            kind, text = "", f"{text} The rival's score lies within the interval: the difference may be chance."
        verdict = f'<p class="verdict {kind}">{text}</p>'
    return f'<div class="answer">{"".join(cards)}</div>{verdict}'


def table_part(heading: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table with its heading; numbers stand to the right."""
    listed = [list(row) for row in rows]
    numeric = [any(isinstance(row[k], int | float) for row in listed) for k in range(len(head))]
    classes = [' class="number"' if is_number else "" for is_number in numeric]
    cells = "".join(f"<th{k}>{clean(name, _CELL)}</th>" for name, k in zip(head, classes, strict=True))
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in listed)
    return f'<h2>{clean(heading, _CELL)}</h2><div class="wide"><table><tr>{cells}</tr>{body}</table></div>'


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f'<td class="number">{shown(value)}</td>'
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    return f"<td><bdi>{clean(value, _CELL)}</bdi></td>"


def plots_part(plots: Sequence[Figure]) -> str:
    """Return figures as SVG whose lines and letters have the colour of the page."""
    return f'<h2>Plots</h2><div class="plots">{"".join(f"<div>{svg(plot)}</div>" for plot in plots)}</div>'


def svg(figure: Figure) -> str:
    """Return a figure as an SVG element whose lines and letters have the current colour."""
    out = io.StringIO()
    with warnings.catch_warnings(), rc_context({"svg.fonttype": "none"}):  # letters are text, of any script
        warnings.filterwarnings("ignore", "Glyph ")
        figure.savefig(out, format="svg", transparent=True)
    text = out.getvalue()
    return _FIGURE_INK.sub("currentColor", text[text.index("<svg") :])


def worst_part(worst: Worst) -> str:
    """Return the worst items: sentences with both taggings, or what an item holds."""
    parts = ["<h2>The worst items</h2>"]
    if any(item.tokens for item in worst.items):
        parts.append(
            '<p class="soft key">Below a token stands its tag; where it is wrong, the <i class="true">true tag ✓</i> '
            'and the <i class="said">predicted tag ✗</i>.</p>'
        )
    for item in worst.items:
        name = worst.names.get(item.number, f"item {item.number + 1}")
        facts = "; ".join(f"{clean(fact, _CELL)}: {_fact(value)}" for fact, value in item.facts)
        body = _sentence(item.tokens) if item.tokens else ""
        if item.number in worst.contents:
            body = f"<p><bdi>{clean(worst.contents[item.number], _ITEM)}</bdi></p>"
        parts.append(
            f'<div class="item"><p><b>{clean(name, _CELL)}</b> <span class="soft">{facts}</span></p>{body}</div>'
        )
    return "".join(parts)


def _fact(value: Any) -> str:
    return shown(value) if isinstance(value, float) else f"<bdi>{clean(value, _CELL)}</bdi>"


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
