"""What is wrong with texts, prompts and options of language models: one clear message, exit code 2, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.conftest import Run, replaced
from tests.e2e.test_language import TINY_RUN, sentences

from rekur.cli.main import main


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of characters."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "text.txt").write_text(sentences(80, 0), encoding="utf-8")
    assert main(["fit", "language", str(folder / "text.txt"), "--out", str(folder / "m"), *TINY_RUN]) == 0
    return folder / "m"


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A folder of files of which each has one fault."""
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "empty.txt").write_text("")
    (folder / "blank.txt").write_text("\n \n")
    (folder / "short.txt").write_text("abcab")
    (folder / "one.txt").write_text("a" * 3000)
    (folder / "binary.bin").write_bytes(b"\x89RKR\r\n\x1a\n" + bytes(200) + b"\xff\xfe")
    (folder / "latin.txt").write_bytes("le café noir\n".encode("latin-1") * 50)
    (folder / "fine.txt").write_text(sentences(100, 0))
    (folder / "posts.csv").write_text("body,n\nsome text,1\n")
    return folder


CELLS = (
    "'rnn', 'rnn_relu', 'lstm', 'lstm_peephole', 'gru', 'gru_reset_before', "
    "'mingru', 'minlstm', 'rglru', 'slstm', 'mlstm'"
)
CASES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "empty corpus": (
        "empty.txt",
        (),
        "{bad}/empty.txt: got no text; expected some. Check that the right file was named.",
    ),
    "shorter than one chunk": (
        "short.txt",
        (),
        "tokens of the text: got 5; expected 48 or more, a chunk of 12 for each of 4 streams. batch_size=1 with "
        "chunk_length=5 would fit; or add text.",
    ),
    "float16 on a CPU": (
        "fine.txt",
        ("--precision", "16-mixed", "--accelerator", "cpu"),
        "precision: got '16-mixed'; expected '32-true' or 'bf16-mixed' where training runs on the CPU. "
        "float16 is for GPUs.",
    ),
    "binary data": (
        "binary.bin",
        (),
        "{bad}/binary.bin: text: got a zero byte at byte 8; expected text. Name text files only, as with a "
        "pattern such as '*.txt'.",
    ),
    "another encoding": (
        "latin.txt",
        (),
        "{bad}/latin.txt, line 1: text: got 'le caf\\xe9 noir'; expected text in utf-8. Try encoding 'latin-1' "
        "(--encoding latin-1).",
    ),
    "one symbol": (
        "one.txt",
        (),
        "text: got only the symbol 'a'; expected at least two different ones. With one symbol there is nothing to "
        "predict; check that the right text was read.",
    ),
    "no such file": (
        "pots.csv",
        (),
        "file: got '{bad}/pots.csv'; expected a file that exists. Did you mean '{bad}/posts.csv'?",
    ),
    "no file fits": (
        "*.md",
        (),
        "pattern: got '{bad}/*.md'; expected one that fits at least one file. Hidden files are found only where the "
        "pattern names the dot.",
    ),
    "no such column": (
        "posts.csv",
        ("--text", "boddy"),
        "{bad}/posts.csv: column: got 'boddy'; expected one of 'body', 'n'. Did you mean 'body'?",
    ),
    "no such cell": (
        "fine.txt",
        ("--cell", "lstn"),
        f"cell: got 'lstn'; expected one of {CELLS}. Did you mean 'lstm'?",
    ),
    "dropout": ("fine.txt", ("--weight-dropout", "1.5"), "weight_dropout: got 1.5; expected a number in [0, 1)."),
    "softmax": (
        "fine.txt",
        ("--softmax", "ful"),
        "softmax: got 'ful'; expected one of 'full', 'adaptive', 'sampled'. Did you mean 'full'?",
    ),
    "steps": ("fine.txt", ("--steps", "-1"), "steps: got -1; expected a whole number of 0 or more."),
    "checkpoint every": (
        "fine.txt",
        ("--checkpoint-every", "0"),
        "checkpoint_every: got 0; expected a whole number of 1 or more.",
    ),
    "validation text": (
        "fine.txt",
        ("--valid", "{bad}/empty.txt"),
        "{bad}/empty.txt: got no text; expected some. Check that the right file was named.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_named_before_anything_is_written(name: str, cli: Run, bad: Path, tmp_path: Path) -> None:
    file, words, text = CASES[name]
    given = [word.format(bad=bad) for word in words]
    before = sorted(tmp_path.rglob("*"))
    done = cli("fit", "language", bad / file, "--out", tmp_path / "runs" / "m", "--json", *replaced(TINY_RUN, *given))
    wanted = text.replace("{bad}", str(bad))
    assert done.err == f"rekur: {wanted}\n"
    assert (done.code, done.json) == (2, {"error": wanted, "exit_code": 2})
    assert sorted(tmp_path.rglob("*")) == before


UNKNOWN = "Leave them out, or read them as unknown with unknown='keep' (--unknown keep)."
GENERATE: dict[str, tuple[tuple[str, ...], str]] = {
    "unknown characters": (
        ("--prompt", "The 猫 & dog"),
        f"prompt: got '猫', '&', never seen in training; expected what the model knows. {UNKNOWN}",
    ),
    "negative temperature": (("--temperature", "-1"), "temperature: got -1.0; expected a number of 0 or more."),
    "no probability": (
        ("--top-p", "0"),
        "top_p: got 0.0; expected a number in (0, 1]. For the likeliest token take top_k=1.",
    ),
    "negative number": (("--top-k", "-1"), "top_k: got -1; expected a whole number of 0 or more."),
    "all too unlikely": (("--min-p", "1"), "min_p: got 1.0; expected a number in [0, 1)."),
    "reward": (("--repetition-penalty", "0.5"), "repetition_penalty: got 0.5; expected a number of 1 or more."),
    "no sample": (("--samples", "0"), "samples: got 0; expected a whole number of 1 or more."),
    "no token": (("--max-tokens", "0"), "max_tokens: got 0; expected a whole number of 1 or more."),
    "empty stop": (("--stop", ""), "stop: got ''; expected strings of at least one character."),
    "no such prompt": (
        ("--prompt-file", "{bad}/pots.csv"),
        "file: got '{bad}/pots.csv'; expected a file that exists. Did you mean '{bad}/posts.csv'?",
    ),
}


@pytest.mark.parametrize("name", GENERATE)
def test_what_cannot_be_drawn(name: str, cli: Run, tiny: Path, bad: Path) -> None:
    words, text = GENERATE[name]
    done = cli("generate", tiny, *[word.replace("{bad}", str(bad)) for word in words])
    assert (done.code, done.out, done.err) == (2, "", f"rekur: {text.replace('{bad}', str(bad))}\n")


def test_temperature_0_takes_the_likeliest(cli: Run, tiny: Path) -> None:
    words = ("generate", tiny, "--temperature", "0", "--max-tokens", "20", "--json")
    assert cli(*words, "--seed", "1").json == cli(*words, "--seed", "2").json


def test_unknown_characters_may_be_kept(cli: Run, tiny: Path) -> None:
    done = cli("generate", tiny, "--prompt", "The 猫", "--unknown", "keep", "--max-tokens", "3")
    assert (done.code, done.out[:5]) == (0, "The 猫")


def test_two_prompts(cli: Run, tiny: Path) -> None:
    done = cli("generate", tiny, "--prompt", "a", "--prompt-file", "b")
    text = "Usage: rekur generate [OPTIONS] BUNDLE\nrekur: --prompt and --prompt-file: got both; expected one.\n"
    assert (done.code, done.err) == (2, text)


def test_what_cannot_be_scored(cli: Run, tiny: Path, bad: Path) -> None:
    texts = {
        ("score", tiny, "--text", ""): "--text: got ''; expected one character or more.",
        ("score", tiny, bad / "blank.txt"): (
            f"{bad}/blank.txt: got 'no text'; expected one line or more that is not blank."
        ),
        ("score", tiny, bad / "empty.txt"): (
            f"{bad}/empty.txt: got no text; expected some. Check that the right file was named."
        ),
        ("evaluate", tiny, bad / "empty.txt"): (
            f"{bad}/empty.txt: got no text; expected some. Check that the right file was named."
        ),
        ("evaluate", tiny, bad / "fine.txt", "--label", "x"): (
            "--label: got a value; expected none for a language model. "
            "Only --text, --document and --encoding say how text is read."
        ),
    }
    for words, text in texts.items():
        done = cli(*words)
        assert (done.code, done.out, done.err) == (2, "", f"rekur: {text}\n")


def test_a_language_model_gives_no_answers(cli: Run, tiny: Path) -> None:
    for command, more in (("predict", ("--item", "a")), ("stream", ())):
        done = cli(command, tiny, *more)
        assert (done.code, done.err) == (
            2,
            f"rekur: bundle: got '{tiny}'; expected a model that `rekur {command}` can use, no language model. "
            f"To let it write: rekur generate {tiny}. To see how probable texts are: rekur score {tiny} FILE\n",
        )


def test_a_model_of_another_task_does_not_write(cli: Run, bundles: dict[str, Path], bad: Path) -> None:
    for words in (("generate",), ("score", "--text", "a")):
        done = cli(words[0], bundles["words"], *words[1:])
        assert (done.code, done.err) == (
            2,
            f"rekur: bundle: got '{bundles['words']}'; expected a language model (this one's task is classify). "
            f"To use it: rekur predict {bundles['words']} FILE\n",
        )
    two = cli("evaluate", bundles["words"], bad / "posts.csv", bad / "posts.csv")
    assert (two.code, two.err) == (
        2,
        "rekur: FILE: got '2 files'; expected one, for a model of the task classify.\n",
    )


def test_memory_that_there_is_not(cli: Run, bad: Path, tmp_path: Path) -> None:
    done = cli(
        "fit", "language", bad / "fine.txt", "--out", tmp_path / "m", *replaced(TINY_RUN, "--hidden-size", "2000000")
    )
    assert done.err.startswith("rekur: memory: ")
    assert (done.code in (1, 2), "Traceback" in done.err, (tmp_path / "m").exists()) == (True, False, False)
