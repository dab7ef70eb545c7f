"""Make the golden files of this folder: models as this version of Rekur saves them, and what they answer.

    python tests/formats/make.py FOLDER

Run with the version whose formats are to be kept; what it wrote is committed and never made again. Each model's folder
stands beside a JSON file with questions and answers; a live session that was interrupted halfway, as the bytes of its
state; and one training that was killed, with its checkpoint.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import rekur
from rekur.runtime.pair_scores import pair_scores

DRAW = random.Random(0)
NUMBERS = np.random.default_rng(0)
WORDS = [
    "a",
    "the",
    "film",
    "plot",
    "music",
    "was",
    "is",
    "very",
    "good",
    "bad",
    "dull",
    "fine",
    "long",
    "short",
    "and",
    "but",
    "not",
    "quite",
]
SMALL: dict[str, Any] = {
    "epochs": 40,
    "patience": 0,
    "learning_rate": 0.02,
    "baseline": False,
    "seed": 0,
    "batch_size": 8,
}


def sentences(count: int) -> list[str]:
    """Return different made-up sentences."""
    drawn = {" ".join(DRAW.choices(WORDS, k=DRAW.randint(3, 9))) for _ in range(3 * count)}
    return sorted(drawn)[:count]


def series(count: int, channels: int) -> list[np.ndarray[Any, Any]]:
    """Return rows of numbers, some of them missing."""
    items = [NUMBERS.normal(size=(DRAW.randint(5, 12), channels)).round(3) for _ in range(count)]
    for item in items[::3]:
        item[2, 0] = np.nan
    return items


def plain(value: Any) -> Any:
    """Return the same as JSON; NaN becomes None."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and value != value else value


def answers_of(folder: Path, items: list[Any]) -> dict[str, Any]:
    """Return what a saved model of items answers: whole, live, and from a state in the middle."""
    model = rekur.load(folder)
    answers: dict[str, Any] = {"items": plain(items), "predict": plain(model.predict(items))}
    if model.task == "classify":
        answers["probabilities"] = plain(model.predict_proba(items))
    if model.engine.program.causal:
        events = events_of(items[0])
        session = model.stream()
        seen = []
        for number, event in enumerate(events):
            seen.append(scores_of(session.push(event)))
            if number == len(events) // 2:
                answers["state"] = base64.b64encode(session.get_state()).decode()
                answers["state_after"] = number + 1
        answers["events"], answers["live"] = plain(events), seen
    return answers


def events_of(item: Any) -> list[Any]:
    """Return an item in the pieces in which it comes live."""
    if isinstance(item, str):
        return [word + " " for word in item.split()]
    return [row.tolist() if isinstance(row, np.ndarray) else row for row in item]


def scores_of(prediction: Any) -> Any:
    """Return the numbers of a live prediction."""
    return plain(list(prediction.probabilities.values()) if hasattr(prediction, "probabilities") else float(prediction))


