"""Language: the probability of the next token, for text and for everything that is written like one.

Axes: B batch, T time, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rekur.data import Tokens, encode_texts, texts_in_memory
from rekur.data.streams import Pieces
from rekur.decode import StepFunction
from rekur.features import TextFeatures
from rekur.lower import step_function
from rekur.models import LanguageNetwork, LanguageSpec, build_language
from rekur.runtime import GenerationMixin, documents
from rekur.runtime.generation import records_of_tokens
from rekur.targets import NextTarget
from rekur.tasks.base.estimator import Estimator
from rekur.tasks.language import language_recipe as recipe
from rekur.tasks.language.adapt import DynamicEvaluation, NeuralCache, run_adapting
from rekur.tasks.language.language_checks import check_options
from rekur.tasks.language.language_plan import run
from rekur.tasks.language.text_stages import TextStages


class LanguageModel(GenerationMixin, Estimator):
    r"""A recurrent network that says how probable the next token of a text is.

    .. math:: p(x_1, \dots, x_T) = \prod_t p(x_t \mid h_{t-1}), \qquad
        \mathcal{L} = -\frac{1}{T} \sum_t \log p(x_t \mid h_{t-1})

    It is trained by truncated back-propagation through time: the text is cut into a few long streams, the streams
    into chunks; the state goes from chunk to chunk, the gradient does not. Options that are None are chosen by the
    rules in ``rekur.tasks.language.language_recipe``.

    Args:
        tokens: what is predicted: ``char`` (Unicode characters), ``byte``, ``word`` or ``bpe`` (byte pairs).
        feature_options: further options of :class:`rekur.features.TextFeatures`, such as ``{"lowercase": True}``.
        cell: a name in ``rekur.cells.CELLS``.
        hidden_size: hidden units of a layer.
        num_layers: layers on top of each other.
        embedding_size: values a token is turned into.
        ngrams: lengths of the runs of tokens that have learned vectors of their own, such as ``(2, 3)``.
        ngram_rows: how many runs of one length have a vector at most: the most frequent, seen at least eight times.
        ngram_dropout: chance that a feature of their vectors is off for a whole chunk, in training.
        recall: lengths of the runs of tokens for which it is looked up what followed them when they stood in the text
            last, such as ``(3, 5)``.
        recall_slots: how many runs of each length a session remembers; a power of 2.
        tied: the output layer uses the embedding's weights.
        softmax: ``full``, ``adaptive`` (frequent tokens first) or ``sampled`` (a part of the vocabulary in training).
        row_dropout: chance that a token's vector is zeros wherever it stands, in training.
        input_dropout: chance that an input feature is off for a whole chunk, in training.
        dropout: the same between layers.
        output_dropout: the same before the output layer.
        weight_dropout: chance that a recurrent weight is off for a whole chunk, in training.
        recurrent_dropout: chance that a hidden value is off on its way to the next step, for a whole chunk.
        activation_regularisation: weight of the squared outputs in the loss.
        temporal_regularisation: weight of their squared changes from step to step in the loss.
        residual: add each layer's input to its output.
        norm: layer norm after each layer.
        reset: begin every document with a fresh state; None does so where there are several.
        chunk_length: steps that the gradient goes back.
        jitter: by how large a share chunks differ in length, in [0, 1).
        checkpoint_steps: keep states only every so many steps and compute the rest twice; 0 keeps all.
        epochs: passes over the training text at most.
        steps: steps of the optimiser at most, instead of ``epochs``; 0 goes by epochs.
        batch_size: streams side by side.
        learning_rate: the highest rate of AdamW.
        weight_decay: of AdamW.
        schedule: ``cosine``, ``linear`` or ``constant``.
        warmup: share of all steps in which the rate rises.
        clip: the largest norm of all gradients together; 0 for none.
        patience: evaluations without a better score before training stops; 0 never stops early.
        average: decay of the running average of the weights that is evaluated and kept; 0 for none.
        valid_fraction: share of the training text kept for validation where none is given; None keeps a tenth, and
            nothing of a text under 200 tokens, which is learnt by heart.
        seed: of everything random.
        precision: ``32-true``, ``bf16-mixed`` or ``16-mixed``.
        accelerator: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        time_limit: seconds after which training ends in good order; its schedule is planned for them. 0 for none.
        baseline: also score an n-gram model on the same validation text.
        verbose: tell on standard error how training goes.

    Attributes:
        metrics_: scores of the kept weights on the validation text, with a baseline beside them.
        history_: one row an evaluation.
        chosen_: the options as they were used.

    Reference:
        Mikolov et al., Recurrent Neural Network Based Language Model, 2010; Merity et al., Regularizing and
        Optimizing LSTM Language Models, 2018.

    Example:
        >>> text = "the cat sat on the mat. " * 40
        >>> model = LanguageModel(hidden_size=16, epochs=2, baseline=False).fit(text)
        >>> model.generate("the ", max_tokens=5, seed=0)[0].tokens
        5
    """

    task: ClassVar[str] = "language"
    target: ClassVar[str] = "next"
    reads: ClassVar[str] = "texts"
    chunk: ClassVar[str] = "chunk_length"
    steps_option: ClassVar[str] = "chunk_length"
    run_options = recipe.RUN_OPTIONS
    target_: NextTarget
    features_: TextFeatures
    model_: LanguageNetwork

    def __init__(
        self,
        *,
        tokens: str = "char",
        feature_options: dict[str, Any] | None = None,
        cell: str = "lstm",
        hidden_size: int | None = None,
        num_layers: int | None = None,
        embedding_size: int | None = None,
        ngrams: Sequence[int] | None = None,
        ngram_rows: int | None = None,
        ngram_dropout: float | None = None,
        recall: Sequence[int] | None = None,
        recall_slots: int = 4096,
        tied: bool | None = None,
        softmax: str | None = None,
        row_dropout: float | None = None,
        input_dropout: float | None = None,
        dropout: float | None = None,
        output_dropout: float | None = None,
        weight_dropout: float | None = None,
        recurrent_dropout: float = 0.0,
        activation_regularisation: float = 0.0,
        temporal_regularisation: float = 0.0,
        residual: bool = False,
        norm: bool = False,
        reset: bool | None = None,
        chunk_length: int | None = None,
        jitter: float = 0.0,
        checkpoint_steps: int = 0,
        epochs: int | None = None,
        steps: int = 0,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        schedule: str = "cosine",
        warmup: float | None = None,
        clip: float = 1.0,
        patience: int | None = None,
        average: float | None = None,
        valid_fraction: float | None = None,
        seed: int = 0,
        precision: str = "32-true",
        accelerator: str = "auto",
        time_limit: float = 0.0,
        baseline: bool = True,
        verbose: bool = False,
    ) -> None:
        self.tokens = tokens
        self.feature_options = feature_options
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.embedding_size = embedding_size
        self.ngrams = ngrams
        self.ngram_rows = ngram_rows
        self.ngram_dropout = ngram_dropout
        self.recall = recall
        self.recall_slots = recall_slots
        self.tied = tied
        self.softmax = softmax
        self.row_dropout = row_dropout
        self.input_dropout = input_dropout
        self.dropout = dropout
        self.output_dropout = output_dropout
        self.weight_dropout = weight_dropout
        self.recurrent_dropout = recurrent_dropout
        self.activation_regularisation = activation_regularisation
        self.temporal_regularisation = temporal_regularisation
        self.residual = residual
        self.norm = norm
        self.reset = reset
        self.chunk_length = chunk_length
        self.jitter = jitter
        self.checkpoint_steps = checkpoint_steps
        self.epochs = epochs
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.warmup = warmup
        self.clip = clip
        self.patience = patience
        self.average = average
        self.valid_fraction = valid_fraction
        self.seed = seed
        self.precision = precision
        self.accelerator = accelerator
        self.time_limit = time_limit
        self.baseline = baseline
        self.verbose = verbose

    def fit(self, X: Any, y: None = None, *, X_valid: Any = None) -> Self:
        """Train on texts.

        Args:
            X: a text, or a list of texts, each a document.
            y: unused; here because scikit-learn's pipelines give it.
            X_valid: texts to validate on; by default a share of the training text is held out.

        Returns:
            self.

        Raises:
            InputError: a text or an option cannot be used; the message says which and why.
        """
        valid = None if X_valid is None else texts_in_memory(documents(X_valid), name="X_valid")
        return self.fit_corpus(texts_in_memory(documents(X), name="X"), valid)

    def check_options(self) -> None:
        """Raise for every option that is wrong whatever the texts are."""
        check_options(self.get_params(deep=False))

    def make_stages(self) -> TextStages:
        """Return the stages of a training on streams in chunks."""
        return TextStages(self)

    def make_features(self, corpus: Any) -> TextFeatures:
        """Return features of text with the tokens of the options, not fitted yet."""
        options = {**recipe.text_options(self.tokens), **(self.feature_options or {})}
        return TextFeatures(self.tokens, **options)

    def evaluate_corpus(
        self, corpus: Pieces, *, dynamic: DynamicEvaluation | None = None, cache: NeuralCache | None = None
    ) -> dict[str, Any]:
        """Return loss, perplexity, bits per character and per byte on texts that are read in pieces, as plain JSON.

        Args:
            corpus: the texts.
            dynamic: let the weights follow the text while it is read; each token is predicted before.
            cache: expect again what followed when the outputs were alike. With either of the two the scores are
                those of a model that learns from the test text, and say so under ``adapted``.
        """
        if dynamic is None and cache is None:
            return super().evaluate_corpus(corpus)
        tokens, reset = encode_texts(corpus, self.features_), self.target_.reset
        adapted = run_adapting(self.model_, tokens.ids, tokens.starts, reset=reset, dynamic=dynamic, cache=cache)
        used = [name for name, how in (("dynamic", dynamic), ("cache", cache)) if how is not None]
        return {**self._report_of(adapted.each, tokens), "adapted": used}

    def _report_of(self, nats: NDArray[Any], tokens: Tokens) -> dict[str, Any]:
        return self.target_.report(records_of_tokens(self.target_, nats, tokens))

    def nats_of_tokens(self, ids: NDArray[Any], starts: NDArray[np.int64], *, reset: bool) -> NDArray[np.float32]:
        return run(self.model_, ids, starts, reset=reset)

    def step_function(self) -> StepFunction:
        """Return the function that scores the next token of many texts side by side, on the native engine."""
        return step_function(self.model_)

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags: X is a list of texts, and there is no y."""
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array, tags.input_tags.string = True, False, True
        tags.target_tags.required = False
        return tags

    def score(self, X: Any, y: None = None) -> float:
        """Return the mean log-probability of a character, in nats; higher is better, as scikit-learn wants it."""
        scores = self.evaluate(X)
        return -float(scores["nats"]) / max(1, int(scores["characters"]))

    def _restore_model(self, spec: dict[str, Any]) -> None:
        self.model_ = build_language(LanguageSpec.from_dict(spec))
