"""The command line, written down, and held against the estimators: one option here is one option there."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
from typing import Any

import click
import pytest

from rekur import Classifier, LanguageModel, Regressor
from rekur._options import options_of
from rekur.cli.main import COMMANDS, app
from rekur.decode import Sampler
from rekur.errors import InputError
from rekur.features import FEATURES
from rekur.study.space import default_space
from rekur.tasks.catalog import CATALOG

INPUT = (
    "--text --symbols --series --values --label --label-separator --group --time --id --format --encoding --separator"
)
PAIRS = "--source --target --id --format --encoding --separator"
TABLES = "--series --values --group --time --static --past --future --id --format --encoding --separator"
WINDOWS = "--horizon --lookback --metric --non-negative --stride --embargo --calendar --no-history"
ANY_INPUT = f"{INPUT} --source --target --static --past --future"
OUTPUT = "--out --overwrite --checkpoint-every --tensorboard --quiet --json"
FEATURES_OF = "--tokens --lowercase --max-vocabulary --min-count --max-length --missing --codes"
MODEL = (
    "--cell --hidden-size --num-layers --embedding-size --input-dropout --dropout --recurrent-dropout --residual --norm"
)
ITEM_MODEL = (
    "--network --causal --members --branches --bidirectional --kernel-size --pooling --token-dropout --input-noise"
)
PAIR_MODEL = f"{MODEL} --causal"
TRAINING = (
    "--epochs --steps --batch-size --learning-rate --weight-decay --schedule --warmup --clip --patience --average "
    "--seed --precision --accelerator --time-limit --no-baseline"
)
TEXTS = "--text --document --encoding"
LANGUAGE_MODEL = (
    "--ngrams --ngram-rows --ngram-dropout --recall --recall-slots --tied --softmax --row-dropout --output-dropout "
    "--weight-dropout --activation-regularisation --temporal-regularisation"
)
LANGUAGE_TRAINING = "--reset --chunk-length --jitter --checkpoint-steps"
TEXT_FEATURES = "--lowercase --digits --words --max-vocabulary --min-count"
WORD_FEATURES = "--fold-case --max-vocabulary --min-count --prefixes --suffixes --shape --buckets"
WORD_DROPOUT = "--token-dropout --word-dropout"
SEARCH = "--trials --space --trial-time-limit --ray --ray-address --ray-processors --ray-gpus"
SEARCH_OUTPUT = "--out --quiet --json"
COMPARISON = "--cells --vary --equal --seeds --margin --reach"
#: the options of each task by group, in the order of ``--help``
TASK_OPTIONS = {
    "classify": {
        "data": f"{INPUT} --split-by --valid --valid-fraction --vectors {FEATURES_OF} --multi-label",
        "model": f"{MODEL} {ITEM_MODEL} --bayes-start",
        "training": f"{TRAINING} --augment --class-weight --label-smoothing",
    },
    "regress": {
        "data": f"{INPUT} --split-by --valid --valid-fraction --vectors {FEATURES_OF}",
        "model": f"{MODEL} {ITEM_MODEL}",
        "training": f"{TRAINING} --augment",
    },
    "tag": {
        "data": f"{INPUT} --valid --valid-fraction --vectors --cut --bad-spans {WORD_FEATURES} --missing",
        "model": f"{MODEL} --causal --part-size --projection-size --kernel-size --look-ahead --members {WORD_DROPOUT}",
        "training": f"{TRAINING} --batch-steps --chunk-length",
    },
    "translate": {
        "data": f"{PAIRS} --valid --valid-fraction --tokens --shared --max-vocabulary --min-count --max-length",
        "model": f"{PAIR_MODEL} --decoder-size --decoder-layers --attention --tying --state-dropout --output-dropout",
        "training": f"{TRAINING} --label-smoothing --samples --batch-steps",
        "decoding": "--alpha",
    },
    "forecast": {
        "data": f"{TABLES} --valid --valid-fraction {WINDOWS}",
        "model": f"{MODEL.replace('--embedding-size ', '')} --projection-size --members",
        "training": f"{TRAINING} --no-refit",
    },
    "language": {
        "data": f"{TEXTS} --valid --valid-fraction --tokens {TEXT_FEATURES} --vectors",
        "model": f"{MODEL} {LANGUAGE_MODEL}",
        "training": f"{TRAINING} {LANGUAGE_TRAINING}",
    },
}
FILES = {**dict.fromkeys(TASK_OPTIONS, "FILE"), "translate": "SOURCE TARGET", "language": "FILE..."}
FINDING = "--beam --alpha --min-ratio --max-ratio --max-length --max-source --no-repeat"
DRAWING = "--max-tokens --samples --temperature --top-k --top-p --min-p --repetition-penalty --stop --unknown --seed"
OPTIONS = {
    "fit": "",
    **{
        f"fit {task}": " ".join([FILES[task], *{**groups, "training": f"{groups['training']} --from"}.values(), OUTPUT])
        for task, groups in TASK_OPTIONS.items()
    },
    "tune": "",
    **{
        f"tune {task}": f"{FILES[task]} {' '.join(groups.values())} {SEARCH} {SEARCH_OUTPUT}"
        for task, groups in TASK_OPTIONS.items()
    },
    "compare": "",
    **{
        f"compare {task}": (
            f"{FILES[task]} {' '.join(groups.values())} {COMPARISON} {SEARCH_OUTPUT}".replace(
                "--valid ", "--valid --test ", 1
            )
        )
        for task, groups in TASK_OPTIONS.items()
    },
    "resume": "DIR --accept-changed-data --quiet --json",
    "evaluate": (
        f"BUNDLE FILE... {ANY_INPUT} --document {FINDING} --dynamic --cache --rolling --stride --report --errors --json"
    ),
    "predict": (
        f"BUNDLE FILE {ANY_INPUT} --item --output-format {FINDING} --n-best --attention --plot --plot-series --json"
    ),
    "translate": f"BUNDLE {FINDING} --attention",
    "stream": "BUNDLE --by --continue --score --json",
    "generate": f"BUNDLE --prompt --prompt-file {DRAWING} --json",
    "score": f"BUNDLE FILE [TARGET]... --text --by --tokens {PAIRS} --json",
    "program": "BUNDLE --json",
    "check": f"BUNDLE [FILE]... --tolerance --items {ANY_INPUT} --document --json",
    "quantize": f"BUNDLE --data --out --precision --tolerance --overwrite {ANY_INPUT} --document --json",
    "export": (
        "BUNDLE --to --out --overwrite --tolerance --precision --members --name --activations --flash --data "
        f"{ANY_INPUT} --document --json"
    ),
    "data": f"FILE [TARGET]... {ANY_INPUT} --horizon --label-type --json",
    "cells": "NAMES --input-size --hidden-size --json",
    "doctor": "--json",
    "completion": "SHELL",
}

#: options of an estimator that the command line sets
SET_BY_COMMAND = {"kind", "feature_options", "verbose"}
#: options that have no effect in a task
UNUSED = {"forecast": {"embedding_size"}}


def command(path: str) -> click.Command:
    first, *rest = path.split()
    found: Any = importlib.import_module(f"rekur.cli.{first}").command
    for name in rest:
        found = found.get_command(click.Context(found), name)
    return found


def spelled(parameter: click.Parameter) -> str:
    return parameter.human_readable_name if isinstance(parameter, click.Argument) else parameter.opts[0]


@pytest.mark.parametrize("path", OPTIONS)
def test_options(path: str) -> None:
    assert " ".join(map(spelled, command(path).params)).split() == OPTIONS[path].split()


def test_every_command_is_in_the_table() -> None:
    assert list(app.list_commands(click.Context(app))) == list(COMMANDS)
    groups = ("fit", "tune", "compare")
    inner = {f"{group} {row.name}" for group in groups for row in CATALOG.values() if not row.preview}
    assert set(OPTIONS) == {*COMMANDS, *inner}


@pytest.mark.parametrize("path", OPTIONS)
def test_every_option_is_explained(path: str) -> None:
    for parameter in command(path).params:
        if isinstance(parameter, click.Option):
            assert parameter.help
            assert parameter.help.endswith("."), parameter.name


@pytest.mark.parametrize("command_name", ["fit", "tune"])
@pytest.mark.parametrize("task", TASK_OPTIONS)
def test_help_has_the_options_by_group(command_name: str, task: str) -> None:
    found = command(f"{command_name} {task}")
    text = found.get_help(click.Context(found, info_name="rekur"))
    sections = dict(re.findall(r"^(\w+) options:\n((?:  .*\n?)+)", text, re.MULTILINE))
    groups = {**TASK_OPTIONS[task], "output": f"{OUTPUT} --help"}
    groups["training"] += " --from"
    if command_name == "tune":
        groups = {**TASK_OPTIONS[task], "search": SEARCH, "output": f"{SEARCH_OUTPUT} --help"}
    assert list(sections) == [group.capitalize() for group in groups]
    for group, flags in groups.items():
        assert re.findall(r"^  (--[\w-]+)", sections[group.capitalize()], re.MULTILINE) == flags.split()


@pytest.mark.parametrize("task", CATALOG)
def test_fit_takes_what_the_estimator_takes(task: str) -> None:
    options = options_of(CATALOG[task].options_class())
    assert set(options) == set(CATALOG[task].estimator_class()().get_params())
    names = {parameter.name for parameter in command(f"fit {task}").params}
    features = {name for each in options.values() if each.members is not None for name in options_of(each.members)}
    assert set(options) - names == (SET_BY_COMMAND | UNUSED.get(task, set())) & set(options)
    assert features <= names
    assert features <= {name for kind in FEATURES.values() for name in inspect.signature(kind).parameters}


@pytest.mark.parametrize("task", CATALOG)
def test_options_of_the_catalog_stand_in_classes_of_options(task: str) -> None:
    estimator, options = CATALOG[task].estimator_class(), CATALOG[task].options_class()
    assert issubclass(estimator, options)
    assert list(options_of(estimator)) == list(options_of(options))
    assert list(inspect.signature(estimator).parameters) == list(inspect.signature(options).parameters)
    for cls in (estimator, options):
        documentation = inspect.getdoc(cls) or ""
        for name, described in options_of(cls).items():
            assert described.help.endswith("."), name
            assert documentation.count(f"\n    {name} (") == 1, name
        for base in cls.__mro__:  # an option in a class that is not decorated is a field that no constructor takes
            assert not [name for name, value in vars(base).items() if isinstance(value, dataclasses.Field)]


@pytest.mark.parametrize("task", CATALOG)
def test_default_ranges_are_ranges_of_valid_values(task: str) -> None:
    options = CATALOG[task].options_class()
    for kind in ("text", "symbols", "series"):
        for name, dimension in default_space(task, kind).items():
            for value in dimension.ends():
                options.check_values({name: value})


@pytest.mark.parametrize("task", CATALOG)
def test_parsers_and_choices_give_values_that_are_checked(task: str) -> None:
    options = CATALOG[task].options_class()
    for name, described in options_of(options).items():
        for choice in described.choices:
            options.check_values({name: choice})
        if described.check is not None:
            with pytest.raises(InputError, match=rf"^{name}: got "):
                options.check_values({name: object()})


@pytest.mark.parametrize("path", [f"fit {task}" for task in TASK_OPTIONS])
def test_defaults_stand_in_the_estimators_alone(path: str) -> None:
    values = command(path).make_context("fit", ["FILE", "--out", "DIR"]).params
    given = {name: value for name, value in values.items() if value not in (None, (), False)}
    assert set(given) in ({"file", "out"}, {"files", "out"})


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


@pytest.mark.parametrize("task", CATALOG)
def test_estimators_store_what_they_are_given_and_nothing_else(task: str) -> None:
    estimator = CATALOG[task].estimator_class()()
    assert set(vars(estimator)) == set(estimator.get_params())


def test_the_tasks_of_items_share_their_defaults() -> None:
    a, b = Classifier().get_params(), Regressor().get_params()
    assert {name: a[name] for name in b} == b
    assert set(a) - set(b) == {"multi_label", "class_weight", "label_smoothing", "bayes_start"}


@pytest.mark.parametrize("words", [[], ["fit"], ["fit", "classify"], ["tune", "language"]])
def test_help_imports_neither_numpy_nor_torch_nor_scikit_learn(words: list[str]) -> None:
    code = (
        "import sys\nfrom rekur.cli.app import main\n"
        f"main({[*words, '--help']!r})\n"
        "print(sorted({'numpy', 'torch', 'sklearn', 'optuna'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"
