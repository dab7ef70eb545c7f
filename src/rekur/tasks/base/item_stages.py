"""The stages of a training on whole items with labels.

Axes: N items.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur._numbers import counted
from rekur.data import Corpus, EncodedItems, choose_rows, read_labels
from rekur.data.corpus import Labels
from rekur.data.overlap import shared_items
from rekur.data.sketch import Sketch
from rekur.errors import InputError
from rekur.features import Features
from rekur.metrics import METRICS
from rekur.runtime.rival import Rival, rival_scores
from rekur.targets import KINDS, Target
from rekur.tasks.base.early import long_item_warning
from rekur.tasks.base.folds import OUT_OF_FOLD, FoldedRival, by_stretches, folds_of, notes_of_folds
from rekur.tasks.base.guess import guess_of_items
from rekur.tasks.base.plan import FitPlan
from rekur.tasks.base.prepared import PreparedItems
from rekur.tasks.base.prior import Prior
from rekur.tasks.base.stages import Longer, Stages, Trained
from rekur.tasks.base.stream_plan import StreamPlan
from rekur.tasks.base.task import ItemTask
from rekur.train import Reporter

#: validation items below which scores are said to tell little
FEW_TO_VALIDATE = 4


class _Parts(NamedTuple):
    """How examples are cut.

    Attributes:
        target: that all labels teach.
        chosen: True for those to train on, (N,).
        folds: the fold of each, (N,); None without folds.
        groups: the number of the group of each, (N,); None where no two are alike.
        notes: sentences that tell a person of it.
    """

    target: Target
    chosen: NDArray[np.bool_]
    folds: NDArray[np.int64] | None
    groups: NDArray[np.int64] | None
    notes: list[str]


class ItemStages(Stages):
    """Items in length buckets, a head's loss, and records of a target.

    Args:
        task: says examples, features, target, network and head.
    """

    def __init__(self, task: ItemTask) -> None:
        self._task = task

    def prepare(self, corpus: Corpus, valid: Corpus | None, prior: Prior | None) -> PreparedItems:
        task = self._task
        task.check_corpus(corpus)
        corpus, told = task.examples(corpus), []
        if valid is None and (held := task.hold_out(corpus)) is not None:
            corpus, valid, sentence = held
            told.append(sentence)
        elif valid is not None:
            valid = task.valid_examples(valid).by_name(corpus.channels)
        labels = read_labels(corpus)
        valid_labels = labels if valid is None else read_labels(valid)
        try:
            parts = self._cut(corpus, labels, hold_out=valid is None)
        except InputError as error:
            if not told:
                raise
            raise InputError(f"{error} ({told[0]})") from error
        target, chosen = parts.target, parts.chosen
        if prior is not None and prior.resumed:
            target = prior.target
        if valid is not None:
            target.check_labels(valid_labels.values, valid.name, valid_labels.place_of)
        examples = corpus.part(chosen)
        features = task.make_features(corpus)
        if prior is not None and (earlier := prior.features_like(features)) is not None:
            features = earlier
        else:
            with examples.naming_the_place():
                features.fit(task.features_learn_from(examples))
        if prior is None or not prior.resumed:
            target = self._learn_target(_of_rows(labels.values, chosen), features)
        target.features = features
        train_set = _encode(corpus, labels, features, target, np.flatnonzero(chosen), trains=valid is not None)
        if (labels.weights != 1).any():
            train_set.weights = labels.weights / labels.weights[chosen].mean()
        train_set.groups = parts.groups
        valid_set = self._valid_set(train_set, chosen, parts.folds)
        told = [*parts.notes, *told]
        told += [] if parts.folds is None else notes_of_folds(parts.folds, labels)
        if prior is not None and (note := prior.note_of_folds(train_set)):
            told.append(note)
        if valid is not None:
            rows = np.arange(len(valid_labels.values))
            valid_set = _encode(valid, valid_labels, features, target, rows)
        return PreparedItems(
            features=features,
            target=target,
            notes=[
                *[f"{part.name}: {note}" for part in (corpus, valid) if part is not None for note in part.notes()],
                *told,
                *target.notes(),
                *_notes(features, train_set, valid_set, valid is None or bool(told), self._task.steps_option),
            ],
            reads={"features": features.to_dict(), "targets": {"kind": target.kind, **target.to_dict()}},
            train=train_set,
            valid=valid_set,
            examples=examples,
            validated=corpus.part(~chosen) if valid is None else valid,
        )

    def examples_again(self, corpus: Corpus) -> Corpus | None:
        return self._task.examples_again(corpus)

    def prepare_again(self, examples: Corpus, valid: EncodedItems) -> PreparedItems:
        labels = read_labels(examples)
        features = self._task.make_features(examples)
        with examples.naming_the_place():
            features.fit(self._task.features_learn_from(examples))
        target = self._learn_target(labels.values, features)
        target.features = features
        rows = np.arange(len(labels.values))
        train_set = _encode(examples, labels, features, target, rows, trains=True)
        how: dict[str, Any] = {"notes": [], "reads": {}, "valid": valid, "examples": examples}
        return PreparedItems(features=features, target=target, train=train_set, **how)

    @staticmethod
    def _valid_set(train_set: EncodedItems, chosen: NDArray[np.bool_], folds: NDArray[np.int64] | None) -> EncodedItems:
        """Return the items that are held out, or with folds all that are in one."""
        train_set.folds = folds
        return dataclasses.replace(train_set, rows=np.flatnonzero(~chosen if folds is None else folds >= 0))

    def _learn_target(self, labels: list[Any], features: Features | None, **how: Any) -> Target:
        return KINDS[self._task.target].learn(labels, features, **how, **self._task.target_options())

    def _cut(self, corpus: Corpus, labels: Labels, *, hold_out: bool) -> _Parts:
        """Return which examples train and which validate, their groups, and a target that all labels teach.

        Raises:
            InputError: the labels teach nothing, or nothing can be held out.
        """
        task = self._task
        count = task.fold_count(corpus, len(labels.values)) if hold_out else 0
        together, notes = by_stretches(corpus, labels, count, task)
        target, chosen = self._check_labels(together, hold_out=hold_out and not count)
        folds = folds_of(together, count, task) if count else None
        groups = None if together.groups is None else np.unique(together.groups, return_inverse=True)[1]
        return _Parts(target, chosen, folds, groups, notes if hold_out else [])

    def _check_labels(self, labels: Labels, *, hold_out: bool) -> tuple[Target, NDArray[np.bool_]]:
        """Return a target that all labels teach, and True for each example to train on, False for those held out.

        Raises:
            InputError: the labels teach nothing.
        """
        task, values = self._task, labels.values
        # what all labels cannot teach, a part cannot: said before anything is cut
        target = self._learn_target(values, None, place_of=labels.place_of)
        if not hold_out:
            return target, np.ones(len(values), dtype=bool)
        how: dict[str, Any] = {"stratified": task.stratified, "documents": labels.documents, "groups": labels.groups}
        seed = task.seed if task.split_seed is None else task.split_seed
        chosen = choose_rows(values, labels.keys, task.valid_fraction, seed, **how)
        try:
            self._learn_target(_of_rows(values, chosen), None)
        except InputError as error:
            raise InputError(
                f"examples: got {len(values)}; expected more, since with {int((~chosen).sum())} held out for "
                "validation the labels of the others do not differ. Add examples, or give items for validation."
            ) from error
        return target, chosen

    def sketch(self, prepared: PreparedItems) -> Sketch:
        return Sketch.of_items([prepared.train, prepared.valid])

    def choose_options(self, prepared: PreparedItems) -> dict[str, Any]:
        return self._task.choose_options(prepared.features, prepared.target, prepared.train)

    def make_network(self, prepared: PreparedItems, prior: Prior | None) -> Any:
        network = self._task.make_network(prepared.features, prepared.target)
        self._task.start_network(network, prepared.target, prepared.train)
        return network

    def make_plan(self, network: Any, prepared: PreparedItems) -> tuple[FitPlan, str]:
        task, train_set, valid_set = self._task, prepared.train, prepared.valid
        network.criterion = task.make_head(prepared.target, train_set)
        lanes, measure = task.make_lanes(train_set), task.make_measure(network.criterion, prepared.target)
        parts = task.training_parts(train_set)
        monitor = task.make_monitor(prepared.target, valid_set)
        plan = task.make_plan(network, measure, parts, valid_set, monitor)
        if lanes is not None:
            late, layout = network.spec.look_ahead, network.state_layout()
            how: dict[str, Any] = {"monitor": monitor, "batches": task.make_batches(train_set)}
            plan = StreamPlan(measure, train_set, valid_set, lanes=lanes, late=late, layout=layout, **how)
            return plan, (
                f"{int(train_set.lengths.sum()):,} steps to train on, {int(valid_set.lengths.sum()):,} to validate on; "
                f"{lanes.count} lanes in chunks of {lanes.chunk} steps, across which the state is carried"
            )
        steps = [f" ({counted(int(each.lengths.sum()), 'step')})" for each in (train_set, valid_set)]
        if not prepared.target.per_step:
            steps = ["", ""]
        return plan, (
            f"{counted(len(train_set), 'item')} to train on{steps[0]}, {len(valid_set)} to validate on{steps[1]}; "
            f"padding {plan.padding_waste:.1%} of all steps ({plan.unsorted_waste:.1%} without length buckets)"
        )

    def first_options(self, prepared: PreparedItems) -> dict[str, Any]:
        return self._task.first_options(prepared.target)

    def longer(self, network: Any, plan: FitPlan) -> Longer | None:
        return self._task.longer(network, plan)

    def report(self, trained: Trained, prepared: PreparedItems, plan: FitPlan, reporter: Reporter) -> dict[str, Any]:
        train_set, valid_set = prepared.train, prepared.valid
        if note := self._task.finish_network(trained.network, prepared.target, train_set, valid_set):
            reporter.say(note)
        measured = plan.measured(trained.network)
        self._task.refit_network(trained.network)
        self.records = measured.records
        if len(measured.records) < FEW_TO_VALIDATE:  # a long series has several
            reporter.say(f"Scores on so few items tell little: {counted(len(valid_set), 'item')} to validate on.")
        guess = guess_of_items(plan.measure, measured, train_set, valid_set)
        guess.check(trained.result, trained.options, reporter)
        target, weights = prepared.target, valid_set.record_weights(measured.items)
        split = "validation" if valid_set.folds is None else OUT_OF_FOLD
        parts = {"parts": list(self._task.parts_)} if self._task.parts_ else {}
        if weights is not None:
            reporter.say("Scores weigh validation items by sample_weight; those of the rival too.")
            return {"split": split, **target.weighted_report(measured.records, weights), **parts}
        return {"split": split, **target.report(measured.records), **parts}

    def score_rival(self, prepared: PreparedItems) -> tuple[Rival | None, dict[str, Any]]:
        target, valid_set = prepared.target, prepared.valid
        rivals = self._task.make_rivals(prepared.examples, prepared.train, target)
        if not rivals:
            return None, {}
        scored = rivals if valid_set.folds is None else self._rivals_of_folds(rivals, prepared)
        scores = [rival_scores(rival, valid_set, target) for rival in scored]
        best = 0
        for number in range(1, len(rivals)):
            if METRICS[target.decides].lost(scores[best][target.decides], scores[number][target.decides]) < 0:
                best = number
        told = [{"name": rival.name, **each} for rival, each in zip(rivals, scores, strict=True)]
        others = told[:best] + told[best + 1 :]
        more = {"others": others} if others else {}
        return rivals[best], {"name": rivals[best].name, "items": len(valid_set), **scores[best], **more}

    def _rivals_of_folds(self, rivals: list[Rival], prepared: PreparedItems) -> list[Rival]:
        """Return the rivals such that each item is predicted by one that was fitted on the other folds."""
        train_set, folds = prepared.train, prepared.valid.folds
        assert folds is not None  # noqa: S101 - the caller asked
        parts = []
        for fold in range(int(folds.max()) + 1):
            others = dataclasses.replace(train_set, rows=train_set.rows[folds[train_set.rows] != fold])
            examples = prepared.examples.part(folds != fold)
            parts.append(self._task.make_rivals(examples, others, prepared.target))
        return [
            FoldedRival(rival.name, list(each)) for rival, each in zip(rivals, zip(*parts, strict=True), strict=True)
        ]


def _encode(
    corpus: Corpus,
    labels: Labels,
    features: Features,
    target: Target,
    rows: NDArray[np.int64],
    *,
    trains: bool = False,
) -> EncodedItems:
    """Return all examples of a corpus, encoded, with those that count; ``trains`` says that all of them train."""
    inputs, contexts = corpus.encode(features.for_training() if trains else features)
    targets = target.encode_items(labels.values, contexts, corpus.name, labels.place_of)
    begins = [features.begins(context) for context in contexts]
    return EncodedItems(inputs, targets, rows, labels.values, contexts, begins)


def _notes(
    features: Features, train_set: EncodedItems, valid_set: EncodedItems, held_out: bool, steps_option: str
) -> list[str]:
    """Return what a person is told of the items before the training."""
    lengths = np.concatenate([train_set.lengths, valid_set.lengths])
    notes = [
        *features.notes(),
        long_item_warning(lengths, features.is_discrete, steps_option),
        None if held_out else shared_items(train_set, valid_set),
    ]
    return [note for note in notes if note is not None]


def _of_rows(values: list[Any], chosen: NDArray[np.bool_]) -> list[Any]:
    """Return the chosen of these values."""
    return [value for value, use in zip(values, chosen, strict=True) if use]
