"""The options that tasks share, and the checks of their values that need neither data nor PyTorch."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

from rekur import _check
from rekur._options import names_in, option, options, options_of, override, seconds, values_set
from rekur.errors import InputError, describe
from rekur.models.spec import SequenceSpec
from rekur.tasks.base import series_options
from rekur.tasks.base.series_options import SeriesOptions
from rekur.train.options import SCHEDULES, TrainOptions

TOKEN_KINDS = ("text", "symbols")


def check_share(items: str, name: str, fraction: Any) -> None:
    """Raise unless a number is a share of the ``items`` that can be held out for validation."""
    if _check.number(name, fraction, 0, 0.9) == 0:
        them = "it" if items == "text" else "them"
        fix = f"To choose the validation {items} yourself, give {them} with X_valid (--valid)."
        raise InputError(describe(name, fraction, "a number in (0, 0.9]", fix))


# what imports NumPy is imported in the checks, so that --help need not wait for it


def _check_cell(name: str, cell: Any) -> str:
    from rekur.program.cells import KINDS, TRANSFORMER

    return TRANSFORMER if cell == TRANSFORMER else _check.choice(name, cell, KINDS)


def check_precision(precision: str, on_cpu: bool) -> None:
    """Raise if training cannot run at a precision.

    Args:
        precision: one of ``rekur.train.options.PRECISIONS``.
        on_cpu: whether training runs on the CPU.
    """
    if precision == "16-mixed" and on_cpu:
        expected = "'32-true' or 'bf16-mixed' where training runs on the CPU"
        raise InputError(describe("precision", precision, expected, "float16 is for GPUs."))


@options
class SharedOptions:
    """Options of every task."""

    #: what ``rekur fit TASK --help`` and ``rekur tune TASK --help`` say below the first sentence
    fit_help: ClassVar[str] = ""
    tune_help: ClassVar[str] = ""
    #: why no Transformer may stand in the place of the recurrent layers; empty where one may
    no_transformer: ClassVar[str] = ""
    #: whether the format of a file may say which columns hold items and labels, where none are named
    usual_columns: ClassVar[bool] = False
    #: values of options in a search and in a comparison, unless they are set
    studied: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    valid_fraction: float | None = option(
        "data", "Share kept for validation where --valid is not given.", default=None, search=None, varies=False
    )

    # ── model ────────────────────────────────────────────────────────────────────────────────────────────────

    cell: str = option(
        "model",
        "A cell of `rekur cells`; lstm by default.",
        default="lstm",
        check=_check_cell,
        search="lstm,gru,mingru",
    )
    hidden_size: int | None = option(
        "model", "Hidden units of each layer and direction.", default=None, search="32:256:32"
    )
    num_layers: int | None = option("model", "Layers on top of each other.", default=None, search="1:2")
    embedding_size: int | None = option(
        "model", "Values that a token is turned into.", default=None, kinds=TOKEN_KINDS, search="32,64,128"
    )
    input_dropout: float | None = option(
        "model", "Chance that an input feature is off for a whole sequence.", default=None, search="0:0.5"
    )
    dropout: float | None = option(
        "model", "Chance that a value is off between layers and before the scores.", default=None, search="0:0.7"
    )
    recurrent_dropout: float = option(
        "model", "Chance that a hidden value is off on its way to the next step.", default=0.0
    )
    residual: bool = option("model", "Add each layer's input to its output.", default=False)
    norm: bool = option("model", "Layer norm after each layer.", default=False)

    # ── training ─────────────────────────────────────────────────────────────────────────────────────────────

    epochs: int | None = option("training", "Passes over the training items at most.", default=None)
    steps: int = option(
        "training", "Steps of the optimiser at most, instead of --epochs.", default=0, details="0 goes by epochs."
    )
    batch_size: int | None = option(
        "training",
        "Items a step; of a language model, streams side by side.",
        default=None,
        check=partial(_check.whole, low=1),
        search="16,32,64,128",
    )
    learning_rate: float | None = option("training", "The highest rate of AdamW.", default=None, search="5e-4:1e-2:log")
    weight_decay: float | None = option("training", "Weight decay of AdamW.", default=None, search="1e-4:0.1:log")
    schedule: str = option("training", "How the rate falls.", default="cosine", choices=SCHEDULES)
    warmup: float | None = option("training", "Share of all steps in which the rate rises.", default=None)
    clip: float = option("training", "Largest norm of all gradients together; 0 for none.", default=1.0)
    patience: int | None = option(
        "training", "Evaluations without a better score before training stops; 0 for never.", default=None
    )
    average: float | None = option(
        "training",
        "Decay of the running average of the weights; 0 for none.",
        default=None,
        details="Of the average and the weights themselves the one with the better validation score is kept.",
    )
    seed: int = option("training", "Of everything random.", default=0, search=None, varies=False)
    precision: str = option(
        "training", "Arithmetic of training.", default="32-true", choices=("32-true", "bf16-mixed", "16-mixed")
    )
    accelerator: str = option(
        "training", "Where to train.", default="auto", choices=("auto", "cpu", "cuda", "mps"), search=None, varies=False
    )
    time_limit: float = option(
        "training",
        "End in good order after so long, such as 90s, 3m or 1h.",
        default=0.0,
        details="In Python a number of seconds; 0 for no limit.",
        parse=seconds,
        metavar="TEXT",
        search=None,
    )
    baseline: bool = option(
        "training",
        "Also score a plain baseline on the same validation items.",
        default=True,
        flag_help="Do not score a baseline beside the model.",
        negative="--no-baseline",
        check=_check.flag,
        search=None,
        varies=False,
    )
    verbose: bool = option(
        "training",
        "Tell on standard error how training goes.",
        default=False,
        check=_check.flag,
        search=None,
        shell=False,
    )

    @classmethod
    def check_values(cls, values: Mapping[str, Any]) -> None:
        """Raise for each value that is out of range, whatever the data and the machine are.

        Args:
            values: option -> value; an absent option has its default.

        Raises:
            InputError: the message names the option and its range.
        """
        described, chosen = options_of(cls), values_set(cls, values)
        for name, each in described.items():
            if each.check is not None and name in chosen:
                each.check(name, chosen[name])
        cls.check_cell(chosen.get("cell", ""))
        cls.check_effects(values)
        training = TrainOptions(**{name: chosen[name] for name in TRAIN_OPTIONS if name in chosen})
        check_precision(training.precision, training.accelerator == "cpu")

    @classmethod
    def check_cell(cls, cell: str) -> None:
        """Raise if the networks of the task cannot be made of a cell.

        Raises:
            InputError: the message says why.
        """
        from rekur.program.cells import TRANSFORMER

        if cls.no_transformer and cell == TRANSFORMER:
            raise InputError(describe("cell", cell, "a cell of `rekur cells`", cls.no_transformer))

    @classmethod
    def item_kind(cls, kind: str) -> str:
        """Return as what the task reads items of a kind; here as they are."""
        return kind

    @classmethod
    def check_effects(cls, values: Mapping[str, Any]) -> None:
        """Raise for an option that has no effect on items of a kind, or beside others.

        Args:
            values: option -> value; an absent option has its default.

        Raises:
            InputError: the message names the option and what it needs.
        """
        for name, value, kinds in cls.of_other_kinds(values):
            raise InputError(no_effect(name, value, values["kind"], kinds))
        described = options_of(cls)
        for name, needed in cls.without_effect(values).items():
            value = {**values, **_check.names("feature_options", values.get("feature_options"))}.get(name)
            if value is not None and (name not in described or value != described[name].default):
                raise InputError(describe(name, value, f"none without {needed}"))

    @classmethod
    def of_other_kinds(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, Any, Sequence[str]]]:
        """Yield each option that has no effect on items of the kind in ``values``, its value, and the kinds it is for.

        A value that is the default or switches something off is taken for items of every kind.

        Args:
            values: option -> value; without a ``kind`` that the task reads nothing is yielded.
        """
        from rekur.features import FEATURES

        kind, features = values.get("kind", "auto"), values.get("feature_options") or {}
        kinds_read: Sequence[str] = getattr(cls, "item_kinds", ())
        if kind not in kinds_read:
            return
        for name, each in options_of(cls).items():
            value = values.get(name)
            if each.kinds and kind not in each.kinds and value not in (each.default, None, 0, False):
                yield name, value, each.kinds
        taken = {each: inspect.signature(FEATURES[each]).parameters for each in kinds_read}
        for name, value in features.items():
            kinds = [each for each, names in taken.items() if name in names]
            if kinds and kind not in kinds and value is not None:
                yield name, value, kinds

    @classmethod
    def only_studied(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that a search sets and a training with these values would set otherwise; here none."""
        return {}

    @classmethod
    def without_effect(cls, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the options that have no effect beside others, and what each of them needs, in words.

        Args:
            values: option -> value; those of ``feature_options`` may have any value.
        """
        return {}


def no_effect(name: str, value: Any, kind: str, kinds: Sequence[str]) -> str:
    """Return the message for an option that has no effect on items of a kind, and the kinds it is for."""
    return describe(name, value, f"none for {kind}", f"It is for {' and '.join(kinds)}.")


TRAIN_OPTIONS = names_in(SharedOptions, TrainOptions)


def _absolute_vectors(source: str) -> str:
    from rekur.data.vectors import GLOVE

    return source if source == GLOVE else os.path.abspath(source)


@options
class VectorOptions:
    """The option of tasks that can read words by trained vectors."""

    vectors: str | None = option(
        "data",
        "Trained word vectors: a file of GloVe, word2vec or fastText, or glove for those of the extra `vectors`.",
        default=None,
        details="The first 100,000 words are taken; they stay in the bundle and are not trained.",
        search=None,
        absolute=_absolute_vectors,
    )


@options
class ItemFeatureOptions:
    """The options of features that the command line has for texts, series and symbols."""

    tokens: str | None = option(
        "data", "What a step of a text is.", default=None, choices=("auto", "word", "char", "byte", "bpe")
    )
    lowercase: bool | None = option(
        "data", "Fold upper case; by default for words only.", default=None, negative="--keep-case"
    )
    max_vocabulary: int | None = option("data", "Most entries of a vocabulary; the rest is unknown.", default=None)
    min_count: int | None = option("data", "Times that a token must occur to enter the vocabulary.", default=None)
    max_length: int | None = option("data", "Steps after which a sequence is cut; by default never.", default=None)
    missing: str | None = option(
        "data", "What stands for a missing number.", default=None, choices=("hold", "zero", "error")
    )
    codes: bool | None = option(
        "data",
        "Read symbols as codes with blanks between, or as letters; by default as they look.",
        default=None,
        negative="--letters",
    )


@options
class ItemOptions(SeriesOptions, VectorOptions, SharedOptions):
    """Options of the tasks that read one item at a time."""

    #: how labels are read from a file: ``class``, ``classes`` or ``number``
    label_type: ClassVar[str] = "class"
    #: the kinds of items that the task reads
    item_kinds: ClassVar[tuple[str, ...]] = ("text", "series", "symbols")
    # searches and comparisons try options of recurrent networks
    studied: ClassVar[Mapping[str, Any]] = MappingProxyType({"network": "recurrent"})

    kind: str = option(
        "data",
        "What an item is: text (a string), series (rows of numbers) or symbols (letters or event codes).",
        default="auto",
        details="``auto`` decides by the type of the first item that is not missing.",
        search=None,
        shell=False,
    )
    feature_options: dict[str, Any] | None = option(
        "data",
        'Options of the features, such as ``{"tokens": "char"}``; see ``rekur.features``.',
        default=None,
        members=ItemFeatureOptions,
        search=None,
    )
    cell: str | None = override(SharedOptions, "cell", default=None)  # type: ignore[assignment]
    num_layers: int = override(SharedOptions, "num_layers", default=1)
    bidirectional: bool = option("model", "Read from both ends; such a model cannot run live.", default=False)
    kernel_size: int | None = option(
        "model", "Steps that a causal convolution before the recurrent layers sees; 0 for none.", default=None
    )
    pooling: str | None = option(
        "model",
        "last, mean, max, attention, or several joined by +.",
        default=None,
        details="How the outputs of all steps become one vector.",
        check=_check.pooling,
    )
    token_dropout: float | None = option(
        "model", "Chance that a token is read as unknown.", default=None, kinds=TOKEN_KINDS, search="0:0.4"
    )
    input_noise: float | None = option(
        "model",
        "Noise added to standardised numbers.",
        default=None,
        details="Its standard deviation.",
        kinds=("series",),
        search="0:0.3",
    )
    warmup: float = override(SharedOptions, "warmup", default=0.1)
    valid_fraction: float = override(SharedOptions, "valid_fraction", default=0.1, check=partial(check_share, "items"))

    @classmethod
    def check_values(cls, values: Mapping[str, Any]) -> None:
        """Raise for each value that is out of range, whatever the data and the machine are."""
        super().check_values(values)
        cls.check_features(
            _check.choice("kind", values.get("kind", "auto"), ("auto", *cls.item_kinds)),
            _check.names("feature_options", values.get("feature_options")),
        )
        cls.check_model({"cell": "lstm", "hidden_size": 1, **values_set(cls, values)})

    @classmethod
    def without_effect(cls, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the trained vectors where items or their tokens are no words, and what the network lacks."""
        kind = values.get("kind", "auto")
        features = _check.names("feature_options", values.get("feature_options"))
        tokens = features.get("tokens") or "auto"
        of_words = kind in ("auto", "text") and tokens in ("auto", "word")
        return series_options.without_effect(values, kind) | ({} if of_words else {"vectors": "texts in words"})

    @classmethod
    def check_features(cls, kind: str, values: Mapping[str, Any]) -> None:
        """Raise for an option of features that is unknown, or out of range for a kind of items."""
        from rekur.features import FEATURES, make_features

        if kind != "auto" and not _OF_VECTORS & set(values):
            make_features(kind, **values)
            return
        names = {name for each in cls.item_kinds for name in inspect.signature(FEATURES[each]).parameters}
        _check.no_unknown("feature option", values, sorted(names - _OF_VECTORS))  # they follow from ``vectors``

    @classmethod
    def check_model(cls, sizes: Mapping[str, Any]) -> None:
        """Raise for an option of the network that is out of range."""
        SequenceSpec(
            discrete=True, input_size=2, output_size=2, **{name: sizes[name] for name in MODEL_OPTIONS if name in sizes}
        )


#: the options of features that follow from ``vectors``
_OF_VECTORS = frozenset(["vector_words", "vector_size"])
MODEL_OPTIONS = names_in(ItemOptions, SequenceSpec)
