"""Import cycles, vague names and odd phrases become fewer, never more."""

from __future__ import annotations

import ast
import json

from ratchets import FILE, counts, cycles, differences, odd_phrases, vague_names


def test_counts_only_fall() -> None:
    assert list(differences(counts(), json.loads(FILE.read_text(encoding="utf-8")))) == []


def test_what_is_counted() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert vague_names(ast.parse("found = 1\nscores, what = f(found)\ndef f(kept): ...")) == 3
    assert odd_phrases('x = 1  # so many of what is\ndef f():\n    """None that is."""\nso_many = what_is = 2') == 2
    rose, fell = {"names": {"a": 2}}, {"names": {}}
    assert [text.split(":")[1].split()[0] for text in differences(rose, {"names": {"a": 1}})] == ["got"]
    assert [text.split(":")[1].split()[0] for text in differences(fell, {"names": {"a": 1}})] == ["fell"]
