"""Texts too short to hold anything out: learnt by heart with the defaults alone, and said so in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Run, write_lines
from tests.e2e.test_resume import interrupt_after, weights

from rekur import LanguageModel
from rekur.cells import CELLS
from rekur.tasks.language import language_recipe

SENTENCES = "The cat sat on the mat. The dog ran to the log.\nA bird sang in the tree.\n"


@pytest.mark.parametrize("text", ["hello", "hello\n", "hello\r\n"], ids=["plain", "line end", "CRLF"])
def test_hello_is_learnt_by_heart(text: str, cli: Run, tmp_path: Path) -> None:
    file, out = tmp_path / "hello.txt", tmp_path / "run"
    file.write_bytes(text.encode())
    done = cli("fit", "language", file, "--out", out)
    assert done.code == 0
    assert done.err.splitlines()[0] == (
        f"The text has {len(text)} tokens, too few to hold any out for validation (fewer than 200): "
        "it is learnt by heart, and scores are those on the training text."
    )
    assert "valid" not in done.err.partition("\n")[2]
    assert f"Scores on {len(text)} training characters in {len(text)} tokens" in done.out
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["split"], metrics["loss_interval"], metrics["perplexity_interval"]) == ("training", None, None)
    assert "baseline" not in metrics
    assert metrics["unknown_share"] == 0
    assert "## Scores on the training tokens" in (out / "README.md").read_text()
    written = cli("generate", out, "--prompt", "h", "--max-tokens", "4", "--temperature", "0")
    assert (written.code, written.out) == (0, "hello\n")
    scored = cli("evaluate", out, file, "--json").json
    assert scored["loss"] == pytest.approx(metrics["loss"], abs=1e-4)
    assert scored["perplexity_interval"] is None


def continued(model: LanguageModel, prompt: str, tokens: int) -> str:
    sample = model.generate(prompt, max_tokens=tokens, temperature=0)[0]
    return prompt + sample.text.removeprefix(prompt)


@pytest.mark.parametrize(
    "cell", ["gru", *(pytest.param(cell, marks=pytest.mark.slow) for cell in CELLS if cell not in ("lstm", "gru"))]
)
def test_every_cell_learns_hello(cell: str) -> None:
    model = LanguageModel(cell=cell).fit("hello")
    assert continued(model, "h", 4) == "hello"
    assert continued(model, "he", 3) == "hello"


@pytest.mark.parametrize(
    ("texts", "options", "prompts"),
    [
        ([SENTENCES], {}, {"The cat": 65, "The dog ran": 30, "bird": 12}),
        (["Grüße, Ελλάδα und 日本語 — ça va? 😀\n"], {}, {"G": 30, "日本": 10}),
        (["hello world", "help me now"], {}, {"hello": 6, "help": 7}),
        ([SENTENCES], {"tokens": "word"}, {"The cat": 14}),
        (["naïve 😀"], {"tokens": "byte"}, {"n": 10}),
        ([SENTENCES], {"tokens": "bpe"}, {"The cat sat": 8}),
    ],
    ids=["sentences", "unicode", "two documents", "words", "bytes", "byte pairs"],
)
def test_short_texts_of_all_kinds_are_learnt_by_heart(
    texts: list[str], options: dict[str, Any], prompts: dict[str, int]
) -> None:
    model = LanguageModel(**options).fit(texts)
    assert model.metrics_["split"] == "training"
    for prompt, tokens in prompts.items():
        written = continued(model, prompt, tokens)
        assert len(written) > len(prompt) + 3
        assert any(written.removesuffix("�") in text for text in texts), written


def test_the_number_of_tokens_decides_and_options_hold(capsys: pytest.CaptureFixture[str]) -> None:
    text = "to be or not to be, that is the question. " * 5
    few: dict[str, Any] = {"steps": 1, "verbose": True, "baseline": False}
    short, enough = LanguageModel(**few).fit(text[:199]), LanguageModel(**few).fit(text[:200])
    assert [model.metrics_["split"] for model in (short, enough)] == ["training", "validation"]
    assert (short.chosen_["average"], short.chosen_["hidden_size"]) == (0.0, 64)
    assert capsys.readouterr().err.count("learnt by heart") == 1
    words = LanguageModel(tokens="word", **few).fit(text)  # 210 characters, some 60 words
    assert words.metrics_["split"] == "training"
    # who asks for a split or for settings gets them
    split = LanguageModel(valid_fraction=0.2, hidden_size=8, dropout=0.1, **few).fit(text[:150])
    assert (split.metrics_["split"], split.metrics_["tokens"]) == ("validation", 30)
    assert (split.chosen_["hidden_size"], split.chosen_["dropout"]) == (8, 0.1)
    told = LanguageModel(**few).fit(text[:150], X_valid=text[150:])
    assert (told.metrics_["split"], told.metrics_["tokens"]) == ("validation", 60)
    assert told.chosen_["epochs"] == language_recipe.BY_HEART["epochs"](language_recipe.Facts("char", 150, 20, 1, 1))


def test_few_tokens_have_no_interval(cli: Run, tmp_path: Path) -> None:
    model = LanguageModel(steps=2, hidden_size=4, baseline=False).fit("abcd" * 100, X_valid="abcd")
    assert model.metrics_["perplexity_interval"] is None
    assert model.metrics_["loss_interval"] is None
    model.save(tmp_path / "m")
    (tmp_path / "four.txt").write_text("abcd")
    assert "inf" not in cli("evaluate", tmp_path / "m", tmp_path / "four.txt").out
    assert model.evaluate("abcd" * 5)["perplexity_interval"] is None  # too few stretches to draw from
    low, high = model.evaluate("abcd" * 50)["perplexity_interval"]
    assert 1 <= low <= high < 100


def test_a_stopped_short_run_goes_on(cli: Run, tmp_path: Path) -> None:
    file = tmp_path / "hello.txt"
    file.write_text("hello\n")
    words = ("fit", "language", file, "--checkpoint-every", "10", "--steps", "60", "--quiet")
    assert cli(*words, "--out", tmp_path / "whole").code == 0
    with pytest.MonkeyPatch.context() as monkeypatch:
        interrupt_after(monkeypatch, 35)
        assert cli(*words, "--out", tmp_path / "m").code == 130
    assert cli("resume", tmp_path / "m", "--quiet").code == 0
    assert weights(tmp_path / "m") == weights(tmp_path / "whole")
    assert json.loads((tmp_path / "m" / "metrics.json").read_text())["split"] == "training"


def test_few_items_are_trained_or_refused_in_words(cli: Run, tmp_path: Path) -> None:
    def fit(task: str, count: int) -> tuple[int, str, str]:
        rows = [
            {"t": f"{'good' if i % 2 else 'bad'} film {i}", "y": i if task == "regress" else i % 2}
            for i in range(count)
        ]
        file = write_lines(tmp_path / "few.jsonl", rows)
        words = ("--text", "t", "--label", "y", "--out", tmp_path / f"{task}{count}")
        done = cli("fit", task, file, *words, "--epochs", "2", "--hidden-size", "4", "--no-baseline")
        return done.code, done.err, done.out

    assert fit("regress", 2)[:2] == (
        2,
        "rekur: examples: got 2; expected more, since with 1 held out for validation the labels of the others do not "
        "differ. Add examples, or give items for validation.\n",
    )
    code, err, _ = fit("classify", 2)
    assert (code, "expected a class with 2 or more different items" in err) == (2, True)
    assert "in 1 training example;" in fit("classify", 1)[1]
    for task, count, held_out in (("regress", 3, "1 item"), ("classify", 4, "2 items"), ("regress", 10, "1 item")):
        code, err, out = fit(task, count)
        assert code == 0
        assert f"Scores on so few items tell little: {held_out} to validate on." in err
        assert f"Scores on {held_out.replace('item', 'validation item')}\n" in out
        if task == "regress":
            assert "95 % interval" not in out


def test_a_search_needs_texts_to_compare_trials_on(cli: Run, tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
    (tmp_path / "hello.txt").write_text("hello")
    (tmp_path / "valid.txt").write_text("hell hole")
    words = ("tune", "language", tmp_path / "hello.txt", "--epochs", "2", "--trials", "2", "--quiet")
    done = cli(*words, "--out", tmp_path / "s")
    assert (done.code, done.err) == (
        2,
        "rekur: text: got 'one that is learnt by heart'; expected text with a part that can be held out for "
        "comparing trials. Add text, or use --valid.\n",
    )
    assert cli(*words, "--valid", tmp_path / "valid.txt", "--out", tmp_path / "t").code == 0
    assert (tmp_path / "t" / "search.html").is_file()
