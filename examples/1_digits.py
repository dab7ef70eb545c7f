"""Handwritten digits, read pixel by pixel: three recurrent cells beside logistic regression, then one of them live.

The 1797 digits of 8 × 8 pixels come with scikit-learn. Each becomes a sequence of 64 numbers, row by row, as if a
pen uncovered the picture. Run it with ``python examples/1_digits.py [--out DIR] [--epochs N]``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rekur
from rekur.study import figures
from rekur.train import Lines

CELLS = ("rnn", "lstm", "gru")
SHADES = " ░▒▓█"
console = Console(highlight=False)


def main() -> None:
    """Train, compare, draw, save, reload, stream."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=Path("runs/digits"), help="where models and the plot go")
    options.add_argument("--epochs", type=int, default=30, help="passes over the training digits")
    given = options.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)

    pixels, digits = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(pixels, digits, test_size=360, random_state=0, stratify=digits)
    console.print(f"{len(train_x)} digits to learn from, {len(test_x)} to test on, 64 steps each.\n")

    table = Table("model", "weights", "test accuracy", "seconds", title="Digits, pixel by pixel", title_justify="left")
    began = time.monotonic()
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(train_x, train_y)
    share = plain.score(test_x, test_y)
    table.add_row("logistic regression (all pixels at once)", "650", f"{share:.3f}", f"{time.monotonic() - began:.1f}")

    models = {}
    for cell in CELLS:
        console.print(f"[bold]{cell}[/bold]")
        model = rekur.Classifier(
            cell=cell,
            hidden_size=64,
            pooling="last",
            dropout=0.1,
            epochs=given.epochs,
            learning_rate=5e-3,
            baseline=False,
        )
        reporter = Lines(console)
        corpus = rekur.data.Corpus.from_lists(sequences(train_x), train_y)
        began = time.monotonic()
        model.fit_corpus(corpus, reporter=reporter)
        seconds = time.monotonic() - began
        accuracy = model.score(sequences(test_x), test_y)
        weights = sum(p.numel() for p in model.model_.parameters())
        table.add_row(cell, f"{weights:,}", f"{accuracy:.3f}", f"{seconds:.1f}")
        models[cell] = model
    console.print(table)

    curves = figures.learning_curves({cell: model.history_.rows for cell, model in models.items()}, "accuracy")
    curves.savefig(given.out / "learning_curves.svg")
    saved = models["gru"].save(given.out / "gru", overwrite=True)
    console.print(f"Learning curves in {given.out / 'learning_curves.svg'}, the GRU in {saved}.\n")

    console.print(f"The GRU, loaded again from {saved}, sees a {test_y[0]} appear pixel by pixel:\n")
    watch(rekur.load(saved), test_x[0])


def sequences(images: np.ndarray) -> list[np.ndarray]:
    """Return each picture as a sequence of 64 steps of one number."""
    return [image.reshape(64, 1) for image in images]


def watch(model: rekur.Classifier, image: np.ndarray) -> None:
    """Push one picture into a live session, and show the prediction change."""
    session = model.stream()
    if console.is_terminal:
        with Live(console=console, refresh_per_second=20) as live:
            for step, value in enumerate(image):
                live.update(frame(image[: step + 1], session.push([value]).tentative))
                time.sleep(0.04)
        return
    for step, value in enumerate(image):
        prediction = session.push([value]).tentative
        if step % 8 == 7:
            row = "".join(SHADES[int(v) * 4 // 16] * 2 for v in image[step - 7 : step + 1])
            bar = "█" * round(30 * prediction.probability)
            print(f"  |{row}|  {prediction.label}  {bar} {prediction.probability:.2f}")
            sys.stdout.flush()


def frame(seen: np.ndarray, prediction: rekur.tasks.Prediction) -> Text:
    """Return the pixels so far, with the ten probabilities beside them."""
    shown = np.full(64, -1.0)
    shown[: len(seen)] = seen
    lines = []
    for row in range(10):
        cells = shown[8 * row : 8 * row + 8] if row < 8 else []
        picture = "".join("· " if v < 0 else SHADES[int(v) * 4 // 16] * 2 for v in cells).ljust(18)
        share = prediction.probabilities[str(row)]
        mark = "◀" if row == prediction.label else ""
        lines.append(f"  {picture} {row} {'█' * round(40 * share)} {share:.2f} {mark}")
    return Text("\n".join(lines))


if __name__ == "__main__":
    main()
