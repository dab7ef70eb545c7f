"""The options of ``rekur fit``: one for each option of the estimators, whose defaults they leave alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path)

OUTPUT = (
    click.option("--out", required=True, type=_FOLDER, metavar="DIR", help="Where the trained model is saved."),
    click.option("--valid", type=_FILE, metavar="FILE", help="Validation items; by default a share of FILE."),
    click.option("--overwrite", is_flag=True, help="Replace a model that is saved there."),
    click.option("--tensorboard", type=_FOLDER, metavar="DIR", help="Also write TensorBoard event files there."),
    click.option("--quiet", is_flag=True, help="Show no progress."),
)

#: option, type, help; what is not given stays as the estimator has it
_FEATURES = (
    ("--tokens", click.Choice(["auto", "word", "char", "byte", "bpe"]), "What a step of a text is."),
    ("--lowercase/--keep-case", None, "Fold upper case; by default for words only."),
    ("--max-vocabulary", int, "Most entries of a vocabulary; the rest is unknown."),
    ("--min-count", int, "Times that a token must occur to enter the vocabulary."),
    ("--max-length", int, "Steps after which a sequence is cut; by default never."),
    ("--missing", click.Choice(["hold", "zero", "error"]), "What stands for a missing number."),
)
_MODEL = (
    ("--cell", str, "A cell of `rekur cells`; lstm by default."),
    ("--hidden-size", int, "Hidden units of each layer and direction."),
    ("--num-layers", int, "Layers on top of each other."),
    ("--bidirectional", None, "Read from both ends; such a model cannot run live."),
    ("--embedding-size", int, "Values that a token is turned into."),
    ("--kernel-size", int, "Steps that a causal convolution before the recurrent layers sees; 0 for none."),
    ("--pooling", str, "last, mean, max, attention, or several joined by +."),
    ("--token-dropout", float, "Chance that a token is read as unknown."),
    ("--input-dropout", float, "Chance that an input feature is off for a whole sequence."),
    ("--input-noise", float, "Noise added to standardised numbers."),
    ("--dropout", float, "Chance that a value is off between layers and before the scores."),
    ("--recurrent-dropout", float, "Chance that a hidden value is off on its way to the next step."),
    ("--residual", None, "Add each layer's input to its output."),
    ("--norm", None, "Layer norm after each layer."),
)
_TRAINING = (
    ("--epochs", int, "Passes over the training items at most."),
    ("--batch-size", int, "Items a step."),
    ("--learning-rate", float, "The highest rate of AdamW."),
    ("--weight-decay", float, "Weight decay of AdamW."),
    ("--schedule", click.Choice(["cosine", "linear", "constant"]), "How the rate falls."),
    ("--warmup", float, "Share of all steps in which the rate rises."),
    ("--clip", float, "Largest norm of all gradients together; 0 for none."),
    ("--patience", int, "Evaluations without a better score before training stops; 0 for never."),
    ("--average", float, "Decay of the running average of the weights; 0 for none."),
    ("--valid-fraction", float, "Share kept for validation where --valid is not given."),
    ("--seed", int, "Of everything random."),
    ("--precision", click.Choice(["32-true", "bf16-mixed", "16-mixed"]), "Arithmetic of training."),
    ("--accelerator", click.Choice(["auto", "cpu", "cuda", "mps"]), "Where to train."),
    ("--time-limit", str, "End in good order after so long, such as 90s, 3m or 1h."),
    ("--no-baseline", None, "Do not score a baseline beside the model."),
)
_CLASSIFY = (
    ("--multi-label", None, "An item may have several labels; they stand in a list, or between --label-separator."),
    ("--class-weight", click.Choice(["balanced"]), "Weight classes by the inverse of their frequency."),
    ("--label-smoothing", float, "Share of the target spread over all classes."),
    ("--bayes-start", float, "Start the embedding of words at so many times their log-count ratios; 0 for none."),
)

FEATURE_NAMES = tuple(option.split("/")[0].lstrip("-").replace("-", "_") for option, _, _ in _FEATURES)


def _make(option: str, kind: Any, text: str) -> Any:
    if kind is None:
        return click.option(option, is_flag=True, default=None, help=text)
    return click.option(option, type=kind, default=None, help=text)


SHARED = tuple(_make(*row) for row in (*_FEATURES, *_MODEL, *_TRAINING))
CLASSIFY = tuple(_make(*row) for row in _CLASSIFY)


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
