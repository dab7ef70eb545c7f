"""The data sets of quality.py: their files, how each part is read, and what is to be reached.

Axes: N rows of a table, D channels, T steps of a window.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rekur.data import Columns, Corpus, PairColumns, Texts, examples, open_source, open_texts, read_pairs

PARTS = ("train", "valid", "test")
TUNES = 200
Array = np.ndarray[Any, Any]
#: reads a part out of its file
Read = Callable[[Path, str], Any]


class DataSet(NamedTuple):
    """One data set of a task.

    Attributes:
        name: its name in options, tables and rows.
        file: the file of a part, ``{part}`` for its name, below the folder of all data.
        read: file and name of a part -> its items with labels, or its texts.
        metric: the score that decides.
        minutes: the time that one seed may take.
        goal: the score on the test part that is to be reached, None for none.
        options: of the estimator, where they are not its defaults.
        files: files of parts that are called otherwise.
        more_scores: a trained model and a part -> further scores, by name.
        also: a score that stands in the table too, with the same goal; empty for none.
        more_tests: further parts that are scored with the test part.
        targets: the ending of the files with the targets of pairs; empty where one file has all.
        beams: of the searches of texts that are scored.
        goal_beam: the one that is to reach the goal.
        more_files: that every part is read from too.
        folds: whether there is no validation part: models are scored on what they hold out of the training part.
    """

    name: str
    file: str
    read: Read
    metric: str
    minutes: float
    goal: float | None = None
    options: dict[str, Any] = {}  # noqa: RUF012 - never changed
    files: dict[str, str] = {}  # noqa: RUF012 - never changed
    more_scores: Callable[[Any, Any], dict[str, float]] = lambda model, part: {}
    also: str = ""
    more_tests: tuple[str, ...] = ()
    targets: str = ""
    beams: tuple[int, ...] = (1,)
    goal_beam: int = 1
    more_files: tuple[str, ...] = ()
    folds: bool = False

    def paths(self, root: Path, part: str) -> list[Path]:
        """Return all files of a part."""
        path = self.path(root, part)
        return [path, *([path.with_suffix(self.targets)] if self.targets else ()), *map(root.joinpath, self.more_files)]

    def path(self, root: Path, part: str) -> Path:
        """Return the file of a part."""
        return root / self.files.get(part, self.file.format(part=part))

    def load(self, root: Path, part: str) -> Any:
        """Return a part."""
        return self.read(self.path(root, part), part)


def table(**columns: Any) -> Read:
    """Return a reader of examples from the columns of a file."""

    def read(path: Path, part: str) -> Corpus:
        source, chosen = open_source(path), Columns(**columns)
        return Corpus(lambda: examples(source, chosen), str(path))

    return read


def tagged(label: str) -> Read:
    """Return a reader of sentences with a tag for every word.

    Args:
        label: the column of the tags.
    """

    def read(path: Path, part: str) -> Corpus:
        source = open_source(path)
        chosen = Columns(**{**source.usual_columns, "label": label})
        return Corpus(lambda: examples(source, chosen, label_type="tags"), str(path))

    return read


def every_fifth(**columns: Any) -> Read:
    """Return a reader that validates on every fifth training example of a class."""
    whole = table(**columns)

    def read(path: Path, part: str) -> Corpus:
        if part == "test":
            return whole(path, part)
        counts: Counter[Any] = Counter()
        chosen = []
        for example in whole(path, part):
            counts[example.label] += 1
            if (counts[example.label] % 5 == 0) == (part == "valid"):
                chosen.append(example)
        return Corpus(lambda: chosen, f"{path}, {part}")

    return read


def texts(document: str) -> Read:
    """Return a reader of texts."""

    def read(path: Path, part: str) -> Texts:
        return open_texts(path, document=document)

    return read


def aligned(path: Path, part: str) -> Corpus:
    """Return pairs of English and French sentences."""
    return read_pairs([path, path.with_suffix(".fr")], use="training" if part == "train" else "evaluation")


def replies(path: Path, part: str) -> Corpus:
    """Return prompts with their replies."""
    columns = PairColumns(source="prompt", target="reply")
    return read_pairs(path, columns, use="training" if part == "train" else "evaluation")


def windows(values: Array, targets: Array, rows: range, length: int, ahead: int) -> Corpus:
    """Return windows (T, D) of values (N, D), each with the target ``ahead`` rows after its end.

    Args:
        values: the channels, NaN where missing.
        targets: (N,); a row without one gives no window.
        rows: the rows of the targets.
        length: steps T of a window.
        ahead: rows from the end of a window to its target; above 0.
    """
    ends = [row - ahead + 1 for row in rows if row - ahead + 1 >= length and np.isfinite(targets[row])]
    labels = [float(targets[end + ahead - 1]) for end in ends]
    return Corpus.from_lists([values[end - length : end] for end in ends], labels, kind="series")


def daily_temperatures(path: Path, part: str) -> Corpus:
    """Return 28 days with the lowest temperature of the next: 70 % to train, 10 % to validate, 20 % to test."""
    values = np.loadtxt(path, delimiter=",", skiprows=1, usecols=1)
    ends = [0, *(int(share * len(values)) for share in (0.7, 0.8, 1.0))]
    place = PARTS.index(part)
    return windows(values[:, None], values, range(ends[place], ends[place + 1]), length=28, ahead=1)


def log(rows: int, length: int, column: int = 1, ahead: int = 1) -> Read:
    """Return a reader of the first rows of one column as windows that share steps: three quarters train, the rest test.

    Args:
        rows: of the log.
        length: steps of a window.
        column: of the file.
        ahead: rows from the end of a window to the value that it is to tell.
    """

    def read(path: Path, part: str) -> Corpus:
        values = np.loadtxt(path, delimiter=",", skiprows=1, usecols=column, max_rows=rows)
        cut = 3 * len(values) // 4
        of_part = range(cut) if part == "train" else range(cut, len(values))
        return windows(values[:, None], values, of_part, length=length, ahead=ahead)

    return read


def pm25(path: Path, part: str) -> Corpus:
    """Return two days of air and weather, with the PM2.5 six hours later: 2010 to 2012, 2013, and 2014."""
    year, *values = np.genfromtxt(path, delimiter=",", skip_header=1, usecols=(1, 5, 6, 7, 8, 10, 11, 12)).T
    wind = np.genfromtxt(path, delimiter=",", skip_header=1, usecols=9, dtype=str)
    channels = np.column_stack([*values, *(wind == name for name in ("NE", "NW", "SE", "cv"))])
    first, last = np.searchsorted(year, {"train": (2010, 2013), "valid": (2013, 2014), "test": (2014, 2015)}[part])
    return windows(channels, values[0], range(first, last, 3), length=48, ahead=6)


def speakers(path: Path, part: str) -> Corpus:
    """Return one recording of all utterances in a random order, with the speaker of every frame."""
    examples = list(_VOWELS_OF(path, part))
    order = np.random.default_rng(0).permutation(len(examples))
    frames = [np.asarray(examples[number].item) for number in order]
    labels = [str(examples[number].label) for number, rows in zip(order, frames, strict=True) for _ in rows]
    return Corpus.from_lists([np.concatenate(frames)], [labels], str(path), kind="series", per_step=True)


def accepted_tunes(model: Any, part: Texts) -> dict[str, float]:
    """Return the share of tunes drawn that abc2midi takes without an error; nothing where it is not installed."""
    program = shutil.which("abc2midi")
    if program is None:
        print("abc2midi is not installed (Debian: abcmidi); no tunes are checked", file=sys.stderr)
        return {}
    drawn = model.generate("", samples=TUNES, max_tokens=2000, temperature=0.5, stop=["\n\n"], seed=0)
    accepted = 0
    with tempfile.TemporaryDirectory() as folder:
        for sample in drawn:
            tune = Path(folder, f"{sample.number}.abc")
            tune.write_text(sample.text + "\n", encoding="utf-8")
            done = subprocess.run(
                [program, tune, "-o", tune.with_suffix(".mid")], capture_output=True, text=True, errors="replace"
            )
            accepted += done.returncode == 0 and not re.search(r"\bError\b", done.stdout + done.stderr)
    return {"tunes accepted by abc2midi": accepted / len(drawn)}


#: predicts sentences with a bundle, on one core without PyTorch, and prints the words a second of the best of 3 rounds
_PREDICT = """
import json, sys, time
import rekur
sentences = json.load(sys.stdin)
model = rekur.load(sys.argv[1], threads=1)
model.predict(sentences[:50])
seconds = []
for _ in range(3):
    began = time.perf_counter()
    model.predict(sentences)
    seconds.append(time.perf_counter() - began)
