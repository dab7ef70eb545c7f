"""What is told of pairs of texts before training: both sides, odd pairs, lines that slipped, and swapped sides."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from tests.e2e.conftest import Run, cli

from rekur.data.pair_description import describe_pairs
from rekur.data.pair_statistics import Shift, Sides, find_shift
from rekur.data.pairs import pairs_in_memory, read_pairs
from rekur.errors import DataWarning

__all__ = ["cli"]

ENGLISH, FRENCH = ("the", "a", "with", "they", "why"), ("le", "un", "que", "elle", "quai")


def made(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Return sources and targets whose lengths agree as those of translations do."""
    draw = random.Random(seed)
    sources, targets = [], []
    for _ in range(count):
        size = draw.randint(3, 20)
        sources.append(" ".join(draw.choices(ENGLISH, k=size)))
        targets.append(" ".join(draw.choices(FRENCH, k=size)))
    return sources, targets


def lengths_of(texts: list[str]) -> list[int]:
    return list(map(len, texts))


def files_of(folder: Path, name: str, sources: list[str], targets: list[str]) -> list[Path]:
    files = [folder / f"{name}.en", folder / f"{name}.fr"]
    for file, texts in zip(files, (sources, targets), strict=True):
        file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return files


# ── lines that slipped ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("by", [-3, -1, 1, 2])
def test_lines_that_slipped_are_found(by: int) -> None:
    sources, targets = made(300)
    extra = ["une autre phrase"] * abs(by)
    if by > 0:  # a line more among the targets
        targets = [*targets[:120], *extra, *targets[120:-by]]
    else:
        targets = [*targets[:120], *targets[120 - by :], *extra]
    shift = find_shift(lengths_of(sources), lengths_of(targets))
    assert shift is not None
    assert shift.by == by
    assert abs(shift.first - 121) < 8
    assert shift.last > 280


def test_pairs_that_fit_have_not_slipped() -> None:
    for count in (0, 1, 40, 300):
        sources, targets = made(count)
        assert find_shift(lengths_of(sources), lengths_of(targets)) is None
        random.Random(1).shuffle(targets)  # lengths tell nothing, whatever the shift
        assert find_shift(lengths_of(sources), lengths_of(targets)) is None
    assert find_shift([0] * 100, [5] * 100) is None


def test_a_dialogue_has_not_slipped() -> None:
    draw = random.Random(0)
    turns = [draw.randint(1, 100) for _ in range(301)]
    assert find_shift(turns[:-1], turns[1:]) is None


def test_the_side_that_lost_a_line_is_named() -> None:
    told = Shift(1200, 1300, 1).sentence("a", "b")
    assert "1 line later better. Was a line lost in a, or added in b, near line 1,200?" in told
    assert "2 lines earlier better. Was a line lost in b, or added in a" in Shift(12, 13, -2).sentence("a", "b")


def test_lines_that_fit_no_better_than_by_chance_have_not_slipped() -> None:
    draw = random.Random(0)
    kinds = [draw.random() < 0.5 for _ in range(1200)]
    sources = [draw.randint(20, 30) if kind else draw.randint(14, 18) for kind in kinds]
    targets = [draw.randint(2, 3) if kind else 10 for kind in kinds]  # the longer, the shorter
    assert find_shift(sources, targets) is None


def test_reading_warns_of_lines_that_slipped(tmp_path: Path) -> None:
    sources, targets = made(200)
    files = files_of(tmp_path, "a", sources, [*targets[:50], "une phrase", *targets[50:-1]])
    with pytest.warns(DataWarning, match=r"fit the targets 1 line later better.*rekur data .*a.en .*a.fr"):
        read_pairs(files)


# ── swapped sides ────────────────────────────────────────────────────────────────────────────────────────────────


def test_swapped_sides_of_one_alphabet_are_told_by_their_lengths() -> None:
    long, short = ["a b c d e f"] * 30, ["a b"] * 30
    trained, turned = (Sides.of(pairs_in_memory(*each)) for each in ((long, short), (short, long)))
    assert (trained.are_swapped(trained), trained.are_swapped(turned)) == (False, True)
    assert Sides.from_dict(trained.to_dict()).are_swapped(turned)
    assert not trained.are_swapped(Sides.of(pairs_in_memory(short[:9], long[:9])))
    assert not trained.are_swapped(Sides.of(pairs_in_memory(short, None, use="prediction")))
    earlier = {name: value for name, value in trained.to_dict().items() if name != "lengths"}
    assert not Sides.from_dict(earlier).are_swapped(turned)


def test_swapped_sides_are_told_by_their_letters() -> None:
    trained, others = (Sides.of(pairs_in_memory(*made(60, seed))) for seed in (0, 1))
    swapped = Sides(others.target, others.source)
    assert (trained.are_swapped(others), trained.are_swapped(swapped)) == (False, True)
    assert Sides.from_dict(trained.to_dict()) == trained
    days, digits = ["on 3 May 2001"] * 60, ["2001-05-03"] * 60
    of_days, turned = (Sides.of(pairs_in_memory(*each)) for each in ((days, digits), (digits, days)))
    assert (of_days.are_swapped(of_days), of_days.are_swapped(turned)) == (False, True)
    without = pairs_in_memory(made(60)[1], None, use="prediction")
    assert trained.are_swapped(Sides.of(without))
    assert not trained.are_swapped(Sides.of(pairs_in_memory(made(60)[0], None, use="prediction")))