def make_classifiers(root: Path) -> None:
    """Save classifiers of texts, symbols and series, and what they answer."""
    texts = sentences(48)
    labels = [text.split()[-1] in ("good", "fine", "long", "very", "the", "music") for text in texts]
    named = ["good" if label else "bad" for label in labels]
    many = [[word for word in ("film", "plot", "music") if word in text.split()] for text in texts]
    codes = [[f"e{DRAW.randint(0, 5)}" for _ in range(DRAW.randint(3, 10))] for _ in range(48)]
    letters = ["".join(DRAW.choices("ACGT", k=DRAW.randint(8, 20))) for _ in range(48)]
    rows, walks = series(48, 3), series(48, 1)
    cases = {
        "words": (rekur.Classifier(cell="gru", hidden_size=4, embedding_size=3, **SMALL), texts, named),
        "characters": (
            rekur.Classifier(
                cell="lstm", hidden_size=4, embedding_size=3, feature_options={"tokens": "char"}, kernel_size=3, **SMALL
            ),
            texts,
            labels,
        ),
        "byte_pairs": (
            rekur.Classifier(
                cell="mingru",
                hidden_size=4,
                embedding_size=3,
                feature_options={"tokens": "bpe", "max_vocabulary": 280},
                pooling="attention",
                **SMALL,
            ),
            texts,
            named,
        ),
        "labels": (
            rekur.Classifier(cell="rnn", hidden_size=4, embedding_size=3, multi_label=True, **SMALL),
            texts,
            many,
        ),
        "codes": (
            rekur.Classifier(kind="symbols", cell="slstm", hidden_size=4, embedding_size=3, **SMALL),
            codes,
            [len(code) % 3 for code in codes],
        ),
        "letters": (
            rekur.Classifier(
                kind="symbols", cell="gru", hidden_size=4, embedding_size=3, bidirectional=True, pooling="max", **SMALL
            ),
            letters,
            ["x" if "AC" in item else "y" for item in letters],
        ),
        "rows": (
            rekur.Classifier(cell="rglru", hidden_size=4, num_layers=2, residual=True, norm=True, **SMALL),
            rows,
            ["up" if np.nansum(item) > 0 else "down" for item in rows],
        ),
        "numbers": (
            rekur.Regressor(cell="minlstm", hidden_size=4, pooling="mean+last", **SMALL),
            walks,
            [float(np.nansum(item)) for item in walks],
        ),
    }
    for name, (model, items, targets) in cases.items():
        model.fit(items, targets)
        model.save(root / name)
        shown = list(items[:5])
        (root / f"{name}.json").write_text(json.dumps(answers_of(root / name, shown)), encoding="utf-8")


def make_quantized(root: Path) -> None:
    """Save a model with weights of one byte, and what it answers."""
    table = root / "table.csv"
    texts = sentences(30)
    lines = "".join(f"{text},{'good' if text.split()[-1] < 'g' else 'bad'}\n" for text in texts)
    table.write_text("text,label\n" + lines, encoding="utf-8")
    words = ["quantize", root / "words", "--data", table, "--out", root / "words_int8", "--tolerance", "50"]
    words += ["--text", "text", "--label", "label"]
    command(*words)
    table.unlink()
    (root / "words_int8.json").write_text(json.dumps(answers_of(root / "words_int8", texts[:5])), encoding="utf-8")


def make_language(root: Path) -> None:
    """Save language models, and what they say of texts."""
    text = ". ".join(sentences(400)) + "."
    cases = {
        "language_characters": {"tokens": "char", "recall": (3, 4), "recall_slots": 64, "ngrams": ()},
        "language_words": {"tokens": "word", "cell": "gru", "recall": (), "ngrams": ()},
        "language_ngrams": {"tokens": "byte", "recall": (), "ngrams": (2,), "ngram_rows": 50},
    }
    for name, options in cases.items():
        model = rekur.LanguageModel(
            hidden_size=8,
            embedding_size=4,
            num_layers=1,
            steps=60,
            batch_size=4,
            chunk_length=32,
            learning_rate=0.02,
            seed=0,
            **options,
        )
        model.fit(text)
        model.save(root / name)
        loaded = rekur.load(root / name)
        texts = ["the film was good and the plot", "a music is quite long"]
        scored = loaded.log_probabilities(texts)
        answers = {
            "texts": texts,
            "log_probabilities": [plain(entry.each) for entry in scored],
            "loss": loaded.evaluate([text[:500]])["loss"],
            "prompt": "the film ",
            "generate": loaded.generate("the film ", max_tokens=20, temperature=0)[0].text,
            "draw": loaded.generate("the film ", max_tokens=20, temperature=0.8, seed=3)[0].text,
        }
        (root / f"{name}.json").write_text(json.dumps(answers), encoding="utf-8")


