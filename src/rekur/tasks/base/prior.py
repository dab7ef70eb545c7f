"""What an earlier run or bundle already knows: features, target and weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import nn

from rekur._numbers import counted
from rekur._tensors import Array
from rekur.data import EncodedItems
from rekur.data.sketch import Sketch
from rekur.features import Features, restore
from rekur.runtime import read_bundle
from rekur.targets import Target, restore_target


class Taken(NamedTuple):
    """The weights of a network that is trained from an earlier one.

    Attributes:
        taken: names of the weights of the earlier network.
        new: names of the others.
    """

    taken: list[str]
    new: list[str]


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What an earlier run or bundle knows.

    Attributes:
        name: of it in messages.
        features: as they were saved.
        target: as it was saved.
        model: the specification of the network.
        weights: name -> array; None for a run that is resumed, whose checkpoint has them.
        fingerprint: of the bundle, or of that from which the run started; empty if it started from none.
        sketch: of the data that the bundle was trained on; None where it is not known.
    """

    name: str
    features: Mapping[str, Any]
    target: Target
    model: Mapping[str, Any]
    weights: Mapping[str, Array] | None
    fingerprint: str = ""
    sketch: Sketch | None = None

    @property
    def resumed(self) -> bool:
        """Whether it is a run that is resumed: everything is taken from it."""
        return self.weights is None

    @classmethod
    def of_run(cls, identity: Mapping[str, Any], task: str) -> Prior:
        """Return what the run with this identity knows, see :meth:`rekur.train.Checkpoints.identify`."""
        reads = identity["reads"]
        target = restore_target(reads["targets"], task)
        return cls(
            name="the run",
            features=reads["features"],
            target=target,
            model=identity["model"],
            weights=None,
            fingerprint=identity["prior"],
        )

    @classmethod
    def of_bundle(cls, folder: str | os.PathLike[str]) -> Prior:
        """Return what a bundle knows.

        Raises:
            BundleError: the folder holds no bundle, or one without a model for PyTorch.
        """
        bundle = read_bundle(folder)
        features, config = bundle.features(), bundle.config
        return cls(
            name=str(folder),
            features=features.to_dict(),
            target=bundle.target(features),
            model=config["model"],
            weights=bundle.weights(),
            fingerprint=bundle.fingerprint,
            sketch=bundle.sketch(),
        )

    def features_like(self, new: Features) -> Features | None:
        """Return its features where they can stand for new ones; None where new ones are to be fitted.

        Args:
            new: not fitted; those of a bundle are taken if kind and options are equal.
        """
        features, asked = restore(self.features), new.options
        if not asked.get("vector_words") and features.options.get("vector_size"):
            # a training without vectors of its own reads words by those of the bundle
            asked |= {name: features.options[name] for name in ("vector_words", "vector_size")}
        alike = type(features) is type(new) and features.options == asked
        return features if self.resumed or alike else None

    def give(self, network: nn.Module, features: Features, target: Target) -> Taken:
        """Copy weights into a new network: those with an equal name, shape and numbering of rows.

        Layers of networks of different tasks have equal names here: an encoder's count as the network's own.

        Args:
            network: untrained; its method ``numbering`` says what numbers the rows of a weight.
            features: of the new network.
            target: of the new network.
        """
        weights = {_shared_name(name): array for name, array in (self.weights or {}).items()}
        same = {
            "features": features.to_dict() == self.features,
            "target": (target.kind, target.output_names) == (self.target.kind, self.target.output_names),
        }
        same["both"] = same["features"] and same["target"]
        for name, buffer in network.named_buffers():
            earlier = weights.get(_shared_name(name))
            same[name] = earlier is not None and np.array_equal(earlier, buffer.numpy())
        numbering: Mapping[str, str] = network.numbering()  # type: ignore[operator]
        taken = Taken([], [])
        with torch.no_grad():
            for name, weight in network.named_parameters():
                earlier, numbers = weights.get(_shared_name(name)), numbering.get(name)
                alike = earlier is not None and earlier.shape == tuple(weight.shape)
                if not weight.requires_grad and bool(weight.any()):  # vectors that were read from a file
                    alike = alike and np.array_equal(cast(Array, earlier), weight.numpy())
                elif numbers is not None:
                    alike = alike and same[numbers]
                if not alike:
                    taken.new.append(name)
                    continue
                weight.copy_(torch.from_numpy(np.array(earlier)))
                taken.taken.append(name)
        return taken

    def sentence(self, taken: Taken, *, has_features: bool) -> str:
        """Return in words which weights were taken and which are new.

        Args:
            taken: by :meth:`give`.
            has_features: whether its features were taken.
        """
        if not taken.taken and not has_features:
            return f"warning: nothing of {self.name} fits this model: everything is new."
        features = "features" if has_features else "no features"
        if words := self.features.get("learnt", {}).get("vector_words"):
            vectors = any(name.endswith("vectors.weight") for name in taken.taken)
            features += f", {'the' if vectors else 'none of the'} trained vectors of {len(words):,} words"
        new = f"; new: {', '.join(taken.new)}" if taken.new else ""
        return f"From {self.name}: {features} and {counted(len(taken.taken), 'weight')} taken{new}."

    def note_of_folds(self, items: EncodedItems) -> str:
        """Return a warning that the networks of folds begin with weights that have seen the items of their own fold.

        Args:
            items: to train on, with their folds.
        """
        share = self.sketch.share(items) if self.sketch is not None and items.folds is not None else None
        if not share:
            return ""
        return (
            f"warning: {self.name} was trained on about {share:.0%} of these items, so that networks may begin with "
            "what they are scored on: out-of-fold scores can be too good. Take other items, or --valid FILE."
        )


def _shared_name(name: str) -> str:
    """Return the name of a weight without the modules that hold the layers in some networks.

    Example:
        >>> _shared_name("encoder.recurrent.layers.0.cell.weight_hh")
        'layers.0.cell.weight_hh'
    """
    return name.removeprefix("encoder.").removeprefix("recurrent.")
