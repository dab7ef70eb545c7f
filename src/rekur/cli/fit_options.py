"""The options of ``rekur fit``: one for each option of the estimators, whose defaults they leave alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rekur.cli.options import NUMBER, WHOLE, InputFile

_FOLDER = click.Path(path_type=Path)
_FILE = InputFile()

_OUT = click.option("--out", required=True, type=_FOLDER, metavar="DIR", help="Where the trained model is saved.")
_RUN = (
    click.option("--overwrite", is_flag=True, help="Replace a model that is saved there, or begin a run anew."),
    click.option(
        "--checkpoint-every",
        type=WHOLE,
        metavar="STEPS",
        help="Keep what `rekur resume` needs every so many steps; by default every few minutes.",
    ),
    click.option("--tensorboard", type=_FOLDER, metavar="DIR", help="Also write TensorBoard event files there."),
    click.option("--quiet", is_flag=True, help="Show no progress; warnings are still shown."),
)
OUTPUT = (
    _OUT,
    click.option("--valid", type=_FILE, metavar="FILE", help="Validation items; by default a share of FILE."),
    *_RUN,
)
TEXT_OUTPUT = (
    _OUT,
    click.option(
        "--valid", multiple=True, metavar="FILE", help="Validation text; by default a share of FILE. Repeat for more."
    ),
    *_RUN,
)


class _Numbers(click.ParamType[Any]):
    """Whole numbers with commas between."""

    name = "numbers"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """Return ``2,3`` as [2, 3], and nothing as []."""
        if not isinstance(value, str):
            return value
        try:
            return [int(part) for part in value.split(",") if part.strip()]
        except ValueError:
            self.fail(f"got '{value}'; expected whole numbers such as 2,3.", parameter, context)


def _names(rows: tuple[tuple[str, Any, str], ...]) -> tuple[str, ...]:
    return tuple(option.split("/")[0].lstrip("-").replace("-", "_") for option, _, _ in rows)


def _make(option: str, kind: Any, text: str) -> Any:
    if kind is None:
        return click.option(option, is_flag=True, default=None, help=text)
    return click.option(option, type=kind, default=None, help=text)


NUMBERS = _Numbers()

#: option, type, help; what is not given stays as the estimator has it
_FEATURES = (
    ("--tokens", click.Choice(["auto", "word", "char", "byte", "bpe"]), "What a step of a text is."),
    ("--lowercase/--keep-case", None, "Fold upper case; by default for words only."),
    ("--max-vocabulary", WHOLE, "Most entries of a vocabulary; the rest is unknown."),
    ("--min-count", WHOLE, "Times that a token must occur to enter the vocabulary."),
    ("--max-length", WHOLE, "Steps after which a sequence is cut; by default never."),
    ("--missing", click.Choice(["hold", "zero", "error"]), "What stands for a missing number."),
    ("--codes/--letters", None, "Read symbols as codes with blanks between, or as letters; by default as they look."),
)
_MODEL = (
    ("--cell", str, "A cell of `rekur cells`; lstm by default."),
    ("--hidden-size", WHOLE, "Hidden units of each layer and direction."),
    ("--num-layers", WHOLE, "Layers on top of each other."),
    ("--bidirectional", None, "Read from both ends; such a model cannot run live."),
    ("--embedding-size", WHOLE, "Values that a token is turned into."),
    ("--kernel-size", WHOLE, "Steps that a causal convolution before the recurrent layers sees; 0 for none."),
    ("--pooling", str, "last, mean, max, attention, or several joined by +."),
    ("--token-dropout", NUMBER, "Chance that a token is read as unknown."),
    ("--input-dropout", NUMBER, "Chance that an input feature is off for a whole sequence."),
    ("--input-noise", NUMBER, "Noise added to standardised numbers."),
    ("--dropout", NUMBER, "Chance that a value is off between layers and before the scores."),
    ("--recurrent-dropout", NUMBER, "Chance that a hidden value is off on its way to the next step."),
    ("--residual", None, "Add each layer's input to its output."),
    ("--norm", None, "Layer norm after each layer."),
)
_TRAINING = (
    ("--epochs", WHOLE, "Passes over the training items at most."),
    ("--steps", WHOLE, "Steps of the optimiser at most, instead of --epochs."),
    ("--batch-size", WHOLE, "Items a step; of a language model, streams side by side."),
    ("--learning-rate", NUMBER, "The highest rate of AdamW."),
    ("--weight-decay", NUMBER, "Weight decay of AdamW."),
    ("--schedule", click.Choice(["cosine", "linear", "constant"]), "How the rate falls."),
    ("--warmup", NUMBER, "Share of all steps in which the rate rises."),
    ("--clip", NUMBER, "Largest norm of all gradients together; 0 for none."),
    ("--patience", WHOLE, "Evaluations without a better score before training stops; 0 for never."),
    ("--average", NUMBER, "Decay of the running average of the weights; 0 for none."),
    ("--valid-fraction", NUMBER, "Share kept for validation where --valid is not given."),
    ("--seed", WHOLE, "Of everything random."),
    ("--precision", click.Choice(["32-true", "bf16-mixed", "16-mixed"]), "Arithmetic of training."),
    ("--accelerator", click.Choice(["auto", "cpu", "cuda", "mps"]), "Where to train."),
    ("--time-limit", str, "End in good order after so long, such as 90s, 3m or 1h."),
    ("--no-baseline", None, "Do not score a baseline beside the model."),
)
_CLASSIFY = (
    ("--multi-label", None, "An item may have several labels; they stand in a list, or between --label-separator."),
    ("--class-weight", click.Choice(["balanced"]), "Weight classes by the inverse of their frequency."),
    ("--label-smoothing", NUMBER, "Share of the target spread over all classes."),
    ("--bayes-start", NUMBER, "Start the embedding of words at so many times their log-count ratios; 0 for none."),
)

_TEXT_FEATURES = (
    ("--lowercase/--keep-case", None, "Fold upper case; by default cases are kept."),
    ("--digits", click.Choice(["keep", "zero"]), "Read every digit as 0, or keep them; by default they are kept."),
    ("--words", click.Choice(["auto", "marks", "spaces"]), "Where words end: at marks, or at spaces only."),
    ("--max-vocabulary", WHOLE, "Most entries of a vocabulary; the rest is unknown."),
    ("--min-count", WHOLE, "Times that a token must occur to enter the vocabulary."),
)
_LANGUAGE = (
    ("--tokens", click.Choice(["char", "byte", "word", "bpe"]), "What is predicted; characters by default."),
    ("--cell", str, "A cell of `rekur cells`; lstm by default."),
    ("--hidden-size", WHOLE, "Hidden units of each layer."),
    ("--num-layers", WHOLE, "Layers on top of each other."),
    ("--embedding-size", WHOLE, "Values that a token is turned into."),
    ("--ngrams", NUMBERS, "Lengths of the runs of tokens that have vectors of their own, such as 2,3."),
    ("--ngram-rows", WHOLE, "Rows of each of their tables."),
    ("--ngram-dropout", NUMBER, "Chance that the vector of a run of tokens is zeros."),
    ("--recall", NUMBERS, "Lengths of the runs of tokens of which is recalled what followed them last, such as 3,5."),
    ("--recall-slots", WHOLE, "How many runs of each length are remembered; a power of 2."),
    ("--tied/--not-tied", None, "The output layer uses the embedding's weights."),
    ("--softmax", str, "full, adaptive (frequent tokens first) or sampled (a part of the vocabulary in training)."),
    ("--row-dropout", NUMBER, "Chance that a token's vector is zeros wherever it stands."),
    ("--input-dropout", NUMBER, "Chance that an input feature is off for a whole chunk."),
    ("--dropout", NUMBER, "The same between layers."),
    ("--output-dropout", NUMBER, "The same before the output layer."),
    ("--weight-dropout", NUMBER, "Chance that a recurrent weight is off for a whole chunk."),
    ("--recurrent-dropout", NUMBER, "Chance that a hidden value is off on its way to the next step."),
    ("--activation-regularisation", NUMBER, "Weight of the squared outputs in the loss."),
    ("--temporal-regularisation", NUMBER, "Weight of their squared changes from step to step in the loss."),
    ("--residual", None, "Add each layer's input to its output."),
    ("--norm", None, "Layer norm after each layer."),
    ("--reset/--no-reset", None, "Begin every document with a fresh state; by default where there are several."),
    ("--chunk-length", WHOLE, "Steps that the gradient goes back."),
    ("--jitter", NUMBER, "By how large a share chunks differ in length."),
    ("--checkpoint-steps", WHOLE, "Keep states every so many steps only and compute the rest twice, to save memory."),
)

FEATURE_NAMES = _names(_FEATURES)
TEXT_FEATURE_NAMES = _names(_TEXT_FEATURES)
SHARED = tuple(_make(*row) for row in (*_FEATURES, *_MODEL, *_TRAINING))
CLASSIFY = tuple(_make(*row) for row in _CLASSIFY)
LANGUAGE = tuple(_make(*row) for row in (*_LANGUAGE, *_TEXT_FEATURES, *_TRAINING))


def estimator_options(values: dict[str, Any], feature_names: tuple[str, ...]) -> dict[str, Any]:
    """Return the estimator's options that were given on the command line."""
    given = {name: value for name, value in values.items() if value is not None}
    features = {name: given.pop(name) for name in feature_names if name in given}
    if "time_limit" in given:
        given["time_limit"] = seconds(given["time_limit"])
    if given.pop("no_baseline", False):
        given["baseline"] = False
    return {**given, "feature_options": features}


def seconds(text: str) -> float:
    """Return a duration such as ``90s``, ``3m`` or ``1h`` in seconds.

    Example:
        >>> seconds("3m")
        180.0
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1:]) if text[-1:] in units else (text, "s")
    try:
        return float(number) * units[unit]
    except ValueError:
        raise click.BadParameter(
            f"got '{text}'; expected a duration such as 90s, 3m or 1h.", param_hint="--time-limit"
        ) from None
