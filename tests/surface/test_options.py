"""The command line, written down, and held against the estimators: one option here is one option there."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import click
import pytest

from rekur import Classifier, Regressor
from rekur.cli.fit_options import FEATURE_NAMES, SHARED
from rekur.cli.main import COMMANDS, app
from rekur.features import FEATURES

INPUT = (
    "--text --symbols --series --values --label --label-separator --group --time --id --format --encoding --separator"
)
OUTPUT = "--out --valid --overwrite --tensorboard --quiet"
FEATURES_OF = "--tokens --lowercase --max-vocabulary --min-count --max-length --missing"
MODEL = (
    "--cell --hidden-size --num-layers --bidirectional --embedding-size --kernel-size --pooling "
    "--token-dropout --input-dropout --input-noise --dropout --recurrent-dropout --residual --norm"
)
TRAINING = (
    "--epochs --batch-size --learning-rate --weight-decay --schedule --warmup --clip --patience --average "
    "--valid-fraction --seed --precision --accelerator --time-limit --no-baseline"
)
CLASSIFY = "--multi-label --class-weight --label-smoothing --bayes-start"
OPTIONS = {
    "fit": "",
    "fit classify": f"FILE {INPUT} {OUTPUT} {FEATURES_OF} {MODEL} {TRAINING} {CLASSIFY} --json",
    "fit regress": f"FILE {INPUT} {OUTPUT} {FEATURES_OF} {MODEL} {TRAINING} --json",
    "evaluate": f"BUNDLE FILE {INPUT} --report --json",
    "predict": f"BUNDLE FILE {INPUT} --item --json",
    "stream": "BUNDLE --by --json",
    "data": f"FILE {INPUT} --label-type --json",
    "cells": "NAMES --input-size --hidden-size --json",
    "doctor": "--json",
    "completion": "SHELL",
}

#: options of an estimator that the command line sets by itself, and the ones of its own that are not passed on
BY_ITSELF = {"kind", "feature_options", "verbose", "baseline"}
OF_ITS_OWN = {"no_baseline"}


def command(path: str) -> click.Command:
    first, *rest = path.split()
    found: Any = importlib.import_module(f"rekur.cli.{first}").command
    for name in rest:
        found = found.commands[name]
    return found


def spelled(parameter: click.Parameter) -> str:
    return parameter.human_readable_name if isinstance(parameter, click.Argument) else parameter.opts[0]


@pytest.mark.parametrize("path", OPTIONS)
def test_options(path: str) -> None:
    assert [spelled(parameter) for parameter in command(path).params] == OPTIONS[path].split()


def test_every_command_is_in_the_table() -> None:
    assert list(app.list_commands(click.Context(app))) == list(COMMANDS)
    fits = {f"fit {name}" for name in command("fit").commands}  # type: ignore[attr-defined]
    assert set(OPTIONS) == {*COMMANDS, *fits}


@pytest.mark.parametrize("path", OPTIONS)
def test_every_option_is_explained(path: str) -> None:
    for parameter in command(path).params:
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert parameter.help.endswith("."), parameter.name


@pytest.mark.parametrize(("path", "estimator"), [("fit classify", Classifier), ("fit regress", Regressor)])
def test_fit_takes_what_the_estimator_takes(path: str, estimator: Any) -> None:
    around = {word.lstrip("-").replace("-", "_") for word in f"{INPUT} {OUTPUT} --json".split()} | {
        "file",
        "file_format",
    }
    names = {parameter.name for parameter in command(path).params} - around - {"as_json"}
    given = (names - set(FEATURE_NAMES) - OF_ITS_OWN) | BY_ITSELF
    assert given == set(estimator().get_params())


@pytest.mark.parametrize("path", ["fit classify", "fit regress"])
def test_defaults_stand_in_the_estimators_alone(path: str) -> None:
    values = command(path).make_context("fit", ["FILE", "--out", "DIR"]).params
    given = {name: value for name, value in values.items() if value not in (None, (), False)}
    assert set(given) == {"file", "out"}


def test_feature_options_are_those_of_the_features() -> None:
    known = {name for features in FEATURES.values() for name in inspect.signature(features).parameters}
    assert set(FEATURE_NAMES) <= known


def test_shared_options_are_shared() -> None:
    assert len(SHARED) == len(f"{FEATURES_OF} {MODEL} {TRAINING}".split())


def test_estimators_store_what_they_are_given_and_nothing_else() -> None:
    for estimator in (Classifier, Regressor):
        assert set(vars(estimator())) == set(estimator().get_params())


def test_both_estimators_share_their_defaults() -> None:
    a, b = Classifier().get_params(), Regressor().get_params()
    assert {name: a[name] for name in b} == b
    assert set(a) - set(b) == {name.lstrip("-").replace("-", "_") for name in CLASSIFY.split()}