assert "torch" not in sys.modules
print(sum(map(len, sentences)) / min(seconds))
"""


def words_a_second(model: Any, part: Corpus) -> dict[str, float]:
    """Return how many words of a part a saved model tags in a second, on one core and without PyTorch."""
    sentences = json.dumps([example.item for example in part])
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder, "bundle"))
        command = [sys.executable, "-c", _PREDICT, str(Path(folder, "bundle"))]
        one_core = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, input=sentences, env=one_core, stdout=subprocess.PIPE, text=True, check=True)
    return {"words a second": float(done.stdout)}


_VOWELS = {part: f"japanese_vowels/JapaneseVowels_{part.replace('valid', 'train').upper()}.ts" for part in PARTS}
_VOWELS_OF = every_fifth(series="series", label="label")
_CHARS, _WORDS = {"tokens": "char"}, {"tokens": "word"}
_TEXT = table(text="text", label="label")

CLASSIFY = (
    DataSet("rt_polarity", "rt_polarity/{part}.tsv", _TEXT, "accuracy", 2, 0.78),
    DataSet("sms_spam", "sms_spam/{part}.tsv", _TEXT, "macro_f1", 3, 0.975),
    DataSet("names_by_language", "names_by_language/{part}.tsv", _TEXT, "accuracy", 5, 0.82),
    DataSet("splice_dna", "splice_dna/{part}.tsv", table(symbols="sequence", label="label"), "accuracy", 3, 0.94),
)
_CLASSICS = "univariate_classics/{}.csv"
REGRESS = (
    DataSet("daily_temperatures", _CLASSICS.format("daily-min-temperatures"), daily_temperatures, "rmse", 5),
    DataSet("beijing_pm25", "beijing_pm25/pollution.csv", pm25, "rmse", 15),
    DataSet("daily_births", _CLASSICS.format("daily-total-female-births"), log(365, 21), "rmse", 5, folds=True),
    DataSet("300_temperatures", _CLASSICS.format("daily-min-temperatures"), log(300, 28), "rmse", 5, folds=True),
    DataSet("300_sunspots", _CLASSICS.format("monthly-sunspots"), log(300, 36), "rmse", 5, folds=True),
    DataSet("800_oil_temperatures", "etth1/ETTh1.csv", log(800, 48, 7, 24), "rmse", 5, folds=True),
)
_EWT, _WNUT = "ud_english_ewt/en_ewt-ud-{part}.conllu", "wnut17_ner/{part}.conll"
_EWT_PARTS, _GLOVE = {"valid": _EWT.format(part="dev")}, {"vectors": "glove"}
#: in its 10 minutes two networks are trained
_PAIR = {**_GLOVE, "members": 2}
_BOTH = "entity_f1_strict"
TAG = (
    DataSet("ud_english_ewt", _EWT, tagged("upos"), "accuracy", 5, 0.955, {}, _EWT_PARTS, words_a_second),
    DataSet("ud_english_ewt_glove", _EWT, tagged("upos"), "accuracy", 10, 0.962, _PAIR, _EWT_PARTS, words_a_second),
    DataSet("wnut17_ner", _WNUT, tagged("2"), "entity_f1", 5, 0.18, also=_BOTH),
    DataSet("wnut17_ner_glove", _WNUT, tagged("2"), "entity_f1", 5, 0.28, _GLOVE, also=_BOTH),
    DataSet("japanese_vowels_frames", "", speakers, "accuracy", 5, files=_VOWELS),
)
_SENTENCES = "multi30k_en_fr/{part}.en"
_ENGLISH_FRENCH: dict[str, Any] = {
    "files": {name: _SENTENCES.format(part=part) for name, part in (("valid", "val"), ("test", "test_2017_flickr"))},
    "more_tests": ("test_2016_flickr", "test_2017_mscoco"),
    "targets": ".fr",
    "beams": (1, 5),
}
TRANSLATE = (
    DataSet("multi30k_en_fr", _SENTENCES, aligned, "bleu", 20, 47, {"time_limit": 1200}, **_ENGLISH_FRENCH),
    DataSet(
        "multi30k_en_fr_60_min",
        _SENTENCES,
        aligned,
        "bleu",
        60,
        50,
        {"time_limit": 3600},
        goal_beam=5,
        **_ENGLISH_FRENCH,
    ),
    DataSet("chatterbot_pairs", "chatterbot_pairs/{part}.tsv", replies, "bleu", 5, beams=(1, 5)),
)
LANGUAGE = (
    DataSet("tiny_shakespeare", "tiny_shakespeare/{part}.txt", texts("file"), "loss", 3, 1.54, _CHARS),
    DataSet("tiny_shakespeare_20_min", "tiny_shakespeare/{part}.txt", texts("file"), "loss", 20, 1.48, _CHARS),
    DataSet("wikitext2", "wikitext2/{part}.txt", texts("file"), "perplexity", 60, 105, _WORDS),
    DataSet(
        "nottingham_abc", "nottingham_abc/{part}.abc", texts("blank"), "loss", 15, None, _CHARS, {}, accepted_tunes
    ),
)