def make_tagger(root: Path) -> None:
    """Save a causal tagger that looks one word ahead, whose program has format 2, and its answers."""
    words = ["Ada", "Oslo", "left", "sees", "the", "old", "town", "Bergen"]
    items = [DRAW.choices(words, k=DRAW.randint(2, 7)) for _ in range(40)]
    tags = [["B-PER" if w == "Ada" else "B-LOC" if w in ("Oslo", "Bergen") else "O" for w in item] for item in items]
    features = {"min_count": 1, "prefixes": 0, "suffixes": 2, "buckets": 20}
    sizes: dict[str, Any] = {
        "hidden_size": 6,
        "embedding_size": 3,
        "part_size": 2,
        "projection_size": 0,
        "num_layers": 1,
    }
    sizes |= dict.fromkeys(("dropout", "input_dropout", "token_dropout"), 0.0)
    options = {**SMALL, **sizes, "bidirectional": False, "look_ahead": 1, "feature_options": features}
    folder = rekur.Tagger(**options).fit(items, tags).save(root / "tagger")
    model, asked = rekur.load(folder), [["Ada", "left", "old", "Oslo"], *items[:4], ["Oslo"]]
    answers: dict[str, Any] = {"items": asked, "tags": [], "probabilities": [], "live": []}
    for prediction in model.present(asked):
        answers["tags"].append(prediction["tags"])
        answers["probabilities"].append(prediction["probabilities"])
    session = model.stream()
    for number, word in enumerate(asked[0]):
        answers["live"].append((session.push(word).final or {}).get("tags", []))
        if number == 0:
            answers["state"] = base64.b64encode(session.get_state()).decode()
    answers["live"].append(session.finish().final["tags"])
    folder.with_suffix(".json").write_text(json.dumps(answers), encoding="utf-8")


def taggers(vectors: str) -> dict[str, tuple[Any, list[Any], list[Any]]]:
    """Return untrained taggers of words with trained vectors, of texts and of rows of numbers, with their items."""
    draw, numbers = random.Random(1), np.random.default_rng(1)
    texts, spans = list[str](), list[list[tuple[int, int, str]]]()
    for _ in range(40):
        person, place = draw.choice(["Ada", "Mary Ann"]), draw.choice(["Oslo", "New York"])
        text = f"{person} {draw.choice(['left', 'wrote from'])} {place}. "
        start = text.index(place)
        texts.append(text)
        spans.append([(0, len(person), "PER"), (start, start + len(place), "LOC")])
    bioes = {"Ada": "S-PER", "Mary": "B-PER", "Ann": "E-PER", "Oslo": "S-LOC", "New": "B-LOC", "York": "E-LOC"}
    words = [text[:-2].split() for text in texts]
    tags = [[bioes.get(word, "O") for word in item] for item in words]
    states = [np.repeat([0, 1, 2], [draw.randint(3, 8) for _ in range(3)]) for _ in range(24)]
    rows = [np.stack([state, state % 2], axis=1) + numbers.normal(0, 0.3, (len(state), 2)) for state in states]
    labels = [[("rest", "start", "work")[number] for number in state] for state in states]
    sizes: dict[str, Any] = {"hidden_size": 5, "projection_size": 0, "num_layers": 1, "epochs": 12}
    sizes |= dict.fromkeys(("dropout", "input_dropout"), 0.0) | {"learning_rate": 0.05, "patience": 0, "seed": 0}
    of_words: dict[str, Any] = {"embedding_size": 3, "part_size": 2, "token_dropout": 0.0}
    of_words |= {"feature_options": {"min_count": 1, "prefixes": 0, "suffixes": 2, "buckets": 20}}
    live: dict[str, Any] = {"bidirectional": False, "look_ahead": 1}
    return {
        "tagger_words": (rekur.Tagger(**sizes, **of_words, vectors=vectors), words, tags),
        "tagger_texts": (rekur.Tagger(**sizes, **of_words, **live), texts, spans),
        "tagger_rows": (rekur.Tagger(**sizes), [row.round(3) for row in rows], labels),
    }


def make_taggers(root: Path) -> None:
    """Save taggers, with their rivals, and what they answer."""
    with contextlib.chdir(root):
        vectors = Path("vectors.txt")
        vectors.write_text("Oslo 1 0\nYork 1 1\nAda 0 1\nParis 0.5 0\n", encoding="utf-8")
        for name, (tagger, items, labels) in taggers(str(vectors)).items():
            tagger.fit(items, labels).save(name)
            asked, right = items[:4], labels[:4]
            if name == "tagger_words":
                asked[0], right[0] = ["Paris", "left", "New", "York"], ["O", "O", "B-LOC", "E-LOC"]
            elif name == "tagger_texts":
                asked[0], right[0] = items[0] + items[1], []
            answers = tagger_answers(Path(name), asked, right)
            Path(f"{name}.json").write_text(json.dumps(answers), encoding="utf-8")
        vectors.unlink()


