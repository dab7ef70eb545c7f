"""The command line, written down, and held against the estimators: one option here is one option there."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import click
import pytest

from rekur import Classifier, LanguageModel, Regressor
from rekur.cli.fit_options import FEATURE_NAMES, LANGUAGE, SHARED, TEXT_FEATURE_NAMES
from rekur.cli.main import COMMANDS, app
from rekur.decode import Sampler
from rekur.features import FEATURES

INPUT = (
    "--text --symbols --series --values --label --label-separator --group --time --id --format --encoding --separator"
)
OUTPUT = "--out --valid --overwrite --checkpoint-every --tensorboard --quiet"
FEATURES_OF = "--tokens --lowercase --max-vocabulary --min-count --max-length --missing --codes"
MODEL = (
    "--cell --hidden-size --num-layers --bidirectional --embedding-size --kernel-size --pooling "
    "--token-dropout --input-dropout --input-noise --dropout --recurrent-dropout --residual --norm"
)
TRAINING = (
    "--epochs --steps --batch-size --learning-rate --weight-decay --schedule --warmup --clip --patience --average "
    "--valid-fraction --seed --precision --accelerator --time-limit --no-baseline"
)
CLASSIFY = "--multi-label --class-weight --label-smoothing --bayes-start"
TEXTS = "--text --document --encoding"
LANGUAGE_MODEL = (
    "--tokens --cell --hidden-size --num-layers --embedding-size --ngrams --ngram-rows --ngram-dropout "
    "--recall --recall-slots --tied --softmax --row-dropout --input-dropout --dropout --output-dropout "
    "--weight-dropout --recurrent-dropout --activation-regularisation "
    "--temporal-regularisation --residual --norm --reset --chunk-length --jitter --checkpoint-steps"
)
TEXT_FEATURES = "--lowercase --digits --words --max-vocabulary --min-count"
SEARCH = "--out --trials --space --valid --trial-time-limit --ray --ray-address --ray-processors --ray-gpus --quiet"
DRAWING = "--max-tokens --samples --temperature --top-k --top-p --min-p --repetition-penalty --stop --unknown --seed"
OPTIONS = {
    "fit": "",
    "fit classify": f"FILE {INPUT} {OUTPUT} {FEATURES_OF} {MODEL} {TRAINING} {CLASSIFY} --json",
    "fit regress": f"FILE {INPUT} {OUTPUT} {FEATURES_OF} {MODEL} {TRAINING} --json",
    "fit language": f"FILE... {TEXTS} {OUTPUT} {LANGUAGE_MODEL} {TEXT_FEATURES} {TRAINING} --json",
    "tune": "",
    "tune classify": f"FILE {INPUT} {SEARCH} {FEATURES_OF} {MODEL} {TRAINING} {CLASSIFY} --json",
    "tune regress": f"FILE {INPUT} {SEARCH} {FEATURES_OF} {MODEL} {TRAINING} --json",
    "tune language": f"FILE... {TEXTS} {SEARCH} {LANGUAGE_MODEL} {TEXT_FEATURES} {TRAINING} --json",
    "resume": "DIR --accept-changed-data --quiet --json",
    "evaluate": f"BUNDLE FILE... {INPUT} --document --dynamic --cache --report --json",
    "predict": f"BUNDLE FILE {INPUT} --item --json",
    "stream": "BUNDLE --by --json",
    "generate": f"BUNDLE --prompt --prompt-file {DRAWING} --json",
    "score": "BUNDLE FILE --text --by --tokens --json",
    "program": "BUNDLE --json",
    "check": f"BUNDLE [FILE]... --tolerance --items {INPUT} --document --json",
    "quantize": f"BUNDLE --data --out --precision --tolerance --overwrite {INPUT} --document --json",
    "export": (
        "BUNDLE --to --out --overwrite --tolerance --precision --name --activations --flash --data "
        f"{INPUT} --document --json"
    ),
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
    groups = ("fit", "tune")
    inner = {f"{group} {name}" for group in groups for name in command(group).commands}  # type: ignore[attr-defined]
    assert set(OPTIONS) == {*COMMANDS, *inner}


@pytest.mark.parametrize("path", OPTIONS)
def test_every_option_is_explained(path: str) -> None:
    for parameter in command(path).params:
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert parameter.help.endswith("."), parameter.name


@pytest.mark.parametrize(
    ("path", "estimator"), [("fit classify", Classifier), ("fit regress", Regressor), ("fit language", LanguageModel)]
)
def test_fit_takes_what_the_estimator_takes(path: str, estimator: Any) -> None:
    around = f"{INPUT if path != 'fit language' else TEXTS} {OUTPUT}".replace("--format", "").split()
    features = FEATURE_NAMES if path != "fit language" else TEXT_FEATURE_NAMES
    names = {spelled(parameter): parameter.name for parameter in command(path).params}
    own = {name for option, name in names.items() if option not in (*around, "FILE", "FILE...", "--json", "--format")}
    by_itself = BY_ITSELF if path != "fit language" else BY_ITSELF - {"kind"}
    assert (own - set(features) - OF_ITS_OWN) | by_itself == set(estimator().get_params())


@pytest.mark.parametrize("path", ["fit classify", "fit regress", "fit language"])
def test_defaults_stand_in_the_estimators_alone(path: str) -> None:
    values = command(path).make_context("fit", ["FILE", "--out", "DIR"]).params
    given = {name: value for name, value in values.items() if value not in (None, (), False)}
    assert set(given) in ({"file", "out"}, {"files", "out"})


def test_feature_options_are_those_of_the_features() -> None:
    known = {name for features in FEATURES.values() for name in inspect.signature(features).parameters}
    assert {*FEATURE_NAMES, *TEXT_FEATURE_NAMES} <= known


def test_shared_options_are_shared() -> None:
    assert len(SHARED) == len(f"{FEATURES_OF} {MODEL} {TRAINING}".split())
    assert len(LANGUAGE) == len(f"{LANGUAGE_MODEL} {TEXT_FEATURES} {TRAINING}".split())


def test_drawing_takes_what_the_sampler_takes() -> None:
    sampler = set(inspect.signature(Sampler).parameters) - {"repetition_window", "draw_unknown"}
    names = {parameter.name for parameter in command("generate").params}
    assert sampler <= names
    drawing = inspect.signature(LanguageModel.generate).parameters
    assert set(drawing) - {"self"} <= names
    values = command("generate").make_context("generate", ["BUNDLE"]).params
    given = {name: value for name, value in values.items() if value not in (None, (), False)}
    given.pop("bundle")
    assert {name: drawing[name].default for name in given} == given


def test_estimators_store_what_they_are_given_and_nothing_else() -> None:
    for estimator in (Classifier, LanguageModel, Regressor):
        assert set(vars(estimator())) == set(estimator().get_params())


def test_both_estimators_share_their_defaults() -> None:
    a, b = Classifier().get_params(), Regressor().get_params()
    assert {name: a[name] for name in b} == b
    assert set(a) - set(b) == {name.lstrip("-").replace("-", "_") for name in CLASSIFY.split()}
