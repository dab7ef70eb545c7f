"""The options of a forecaster."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from rekur import _check
from rekur._options import names_in, option, options, override
from rekur.models.forecaster_spec import ForecasterSpec
from rekur.tasks.base.options import SharedOptions, check_share

#: metrics that can decide
METRICS = ("owa", "smape", "mase", "mae", "rmse")


@options
class ForecastOptions(SharedOptions):
    """Options of :class:`rekur.Forecaster`."""

    no_transformer: ClassVar[str] = "A horizon is decoded by recurrent layers that go on from the state of the past."
    #: how labels are read from a file
    label_type: ClassVar[str] = "future"
    fit_help: ClassVar[str] = """
    \b
    rekur fit forecast sales.csv --time day --horizon 28 --out runs/sales
    rekur fit forecast load.csv --group meter --time at --series kwh --horizon 48 --out runs/load
    rekur fit forecast shops.csv --group shop --time day --series sales --future promo --static size --out runs/shops
    """
    tune_help: ClassVar[str] = """
    \b
    rekur tune forecast sales.csv --time day --horizon 28 --trials 30 --out runs/search
    """

    horizon: int | None = option(
        "data",
        "Steps to forecast; by default one season.",
        default=None,
        check=partial(_check.whole, low=1),
        search=None,
        varies=False,
    )
    lookback: int | None = option(
        "data",
        "Steps that a forecast is made from, and no others; by default twice the longest season or week.",
        details="By default the errors of plain forecasts at eight earlier origins are read too.",
        default=None,
        check=partial(_check.whole, low=2),
        search=None,
    )
    metric: str | None = option(
        "data",
        "Metric that selects and compares; by default owa where there is a season, else mae.",
        details="Where half of the series or more are mostly zeros, it is mase.",
        default=None,
        choices=METRICS,
        check=partial(_check.choice, allowed=METRICS),
        search=None,
        varies=False,
    )
    non_negative: str = option(
        "data",
        "Whether forecasts below 0 are 0; auto: where no training value is below 0.",
        default="auto",
        choices=("auto", "yes", "no"),
        check=partial(_check.choice, allowed=("auto", "yes", "no")),
        search=None,
    )
    stride: int | None = option(
        "data",
        "Steps between the origins of training windows; by default as few as give 60,000 windows.",
        default=None,
        check=partial(_check.whole, low=1),
        search=None,
    )
    embargo: int = option(
        "data",
        "Steps that are left out between training and validation.",
        default=0,
        check=partial(_check.whole, low=0),
        search=None,
        varies=False,
    )
    calendar: str = option(
        "data",
        "Whether the day, the week and the year of series with dates are read, where training has two of them; auto: "
        "where columns beside the values are read.",
        default="auto",
        choices=("auto", "yes", "no"),
        check=partial(_check.choice, allowed=("auto", "yes", "no")),
        search=None,
    )
    refit: bool = option(
        "training",
        "Train the chosen model again, as long and from the start, on all windows.",
        default=True,
        flag_help="Do not train again on all windows, those that validated included, once the model is chosen.",
        negative="--no-refit",
        check=_check.flag,
        search=None,
        varies=False,
    )
    keep_history: bool = option(
        "data",
        "Keep the end of each series in the bundle, so that predict goes on from there.",
        default=True,
        flag_help="Keep no values of the series in the bundle; predict then needs a file.",
        negative="--no-history",
        check=_check.flag,
        search=None,
        varies=False,
    )
    valid_fraction: float = override(
        SharedOptions,
        "valid_fraction",
        default=0.1,
        help="Share of each series, at its end, whose horizons validate.",
        check=partial(check_share, "horizons"),
    )
    cell: str = override(SharedOptions, "cell", default="gru", help="A cell of `rekur cells`; gru by default.")
    num_layers: int = override(SharedOptions, "num_layers", default=1)
    embedding_size: int | None = override(
        SharedOptions,
        "embedding_size",
        default=None,
        help="Has no effect: a forecaster reads numbers.",
        search=None,
        shell=False,
        varies=False,
    )
    projection_size: int | None = option(
        "model",
        "Numbers that a segment of the look-back is turned into; 0 for none.",
        default=None,
        check=partial(_check.whole, low=0),
        search="0,64,96",
    )
    members: int = option(
        "model",
        "Networks that are trained side by side, and whose forecasts are averaged.",
        default=1,
        check=partial(_check.whole, low=1),
        search=None,
    )
    batch_size: int | None = override(
        SharedOptions, "batch_size", default=None, help="Windows of a step.", search="64,128,256"
    )


#: options of the network that the windows do not decide
MODEL_OPTIONS = tuple(
    name for name in names_in(ForecastOptions, ForecasterSpec) if name not in ("horizon", "embedding_size")
)