def tagger_answers(folder: Path, items: list[Any], labels: list[Any]) -> dict[str, Any]:
    """Return what a saved tagger says of items, its scores and those of its rival, and what it says live."""
    model = rekur.load(folder)
    presented = model.present(items)
    answers = {"items": plain(items), "labels": plain(labels), "presented": plain(presented)}
    scores = model.evaluate(items, labels)
    answers["scores"] = {name: scores[name] for name in ("accuracy", "rival")}
    if model.engine.program.causal:
        events, session = events_of(items[0]), model.stream()
        answers |= {"events": events, "final": []}
        for number, event in enumerate(events):
            answers["final"].append(plain(session.push(event).final))
            if number == len(events) // 2:
                answers["state"] = base64.b64encode(session.get_state()).decode()
                answers["state_after"] = number + 1
        answers["final"].append(plain(session.finish().final))
    return answers


def numbers_and_dates(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Return numbers in words with their digits, and days with their short forms."""
    draw = random.Random(seed)
    digits = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    months = ["janvier", "février", "août", "décembre"]
    sources, targets = list[str](), list[str]()
    for _ in range(count):
        if draw.random() < 0.5:
            number = [draw.randrange(10) for _ in range(draw.randint(1, 3))]
            sources.append(" ".join(digits[n] for n in number))
            targets.append("".join(map(str, number)))
        else:
            day, month = draw.randint(1, 28), draw.choice(months)
            sources.append(f"le {day} {month}\u202f!")
            targets.append(f"{day}. {month[:3].upper()} «ok»")
    return sources, targets


def make_translators(root: Path) -> None:
    """Save translators of byte pairs, words and characters, with their rivals, and what they answer."""
    sizes: dict[str, Any] = {"hidden_size": 12, "embedding_size": 8, "epochs": 14, "seed": 0, "patience": 0}
    sizes |= dict.fromkeys(("input_dropout", "dropout", "state_dropout", "output_dropout"), 0.0)
    sizes |= {"learning_rate": 0.02, "batch_size": 16}
    kinds: dict[str, dict[str, Any]] = {
        "translator_bpe": {"feature_options": {"tokens": "bpe", "max_vocabulary": 320}},
        "translator_words": {
            "feature_options": {"tokens": "word", "shared": False, "min_count": 1},
            "cell": "lstm",
            "decoder_layers": 2,
            "attention": "additive",
        },
        "translator_characters": {
            "feature_options": {"tokens": "char"},
            "bidirectional": False,
            "tying": "target",
            "alpha": 0.5,
        },
    }
    sources, targets = numbers_and_dates(240, seed=1)
    for name, options in kinds.items():
        rekur.Translator(**{**sizes, **options}).fit(sources, targets).save(root / name)
        model = rekur.load(root / name)
        asked, right = [*sources[:5], "", "漢 <unk> </s>"], [*targets[:5], "", "▁@@"]
        answers: dict[str, Any] = {"items": asked, "labels": right, "alpha": model.search_.alpha}
        steps, _ = model.encode(asked)
        known = [model.features_.transform_target(text) for text in right]
        scores = pair_scores(model.engine, steps, known)
        answers["log_probabilities"] = [None if each is None else each.tolist() for each in scores]
        for beam, n_best in ((1, 1), (4, 3)):
            model.search_ = dataclasses.replace(model.search_, beam=beam, n_best=n_best)
            answers[f"beam_{beam}"] = plain(model.present(asked))
        (grid,) = model.attention(asked[:1], right[:1])
        answers["attention"] = grid.shares.tolist()
        scored = model.evaluate(asked, right)
        answers["scores"] = {metric: scored[metric] for metric in ("bleu", "chrf", "exact_match", "rival")}
        (root / f"{name}.json").write_text(json.dumps(answers), encoding="utf-8")


def make_forecasters(root: Path) -> None:
    """Save forecasters of days and of series without time stamps, and what they forecast, whole and live."""
    draw, day = np.random.default_rng(2), np.arange(70)
    week = 9 + 3 * np.sin(day * 2 * np.pi / 7)
    table = {
        "day": [f"{np.datetime64('2024-01-01') + k}" for k in day.tolist()],
        "north": (week + draw.normal(0, 0.5, 70)).round(3).tolist(),
        "south": (2 * week + day / 9 + draw.normal(0, 0.5, 70)).round(3).tolist(),
    }
    sizes: dict[str, Any] = {"horizon": 7, "hidden_size": 3, "epochs": 3, "seed": 0, "baseline": False}
    columns = {"time": "day", "series": ["north", "south"]}
    model = rekur.Forecaster(**sizes, members=2, calendar="yes").fit(table, columns=columns)
    model.save(root / "forecaster_days")
    walks = {name: draw.normal(0, 1, 60).cumsum().round(3).tolist() for name in ("a", "b")}
    rekur.Forecaster(**sizes, cell="lstm").fit(walks).save(root / "forecaster_rows")
    for name, series, key in (("forecaster_days", table, "north"), ("forecaster_rows", walks, "a")):
        loaded = rekur.load(root / name)
        answers = {"series": series, "presented": plain(loaded.present(series))}
        scores = loaded.evaluate(series)
        answers["scores"] = {metric: scores[metric] for metric in ("mae", "smape", "crps", "coverage")}
        kept = list(loaded.parts_to_predict(loaded.kept_items()).items())
        answers["kept"] = plain(loaded.present(kept))
        session = loaded.stream(continues=True)
        session.push({"series": key, "value": 8.5})
        answers["state"] = base64.b64encode(session.get_state()).decode()
        answers["event"] = {"series": key, "value": [None, 9.25]}
        answers["live"] = plain(session.push(answers["event"]).tentative)
        (root / f"{name}.json").write_text(json.dumps(answers), encoding="utf-8")


def make_checkpoint(root: Path) -> None:
    """Kill a training after its second checkpoint."""
    data, out = root / "killed.csv", root / "killed"
    lines = "".join(f"{text},{'good' if len(text) % 2 else 'bad'}\n" for text in sentences(40))
    data.write_text("text,label\n" + lines, encoding="utf-8")
    options = [
        "--text",
        "text",
        "--label",
        "label",
        "--hidden-size",
        "4",
        "--embedding-size",
        "3",
        "--steps",
        "300",
        "--patience",
        "0",
    ]
    words = ["fit", "classify", str(data), *options, "--checkpoint-every", "1", "--out", str(out)]
    training = subprocess.Popen([sys.executable, "-m", "rekur", *words], stdout=subprocess.DEVNULL)
    while not len(list(out.glob("checkpoints/step-*/state.json"))) >= 2:
        time.sleep(0.05)
    training.send_signal(signal.SIGKILL)
    training.wait()
    for path in [*out.glob("checkpoints/.*"), *out.glob("checkpoints/lock")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    newest = max(out.glob("checkpoints/step-*"))
    for path in out.glob("checkpoints/step-*"):
        if path != newest:
            shutil.rmtree(path)
    run = out / "checkpoints" / "run.json"
    run.write_text(run.read_text(encoding="utf-8").replace(str(root.absolute()) + "/", ""), encoding="utf-8")


def command(*words: Any) -> None:
    """Run ``rekur`` and fail if it fails."""
    subprocess.run([sys.executable, "-m", "rekur", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Make everything in the folder that is named."""
    root = Path(sys.argv[1])
    root.mkdir(parents=True)
    make_classifiers(root)
    make_quantized(root)
    make_language(root)
    make_tagger(root)
    make_taggers(root)
    make_translators(root)
    make_forecasters(root)
    make_checkpoint(root)


if __name__ == "__main__":
    main()
