"""``rekur stream``, talked to through pipes: every event is answered at once, and as predict answers the whole."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Run, environment

from rekur import Classifier


class Talk:
    """A running ``rekur stream`` that is told lines and asked for lines."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self.child = child
        self._waiting = b""

    def tell(self, text: str) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(text.encode())
        self.child.stdin.flush()

    def line(self, seconds: float = 60) -> str:
        assert self.child.stdout is not None
        until = time.monotonic() + seconds
        while b"\n" not in self._waiting:
            ready, _, _ = select.select([self.child.stdout], [], [], until - time.monotonic())
            assert ready, "no answer: output is not flushed line by line"
            piece = os.read(self.child.stdout.fileno(), 65536)
            assert piece, "the command ended"
            self._waiting += piece
        line, _, self._waiting = self._waiting.partition(b"\n")
        return line.decode()


@contextmanager
def talk(*words: Any) -> Iterator[Talk]:
    command = [sys.executable, "-m", "rekur", "stream", *map(str, words)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment()) as child:
        try:
            yield Talk(child)
        finally:
            child.kill()


def test_every_line_is_answered_at_once_until_the_input_ends(bundles: dict[str, Path]) -> None:
    with talk(bundles["words"], "--json") as live:
        live.tell("a great\n")
        first = json.loads(live.line())
        assert (first["event"], first["steps"]) == ("a great\n", 2)
        assert set(first["probabilities"]) == {"good", "bad"}
        live.tell("film\n\nfilm\n")
        assert json.loads(live.line())["steps"] == 3
        assert json.loads(live.line()) == {"reset": True}
        assert json.loads(live.line())["steps"] == 1
        assert live.child.stdin is not None
        live.child.stdin.close()
        assert live.child.wait(30) == 0
        assert live.child.stderr is not None
        assert live.child.stderr.read() == b""


def lines_of(done: Any) -> list[dict[str, Any]]:
    assert (done.code, done.err) == (0, "")
    return [json.loads(line) for line in done.out.splitlines()]


@pytest.mark.parametrize("name", ["words", "letters"])
def test_text_by_line_and_by_char_end_as_predict_does(name: str, cli: Run, bundles: dict[str, Path]) -> None:
    text = "great film lovely"
    whole = cli("predict", bundles[name], "--item", text, "--json").json["probabilities"]
    by_char = lines_of(cli("stream", bundles[name], "--by", "char", "--json", stdin=text.encode()))
    assert [row["event"] for row in by_char] == list(text)
    assert by_char[-1]["probabilities"] == pytest.approx(whole, abs=1e-5)
    pieces = text.split(" ") if name == "words" else ["great ", "film ", "lovely"]
    by_line = lines_of(cli("stream", bundles[name], "--json", stdin="\n".join(pieces).encode()))
    assert len(by_line) == 3
    assert by_line[-1]["probabilities"] == pytest.approx(whole, abs=1e-5)


def test_rows_of_numbers_in_every_spelling(cli: Run, bundles: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text(json.dumps({"x": [[1.5, 2.0], [None, -1.0], [0.0, 3.0]]}) + "\n")
    whole = cli("predict", bundles["walks"], tmp_path / "one.jsonl", "--json").json["probabilities"]
    for rows in ("1.5 2\nnan -1\n0 3\n", "1.5,2\nNaN,-1\n0,3\n", "[1.5, 2]\n[null, -1]\n[0, 3]\n"):
        answers = lines_of(cli("stream", bundles["walks"], "--json", stdin=rows.encode()))
        assert len(answers) == 3
        assert answers[-1]["probabilities"] == pytest.approx(whole, abs=1e-5)


def test_symbols_letter_by_letter(cli: Run, bundles: dict[str, Path]) -> None:
    whole = cli("predict", bundles["genes"], "--item", "ATTACG", "--json").json["probabilities"]
    answers = lines_of(cli("stream", bundles["genes"], "--json", stdin=b"ATT\nACG\n"))
    assert [row["event"] for row in answers] == list("ATTACG")
    assert answers[-1]["probabilities"] == pytest.approx(whole, abs=1e-5)


def test_numbers_and_several_labels(cli: Run, bundles: dict[str, Path]) -> None:
    assert "value" in lines_of(cli("stream", bundles["wear"], "--json", stdin=b"1 2\n"))[0]
    assert isinstance(lines_of(cli("stream", bundles["tags"], "--json", stdin=b"great film\n"))[0]["label"], list)


def test_what_a_person_sees(cli: Run, bundles: dict[str, Path]) -> None:
    done = cli("stream", bundles["words"], stdin=b"great film\n\nawful\n")
    assert (done.code, done.err) == (0, "")
    first, reset, last = done.out.splitlines()
    assert (first.split("\t")[0], reset, last.split("\t")[0]) == ("great film", "— new sequence —", "awful")
    assert "█" in first


@pytest.mark.parametrize(
    ("name", "stdin", "text"),
    [
        ("walks", b"1 2\nx y\n", "line 2: row, step 1: got 'x'; expected a number."),
        (
            "walks",
            b"[1, 2\n",
            "line 1: row: got '[1, 2'; expected numbers, or a whole list in JSON. Expecting ',' delimiter.",
        ),
        ("walks", b"[1, [2]]\n", "line 1: row, channel 2: got [2]; expected a number."),
        (
            "walks",
            b"1 2\n1 2 3\n",
            "line 2: row: values: got 3; expected 2, one a channel. Give NA for a missing one.",
        ),
        (
            "walks",
            b"inf 1\n",
            "line 1: row, channel 1: got inf; expected a finite number.",
        ),
        ("words", b"fine\n\xff\xfe\n", "line 2: text: got '\\xff\\xfe\\n'; expected text in utf-8."),
    ],
)
def test_garbage_on_standard_input(name: str, stdin: bytes, text: str, cli: Run, bundles: dict[str, Path]) -> None:
    done = cli("stream", bundles[name], "--json", stdin=stdin)
    assert (done.code, done.err) == (2, f"rekur: standard input, {text}\n")
    assert done.json == {"error": f"standard input, {text}", "exit_code": 2}
    assert len(done.out.splitlines()) == stdin.count(b"\n")  # those before were answered


def test_a_model_that_reads_from_both_ends_says_what_to_train_instead(cli: Run, bundles: dict[str, Path]) -> None:
    done = cli("stream", bundles["both"], stdin=b"a\n")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "rekur: stream: got a model that reads from both ends; expected one that reads forward only, because a step of "
        "this one needs the whole sequence. Train again with causal=True (--causal) for series, or without "
        "bidirectional (--bidirectional).\n"
    )


def test_codes_that_were_given_as_lists(cli: Run, tmp_path: Path) -> None:
    items = [["A", "BB"][: n % 2 + 1] * (n + 1) for n in range(16)]
    Classifier(epochs=1, hidden_size=4, baseline=False).fit(items, ["x", "y"] * 8).save(tmp_path / "codes")
    done = cli("stream", tmp_path / "codes", stdin=b"A\nBB\n")
    assert (done.code, done.err) == (0, "")
    assert [line.split("\t")[0] for line in done.out.splitlines()] == ["A", "BB"]
