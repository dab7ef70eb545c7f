"""Runs the exported model beside this file; it needs only NumPy and ONNX Runtime.

    python run.py "a text" "[[0.5, null], [0.1, 0.2]]"   items: texts, or JSON of token numbers, of ids or of rows
    python run.py --live "a text"                        step by step with carried state: one line for each step
    python run.py -- "--live"                            everything after -- is an item

It reads texts of bytes, characters and letters, and rows of numbers, which it scales; null or NaN in a row marks a
missing value. Give items of other models as token numbers, or as rows of ids: "reading" in manifest.json says which.
"""

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


class Model:
    """An exported model."""

    def __init__(self, folder: Path) -> None:
        self.about = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        self.graphs = {name: InferenceSession(str(folder / f"{name}.onnx")) for name in self.about["graphs"]}
        kind, size = self.about["input"]["kind"], self.about["input"]["size"]
        self.dtype: Any = np.float32 if kind == "rows" else np.int64
        self.row: tuple[int, ...] = () if kind == "tokens" else (size,)
        how = self.about["prediction"]
        self.per_step = how.get("per_step", how["kind"] == "tags")

    def read(self, item: Any) -> Any:
        """Return the steps of an item: token numbers (T,), ids (T, C), or rows (T, D).

        Raises:
            ValueError: the model cannot read the item.
        """
        how, size = self.about["reading"], self.about["input"]["size"]
        if how["kind"] == "rows":
            return self._scaled(rows_of(item, len(how["mean"])))
        if how["kind"] == "ids":
            return ids_of(item, self.about["input"]["columns"], how["why"])
        if isinstance(item, str):
            if how["kind"] == "tokens":
                raise ValueError(f"{how['why']}, such as [4, 2, 7]")
            text = re.sub("[\ud800-\udfff]", "\ufffd", item)
            bytewise = how["kind"] == "bytes"
            ids = [byte + 2 for byte in text.encode()] if bytewise else [how["numbers"].get(c, 1) for c in text]
            item = how["begin"] + [number for number in ids if number is not None][: how["max_length"]]
        tokens = item.tolist() if hasattr(item, "tolist") else item
        if not isinstance(tokens, list) or not all(type(token) is int and 0 <= token < size for token in tokens):
            raise ValueError(f"got {shown(item)}; expected a list of token numbers, each in [0, {size - 1}].")
        return np.array(tokens, np.int64)

    def _scaled(self, rows: Any) -> Any:
        """Return rows as in training: scaled, missing values filled, with indicators of missing values."""
        how, absent = self.about["reading"], np.isnan(rows)
        if absent.any() and how["missing"] == "error":
            raise ValueError("got a missing value; expected none: the model was trained to refuse them.")
        last = np.where(absent, -1, np.arange(len(rows))[:, None])
        last = np.maximum.accumulate(last, axis=0)  # the last step, up to each, that has a value
        held = np.take_along_axis(rows, np.maximum(last, 0), axis=0)
        values = (np.where(last < 0, how["fill"], held) - how["mean"]) / how["scale"]
        if how["missing"] == "zero":
            values[absent] = 0
        with np.errstate(over="ignore"):
            steps = np.concatenate([values, absent[:, how["indicated"]]], axis=1).astype(np.float32)
        if not np.isfinite(steps).all():
            raise ValueError("got a number that float32 cannot hold; expected numbers as in training.")
        return steps

    def run(self, sequences: list[Any]) -> Any:
        """Return the scores (B, K) of sequences of steps; with scores of each step one (T, K) a sequence."""
        lengths = np.array([len(steps) for steps in sequences], np.int64)
        x = np.zeros((len(sequences), max([1, *lengths]), *self.row), self.dtype)
        for row, steps in zip(x, sequences, strict=True):
            row[: len(steps)] = steps
        scores = self.graphs["sequence"].run(["scores"], {"input": x, "lengths": lengths})[0]
        return [rows[:length] for rows, length in zip(scores, lengths, strict=True)] if self.per_step else scores

    def begin(self, batch: int = 1) -> dict[str, Any]:
        """Return the initial state."""
        slots = self.about["state"].items()
        return {name: np.full((batch, *s["shape"]), s["begins"], s["dtype"]) for name, s in slots}

    def step(self, x: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return the scores (B, K) after one more step (B,) or (B, D), and the next state; B is 1 or more."""
        if len(x) == 0:
            raise ValueError("got a step of no stream; expected one or more: ONNX Runtime ends the process at none.")
        inputs = {f"state.{name}": array for name, array in state.items()}
        scores, *states = self.graphs["step"].run(
            ["scores", *(f"next.{name}" for name in state)], {"input": x, **inputs}
        )
        return scores, dict(zip(state, states, strict=True))

    def present(self, scores: Any) -> dict[str, Any]:
        """Return the prediction for scores (K,), or those of each step (T, K)."""
        how, wide = self.about["prediction"], scores.astype(np.float64)
        if self.per_step:
            steps = self.stream()
            told: dict[str, Any] = steps.told([*(each for row in wide for each in steps.push(row)), *steps.finish()])
            return told
        if how["kind"] not in ("number", "softmax", "sigmoid", "token"):
            return {"outputs": wide.tolist()}
        if how["kind"] == "number":
            return {"value": how["mean"] + how["scale"] * wide[0]}
        with np.errstate(over="ignore"):
            powers = np.exp(wide - wide.max())
            shares = 1 / (1 + np.exp(-wide)) if how["kind"] == "sigmoid" else powers / powers.sum()
        best = int(shares.argmax())
        if how["kind"] == "token":
            return {"token": best, "probability": float(shares[best])}
        each = list(zip(how["labels"], shares.tolist(), strict=True))
        label = [name for name, share in each if share >= 0.5] if how["kind"] == "sigmoid" else each[best][0]
        return {"label": label, "probability": each[best][1], "probabilities": {str(k): share for k, share in each}}

    def stream(self) -> Any:
        """Return what takes the scores of step after step."""
        how = self.about["prediction"]
        return Tags(how) if how["kind"] == "tags" else Outputs()


class Outputs:
    """The scores of a sequence as they are."""

    def push(self, row: Any) -> list[Any]:
        """Take the scores (K,) of a step, and return them."""
        return [row.tolist()]

    def finish(self) -> list[Any]:
        """Return nothing: no step is held back."""
        return []

    def told(self, rows: list[Any]) -> dict[str, Any]:
        """Return scores of steps as a prediction."""
        return {"outputs": rows}


class Tags:
    """The tags of a sequence: from left to right, or at its end the best sequence."""

    def __init__(self, how: dict[str, Any]) -> None:
        self.how, self.rows, self.path, self.n_final = how, list[Any](), list[int](), 0
        size = len(how["names"])
        self.legal = np.ones((size, size), bool)
        for number, following in enumerate(how["next"] or []):
            self.legal[number] = np.isin(np.arange(size), following)
        self.first, self.last = (np.isin(np.arange(size), how[name]) for name in ("first", "last"))
        self.renamed = {(previous, number): name for previous, number, name in how["renamed"]}

    def push(self, row: Any) -> list[tuple[Any, float]]:
        """Take the scores (K,) of a step; return the tags and their probabilities that will not change."""
        self.rows.append(row)
        if self.how["exact"]:
            return []
        legal = self.legal[self.path[-1]] if self.path else self.first
        self.path.append(int(np.where(legal, row, -np.inf).argmax()))
        return self._taken(len(self.path) - (not self.last[self.path[-1]]))

    def finish(self) -> list[tuple[Any, float]]:
        """Return the tags that are left: the sequence ends here."""
        if self.how["exact"] and self.rows:
            self.path = self._best()
        elif self.path and not self.last[self.path[-1]]:
            legal = self.last & (self.legal[self.path[-2]] if len(self.path) > 1 else self.first)
            self.path[-1] = int(np.where(legal, self.rows[-1], -np.inf).argmax())
        return self._taken(len(self.path))

    def _best(self) -> list[int]:
        """Return the legal path with the highest total score."""
        links, pointers = np.where(self.legal.T, 0.0, -np.inf), []
        total = np.where(self.first, self.rows[0], -np.inf)
        for row in self.rows[1:]:
            sums = links + (total - total.max())
            pointers.append(sums.argmax(axis=1))
            total = sums.max(axis=1) + row
        path = [int(np.where(self.last, total, -np.inf).argmax())]
        for pointer in reversed(pointers):
            path.append(int(pointer[path[-1]]))
        return path[::-1]

    def _taken(self, end: int) -> list[tuple[Any, float]]:
        tags = []
        for step in range(self.n_final, end):
            number, previous = self.path[step], self.path[step - 1] if step else -1
            powers = np.exp(self.rows[step] - self.rows[step].max())
            alike = np.equal(self.how["groups"], self.how["groups"][number])
            name = self.renamed.get((previous, number), self.how["names"][number])
            tags.append((name, min(1.0, float(powers[alike].sum() / powers.sum()))))
        self.n_final = max(self.n_final, end)
        return tags

    def told(self, tags: list[tuple[Any, float]]) -> dict[str, Any]:
        """Return tags as a prediction."""
        return {"tags": [name for name, _ in tags], "probabilities": [share for _, share in tags]}


def ids_of(item: Any, columns: list[int], why: str) -> Any:
    """Return the ids (T, C) of an item."""
    rows = item.tolist() if hasattr(item, "tolist") else item
    if isinstance(rows, str) or not isinstance(rows, list):
        raise ValueError(f"{why}, such as {[[1] * len(columns)]}")
    for row in rows:
        whole = isinstance(row, list) and len(row) == len(columns) and all(type(number) is int for number in row)
        if not whole or not all(0 <= number < size for number, size in zip(row, columns, strict=True)):
            limits = ", ".join(map(str, columns))
            raise ValueError(f"got {shown(row)}; expected rows of {len(columns)} ids, of 0 or more and below {limits}.")
    return np.array(rows, np.int64).reshape(-1, len(columns))


def rows_of(item: Any, width: int) -> Any:
    """Return the rows (T, D) of a series as float64, NaN where a value is missing."""
    expected = f"rows of {width} numbers" if width > 1 else "a list of numbers"
    wrong = ValueError(f"got {shown(item)}; expected {expected}, null or NaN for one that is missing.")
    rows = item.tolist() if hasattr(item, "tolist") else item
    if not isinstance(rows, list):
        raise wrong
    if width == 1:
        rows = [row if isinstance(row, list) else [row] for row in rows]
    for row in rows:
        whole = isinstance(row, list) and len(row) == width
        if not whole or not all(value is None or type(value) in (int, float) for value in row):
            raise wrong
    try:
        numbers = [[np.nan if value is None else float(value) for value in row] for row in rows]
    except OverflowError:
        raise wrong from None
    if np.isinf(numbers).any():
        raise wrong
    return np.array(numbers, np.float64).reshape(-1, width)


def shown(value: Any) -> str:
    """Return a value for a message, shortened if it is long."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def parsed(model: Model, text: str) -> Any:
    """Return the item in an argument of the command line."""
    kind = model.about["reading"]["kind"]
    if kind in ("rows", "ids") or (kind == "tokens" and text.lstrip().startswith("[")):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            example = {"rows": "[[0.5, null]]", "ids": "[[4, 2], [7, 3]]"}.get(kind, "[4, 2, 7]")
            raise ValueError(f"got {shown(text)}; expected JSON such as {example}.") from None
    return text


def main(words: list[str]) -> int:
    """Write a prediction for each item, and return the exit code."""
    end = words.index("--") if "--" in words else len(words)
    options, items = [word for word in words[:end] if word.startswith("--") or word == "-h"], words[end + 1 :]
    items = [word for word in words[:end] if word not in options] + items
    if {"--help", "-h"} & {*options}:
        print(__doc__)
        return 0
    unknown = [option for option in options if option != "--live"]
    if unknown or not items:
        option = f"option: got {unknown[0]}; expected --live, or --help." if unknown else ""
        print(option or "items: got none; expected one or more.", __doc__, sep="\n\n", file=sys.stderr)
        return 2
    try:
        model, sequences = Model(Path(__file__).parent), []
        if options and "step" not in model.graphs:
            raise ValueError("--live: got a model that reads from the end too; it needs whole sequences.")
        for number, text in enumerate(items, 1):
            try:
                sequences.append(model.read(parsed(model, text)))
            except ValueError as error:
                raise ValueError(f"item {number}: {error}") from None
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    for scores in [] if options else model.run(sequences):
        print(json.dumps(model.present(scores)))
    for steps in sequences if options else []:
        for prediction in live_steps(model, steps) if model.per_step else live(model, steps):
            print(json.dumps(prediction))
    return 0


def live(model: Model, steps: Any) -> Any:
    """Yield the prediction after each step."""
    state = model.begin()
    for step in steps:
        scores, state = model.step(step[None], state)
        yield model.present(scores[0])


def live_steps(model: Model, steps: Any) -> Any:
    """Yield the predictions of steps that each step makes certain, and at the end the rest."""
    state, stream, delay = model.begin(), model.stream(), model.about["delay"]
    ahead = np.zeros((delay, *model.row), model.dtype)
    late: list[Any] = []
    for number, step in enumerate(np.concatenate([steps, ahead])):
        scores, state = model.step(step[None], state)
        certain = stream.push(scores[0].astype(np.float64)) if number >= delay else []
        if number < len(steps):
            yield stream.told(certain)
        else:
            late += certain
    yield stream.told([*late, *stream.finish()])


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    raise SystemExit(code)
