"""Language: the probability of the next token, for text and for everything that is written like one.

Axes: B batch, T time, V vocabulary.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from rekur._options import documented
from rekur.data import Tokens, encode_texts, texts_in_memory
from rekur.data.streams import Pieces
from rekur.decode import StepFunction
from rekur.features import TextFeatures
from rekur.lower import step_function
from rekur.models import LanguageNetwork, LanguageSpec, build_language
from rekur.runtime import GenerationMixin, documents
from rekur.targets import NextTarget
from rekur.targets.gallery import Gallery
from rekur.tasks.base.early import check_machine
from rekur.tasks.base.estimator import Estimator
from rekur.tasks.language import language_recipe as recipe
from rekur.tasks.language.adapt import DynamicEvaluation, NeuralCache, run_adapting
from rekur.tasks.language.language_plan import run
from rekur.tasks.language.options import RUN_OPTIONS, LanguageOptions
from rekur.tasks.language.text_stages import TextStages


@documented
class LanguageModel(LanguageOptions, GenerationMixin, Estimator):
    r"""A recurrent network that says how probable the next token of a text is.

    .. math:: p(x_1, \dots, x_T) = \prod_t p(x_t \mid h_{t-1}), \qquad
        \mathcal{L} = -\frac{1}{T} \sum_t \log p(x_t \mid h_{t-1})

    It is trained by truncated back-propagation through time: the text is cut into a few long streams, the streams
    into chunks; the state goes from chunk to chunk, the gradient does not. Options that are None are chosen by the
    rules in ``rekur.tasks.language.language_recipe``.

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
    run_options = RUN_OPTIONS
    target_: NextTarget
    features_: TextFeatures
    model_: LanguageNetwork

    def fit(
        self, X: Any, y: None = None, *, X_valid: Any = None, start_from: str | os.PathLike[str] | None = None
    ) -> Self:
        """Train on texts.

        Args:
            X: a text, or a list of texts, each a document.
            y: unused; here because scikit-learn's pipelines give it.
            X_valid: texts to validate on; by default a share of the training text is held out.
            start_from: a bundle whose features and weights are taken where they fit; see :meth:`fit_corpus`.

        Returns:
            self.

        Raises:
            InputError: a text or an option cannot be used; the message says which and why.
        """
        valid = None if X_valid is None else texts_in_memory(documents(X_valid), name="X_valid")
        return self.fit_corpus(texts_in_memory(documents(X), name="X"), valid, start_from=start_from)

    def check_options(self) -> None:
        """Raise for every option that is wrong whatever the texts are."""
        self.check_values(self.get_params(deep=False))
        check_machine(self.accelerator, self.precision)

    def make_stages(self) -> TextStages:
        """Return the stages of a training on streams in chunks."""
        return TextStages(self)

    def make_features(self, corpus: Any) -> TextFeatures:
        """Return features of text with the tokens of the options, not fitted yet."""
        options = {**recipe.text_options(self.tokens), **(self.feature_options or {})}
        return TextFeatures(self.tokens, **options)

    def evaluate_corpus(
        self,
        corpus: Pieces,
        gallery: Gallery | None = None,
        *,
        dynamic: DynamicEvaluation | None = None,
        cache: NeuralCache | None = None,
        reads: Callable[[Tokens], None] | None = None,
    ) -> dict[str, Any]:
        """Return loss, perplexity, bits per character and per byte on texts that are read in pieces, as plain JSON.

        Args:
            corpus: the texts.
            gallery: is given the texts, for a page; not with the following two.
            dynamic: let the weights follow the text while it is read; each token is predicted before.
            cache: expect again what followed when the outputs were alike. With either of the two the scores are
                those of a model that learns from the test text, and say so under ``adapted``.
            reads: is given the tokens of the texts.
        """
        if dynamic is None and cache is None:
            return super().evaluate_corpus(corpus, gallery, reads=reads)
        tokens, reset = encode_texts(corpus, self.features_), self.target_.reset
        if reads is not None:
            reads(tokens)
        adapted = run_adapting(self.model_, tokens.ids, tokens.starts, reset=reset, dynamic=dynamic, cache=cache)
        used = [name for name, how in (("dynamic", dynamic), ("cache", cache)) if how is not None]
        return {**self._report_of(adapted.each, tokens), "adapted": used}

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
