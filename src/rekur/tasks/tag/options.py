"""The options of a tagger."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from rekur import _check
from rekur._options import names_in, option, options, override, values_set
from rekur._tokenizer import BAD_SPANS, CUTS
from rekur.models.encoder_spec import TaggerSpec
from rekur.tasks.base.options import ItemFeatureOptions, SharedOptions, VectorOptions, check_share

if TYPE_CHECKING:
    from rekur.features.words import WordFeatures


@options
class WordFeatureOptions:
    """The options of features of lists of words."""

    fold_case: bool | None = option(
        default=None,
        group="data",
        help="Read capitals as small letters in all but the shape of a word; by default yes.",
        negative="--keep-case",
    )
    max_vocabulary: int | None = option(
        default=None,
        group="data",
        help="Most entries of a vocabulary; the rest is unknown.",
    )
    min_count: int | None = option(
        default=None,
        group="data",
        help="Times that a word must occur to enter the vocabulary; 2 by default.",
    )
    prefixes: int | None = option(
        default=None,
        group="data",
        help="Longest beginning of a word that is read by itself, 0 to 8; 4 by default.",
    )
    suffixes: int | None = option(
        default=None,
        group="data",
        help="Longest end of a word that is read by itself, 0 to 8; 4 by default.",
    )
    shape: bool | None = option(
        default=None,
        group="data",
        help="Read the shape of a word, such as Xxx of Ada; by default yes.",
        negative="--no-shape",
    )
    buckets: int | None = option(
        default=None,
        group="data",
        help="Ids into which each part of words is hashed; 5000 by default.",
    )


@options
class TagFeatureOptions(WordFeatureOptions):
    """The options of features that the command line has for words and for rows of numbers."""

    missing: str | None = override(ItemFeatureOptions, "missing", default=None)


@options
class TagOptions(VectorOptions, SharedOptions):
    """Options of :class:`rekur.Tagger`."""

    #: how labels are read from a file
    label_type: ClassVar[str] = "tags"
    usual_columns: ClassVar[bool] = True
    #: the kinds of items that the task reads
    item_kinds: ClassVar[tuple[str, ...]] = ("words", "series")
    fit_help: ClassVar[str] = """
    \b
    rekur fit tag en_ewt-ud-train.conllu --label upos --valid en_ewt-ud-dev.conllu --out runs/upos
    rekur fit tag entities.conll --out runs/entities
    rekur fit tag slots.jsonl --text tokens --label slots --out runs/slots
    rekur fit tag texts.jsonl --text text --label spans --out runs/spans
    rekur fit tag words.csv --group sentence --text word --label tag --out runs/words
    rekur fit tag log.csv --group subject --time at --series x --series y --label activity --out runs/log
    """
    tune_help: ClassVar[str] = """
    \b
    rekur tune tag slots.jsonl --text tokens --label slots --trials 30 --out runs/search
    """

    cut: str | None = option(
        default=None,
        group="data",
        help="Rule that cuts texts into sequences: at no place, at line ends, at blank lines, or behind sentences; "
        "sentence by default.",
        choices=CUTS,
        check=partial(_check.choice, allowed=CUTS),
        search=None,
        varies=False,
    )
    bad_spans: str = option(
        default="error",
        group="data",
        help="What is done with spans that do not fit the words of their text: refuse them, or leave them out.",
        choices=BAD_SPANS,
        check=partial(_check.choice, allowed=BAD_SPANS),
        search=None,
        varies=False,
    )
    kind: str = option(
        default="auto",
        group="data",
        help="What a step is: a word (words) or a row of numbers (series).",
        details="``auto`` decides by the first item that is not missing.",
        check=partial(_check.choice, allowed=("auto", "words", "series")),
        search=None,
        shell=False,
    )
    feature_options: dict[str, Any] | None = option(
        default=None,
        group="data",
        help='Options of the features, such as ``{"suffixes": 3}``; see ``rekur.features``.',
        members=TagFeatureOptions,
        search=None,
    )
    valid_fraction: float = override(
        SharedOptions, "valid_fraction", default=0.1, check=partial(check_share, "sentences")
    )
    cell: str = override(SharedOptions, "cell", default="gru", help="A cell of `rekur cells`; gru by default.")
    num_layers: int = override(SharedOptions, "num_layers", default=2)
    residual: bool | None = override(  # type: ignore[assignment]
        SharedOptions,
        "residual",
        default=None,
        negative="--no-residual",
        help="Add each layer's input to its output; by default where there are several layers.",
    )
    bidirectional: bool = option(
        default=True,
        group="model",
        help="Read sequences from both ends; such a model cannot run live.",
        flag_help="Read sequences from left to right only, so that the model can run live.",
        negative="--causal",
        check=_check.flag,
        search=None,
    )
    embedding_size: int | None = override(
        SharedOptions,
        "embedding_size",
        default=None,
        kinds=("words",),
        help="Values that a word is turned into.",
        search="64,96,128",
    )
    part_size: int | None = option(
        default=None,
        group="model",
        help="Values that each part of a word is turned into.",
        kinds=("words",),
        search="16,32,48",
    )
    projection_size: int | None = option(
        default=None,
        group="model",
        help="Size of a layer between steps and recurrence; 0 for none.",
        search="128,256,384",
    )
    kernel_size: int = option(
        default=0,
        group="model",
        help="Steps that a causal convolution before the recurrent layers sees; 0 for none.",
    )
    look_ahead: int = option(
        default=0,
        group="model",
        help="Later steps that a tag waits for; live it comes as many steps late. Needs a model that reads forward.",
        search=None,
    )
    members: int = option(
        default=1,
        group="model",
        help="Networks that are trained side by side, and whose scores are averaged.",
        check=partial(_check.whole, low=1, high=64),
        search=None,
    )
    token_dropout: float | None = option(
        default=None,
        group="model",
        help="Chance that a word is read as unknown; its parts stay.",
        kinds=("words",),
        search="0:0.5",
    )
    word_dropout: float | None = option(
        default=None,
        group="model",
        help="Chance that a word with all its parts is read as a learned vector.",
        kinds=("words",),
        search="0:0.3",
    )
    batch_size: int | None = override(
        SharedOptions,
        "batch_size",
        default=None,
        help="Sentences of a batch; by default as many as hold --batch-steps words.",
        search=None,
    )
    batch_steps: int | None = option(
        default=None,
        group="training",
        help="Words of a batch, about, where --batch-size is not given.",
        check=partial(_check.whole, low=1),
        search="500,1000,2000",
    )
    chunk_length: int | None = option(
        default=None,
        group="training",
        help="Steps of the parts in which long series are read; a model that reads forward carries its state on.",
        check=partial(_check.whole, low=1),
        kinds=("series",),
        search="128,256,512",
    )
    schedule: str = override(SharedOptions, "schedule", default="linear")
    warmup: float = override(SharedOptions, "warmup", default=0.05)

    @classmethod
    def check_values(cls, values: Mapping[str, Any]) -> None:
        """Raise for each value that is out of range, whatever the data and the machine are."""
        _features_of(values)
        super().check_values(values)
        sizes = {"cell": "gru", "hidden_size": 1, **values_set(cls, values)}
        TaggerSpec(columns=(2,), output_size=2, **{name: sizes[name] for name in MODEL_OPTIONS if name in sizes})

    @classmethod
    def item_kind(cls, kind: str) -> str:
        """Return ``series`` for rows of numbers, else ``words``."""
        return "series" if kind == "series" else "words"

    @classmethod
    def without_effect(cls, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the options of words without words, those of parts of words without parts, and one size of a batch."""
        idle = {} if values.get("batch_size") is None else {"batch_steps": "a batch size left open"}
        if values.get("kind") == "series":
            return idle | {"vectors": "words"}
        features = _features_of(values)
        if features.prefixes or features.suffixes or features.shape:
            return idle
        return idle | dict.fromkeys(("part_size", "buckets"), "parts of words: beginnings, ends or the shape")


def _features_of(values: Mapping[str, Any]) -> WordFeatures:
    """Return the features of words that options describe; raise for an option that is unknown or out of range."""
    from rekur.features.series import SeriesFeatures  # imports NumPy, which --help need not wait for
    from rekur.features.words import WordFeatures

    features = _check.names("feature_options", values.get("feature_options"))
    _check.no_unknown("feature option", features, [*_FEATURE_OPTIONS])
    chosen = {name: value for name, value in features.items() if value is not None}
    SeriesFeatures(**{name: chosen[name] for name in chosen if name not in _OF_WORDS})
    return WordFeatures(**{name: chosen[name] for name in chosen if name in _OF_WORDS})


MODEL_OPTIONS = names_in(TagOptions, TaggerSpec)
_OF_WORDS = names_in(WordFeatureOptions, WordFeatureOptions)
_FEATURE_OPTIONS = names_in(TagFeatureOptions, TagFeatureOptions)
