"""A new language network that begins with what is counted in the training text."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rekur.data import Tokens
from rekur.models import LanguageNetwork, LanguageSpec, build_language
from rekur.nn.ngram import frequent_runs
from rekur.tasks import language_recipe as recipe
from rekur.tasks.early import check_model_size


def new_network(
    chosen: dict[str, Any], text: Tokens, vocabulary_size: int, reset: bool, begun: dict[str, Any] | None = None
) -> LanguageNetwork:
    """Return an untrained network that knows how frequent tokens are, and which runs of them.

    Args:
        chosen: all options.
        text: the training text.
        vocabulary_size: number of token numbers V.
        reset: whether a run of tokens never reaches from one document into the next.
        begun: what a run that is gone on with on other texts was; its weights know what was frequent then.
    """
    if begun is not None:
        return build_language(LanguageSpec.from_dict(begun["model"]), seed=chosen["seed"])
    ids = torch.from_numpy(np.asarray(text.ids[: recipe.MOST_COUNTED]))
    options = {name: chosen[name] for name in recipe.MODEL_OPTIONS}
    runs: tuple[Tensor, ...] = ()
    if options["ngrams"]:
        begins = torch.from_numpy(text.starts if reset else text.starts[:1])
        how = {"min_count": recipe.LEAST_COUNT, "most": chosen["ngram_rows"]}
        runs = frequent_runs(ids, begins[begins < len(ids)], options["ngrams"], **how)
    if options["softmax"] == "adaptive":
        options["cutoffs"] = recipe.cutoffs(vocabulary_size)
    rows = tuple(len(keys) + 1 for keys in runs)
    spec = LanguageSpec(vocabulary_size=vocabulary_size, ngram_rows=rows, **options)
    check_model_size(build_language, spec, chosen)
    network = build_language(spec, seed=chosen["seed"])
    if network.ngram_embedding is not None:
        network.ngram_embedding.know(runs)
    network.start_bias(torch.bincount(ids, minlength=vocabulary_size))
    return network
