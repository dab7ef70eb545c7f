"""The frame of reports: the answer, tables, worst items, what data may hold, and how it looks in a browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rekur.study.figures import confusion, points
from rekur.study.page import Answer, Worst, answer_part, clean, is_report, worst_part
from rekur.study.report import answer_of, gallery_plots, write_report
from rekur.targets import LabelTarget, NextTarget, NumberTarget, Tag, TagsTarget
from rekur.targets.gallery import MOST_ITEMS, Token, WorstItem

HOSTILE = "<script>alert('1')</script>\u202egnp.exe\u2066 \x00\x1b[31m &amp; \"'"


def written(folder: Path, text: str = "plain") -> str:
    """Return a page with a text in every slot."""
    worst = [
        WorstItem(0, [(text, text), ("share", 0.5)], [Token(text, text, "O"), None, Token("b", "O", "O")]),
        WorstItem(1, [("true", text)]),
    ]
    write_report(
        folder / "page.html",
        title=text,
        answer=Answer("entity_f1", 0.5, "0.4 – 0.6", text, 0.25, is_better=True),
        tables=[
            (text, ["a", text], [(text, 1), ("b", 0.5)]),
            ("wide", ["number"] * 40, [[0.5] * 40]),
        ],
        plots=[confusion([[2, 1], [0, 3]], [text, "$x$ \\frac$"]), points("P", ("x", "y"), [1, 2], [1, 3], True)],
        worst=Worst(worst, {1: text}, {1: text}),
        details=[("Options", ["option", "value"], [("cell", text)])],
    )
    return (folder / "page.html").read_text(encoding="utf-8")


def test_what_data_hold_is_shown_and_does_nothing(tmp_path: Path) -> None:
    page = written(tmp_path, HOSTILE)
    assert is_report(page.encode()[:2000])
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;⟨U+202E⟩gnp.exe⟨U+2066⟩ ⟨U+0000⟩⟨U+001B⟩[31m" in page
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", page)
    assert "default-src 'none'" in page
    links = set(re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?([^\"')>\s]+)", page)) - {""}
    assert all(link.startswith(("#", "data:")) for link in links), links


def test_long_texts_and_many_marks_are_cut() -> None:
    assert len(clean("a" * 50_000, 60)) == 61
    assert clean("e" + "\u0301" * 500, 1000) == "e" + "\u0301" * 3
    assert clean("a\ud83d\nb", 10) == "a\\ud83d ⏎ b"
    assert clean(None, 5) == ""


def test_a_page_stands_by_itself_in_light_and_dark(tmp_path: Path) -> None:
    page = written(tmp_path)
    assert "prefers-color-scheme: dark" in page
    assert "color-scheme: light dark" in page
    assert "width=device-width" in page
    assert not re.search(r"https?://(?!www\.w3\.org|matplotlib|purl\.org|creativecommons)", page)
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) == 2
    assert all("currentColor" in plot and "#000000" not in plot for plot in plots)


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        (
            Answer("accuracy", 0.9, "0.8 – 1.0", "guess", 0.5, is_better=True),
            ["0.9000", "scores better than the rival."],
        ),
        (Answer("rmse", 2.0, "", "ridge", 1.0, is_better=False), ["2.0000", "1.0000", "scores worse than the rival."]),
        (Answer("accuracy", 0.5, "", "guess", 0.5), ["scores as well as the rival."]),
        (Answer("accuracy", 0.5), ["No rival was scored on these items."]),
    ],
)
def test_the_answer_stands_at_the_head_with_the_rival(answer: Answer, texts: Sequence[str]) -> None:
    part = answer_part(answer)
    assert [text for text in texts if text not in part] == []


def test_the_answer_of_scores() -> None:
    scores = {"accuracy": 0.9, "accuracy_interval": (0.7, 0.95), "rival": {"name": "guess", "accuracy": 0.8}}
    answer = answer_of(scores, "accuracy")
    assert answer is not None
    assert (answer.is_better, answer.may_be_chance, answer.rival) == (True, True, "guess")
    assert "may be chance" in answer_part(answer)
    worse = answer_of({"rmse": 2.0, "rmse_interval": (1.9, 2.1), "rival": {"name": "ridge", "rmse": 1.0}}, "rmse")
    assert worse is not None
    assert (worse.is_better, worse.may_be_chance) == (False, False)
    assert answer_of({"rmse": 2.0}, "accuracy") is None
    alone = answer_of({"rmse": 2.0}, "rmse")
    assert alone is not None
    assert alone.rival_score is None


def test_sentences_show_both_taggings(tmp_path: Path) -> None:
    gallery = TagsTarget.learn([["B-A", "I-A", "O"]]).gallery()
    tags = [Tag("B-A", 0.9), Tag("O", 0.8), Tag("O", 0.7)]
    gallery.add(tags, ["B-A", "I-A", "O"], ["New", "York", "is"])
    gallery.add(tags, ["B-A", "O", "O"], ["New", "York", "is"])
    gallery.add([Tag("O", 0.6)] * 2, ["B-A", "I-A"], ["York", "y"])
    (first, second) = gallery.worst()
    assert (first.number, second.number) == (2, 0)  # more probability on wrong tags
    part = worst_part(Worst([second], {}, {}))
    assert "item 1" in part
    assert "wrong tags: <bdi>1</bdi>; tokens: <bdi>3</bdi>" in part
    assert '<span class="miss"><bdi>York</bdi><i class="true">I-A ✓</i><i class="said">O ✗</i></span>' in part
    assert "<span><bdi>New</bdi><i>B-A</i></span>" in part
    confusions, words = gallery.tables()
    assert confusions.rows[0] == ("I-A", "O", 2, 1.0, "York")
    assert words.rows[0] == ("York", 2, 3)


def test_of_a_long_sentence_the_tokens_around_wrong_tags_are_shown() -> None:
    gallery = TagsTarget.learn([["N", "V"]]).gallery()
    label = ["N"] * 50_000
    tags = [Tag("V" if step in (20_000, 40_000) else "N", 0.9) for step in range(50_000)]
    gallery.add(tags, label, [f"w{step}" for step in range(50_000)])
    (item,) = gallery.worst()
    texts = [None if token is None else token.text for token in item.tokens]
    around = [f"w{step}" for step in range(19_996, 20_005)]
    assert texts == [None, *around, None, *[f"w{step}" for step in range(39_996, 40_005)], None]
    gallery.add([Tag("V", 0.9)] * 50_000, label, ["w"] * 50_000)
    assert len(gallery.worst()[0].tokens) < 100


def test_steps_without_words_have_confusions_and_numbers() -> None:
    gallery = TagsTarget.learn([["sit", "walk"]]).gallery()
    gallery.add([Tag("sit", 0.9), Tag("sit", 0.9)], ["sit", "walk"], None)
    (table,) = gallery.tables()
    assert list(table.head) == ["true tag", "predicted tag", "tokens", "share of the true tag"]
    assert list(table.rows) == [("walk", "sit", 1, 1.0)]
    assert [token.text for token in gallery.worst()[0].tokens if token is not None] == ["1", "2"]


def test_the_worst_items_of_a_classifier() -> None:
    gallery = LabelTarget(["a", "b"], multi_label=False).gallery()
    for number in range(100):
        gallery.add(np.array([number / 100, 1 - number / 100]), "b")
    worst = gallery.worst()
    assert [item.number for item in worst[:3]] == [99, 98, 97]
    assert len(worst) == MOST_ITEMS
    assert dict(worst[0].facts) == {
        "true": "b",
        "predicted": "a",
        "probability": 0.99,
        "of the true label": pytest.approx(0.01),
    }
    several = LabelTarget(["a", "b", "c"], multi_label=True).gallery()
    several.add(np.array([0.9, 0.1, 0.2]), ["a"])
    several.add(np.array([0.1, 0.9, 0.2]), ["a", "z"])
    (item,) = several.worst()
    assert (item.number, dict(item.facts)) == (1, {"true": "a", "predicted": "b"})


def test_residuals_of_a_regressor() -> None:
    gallery = NumberTarget(0.0, 1.0).gallery()
    for number in range(5000):
        gallery.add(np.float64(number + (number == 1234)), number)
    (item,) = gallery.worst()
    assert (item.number, dict(item.facts)["error"]) == (1234, 1.0)
    predictions, residuals = gallery.plots()
    assert len(predictions.x) == len(residuals.y) == 2000
    (table,) = gallery.tables()
    assert table.rows[-1] == ("100%", 1.0)
    assert len(gallery_plots(gallery)) == 2


def test_the_loss_along_a_text() -> None:
    gallery = NextTarget(5, reset=False).gallery()
    context = {"tokens": np.array([1, 2, 3]), "stretches": np.array([[2, 4, 4], [1, 1, 1]])}
    gallery.add(np.log(np.array([0.5, 0.5, 0.25])), None, context)
    (plot,) = gallery.plots()
    assert plot.y == pytest.approx([0.5, 2.0])
    assert gallery.worst() == []


#: no window is narrower than 500 pixels, but a frame is
FRAME = """<!doctype html><title>not measured</title>
<script>addEventListener("message", (message) => { document.title = message.data });</script>
<iframe src="measured.html" width="WIDTH" height="900" style="border: 0"></iframe>"""
#: of the page: its width when it is laid out, its background and the colour of its letters
MEASURE = """<script>
const style = getComputedStyle(document.body);
const width = document.documentElement.scrollWidth;
parent.postMessage([innerWidth, width, style.backgroundColor, style.color].join("|"), "*");
</script>"""


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(("scheme", "number"), [("dark", 0), ("light", 1)])
def test_a_browser_shows_the_page_without_a_wide_line(tmp_path: Path, width: int, scheme: str, number: int) -> None:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = os.environ.get("REKUR_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip("no Chromium; name one with REKUR_CHROMIUM")
    page = re.sub(r"<meta http-equiv=[^>]*>", "", written(tmp_path, "a long text without an end " * 40 + "x" * 900))
    (tmp_path / "measured.html").write_text(page.replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME.replace("WIDTH", str(width)), encoding="utf-8")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom", "--virtual-time-budget=5000"]
    options += [f"--blink-settings=preferredColorScheme={number}", f"--user-data-dir={tmp_path / 'profile'}"]
    command = [browser, *options, (tmp_path / "frame.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    title = re.search(r"<title>([^<]*)</title>", done.stdout)
    assert title, done.stderr
    window, laid_out, background, ink = title[1].split("|")
    assert int(laid_out) <= int(window) == width
    light, dark = "rgb(255, 255, 255)", "rgb(18, 24, 30)"
    assert background == (dark if scheme == "dark" else light)
    assert ink == ("rgb(228, 234, 240)" if scheme == "dark" else "rgb(34, 49, 63)")
