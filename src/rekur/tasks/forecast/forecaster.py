"""Forecast: the next values of series.

Axes: N windows, H steps of the horizon.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, ClassVar, Self, cast

import numpy as np

from rekur._history import History
from rekur._numbers import counted
from rekur._options import documented
from rekur.data import Corpus, EncodedItems
from rekur.data.example import Example
from rekur.data.labelled import labelled
from rekur.features import Features
from rekur.features.windows import Window, WindowFeatures
from rekur.models import ForecasterSpec, ItemNetwork, build_forecaster
from rekur.models.forecaster_head import DistributionHead
from rekur.models.heads import Head
from rekur.runtime.kept_series import series_files
from rekur.runtime.rival import Rival
from rekur.runtime.rolling import fewest_windows, quantile_offsets, widening_offsets
from rekur.runtime.window_rivals import MANY_STEPS, PlainRival, rival_names, rolling_residuals
from rekur.targets import Target
from rekur.targets.distribution import DistributionTarget
from rekur.tasks.base.early import check_model_size
from rekur.tasks.base.estimator import UntrainedError
from rekur.tasks.base.items import ItemEstimator
from rekur.tasks.base.plan import Monitor, run
from rekur.tasks.forecast import recipe
from rekur.tasks.forecast.options import MODEL_OPTIONS, ForecastOptions
from rekur.tasks.forecast.split import Split, split_of

#: a score of a rival below this is rounding
_SMALL = 1e-6
#: validation windows of a series below which intervals look at earlier origins too: all windows may lie in one season
_FEW_ORIGINS = 3


@documented
class Forecaster(ForecastOptions, ItemEstimator):
    r"""A recurrent network that forecasts the next values of series, with quantiles.

    .. math:: \hat y = \sum_k \mathrm{softmax}_k(p + G z)\, c_k + V z

    One network serves all series. It weighs plain forecasts :math:`c_k` of each window, and corrects them; untrained,
    it is a weighted combination of them. Quantiles are corrected by the errors on the held-out windows where there are
    enough.

    Attributes:
        metrics_: scores of the kept weights on the horizons at the end of the training series, with rivals beside them.
        history_: one row an evaluation.
        chosen_: the options as they were used.

    Example:
        >>> series = [np.sin(np.arange(60) * np.pi / 6 + phase) for phase in (0, 1, 2)]
        >>> model = Forecaster(horizon=12, epochs=1, hidden_size=4, baseline=False).fit(series)
        >>> model.predict(series).shape
        (3, 12)
    """

    task: ClassVar[str] = "forecast"
    target: ClassVar[str] = "distribution"
    reads: ClassVar[str] = "tables"
    kind = "windows"
    vectors = None
    steps_option: ClassVar[str] = "lookback"
    in_trials: ClassVar[dict[str, Any]] = {"baseline": False, "refit": False}
    kept_: list[History]
    _split: Split | None
    _offsets: Any = None

    def fit(  # type: ignore[override]
        self,
        X: Any,
        y: Any = None,
        *,
        X_valid: Any = None,
        columns: dict[str, Any] | None = None,
        start_from: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train on series.

        Args:
            X: series: a list or a dict of arrays (T,) or (T, C), in which NaN is a missing value; or a data frame.
            y: None; what follows a window stands in its series.
            X_valid: series to validate on; by default the ends of the training series.
            columns: the columns of a data frame by their roles, as :class:`rekur.data.histories.HistoryColumns` has
                them: ``{"time": "day", "series": ["sales"], "group": "shop"}``.
            start_from: a bundle whose features and weights are taken where they fit; see :meth:`fit_corpus`.

        Returns:
            self.

        Raises:
            InputError: a series or an option cannot be used; the text says which and why.
        """
        self.check_options()
        self.columns_ = {} if columns is None else {"columns": columns}
        how: dict[str, Any] = {"kind": self.kind, "columns": columns}
        valid = None if X_valid is None else labelled(X_valid, None, "X_valid", **how)
        return self.fit_corpus(labelled(X, y, **how), valid, start_from=start_from)

    def kind_of(self, corpus: Corpus) -> str:
        """Return the kind of the items of a corpus: ``windows``."""
        return self.kind

    # ── data ─────────────────────────────────────────────────────────────────────────────────────────────────

    def examples(self, corpus: Corpus) -> Corpus:
        """Return the training windows of series, up to their ends."""
        self.kept_, self._split, self._offsets = list(corpus.items()), None, None

        def whole() -> Iterable[Example]:
            self._split = self._split or split_of(self.kept_, self, hold_out=False)
            return self._split.training()

        return corpus.derived(whole, list)

    def valid_examples(self, corpus: Corpus) -> Corpus:
        """Return the last horizon of each of other series."""
        return corpus.derived(lambda: self.split.last_windows(corpus.items()), list)

    def hold_out(self, corpus: Corpus) -> tuple[Corpus, Corpus, str] | None:
        """Return the windows before the first origin of each series, those that validate, and the split in words."""
        self._split = split = split_of(self.kept_, self, hold_out=True)
        told = split.drawn()
        return corpus.derived(split.training, list), corpus.derived(split.validation, list), told

    def examples_again(self, corpus: Corpus) -> Corpus | None:
        """Return the windows up to the ends of series whose ends validated."""
        if not (self.refit and self._split is not None and self._split.holds_out):
            return None
        split = self._split.up_to_ends()

        def whole() -> Iterable[Example]:
            self._split = split
            return split.training()

        return corpus.derived(whole, list)

    @property
    def split(self) -> Split:
        """How the training series are cut."""
        if self._split is None:
            raise UntrainedError("Forecaster: got no series yet; expected a call of fit first.")
        return self._split

    def make_features(self, corpus: Corpus) -> Features:
        """Return features of windows, not fitted yet."""
        sizes = self.split.sizes
        how: dict[str, Any] = {"periods": sizes.periods or (1,), "calendar": self.split.calendar}
        how |= {"beyond": self.lookback is None, "power": recipe.prior_power(recipe.Facts(self.split.count))}
        return WindowFeatures(sizes.lookback, sizes.horizon, sizes.segment, **how)

    def features_learn_from(self, examples: Corpus) -> Iterable[Window]:
        """Return each channel as it is known at its first origin."""
        return self.split.first_windows()

    def target_options(self) -> dict[str, Any]:
        """Return the metric that decides, the season, and whether forecasts may be below 0."""
        periods, relative = self.split.sizes.periods, "mase" if self.split.is_sparse else "owa"
        return {
            "period": periods[0] if periods else 1,
            "decides": self.metric or (relative if periods or self.split.is_sparse else "mae"),
            "non_negative": {"auto": None, "yes": True, "no": False}[self.non_negative],
            "lowest": self.split.lowest(),
            "units": self.split.units(),
            "offsets": self._offsets,
        }

    # ── network ──────────────────────────────────────────────────────────────────────────────────────────────

    def choose_options(self, features: Features, target: Target, train_set: EncodedItems) -> dict[str, Any]:
        """Return all options, those that were left open chosen by the rules of ``rekur.tasks.forecast.recipe``."""
        windows = cast(WindowFeatures, features)
        chosen = recipe.fill(self.get_params(deep=False), recipe.Facts(len(train_set), self.split.stride))
        return chosen | {"horizon": windows.horizon, "stride": self.split.stride}

    def make_network(self, features: Features, target: Target) -> ItemNetwork:
        """Return an untrained network, which is a weighted combination of the plain forecasts.

        Raises:
            InputError: it does not fit into memory; said before any weight is made.
        """
        windows, distribution = cast(WindowFeatures, features), cast(DistributionTarget, target)
        spec = ForecasterSpec(
            input_size=windows.size,
            horizon=windows.horizon,
            segment=windows.segment,
            candidates=windows.candidates,
            ahead_size=windows.ahead_size,
            quantiles=distribution.levels,
            shrinkage=recipe.SHRINKAGE,
            **{name: self.chosen_[name] for name in MODEL_OPTIONS},
        )
        check_model_size(build_forecaster, spec, self.chosen_)
        return build_forecaster(spec, seed=self.seed)

    def make_head(self, target: Target, train_set: EncodedItems) -> Head:
        """Return the loss by the metric that decides, and that of the quantiles."""
        distribution = cast(DistributionTarget, target)
        how: dict[str, Any] = {"metric": distribution.decides}
        if distribution.decides == "mae" and distribution.non_negative and len(self.split.parts) == 1:
            how["metric"] = "mae_of_logs"  # a few large values would else decide; of several series low ones would
        if distribution.decides == "owa":
            last = {context["window"].name: row for row in train_set.rows if (context := train_set.contexts[row])}
            rows = np.array(list(last.values()))
            naive = distribution.naive_scores(train_set.labels_of(rows), train_set.contexts_of(rows))
            how["rival"] = tuple(_positive(naive[name] / unit) for name, unit in (("smape", 100), ("mase", 1)))
        return DistributionHead(distribution.horizon, 1, distribution.levels, **how)

    def finish_network(self, network: Any, target: Target, train_set: EncodedItems, valid_set: EncodedItems) -> str:
        """Move the quantiles by where the truth of the validation windows lies; the medians stay."""
        distribution = cast(DistributionTarget, target)
        levels, horizon = distribution.levels, distribution.horizon
        outputs = np.reshape(run(network, valid_set), (-1, horizon, len(levels)))
        quantiles = outputs.swapaxes(1, 2).astype(np.float64)
        truth = np.asarray(valid_set.targets_of(valid_set.rows), np.float64)[:, :horizon, 0]
        offsets, source = quantile_offsets(quantiles, truth, levels), ""
        count = int((~np.isnan(truth)).any(axis=1).sum())
        windows = counted(count, "validation window")
        channels = [(part.history, part.channel, part.end) for part in self.split.parts]
        few = count < _FEW_ORIGINS * len(channels) and sum(end for *_, end in channels) <= MANY_STEPS
        rolled = rolling_residuals(cast(WindowFeatures, target.features), channels) if few or offsets is None else None
        if rolled is not None:
            widening = widening_offsets(quantiles, rolled[0], levels, rolled[1])
            away = np.sign(np.array(levels) - 0.5)[:, None]
            offsets = widening if offsets is None else away * np.maximum(away * widening, away * offsets)
            source = f"the errors of plain forecasts at {counted(len(rolled[0]), 'earlier window')} and by "
        if offsets is None:
            few_windows = f"got {windows}; {fewest_windows(levels)} would tell how to correct them"
            return f"Intervals are those of the network: {few_windows}."
        self._offsets = distribution.offsets = offsets
        told = f"Intervals are corrected by {source}{windows}; their coverage on these is no test of them."
        again = self.refit and self._split is not None and self._split.holds_out
        return f"{told} A model that is trained again keeps these corrections." if again else told

    def make_monitor(self, target: Target, valid_set: EncodedItems) -> Monitor:
        """Return the metric that decides; where it is undefined on the validation windows, the loss."""
        labels, contexts = valid_set.labels_of(valid_set.rows), valid_set.contexts_of(valid_set.rows)
        levels = len(cast(DistributionTarget, target).levels)
        right = target.records_of_predictions([np.tile(label, (levels, 1)) for label in labels], labels, contexts)
        if np.isnan(target.score(right)[target.decides]):
            return super().make_monitor(target, valid_set)
        return Monitor(f"valid_{target.decides}", False, 0.0)

    def make_rivals(self, examples: Corpus, train_set: EncodedItems, target: Target) -> list[Rival]:
        """Return the combination of the plain forecasts, each of them, the last value, and drift."""
        distribution, features = cast(DistributionTarget, target), cast(WindowFeatures, self.features_)
        return [PlainRival(name, distribution) for name in rival_names(features.plain)]

    # ── results ──────────────────────────────────────────────────────────────────────────────────────────────

    def kept_files(self) -> dict[str, bytes]:
        """Return the files with the end of each series, from which a prediction goes on."""
        features = cast(WindowFeatures, self.features_)
        return series_files(self.kept_, features.memory) if self.keep_history else {}

    def score(self, X: Any, y: Any = None) -> float:
        """Return minus the metric that decides, of the forecasts of the last horizon of series."""
        return -float(self.evaluate(X)[self.target_.decides])

    def _restore_model(self, spec: dict[str, Any]) -> None:
        self.model_ = build_forecaster(ForecasterSpec.from_dict(spec))


def _positive(score: float) -> float:
    """Return the score of a rival, or 1 where it is 0 but for rounding."""
    return score if score > _SMALL else 1.0
