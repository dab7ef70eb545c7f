"""The model that runs without PyTorch: features, a program on the engine, and a target.

Axes: N items, T steps or tokens, K outputs.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rekur._history import History
from rekur._kernels import processors
from rekur._tensors import Array
from rekur.data.corpus import Corpus
from rekur.data.encoded import named
from rekur.data.parts import series_corpus
from rekur.data.pieces import LONG, windows
from rekur.data.ragged import Ragged
from rekur.data.sketch import Sketch
from rekur.errors import BundleError, InputError, NotStreamableError, describe
from rekur.features.base import Features
from rekur.program import Engine, ForecastEngine, PairEngine, Program
from rekur.runtime.attention import attention_grids
from rekur.runtime.bundle import Bundle, read_bundle
from rekur.runtime.content import check_match
from rekur.runtime.generation import GenerationMixin
from rekur.runtime.kept_series import kept_series
from rekur.runtime.layout import fingerprint_of
from rekur.runtime.live_program import LiveProgram, LiveTokens, LiveWindows, needs_whole
from rekur.runtime.prediction import PredictionMixin
from rekur.runtime.rival import Rival
from rekur.runtime.saved_rivals import read_rival
from rekur.runtime.search import search, search_of
from rekur.runtime.session import Session
from rekur.targets import LabelTarget, NextTarget, Target
from rekur.targets.gallery import Gallery, Grid

if TYPE_CHECKING:
    from rekur.decode import StepFunction

#: items that are run at once
_ITEMS = 256


class Model(PredictionMixin, GenerationMixin):
    """A trained model that predicts, evaluates, runs live and generates text, as far as its target can.

    A target of labels or numbers has ``predict``, ``present`` and ``scores``; the next token has
    ``log_probabilities`` and ``generate``. Another method is refused by name.

    Args:
        program: the program.
        weights: its weights, name -> array.
        features: turn an item into steps.
        target: the meaning of the outputs.
        threads: most threads of the kernels; None for all processors.
        bundle: the bundle that holds them all; None for a model that is not saved.
        fingerprint: of the bundle; saved states of sessions belong to it. Empty for that of a model that is not saved.

    Attributes:
        bundle: as the argument.
        engine: runs the program: an :class:`rekur.program.Engine`, or a :class:`rekur.program.PairEngine` of a model
            whose texts a search finds.
        task: the name of the task, such as ``classify``.
        features_: as the argument.
        target_: as the argument.
        search_: how texts are searched, for a target that a search finds.
        label_type: how labels are read from a file: ``class``, ``classes`` or ``number``.

    Example:
        >>> import rekur
        >>> rekur.load("runs/reviews").predict(["a fine film"])  # doctest: +SKIP
        array(['good'], dtype='<U4')
        >>> rekur.load("runs/shakespeare").generate("ROMEO:", seed=0)[0].text  # doctest: +SKIP
    """

    target_: Target

    def __init__(
        self,
        program: Program,
        weights: Mapping[str, Array],
        features: Features,
        target: Target,
        *,
        threads: int | None = None,
        bundle: Bundle | None = None,
        fingerprint: str = "",
    ) -> None:
        make: Any = PairEngine if program.searches else ForecastEngine if program.forecasts else Engine
        self.engine: Any = make(program, weights, threads=processors() if threads is None else threads)
        self.task, self.features_, self.target_ = program.task, features, target
        self.bundle, self._weights, self._fingerprint = bundle, weights, fingerprint
        self.label_type = target.label_type
        options = {} if bundle is None else bundle.config.get("options", {})
        self.bad_spans = str(options.get("bad_spans", self.bad_spans))
        chosen = {} if bundle is None else bundle.config.get("training", {}).get("chosen", {})
        self.search_ = search_of(features, alpha=chosen.get("alpha"))
        self._rival: Rival | None = None
        self._methods: Any = GenerationMixin if target.kind == NextTarget.kind else PredictionMixin

    @cached_property
    def fingerprint(self) -> str:
        """That of the bundle; of a model that is not saved, the sha256 of its program, weights, features and target."""
        if self._fingerprint:
            return self._fingerprint
        program = self.engine.program
        sums = {name: hashlib.sha256(self._weights[name].tobytes()).hexdigest() for name in program.weights}
        target = {"kind": self.target_.kind, **self.target_.to_dict()}
        meaning = {"features": self.features_.to_dict(), "target": target}
        return fingerprint_of({"program": program.to_json(), "weights": sums, **meaning})

    @property
    def columns_(self) -> Mapping[str, Any]:
        """How the training files were read."""
        columns: dict[str, Any] = {} if self.bundle is None else self.bundle.config.get("columns", {})
        return columns

    @property
    def sketch_(self) -> Sketch | None:
        """The sketch of the data that the model was trained on; None where the bundle has none."""
        return None if self.bundle is None else self.bundle.sketch()

    @property
    def metrics_(self) -> dict[str, Any]:
        """The validation scores, with those of a rival beside them."""
        return {} if self.bundle is None else self.bundle.metrics

    def kept_items(self) -> Corpus | None:
        """Return the items that the bundle keeps, which are predicted where no others are given; None without any."""
        return series_corpus(self.kept_, self.bundle.folder.name) if self.bundle is not None and self.kept_ else None

    @cached_property
    def kept_(self) -> list[History]:
        """The ends of the training series that the bundle keeps."""
        return [] if self.bundle is None else kept_series(self.bundle)

    def rival(self) -> Rival | None:
        """Return the rival that the bundle holds; None without one."""
        if self._rival is None and self.bundle is not None:
            self._rival = read_rival(self.bundle, self.target_)
        return self._rival

    # ── items ────────────────────────────────────────────────────────────────────────────────────────────────

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class, (N, K), in the order of ``classes_``.

        Raises:
            InputError: the model does not give classes.
        """
        return self._classes().decode(self.scores(X))

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, in order; (K,)."""
        return self._classes().classes

    def outputs_of_steps(self, steps: Any) -> Any:
        if self.target_.kind == NextTarget.kind:
            raise self._refusal("a model that predicts items", "Use log_probabilities or generate.")
        if self.engine.program.searches:
            return search(self.engine, steps, self.search_)
        if self.engine.program.forecasts:
            return self._outputs_of_windows(named(steps))
        each = (steps[row] for row in range(len(steps)))
        if self.target_.per_step and any(rows.dtype.kind == "f" and len(rows) > LONG for rows in each):
            return [self._outputs_of_one(np.asarray(steps[row])) for row in range(len(steps))]
        parts = [
            self.engine.run([steps[row] for row in range(start, min(start + _ITEMS, len(steps)))])
            for start in range(0, len(steps), _ITEMS)
        ]
        if self.target_.per_step:
            return [rows for part in parts for rows in part]
        return np.concatenate(parts) if parts else np.zeros((0, self.target_.size), np.float32)

    def _outputs_of_windows(self, inputs: Mapping[str, Ragged]) -> NDArray[np.float32]:
        """Return the outputs (N, K) of the past and the horizon of windows."""
        count = len(inputs["steps"])
        rows = [range(start, min(start + _ITEMS, count)) for start in range(0, count, _ITEMS)]
        parts = [
            self.engine.run(*([inputs[name][row] for row in each] for name in ("steps", "ahead"))) for each in rows
        ]
        return np.concatenate(parts) if parts else np.zeros((0, self.target_.size), np.float32)

    def _outputs_of_one(self, steps: NDArray[Any]) -> NDArray[np.float32]:
        """Return the outputs (T, K) of one series; of a long one in chunks with the state carried, or in windows."""
        if len(steps) <= LONG:
            whole: NDArray[np.float32] = self.engine.run([steps])[0]
            return whole
        outputs = np.empty((len(steps), self.target_.size), np.float32)
        if self.engine.program.causal:
            live, done = LiveProgram(self.engine), 0
            for each in windows(len(steps), margin=0):
                part = live.advance(steps[each.first : each.last])
                outputs[done : done + len(part)] = part
                done += len(part)
            outputs[done:] = live.finish()
            return outputs
        for each in windows(len(steps)):
            part = self.engine.run([steps[each.start : each.end]])[0]
            outputs[each.first : each.last] = part[each.first - each.start :][: each.last - each.first]
        return outputs

    # ── texts ────────────────────────────────────────────────────────────────────────────────────────────────

    def nats_of_tokens(self, ids: NDArray[Any], starts: NDArray[np.int64], *, reset: bool) -> NDArray[np.float32]:
        from rekur.runtime.live_program import nats

        self._need_next()
        return nats(self.engine, ids, starts, reset=reset)

    def step_function(self) -> StepFunction:
        """Return the function that scores the next token of many texts side by side.

        Raises:
            InputError: the model does not predict the next token.
        """
        from rekur.runtime.live_program import ProgramSteps

        self._need_next()
        return ProgramSteps(self.engine)

    # ── texts that a search finds ────────────────────────────────────────────────────────────────────────────

    def attention(self, sources: Sequence[str], texts: Sequence[str] | None = None) -> list[Grid]:
        """Return how much each token of a source weighs for each token of its text.

        Args:
            sources: N texts.
            texts: one a source; by default those that the model writes.

        Returns:
            N grids, each with the tokens of the source as ``columns``, those of the text as ``rows``, and ``shares``.

        Raises:
            InputError: no search finds the texts of the model.
        """
        if not self.engine.program.searches:
            raise self._refusal("one whose texts a search finds", "Others attend to no source.")
        written = self.predict(sources) if texts is None else texts
        return attention_grids(self.features_, self.engine, sources, written, self.search_.max_source)

    # ── both ─────────────────────────────────────────────────────────────────────────────────────────────────

    def evaluate(self, X: Any, y: Any = None) -> dict[str, Any]:
        """Return all metrics on items with labels, or on texts, as plain JSON.

        Args:
            X: items; for the next token a text or texts.
            y: a label for each item; none for the next token.

        Raises:
            InputError: an item or a label cannot be used.
        """
        labels = () if self.target_.kind == NextTarget.kind else (y,)
        report: dict[str, Any] = self._methods.evaluate(self, X, *labels)
        return report

    def evaluate_corpus(
        self, corpus: Any, gallery: Gallery | None = None, *, reads: Callable[[Any], None] | None = None
    ) -> dict[str, Any]:
        """Return all metrics on the examples of a corpus, or on texts that are read in pieces, as plain JSON.

        Args:
            corpus: the examples, or the texts.
            gallery: is given every item, for a page.
            reads: is given the data as the network reads them.
        """
        report: dict[str, Any] = self._methods.evaluate_corpus(self, corpus, gallery, reads=reads)
        return report

    def records_of(self, corpus: Any, *, reads: Callable[[Any], None] | None = None) -> NDArray[np.float64]:
        """Return the records of a corpus, or of texts that are read in pieces; see :class:`rekur.targets.Target`.

        Args:
            corpus: the examples, or the texts.
            reads: is given the data as the network reads them.
        """
        records: NDArray[np.float64] = self._methods.records_of(self, corpus, reads=reads)
        return records

    def encode_corpus(self, corpus: Any) -> Any:
        """Return the items of a corpus, or texts, as the network reads them."""
        return self._methods.encode_corpus(self, corpus)

    # ── live ─────────────────────────────────────────────────────────────────────────────────────────────────

    def stream(self, *, continues: bool = False) -> Session:
        """Return a live session, which takes raw events and returns final and tentative pieces of a prediction.

        Args:
            continues: begin behind the items that the bundle keeps, such as the ends of the training series.

        Raises:
            NotStreamableError: the model reads the sequence from both ends.
            InputError: ``continues``, and the bundle keeps nothing.
        """
        session = Session(self, self.features_, self.target_)
        if continues:
            if not self.kept_:
                raise InputError(
                    describe("continues", continues, "False, as the bundle keeps no series", "Push earlier values.")
                )
            session.begin(self.kept_)
        return session

    def live(self) -> LiveProgram | LiveTokens | LiveWindows:
        """Return a new sequence of the program; of the next token one that takes tokens and gives their probability;
        of forecasts one that takes windows.

        Raises:
            NotStreamableError: the model reads the sequence from both ends.
        """
        if self.engine.program.forecasts:
            return LiveWindows(self.engine, self.target_.size)
        if self.engine.program.searches or not self.engine.program.causal:
            raise NotStreamableError(needs_whole(self.task, self.target_))
        return (LiveTokens if self.target_.kind == NextTarget.kind else LiveProgram)(self.engine)

    def _classes(self) -> LabelTarget:
        if not isinstance(self.target_, LabelTarget):
            raise self._refusal("one of the task classify", "predict gives the numbers.")
        return self.target_

    def _need_next(self) -> None:
        if self.target_.kind != NextTarget.kind:
            raise self._refusal("one of the task language", "Use predict or present.")

    def _refusal(self, expected: str, fix: str) -> InputError:
        return InputError(describe("model", f"one of the task {self.task}", expected, fix))

    def __repr__(self) -> str:
        return f"Model({self.task if self.bundle is None else f'{self.bundle.folder}, {self.task}'})"


def load(folder: str | os.PathLike[str], *, threads: int | None = None) -> Model:
    """Return the model that a bundle holds, ready to predict, evaluate, generate and stream, without PyTorch.

    What it takes to train on stands in the bundle too: :func:`rekur.tasks.load` returns that.

    Args:
        folder: the bundle.
        threads: most threads of the kernels; None for all processors.

    Raises:
        BundleError: the folder is missing, damaged, from a newer version, no bundle of Rekur's, or it has no program.

    Example:
        >>> from rekur import Classifier, load
        >>> import tempfile
        >>> texts, labels = ["aa b", "aa", "c dd", "c"] * 4, [0, 0, 1, 1] * 4
        >>> model = Classifier(epochs=1, hidden_size=4, baseline=False).fit(texts, labels)
        >>> load(model.save(tempfile.mkdtemp() + "/small")).predict(["aa b"]).shape
        (1,)
    """
    return model_of(read_bundle(folder), threads=threads)


def model_of(bundle: Bundle, *, threads: int | None = None) -> Model:
    """Return the model of a bundle.

    Args:
        bundle: as :func:`rekur.runtime.read_bundle` returned it.
        threads: most threads of the kernels; None for all processors.

    Raises:
        BundleError: its parts are not those of one model.
    """
    try:
        program, weights = bundle.program()
        features = bundle.features()
        target = bundle.target(features)
        check_match(bundle.folder, features, program, target)
        fingerprint = bundle.fingerprint
        return Model(program, weights, features, target, threads=threads, bundle=bundle, fingerprint=fingerprint)
    except (KeyError, TypeError) as error:
        got = f"no {error}" if isinstance(error, KeyError) else str(error).removesuffix(".")
        raise BundleError(
            f"{bundle.folder}: config.json: got {got}; expected what Rekur {bundle.config['rekur']} writes. "
            "Copy the whole folder again, or train again."
        ) from error
