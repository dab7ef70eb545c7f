"""Features: raw items to steps, fitted on training data, saved, able to stream; NumPy only."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rekur import _check
from rekur.errors import BundleError, InputError, describe, did_you_mean
from rekur.features.base import FILE_NAME, Encoded, Features, FeatureStream, Phrase, type_of
from rekur.features.pairs import PairFeatures
from rekur.features.saved import damaged, field
from rekur.features.series import SeriesFeatures
from rekur.features.symbols import SymbolFeatures
from rekur.features.text import TextFeatures
from rekur.features.windows import WindowFeatures
from rekur.features.words import WordFeatures

__all__ = [
    "FEATURES",
    "Encoded",
    "FeatureStream",
    "Features",
    "PairFeatures",
    "SeriesFeatures",
    "SymbolFeatures",
    "TextFeatures",
    "WindowFeatures",
    "WordFeatures",
    "load",
    "make_features",
    "restore",
]

#: every kind of features by its name
FEATURES: Mapping[str, type[Features]] = MappingProxyType(
    {
        cls.kind: cls
        for cls in (TextFeatures, SeriesFeatures, SymbolFeatures, WordFeatures, PairFeatures, WindowFeatures)
    }
)


def make_features(kind: str, **options: Any) -> Features:
    """Return new features of a kind, not fitted yet.

    Args:
        kind: ``"text"``, ``"series"``, ``"symbols"``, ``"words"``, ``"pairs"`` or ``"windows"``.
        options: what the class of that kind takes.

    Raises:
        InputError: the kind or an option is not known.

    Example:
        >>> make_features("text", tokens="char")
        TextFeatures(tokens='char')
    """
    chosen = FEATURES[_check.choice("features", kind, FEATURES)]
    allowed = list(inspect.signature(chosen).parameters)
    _check.no_unknown(f"option of {kind} features", options, allowed)
    return chosen(**options)


def load(folder: str | Path) -> Features:
    """Return the features that :meth:`Features.save` wrote into a folder.

    Raises:
        BundleError: there is no such file, or it is damaged, of an unknown kind or too new.
    """
    path = Path(folder) / FILE_NAME
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        fix = "Give the folder of a saved model's features."
        raise BundleError(describe(str(path), Phrase(str(error.strerror)), "a file to read", fix)) from error
    except (ValueError, RecursionError) as error:
        fix = "The file is damaged; save the model again."
        raise BundleError(describe(str(path), Phrase("text that is not JSON"), "JSON", fix)) from error
    return restore(saved)


def restore(saved: Any) -> Features:
    """Return the features that :meth:`Features.to_dict` described.

    Raises:
        BundleError: it is damaged, of an unknown kind or too new.
    """
    if type(saved) is not dict:
        raise BundleError(describe(FILE_NAME, type_of(saved), "a JSON object"))
    kind = field(saved, "kind", str)
    if kind not in FEATURES:
        expected = "one of " + ", ".join(f"'{name}'" for name in FEATURES)
        fix = did_you_mean(kind, FEATURES) or "It may be of a newer Rekur: pip install --upgrade rekur"
        raise BundleError(describe(f"{FILE_NAME}, 'kind'", kind, expected, fix))
    try:
        return FEATURES[kind].from_dict(saved)
    except BundleError:
        raise
    except InputError as error:
        raise damaged("options", Phrase(str(error).removesuffix(".")), "options as they were saved") from error
