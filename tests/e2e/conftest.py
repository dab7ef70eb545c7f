"""Small files of every kind, small trained models, and two ways to run a command: in this process and in its own."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rekur.cli.main import main

SMALL = ("--epochs", "2", "--hidden-size", "6", "--quiet")
GOOD, BAD = ("great", "fine", "lovely", "superb"), ("awful", "dull", "poor", "sad")
NEUTRAL = ("film", "story", "actor", "scene", "music")

#: what stands in the folder of a saved model
BUNDLE_FILES = [
    "README.md",
    "config.json",
    "features",
    "history.jsonl",
    "metrics.json",
    "model.safetensors",
    "program.json",
]
#: files of a bundle whose training fitted a small rival
RIVAL_FILES = ["rival.json", "rival.safetensors"]


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The JSON object on the last line of standard output."""
        return json.loads(self.out.splitlines()[-1])


Run = Callable[..., Done]


def replaced(words: Iterable[Any], *others: Any) -> list[Any]:
    """Return options in which others take the place of those with the same names; an option is given once."""
    names = {word for word in map(str, others) if word.startswith("--")}
    rest: list[Any] = []
    skip = False
    for word in words:
        if str(word).startswith("--"):
            skip = word in names
        if not skip:
            rest.append(word)
    return [*rest, *others]


def write_table(path: Path, head: Iterable[str], rows: Iterable[Iterable[Any]], separator: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter=separator, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
    return path


def write_lines(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def review(rng: random.Random, good: bool) -> str:
    return " ".join([*rng.sample(NEUTRAL, 2), rng.choice(GOOD if good else BAD)])


def dead_path(target: Path, kind: str = "partial") -> Path:
    """Return the hidden path beside a target that a process chose which is dead."""
    code = "import sys; from pathlib import Path; from rekur._files import staging_path\n"
    code += "print(staging_path(Path(sys.argv[1]), sys.argv[2]))"
    command = [sys.executable, "-c", code, str(target), kind]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=True)
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One small file of every kind that ``rekur fit`` reads."""
    folder, rng = tmp_path_factory.mktemp("files"), random.Random(0)
    reviews = [(f"r{i}", review(rng, i % 2 == 0), "good" if i % 2 == 0 else "bad") for i in range(48)]
    walks = []
    for i in range(42):
        level = i % 3
        steps = [[level + rng.gauss(0, 0.2), rng.gauss(0, 1)] for _ in range(rng.randint(3, 7))]
        walks.append({"x": steps, "room": "abc"[level], "wear": level + 0.5})
    long = [
        (f"p{i}", t, i % 2 + rng.gauss(0, 0.1), "" if t == 1 and i % 5 == 0 else rng.gauss(0, 1), i % 2)
        for i in range(24)
        for t in range(4)
    ]
    tags = [
        (review(rng, i % 2 == 0), "|".join(["up" if i % 2 == 0 else "down"] + ["odd"] * (i % 3))) for i in range(40)
    ]
    genes = "".join(
        f">g{i}|{'AT' if i % 2 else 'CG'}\n" + "".join(rng.choices("AT" if i % 2 else "CG", k=12)) + "\n"
        for i in range(40)
    )
    (folder / "genes.fasta").write_text(genes, encoding="utf-8")
    cases = "".join(
        ",".join(f"{i % 2 + rng.gauss(0, 0.1):.3f}" for _ in range(5)) + f":{'yes' if i % 2 else 'no'}\n"
        for i in range(32)
    )
    (folder / "cases.ts").write_text(f"@problemName p\n@classLabel true yes no\n@data\n{cases}", encoding="utf-8")
    return {
        "reviews": write_table(folder / "reviews.csv", ("id", "review", "stars"), reviews),
        "walks": write_lines(folder / "walks.jsonl", walks),
        "long": write_table(folder / "long.csv", ("who", "at", "hr", "temp", "ill"), long),
        "tags": write_table(folder / "tags.csv", ("post", "tags"), tags),
        "genes": folder / "genes.fasta",
        "cases": folder / "cases.ts",
    }


REVIEWS = ("--text", "review", "--label", "stars")
WALKS = ("--series", "x", "--label", "room")


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process: quick, for what is the same in a process of its own."""

    def run(*words: Any, stdin: bytes = b"") -> Done:
        capfd.readouterr()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        code = main([str(word) for word in words])
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return run


def environment(**extra: str) -> dict[str, str]:
    source = str(Path(__file__).parents[2] / "src")
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    plain = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "FORCE_COLOR", "PYTHONWARNINGS")}
    return {**plain, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **extra}


@pytest.fixture(scope="session")
def rekur() -> Run:
    """Run ``python -m rekur`` in a process of its own."""

    def run(*words: Any, stdin: bytes = b"", **options: Any) -> Done:
        command = [sys.executable, "-m", "rekur", *map(str, words)]
        extra = options.pop("env", {})
        done = subprocess.run(
            command, input=stdin, capture_output=True, timeout=200, env=environment(**extra), check=False, **options
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture(scope="session")
def bundles(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Trained models, one of each kind."""
    folder = tmp_path_factory.mktemp("bundles")
    wanted = {
        "words": ("classify", files["reviews"], *REVIEWS, "--id", "id", "--cell", "gru"),
        "letters": ("classify", files["reviews"], *REVIEWS, "--tokens", "char", "--no-baseline"),
        "both": ("classify", files["reviews"], *REVIEWS, "--bidirectional", "--no-baseline"),
        "walks": ("classify", files["walks"], *WALKS),
        "wear": ("regress", files["walks"], "--series", "x", "--label", "wear"),
        "tags": ("classify", files["tags"], "--text", "post", "--label", "tags", "--label-separator", "|"),
        "genes": ("classify", files["genes"], "--symbols", "sequence", "--label", "label", "--no-baseline"),
    }
    for name, words in wanted.items():
        assert main(["fit", *map(str, words), "--out", str(folder / name), *SMALL]) == 0
    return {name: folder / name for name in wanted}