def test_few_letters_and_equal_languages_tell_nothing() -> None:
    trained = Sides.of(pairs_in_memory(*made(60)))
    assert not trained.are_swapped(Sides.of(pairs_in_memory(["le"], ["the"])))
    assert not Sides.of([]).are_swapped(trained)
    alike = Sides.of(pairs_in_memory(made(60)[0], made(60, 1)[0]))
    assert not alike.are_swapped(Sides(alike.target, alike.source))


# ── descriptions ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_both_sides_are_described() -> None:
    sources = ["A dog runs.", "", "A dog runs.", "same", "  ", "A dog runs."]
    targets = ["Un chien court.", "De trop.", "Un chien.", "same", "", "Un chien court."]
    description = describe_pairs(pairs_in_memory(sources, targets, use="evaluation"), ("X", "y"))
    assert (description.pairs, description.left_out) == (6, 2)
    assert (description.source.empty, description.target.empty) == ([1, 4], [4])
    assert description.source.lengths["characters"] == {"min": 4, "median": 11, "p95": 11, "max": 11}
    assert description.target.lengths["words"] == {"min": 1, "median": 2, "p95": 3, "max": 3}
    assert (description.identical, description.duplicates, description.several_targets) == (1, 1, 1)
    assert description.source.scripts == {"latin": 1.0}


def test_odd_pairs_are_shown_with_the_reason() -> None:
    sources, targets = made(60)
    targets[7] = "x" * 900
    targets[20] = "совсем другое письмо"
    sources[40] = ""
    description = describe_pairs(pairs_in_memory(sources, targets, use="evaluation"), ("X", "y"))
    (long, other) = description.suspects
    assert (long.line, other.line) == (7, 20)
    assert "times as long" in long.reason
    assert other.reason == "target in cyrillic letters, most others in latin"
    assert "2 pairs" in description.warnings[-1]


def test_what_may_be_wrong_with_the_characters_is_told() -> None:
    description = describe_pairs(
        pairs_in_memory(["a\u2028b", "cafÃ©", "ok\r ok"], ["a", "b", "c\ufffd"], use="evaluation"), ("X", "y")
    )
    ends, garbled, target = description.warnings[:3]
    assert "CR in 1 line, U+2028 in 1 line" in ends
    assert "sources: text that looks garbled, such as Ã©, in line 1." in garbled
    assert target.startswith("targets: text that looks garbled")


def test_equal_sides_are_told() -> None:
    sources = made(20)[0]
    description = describe_pairs(pairs_in_memory(sources, sources, use="evaluation"), ("X", "y"))
    assert "20 of 20 pairs have equal sides" in description.warnings[0]


def test_the_command_describes_pairs(cli: Run, tmp_path: Path) -> None:
    sources, targets = made(100)
    files = files_of(tmp_path, "a", [*sources, ""], [*targets[:40], "une phrase", *targets[40:]])
    done = cli("data", *files)
    assert done.code == 0, done.err
    assert done.err == ""
    for text in ("Both sides", "line 101", "warning: lines 4", "1 line later", f"lost in {files[0]}"):
        assert text in done.out.replace("\n", " ")
    told = cli("data", *files, "--json").json
    assert (told["pairs"], told["left_out"], told["source"]["empty"]) == (101, 1, [101])
    assert told["files"] == list(map(str, files))
    table = tmp_path / "a.jsonl"
    rows = [{"en": source, "fr": target} for source, target in zip(sources, targets, strict=True)]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = cli("data", table, "--source", "en", "--target", "fr", "--json")
    assert (done.json["pairs"], done.json["warnings"]) == (100, [])
    assert done.json["command"] == f"rekur fit translate {table} --source en --target fr --out runs/a"
    assert f"To train:\n  rekur fit translate {' '.join(map(str, files))} --out runs/a\n" in cli("data", *files).out


def test_the_command_refuses_what_are_no_pairs(cli: Run, tmp_path: Path) -> None:
    english, french = files_of(tmp_path, "a", ["a", "b"], ["c", "d"])
    french.write_text("c\n")
    table = tmp_path / "a.csv"
    table.write_text("en,fr\na,b\n")
    for words, text in (
        ((english, french), "2 lines in"),
        ((english,), "Of two aligned files name both: rekur data SOURCE TARGET"),
        ((english, "--encoding", "utf-8", french), "expected no more than FILE"),
        ((english, english, french), "1 line in"),
        ((table, "--source", "en"), "--target: got none"),
        ((table, "--target", "fr"), "--source: got none"),
        ((table, "--source", "en", "--target", "fr", "--label", "x"), "--label: got a value; expected none for pairs"),
        ((english, english, "--label-type", "class"), "--label-type: got 'class'; expected none for pairs"),
        ((table, table), "as one of several files"),
    ):
        done = cli("data", *words)
        assert (done.code, done.out) == (2, "")
        assert text in done.err
