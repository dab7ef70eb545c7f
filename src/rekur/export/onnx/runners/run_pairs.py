"""Writes texts with the exported model beside this file; it needs only NumPy and ONNX Runtime.

    python run.py "a text" "another"           items: source texts; one line of JSON for each
    python run.py < sources.txt                each line is an item; only a line feed ends a line
    python run.py --beam 5 --n-best 3 "a text" a search that follows 5 texts, and the best 3 of them
    python run.py --alpha 0.6 "a text"         the exponent of the length in scores; by default that of the manifest
    python run.py -- "--beam"                  everything after -- is an item

A blank item has the empty text. Sources are split into tokens as in training, and texts are spelled from their bytes. A
source that is too long is cut, and standard error tells of how many.
"""

import itertools
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

try:
    import numpy as np
    from onnxruntime import InferenceSession
except ImportError as error:
    print(f"{error}; this program needs two packages: pip install numpy onnxruntime", file=sys.stderr)
    raise SystemExit(3) from None

#: texts that are searched side by side, about
ROWS = 256
#: option -> its type, its least value, and the values in words
OPTIONS: dict[str, tuple[Any, int, str]] = {
    "--beam": (int, 1, "a whole number, 1 or more"),
    "--n-best": (int, 1, "a whole number from 1 to the beam"),
    "--alpha": (float, 0, "a number, 0 or more"),
}


class Tokens:
    """The tokens of texts and their numbers.

    Args:
        about: the manifest.
        side: ``source`` or ``target``.
    """

    def __init__(self, about: dict[str, Any], side: str) -> None:
        reading, features = about["reading"], about["features"]
        learnt = features["learnt"].get(side, features["learnt"]["source"])
        self._kind, self._most = features["options"]["tokens"], features["options"]["max_length"]
        self._pieces, self._longest = re.compile(reading["pieces"]), reading["longest"]
        merges = [name.split(" ") for name in learnt] if self._kind == "bpe" else []
        self._ranks = {(left, right): rank for rank, (left, right) in reversed([*enumerate(merges)])}
        self._letters, first = byte_names(), about["prediction"]["first"]
        names = dict.fromkeys([*self._letters, *(map("".join, merges) if merges else learnt)])
        self._numbers = {name: number for number, name in enumerate(names, first)}
        value = {letter: byte for byte, letter in enumerate(self._letters)}
        self._bytes = {number: bytes(map(value.__getitem__, name)) for name, number in self._numbers.items()}
        self._known: dict[str, list[int]] = {}

    def read(self, text: str) -> list[int]:
        """Return the token numbers of a text; a blank one has none."""
        if not text.strip():
            return []
        text = re.sub("[\ud800-\udfff]", "\ufffd", text)
        units = text if self._kind == "char" else self._cut(text)
        return [number for unit in units for number in self._numbers_of(unit)][: self._most]

    def write(self, numbers: list[int]) -> str:
        """Return the text of token numbers."""
        return b"".join([self._bytes.get(number, b"") for number in numbers]).decode("utf-8", errors="replace")

    def _cut(self, text: str) -> list[str]:
        """Return the pieces of a text; one that is too long is cut again, each part as if it stood alone."""
        pieces, start = [], 0
        while match := self._pieces.search(text, start):
            start, end = match.span()
            if end - start < self._longest - 1:
                pieces.append(match.group())
                start = end
            while start < end and (match := self._pieces.match(text, start, start + self._longest)):
                pieces.append(match.group())
                start = match.end()
        return pieces

    def _numbers_of(self, unit: str) -> list[int]:
        """Return the numbers of a piece or a character."""
        if unit not in self._known:
            parts = [self._letters[byte] for byte in unit.encode()]
            if self._kind != "bpe" and "".join(parts) in self._numbers:
                parts = ["".join(parts)]
            while pair := min(itertools.pairwise(parts), key=self._rank, default=None):
                if self._rank(pair) == len(self._ranks):
                    break
                start = next(n for n in range(len(parts) - 1) if (parts[n], parts[n + 1]) == pair)
                parts[start : start + 2] = ["".join(pair)]
            self._known[unit] = [self._numbers[part] for part in parts]
        return self._known[unit]

    def _rank(self, pair: tuple[str, str]) -> int:
        rank: int = self._ranks.get(pair, len(self._ranks))
        return rank


