"""The options of a translator."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from rekur import _check
from rekur._options import names_in, option, options, override, values_set
from rekur.models.decoder_spec import ATTENTIONS, TYINGS, DecoderSpec
from rekur.tasks.base.options import SharedOptions, check_share


@options
class PairFeatureOptions:
    """The options of features of pairs of texts."""

    tokens: str | None = option(
        "data", "What a step of a text is; bpe by default.", default=None, choices=("bpe", "word", "char")
    )
    shared: bool | None = option(
        "data",
        "One vocabulary for both sides; by default yes.",
        default=None,
        flag_help="One vocabulary for both sides, or one for each; shared by default.",
        negative="--separate",
    )
    max_vocabulary: int | None = option(
        "data",
        "Most tokens of a vocabulary, bytes included; by default 8000 byte pairs, or fewer of little text.",
        default=None,
    )
    min_count: int | None = option("data", "Times that a token must occur to enter the vocabulary.", default=None)
    max_length: int | None = option("data", "Tokens after which a text is cut; by default never.", default=None)


@options
class TranslateOptions(SharedOptions):
    """Options of :class:`rekur.Translator`."""

    no_transformer: ClassVar[str] = "A text is written by recurrent layers that carry their state from token to token."
    #: how labels are read from a file
    label_type: ClassVar[str] = "text"
    fit_help: ClassVar[str] = """
    \b
    rekur fit translate train.en train.fr --valid val.en val.fr --out runs/en-fr
    rekur fit translate pairs.tsv --source english --target french --out runs/en-fr
    """
    tune_help: ClassVar[str] = """
    \b
    rekur tune translate train.en train.fr --valid val.en val.fr --trials 30 --out runs/search
    """

    feature_options: dict[str, Any] | None = option(
        "data",
        'Options of the features, such as ``{"tokens": "word"}``; see ``rekur.features.PairFeatures``.',
        default=None,
        members=PairFeatureOptions,
        search=None,
    )
    valid_fraction: float = override(SharedOptions, "valid_fraction", default=0.1, check=partial(check_share, "pairs"))
    cell: str = override(SharedOptions, "cell", default="gru", help="A cell of `rekur cells`; gru by default.")
    hidden_size: int | None = override(
        SharedOptions, "hidden_size", default=None, help="Hidden units of each layer and direction of the encoder."
    )
    num_layers: int = override(SharedOptions, "num_layers", default=1, help="Layers of the encoder.")
    bidirectional: bool = option(
        "model",
        "Read the source from both ends.",
        default=True,
        flag_help="Read the source from left to right only.",
        negative="--causal",
        check=_check.flag,
        search=None,
    )
    embedding_size: int | None = override(SharedOptions, "embedding_size", default=None, kinds=(), search="128,192,256")
    decoder_size: int | None = option(
        "model",
        "Hidden units of each layer of the decoder; by default as many as the encoder gives.",
        default=None,
        search="128,256,512",
    )
    decoder_layers: int = option("model", "Layers of the decoder.", default=1, search="1:2")
    attention: str = option(
        "model", "How the decoder's state scores the steps of the source.", default="dot", choices=ATTENTIONS
    )
    tying: str | None = option(
        "model",
        "Tables of vectors that are one: that of the decoder's input and output (target), that of the source too "
        "(all), or none; by default all with one vocabulary, else target.",
        default=None,
        choices=TYINGS,
        check=partial(_check.choice, allowed=TYINGS),
    )
    input_dropout: float | None = override(
        SharedOptions,
        "input_dropout",
        default=None,
        help="Chance that a feature of the tokens' vectors is off for a whole text.",
    )
    dropout: float | None = override(
        SharedOptions, "dropout", default=None, help="Chance that a value is off between layers.", search=""
    )
    state_dropout: float | None = option(
        "model",
        "Chance that a value of the decoder's state or context is off for a whole text.",
        default=None,
        search="0:0.5",
    )
    output_dropout: float | None = option(
        "model", "Chance that a value is off before the scores for a whole text.", default=None, search="0:0.5"
    )
    label_smoothing: float = option(
        "training",
        "Share of the target that is spread over all tokens.",
        default=0.1,
        check=partial(_check.number, low=0, high=1, open_high=True),
        search="0:0.2",
    )
    samples: int | None = option(
        "training",
        "Target tokens, drawn for each batch, over which training sums the softmax; 0 for all.",
        default=None,
        check=partial(_check.whole, low=0),
    )
    batch_size: int | None = override(
        SharedOptions,
        "batch_size",
        default=None,
        help="Pairs of a batch; by default as many as hold --batch-steps tokens.",
        search=None,
    )
    batch_steps: int | None = option(
        "training",
        "Target tokens of a batch, about, where --batch-size is not given.",
        default=None,
        check=partial(_check.whole, low=1),
        search="500,1000,2000",
    )
    warmup: float = override(SharedOptions, "warmup", default=0.04)

    alpha: float | None = option(
        "decoding",
        "Exponent of the length by which texts of a beam are ranked; by default chosen on the validation pairs.",
        default=None,
        check=partial(_check.number, low=0),
        search=None,
    )

    @classmethod
    def check_values(cls, values: Mapping[str, Any]) -> None:
        """Raise for each value that is out of range, whatever the data and the machine are."""
        from rekur.features.pairs import PairFeatures  # imports NumPy, which --help need not wait for

        features = _check.names("feature_options", values.get("feature_options"))
        _check.no_unknown("feature option", features, [*names_in(PairFeatureOptions, PairFeatureOptions)])
        chosen = {name: value for name, value in features.items() if value is not None}
        PairFeatures(**chosen)
        super().check_values(values)
        sizes = {"cell": "gru", "hidden_size": 1, "decoder_size": 1, **values_set(cls, values)}
        if not chosen.get("shared", True) and sizes.get("tying") == "all":
            sizes["columns"] = (6,)  # refused by the specification, as vocabularies differ
        model = {name: sizes[name] for name in (*MODEL_OPTIONS, "columns") if name in sizes}
        DecoderSpec(**{"columns": (5,), "output_size": 5, **model})

    @classmethod
    def without_effect(cls, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the tokens of a batch beside its number of pairs, and the dropout between layers without several."""
        idle = {} if values.get("batch_size") is None else {"batch_steps": "a batch size left open"}
        layers = max(values.get("num_layers", 1), values.get("decoder_layers", 1))
        if layers < 2 and values.get("dropout"):
            idle["dropout"] = "two layers or more"
        return idle


MODEL_OPTIONS = names_in(TranslateOptions, DecoderSpec)
