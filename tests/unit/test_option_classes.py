"""Classes of options: what the decorator makes of them, and what it refuses."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
from collections.abc import Sequence
from typing import ClassVar

import pytest
from sklearn.base import BaseEstimator, clone

from rekur import Classifier, Forecaster, LanguageModel, Regressor, Tagger, Translator, _check
from rekur._options import documented, option, options, options_of, override, pairs, seconds, whole_numbers
from rekur.errors import InputError


@options
class Shared:
    """Options of every task."""

    epochs: int | None = option(default=None, group="training", help="Passes.", details="None goes by the data.")
    layers: int = option(default=1, group="model", help="Layers.", search="1:3", check=_check.layers)
    limit: float = option(default=0.0, group="training", help="Time limit.", parse=seconds, metavar="TIME")
    rival: bool = option(default=True, group="training", help="No rival.", negative="--no-rival")


@options
class Own(Shared):
    """Options of one task.

    Example:
        >>> Own().layers
        2
    """

    name: ClassVar[str] = "own"
    layers: int = override(Shared, "layers", default=2, search="1:4")
    orders: Sequence[int] | None = option(default=None, group="data", help="Orders.", parse=whole_numbers)
    tied: bool | None = option(default=None, group="model", help="Share weights.", negative="--not-tied")
    mode: str = option(default="a", group="model", help="Mode.", choices=("a", "b"))


@documented
class Estimator(Own, BaseEstimator):
    """An estimator.

    Attributes:
        model_: the model.
    """

    def fit(self) -> Estimator:
        return self


def test_the_constructor_stores_every_option_as_it_is() -> None:
    orders = [2, 3]
    task = Estimator(orders=orders, epochs=4)
    assert task.orders is orders
    assert (task.epochs, task.layers, task.limit, task.rival, task.tied, task.mode) == (4, 2, 0.0, True, None, "a")
    assert task != Estimator(orders=orders, epochs=4)
    assert len({task, Estimator()}) == 2


def test_scikit_learn_reads_the_options() -> None:
    task = Estimator(epochs=4).set_params(mode="b")
    expected = {"epochs": 4, "layers": 2, "limit": 0.0, "rival": True, "orders": None, "tied": None, "mode": "b"}
    assert task.get_params() == expected
    assert clone(task).get_params() == expected
    assert pickle.loads(pickle.dumps(task)).get_params() == expected
    assert copy.deepcopy(task).get_params() == expected
    assert repr(task) == "Estimator(epochs=4, mode='b')"


@pytest.mark.parametrize("cls", [Own, Estimator])
def test_the_signature_has_every_option_as_a_keyword(cls: type) -> None:
    parameters = inspect.signature(cls).parameters
    assert list(parameters) == ["epochs", "layers", "limit", "rival", "orders", "tied", "mode"]
    assert {each.kind for each in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert parameters["layers"].default == 2
    assert parameters["layers"].annotation == "int"


def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(InputError) as caught:
        Estimator(epoch=3)  # type: ignore[call-arg]
    assert str(caught.value).startswith("Estimator option: got 'epoch'; expected one of")
    assert "Did you mean 'epochs'?" in str(caught.value)
    with pytest.raises(TypeError, match="positional"):
        Estimator(3)  # type: ignore[misc]


def test_options_stand_by_group_and_know_their_types() -> None:
    described = options_of(Estimator)
    assert list(described) == ["orders", "layers", "tied", "mode", "epochs", "limit", "rival"]
    assert described["epochs"].types == (int, type(None))
    assert described["orders"].types == (Sequence, type(None))
    assert described["limit"].types == (float,)
    assert described["layers"].default == 2
    assert described["layers"].search == "1:4"
    assert described["layers"].help == "Layers."
    assert described["layers"].check is _check.layers
    assert options_of(Shared)["layers"].search == "1:3"


def test_flags() -> None:
    flags = {name: each.flags() for name, each in options_of(Estimator).items()}
    assert flags["orders"] == ["--orders"]
    assert flags["tied"] == ["--tied/--not-tied"]
    assert flags["rival"] == ["--no-rival"]

    @options
    class Renamed:
        """Renamed."""

        start_from: str | None = option(default=None, group="training", help="A bundle.", flag="--from")

    assert options_of(Renamed)["start_from"].flags() == ["--from"]


def test_the_docstring_says_every_option() -> None:
    assert inspect.getdoc(Estimator) == (
        "An estimator.\n\nArgs:\n"
        "    orders (Sequence | None): Orders.\n"
        "    layers (int): Layers. Default: 2.\n"
        "    tied (bool | None): Share weights.\n"
        "    mode (str): Mode. One of 'a', 'b'. Default: 'a'.\n"
        "    epochs (int | None): Passes. None goes by the data.\n"
        "    limit (float): Time limit. Default: 0.0.\n"
        "    rival (bool): No rival. Default: True.\n"
        "\nAttributes:\n    model_: the model."
    )
    text = inspect.getdoc(Own)
    assert text is not None
    assert text.startswith("Options of one task.\n\nArgs:\n    orders")
    assert text.endswith("Example:\n    >>> Own().layers\n    2")


def test_an_annotation_without_an_option_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.depth: got an annotation; expected an option"):

        @options
        class Wrong(Shared):
            """Wrong."""

            depth: int = 3


def test_an_attribute_in_place_of_a_default_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.layers: got another attribute; expected the option's default"):

        @options
        class Wrong(Shared):
            """Wrong."""

            layers = 3

    with pytest.raises(TypeError, match=r"Hiding\.epochs: got another attribute"):

        @documented
        class Hiding(Shared):
            """Hiding."""

            def epochs(self) -> int:  # type: ignore[override]
                return 3


def test_an_option_in_a_class_that_is_not_decorated_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Wrong\.depth: got an option; expected it in a class with @options"):

        @documented
        class Wrong(Shared):
            """Wrong."""

            depth: int = option(default=3, group="model", help="Depth.")


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(TypeError, match="group: got 'output'; expected one of data, model"):
        option(default=None, group="output", help="The folder.")


@pytest.mark.parametrize(("text", "value"), [("90s", 90.0), ("3m", 180.0), ("1h", 3600.0), ("1.5", 1.5)])
def test_seconds(text: str, value: float) -> None:
    assert seconds(text) == value


def test_parsers_say_what_they_expect() -> None:
    assert whole_numbers("2, 3") == [2, 3]
    assert whole_numbers("") == []
    assert pairs("a=1,b=2=3") == {"a": "1", "b": "2=3"}
    for parse, text, expected in [
        (seconds, "soon", "a duration such as 90s, 3m or 1h."),
        (whole_numbers, "2,x", "whole numbers such as 2,3."),
        (pairs, "a", "KEY=VALUE pairs with commas between."),
        (pairs, "=1", "KEY=VALUE pairs with commas between."),
        (pairs, "a=1,a=2", "each key once."),
    ]:
        with pytest.raises(ValueError, match=r"^got") as caught:
            parse(text)
        assert str(caught.value) == f"got '{text}'; expected {expected}"


def test_neither_torch_nor_scikit_learn_is_imported() -> None:
    code = "import sys, rekur._options; print(sorted({'torch', 'sklearn', 'numpy', 'click'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_no_option_is_required_also_for_a_type_checker() -> None:
    made = [Classifier(), Forecaster(), LanguageModel(), Regressor(), Tagger(), Translator()]
    for estimator in made:  # mypy reads the line above
        assert estimator.get_params() == type(estimator)(**estimator.get_params()).get_params()
