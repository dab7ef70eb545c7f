"""The options of a language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from rekur import _check
from rekur._options import names_in, option, options, override, values_set, whole_numbers
from rekur.models.language_spec import SOFTMAXES, LanguageSpec
from rekur.tasks.base.options import TRAIN_OPTIONS, SharedOptions, VectorOptions, check_share
from rekur.tasks.language import language_recipe as recipe

TOKENS = ("char", "byte", "word", "bpe")
_CHANCE_SEARCH = "0:0.5"


@options
class TextFeatureOptions:
    """The options of features that the command line has for language models."""

    lowercase: bool | None = option(
        "data", "Fold upper case; by default cases are kept.", default=None, negative="--keep-case"
    )
    digits: str | None = option(
        "data", "Read every digit as 0, or keep them; by default they are kept.", default=None, choices=("keep", "zero")
    )
    words: str | None = option(
        "data", "Where words end: at marks, or at spaces only.", default=None, choices=("auto", "marks", "spaces")
    )
    max_vocabulary: int | None = option("data", "Most entries of a vocabulary; the rest is unknown.", default=None)
    min_count: int | None = option("data", "Times that a token must occur to enter the vocabulary.", default=None)


@options
class LanguageOptions(SharedOptions):
    """Options of :class:`rekur.LanguageModel`."""

    fit_help: ClassVar[str] = """
    FILE may be repeated, be a pattern such as 'books/**/*.txt', a folder, compressed, or - for standard input. Music in
    ABC notation, DNA, SMILES and source code are text too.

    \b
    rekur fit language shakespeare.txt --out runs/shakespeare --time-limit 3m
    rekur fit language train.txt --valid valid.txt --tokens word --out runs/words
    rekur fit language 'src/**/*.py' --document file --out runs/python
    rekur fit language posts.jsonl --text body --tokens bpe --out runs/posts
    """
    tune_help: ClassVar[str] = """
    \b
    rekur tune language books/*.txt --trials 20 --trial-time-limit 3m --out runs/search
    """

    # ── data ─────────────────────────────────────────────────────────────────────────────────────────────────

    tokens: str = option(
        "data",
        "What is predicted; characters by default.",
        default="char",
        details="``char`` (Unicode characters), ``byte``, ``word`` or ``bpe`` (byte pairs).",
        choices=TOKENS,
        check=partial(_check.choice, allowed=TOKENS),
        search=None,
        varies=False,  # scores are for each token
    )
    feature_options: dict[str, Any] | None = option(
        "data",
        'Options of :class:`rekur.features.TextFeatures`, such as ``{"lowercase": True}``.',
        default=None,
        members=TextFeatureOptions,
        search=None,
    )

    vectors: str | None = override(
        VectorOptions,
        "vectors",
        default=None,
        help="Trained word vectors, with which the vectors of words begin: a file, or glove (extra `vectors`).",
        details="For ``tokens='word'``. They are trained on, and stand in the output layer too where it is tied.",
    )

    # ── model ────────────────────────────────────────────────────────────────────────────────────────────────

    cell: str = override(SharedOptions, "cell", default="lstm", search="lstm,gru")
    hidden_size: int | None = override(
        SharedOptions, "hidden_size", default=None, help="Hidden units of each layer.", search="128:512:64"
    )
    num_layers: int | None = override(SharedOptions, "num_layers", default=None, search="1:3")
    embedding_size: int | None = override(SharedOptions, "embedding_size", default=None, kinds=(), search="")
    ngrams: Sequence[int] | None = option(
        "model",
        "Lengths of the runs of tokens that have vectors of their own, such as 2,3.",
        default=None,
        parse=whole_numbers,
        metavar="NUMBERS",
        check=_check.several,
    )
    ngram_rows: int | None = option(
        "model",
        "Rows of each of their tables.",
        default=None,
        details="The most frequent runs of one length have a row, if they occur eight times or more.",
        check=_check.size,
        needs="ngrams",
    )
    ngram_dropout: float | None = option(
        "model", "Chance that the vector of a run of tokens is zeros.", default=None, needs="ngrams"
    )
    recall: Sequence[int] | None = option(
        "model",
        "Lengths of the runs of tokens of which is recalled what followed them last, such as 3,5.",
        default=None,
        parse=whole_numbers,
        metavar="NUMBERS",
        check=_check.several,
    )
    recall_slots: int = option(
        "model", "How many runs of each length are remembered; a power of 2.", default=4096, needs="recall"
    )
    tied: bool | None = option(
        "model", "The output layer uses the embedding's weights.", default=None, negative="--not-tied"
    )
    softmax: str | None = option(
        "model",
        "full, adaptive (frequent tokens first) or sampled (a part of the vocabulary in training).",
        default=None,
        check=partial(_check.choice, allowed=SOFTMAXES),
    )
    row_dropout: float | None = option(
        "model", "Chance that a token's vector is zeros wherever it stands.", default=None
    )
    input_dropout: float | None = override(
        SharedOptions, "input_dropout", default=None, help="Chance that an input feature is off for a whole chunk."
    )
    dropout: float | None = override(
        SharedOptions,
        "dropout",
        default=None,
        help="Chance that a feature between layers is off for a whole chunk.",
        search=_CHANCE_SEARCH,
    )
    output_dropout: float | None = option(
        "model",
        "Chance that a feature before the output layer is off for a whole chunk.",
        default=None,
        search=_CHANCE_SEARCH,
    )
    weight_dropout: float | None = option(
        "model", "Chance that a recurrent weight is off for a whole chunk.", default=None, search=_CHANCE_SEARCH
    )
    activation_regularisation: float = option("model", "Weight of the squared outputs in the loss.", default=0.0)
    temporal_regularisation: float = option(
        "model", "Weight of their squared changes from step to step in the loss.", default=0.0
    )

    # ── training ─────────────────────────────────────────────────────────────────────────────────────────────

    reset: bool | None = option(
        "training",
        "Begin every document with a fresh state; by default where there are several.",
        default=None,
        negative="--no-reset",
        check=_check.flag,
    )
    chunk_length: int | None = option(
        "training",
        "Steps that the gradient goes back.",
        default=None,
        check=partial(_check.whole, low=1),
        search="64,128,256",
    )
    jitter: float = option(
        "training",
        "By how large a share chunks differ in length.",
        default=0.0,
        details="In [0, 1).",
        check=partial(_check.number, low=0, high=1, open_high=True),
    )
    checkpoint_steps: int = option(
        "training",
        "Keep states every so many steps only and compute the rest twice, to save memory.",
        default=0,
        details="0 keeps all.",
    )
    batch_size: int | None = override(SharedOptions, "batch_size", default=None, search="16,32,64")
    valid_fraction: float | None = override(
        SharedOptions,
        "valid_fraction",
        default=None,
        details="None keeps a tenth, and nothing of a text under 200 tokens, which is learnt by heart.",
        check=partial(check_share, "text"),
    )

    @classmethod
    def check_values(cls, values: Mapping[str, Any]) -> None:
        """Raise for each value that is out of range, whatever the texts and the machine are."""
        from rekur.features import TextFeatures

        super().check_values(values)
        tokens = values.get("tokens", "char")
        features = _check.names("feature_options", values.get("feature_options"))
        _check.no_unknown("feature option", features, _FEATURE_NAMES)
        TextFeatures(tokens, **{**recipe.text_options(tokens), **features})
        chosen = values_set(cls, values)
        sizes = {name: chosen[name] for name in MODEL_OPTIONS if name in chosen}
        borders = recipe.cutoffs(100) if sizes.get("softmax") == "adaptive" else ()
        rows = (2,) * len(_check.several("ngrams", sizes.get("ngrams", ())))
        LanguageSpec(vocabulary_size=100, ngram_rows=rows, cutoffs=borders, **sizes)

    @classmethod
    def without_effect(cls, values: Mapping[str, Any]) -> dict[str, str]:
        """Return the trained vectors where tokens are no words."""
        words = values.get("tokens", "char") == "word"
        return {} if words else {"vectors": "words as tokens: tokens='word' (--tokens word)"}


_FEATURE_NAMES = ("lowercase", "digits", "max_vocabulary", "min_count", "words")
#: the options of the network; ``ngram_rows`` of a network follow from the text
MODEL_OPTIONS = tuple(name for name in names_in(LanguageOptions, LanguageSpec) if name != "ngram_rows")
#: the options that a run that is resumed must have in common with the one that was begun
RUN_OPTIONS = (*TRAIN_OPTIONS, "tokens", "batch_size", "chunk_length", "jitter", "reset")