class Model:
    """An exported model."""

    def __init__(self, folder: Path) -> None:
        self.about = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        self.graphs = {name: InferenceSession(str(folder / f"{name}.onnx")) for name in self.about["graphs"]}
        self.source, self.target = (Tokens(self.about, side) for side in ("source", "target"))
        #: sources that were cut
        self.cut = 0
        graphs = self.about["graphs"].items()
        self._ports = {name: (list(ports["inputs"]), list(ports["outputs"])) for name, ports in graphs}

    def encode(self, sources: list[list[int]]) -> dict[str, Any]:
        """Return the inputs of the first step, without its tokens: one text a source of token numbers."""
        lengths = np.array([len(numbers) for numbers in sources], np.int64)
        x = np.zeros((len(sources), lengths.max()), np.int64)
        for row, numbers in zip(x, sources, strict=True):
            row[: len(numbers)] = numbers
        names = self._ports["encode"][1]
        arrays = dict(zip(names, self.graphs["encode"].run(names, {"input": x, "lengths": lengths}), strict=True))
        inputs = {**arrays, "lengths": lengths, "sources": np.arange(len(sources))}
        for name, slot in self.about["state"].items():
            shape = (len(sources), *slot["shape"])
            begins = slot["begins"] if "output" not in slot else arrays[slot["output"]]
            inputs[f"state.{name}"] = np.broadcast_to(np.array(begins, slot["dtype"]), shape)
        return {name: inputs[name] for name in self._ports["decode"][0] if name != "input"}

    def step(self, numbers: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return the log-probabilities (B, V) after one more token of each text, and the inputs of the next step."""
        names = self._ports["decode"][1]
        arrays = dict(zip(names, self.graphs["decode"].run(names, {"input": numbers, **inputs}), strict=True))
        scores = arrays.pop("scores")
        return scores, {**inputs, **{name.replace("next.", "state.", 1): array for name, array in arrays.items()}}

    def select(self, inputs: dict[str, Any], rows: Any) -> dict[str, Any]:
        """Return the inputs for some texts, whose numbers may repeat; no source is copied."""
        each = {name for name in inputs if name == "sources" or name.startswith("state.")}
        return {name: array[rows] if name in each else array for name, array in inputs.items()}

    def search(self, texts: list[str], *, beam: int = 1, n_best: int = 1, alpha: Any = None) -> list[Any]:
        """Return the best texts of each source text with their scores, the best first."""
        most = self.about["prediction"].get("source")
        sources = [self.source.read(text) for text in texts]
        self.cut += sum(most is not None and len(numbers) > most for numbers in sources)
        sources = [numbers[:most] for numbers in sources]
        results: list[Any] = [[("", None)]] * len(texts)
        order = sorted((row for row, numbers in enumerate(sources) if numbers), key=lambda row: -len(sources[row]))
        alpha, together = self.about["prediction"]["alpha"] if alpha is None else alpha, max(1, ROWS // beam)
        for first in range(0, len(order), together):
            rows = order[first : first + together]
            beams = [Beam(self.about["prediction"], len(sources[row]), beam, n_best, alpha) for row in rows]
            self._run(beams, self.encode([sources[row] for row in rows]))
            for row, each in zip(rows, beams, strict=True):
                best: dict[str, float] = {}
                for score, numbers in each.best():
                    best.setdefault(self.target.write(numbers), score)
                results[row] = [*best.items()]
        return results

    def _run(self, beams: list["Beam"], inputs: dict[str, Any]) -> None:
        """Step until all searches have ended."""
        numbers = np.full(len(beams), self.about["prediction"]["begin"], np.int64)
        live = beams
        while live:
            scores, inputs = self.step(numbers, inputs)
            first, rows, following = 0, [], []
            for each in live:
                end = first + len(each.rows)
                for row, number in each.advance(scores[first:end]):
                    rows.append(first + row)
                    following.append(number)
                first = end
            live = [each for each in live if each.rows]
            numbers = np.array(following, np.int64)
            if live:
                inputs = self.select(inputs, np.array(rows, np.int64))

    def present(self, texts: list[Any], several: bool) -> dict[str, Any]:
        """Return the best text with its score, and all of them where several were asked for."""
        (text, score), *_ = texts
        each = [{"prediction": text, "score": score} for text, score in texts]
        return {"prediction": text, "score": score, **({"candidates": each} if several else {})}


class Beam:
    """The search of one text: it follows the likeliest ones, and those that end keep their places.

    Args:
        how: what may be written, from the manifest.
        length: tokens of the source.
        width: places.
        n_best: texts that are asked for.
        alpha: exponent of the length in scores.
    """

    def __init__(self, how: dict[str, Any], length: int, width: int, n_best: int, alpha: float) -> None:
        self._how, self._width, self._n_best, self._alpha = how, width, n_best, alpha
        self._most = how["most"]["each"] * length + how["most"]["further"]
        #: (log-probability, token numbers) of each row that goes on
        self.rows: list[tuple[float, list[int]]] = [(0.0, [])]
        self._ended: list[tuple[float, list[int]]] = []

    def best(self) -> list[tuple[float, list[int]]]:
        """Return the best texts as (score, token numbers)."""
        return sorted(self._ended, key=lambda each: -each[0])[: self._n_best]

    def advance(self, scores: Any) -> list[tuple[int, int]]:
        """Take the log-probabilities (rows, V) of the next tokens; return the row and the token of those that go on."""
        end, length = self._how["end"], len(self.rows[0][1])
        allowed = scores.astype(np.float64)
        allowed[:, self._how["never"]] = -np.inf
        if length >= self._most:
            last = allowed[:, end].copy()
            allowed[:] = -np.inf
            allowed[:, end] = np.maximum(last, np.finfo(np.float32).min)
        totals = (allowed + np.array([total for total, _ in self.rows])[:, None]).reshape(-1)
        count = min(self._width, len(totals))
        lowest = np.partition(totals, len(totals) - count)[len(totals) - count]
        places = np.flatnonzero((totals >= lowest) & (totals > -np.inf))
        places = places[np.argsort(-totals[places], kind="stable")][: self._width - len(self._ended)]
        following, going = [], []
        for index in places.tolist():
            row, number = divmod(index, allowed.shape[1])
            total, numbers = float(totals[index]), self.rows[row][1]
            if number == end:
                self._ended.append((total / (length + 1) ** self._alpha, numbers))
            else:
                following.append((row, number))
                going.append((total, [*numbers, number]))
        worst = sorted((score for score, _ in self._ended), reverse=True)[self._n_best - 1 : self._n_best]
        if going and worst and max(total for total, _ in going) / (self._most + 1) ** self._alpha <= worst[0]:
            following, going = [], []  # no row can reach a better score
        self.rows = going
        return following


def byte_names() -> list[str]:
    """Return the character that stands for each of the 256 bytes in names of tokens."""
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = iter(range(256, 512))
    return [chr(byte if byte in visible else next(hidden)) for byte in range(256)]


def parsed(words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Return options and items of the command line.

    Raises:
        ValueError: an option is unknown or out of range.
    """
    options: dict[str, Any] = {}
    items, rest = [], list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            items += rest
            break
        if not word.startswith("--"):
            items.append(word)
            continue
        name, _, value = word.partition("=")
        if name not in OPTIONS:
            raise ValueError(f"option: got {word}; expected {', '.join(OPTIONS)}, or --help.")
        kind, least, expected = OPTIONS[name]
        value = value if "=" in word else rest.pop(0) if rest else ""
        try:
            number = kind(value)
        except ValueError:
            number = None
        if number is None or not least <= number < float("inf"):
            raise ValueError(f"{name}: got {value or 'nothing'}; expected {expected}.")
        options[name.removeprefix("--").replace("-", "_")] = number
    if options.get("n_best", 1) > options.get("beam", 1):
        raise ValueError(f"--n-best: got {options['n_best']}; expected at most {options.get('beam', 1)}, the beam.")
    return options, items


def main(words: list[str]) -> int:
    """Write a prediction for each item, and return the exit code."""
    if {"--help", "-h"} & {*words[: words.index("--") if "--" in words else len(words)]}:
        print(__doc__)
        return 0
    try:
        options, items = parsed(words)
        if not items and not sys.stdin.isatty():
            *lines, last = sys.stdin.buffer.read().decode("utf-8").split("\n")
            items = [line.removesuffix("\r") for line in lines] + [last] * (last != "")
        if not items:
            raise ValueError("items: got none; expected one or more. See --help.")
        model = Model(Path(__file__).parent)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    for texts in model.search(items, **options):
        print(json.dumps(model.present(texts, options.get("n_best", 1) > 1)))
    if model.cut:
        print(f"sources cut after {model.about['prediction']['source']} tokens: {model.cut}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    raise SystemExit(code)
