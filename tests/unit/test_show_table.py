"""Tables of a terminal: where they are broken."""

from __future__ import annotations

import pytest

from rekur.cli import show


def test_a_wide_table_is_broken_between_words_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    head = ("variant", "training", "95 % interval", "first is")
    rows = [["dropout 0.0 - dropout 0.3", "0.93 s", "-0.002177 – 0.0003491", "undecided"]]
    show.table("", head, rows)
    shown = capsys.readouterr().out
    words = {word for row in [head, *rows] for cell in row for word in cell.split()}
    assert words <= set(shown.split())
    assert max(map(len, shown.splitlines())) <= 60
    show.table("", ("a", "b"), [["x" * 80, "short"]])  # no word fits: it is cut where the line ends
    assert "short" in capsys.readouterr().out
