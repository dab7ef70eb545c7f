"""Rivals in a bundle."""

from __future__ import annotations

from collections.abc import Callable

from rekur._lazy import LazyClasses
from rekur._tensors import pack, unpack
from rekur.runtime import layout
from rekur.runtime.bundle import Bundle
from rekur.runtime.rival import Rival
from rekur.targets import Target

#: a rival is kept in a bundle up to this size of its files in bytes
MOST_BYTES = 5_000_000

#: every kind of rival that a bundle can hold
RIVALS: dict[str, type[Rival]] = LazyClasses(
    {
        "linear": "rekur.runtime.rivals:LinearRival",
        "frequent tags": "rekur.runtime.rivals:FrequentTags",
        "span dictionary": "rekur.runtime.span_rival:SpanDictionary",
        "window": "rekur.runtime.rivals:WindowRival",
        "copy": "rekur.runtime.pair_rivals:CopyRival",
        "lexicon": "rekur.runtime.pair_rivals:LexiconRival",
        "plain forecast": "rekur.runtime.window_rivals:PlainRival",
        "n-gram": "rekur.runtime.rivals:NGramRival",
    }
)


def rival_files(rival: Rival | None) -> dict[str, bytes]:
    """Return the files that keep a rival in a bundle; none where it is larger than 5 MB, or keeps nothing."""
    saved = None if rival is None else rival.to_saved()
    if rival is None or saved is None:
        return {}
    facts, arrays = saved
    files = {layout.RIVAL: layout.render({"kind": rival.kind, **facts})}
    if sum(array.nbytes for array in arrays.values()) + len(files[layout.RIVAL]) > MOST_BYTES:
        return {}
    return {**files, layout.RIVAL_ARRAYS: pack("rival", arrays)} if arrays else files


def read_rival(bundle: Bundle, target: Target) -> Rival | None:
    """Return the rival of a bundle; None without one.

    Raises:
        BundleError: a file of it is damaged, or of a newer Rekur.
    """
    if layout.RIVAL not in bundle.config["files"]:
        return None
    path = bundle.folder / layout.RIVAL
    saved = layout.parse(path, bundle.read(layout.RIVAL))
    try:
        make: Callable[..., Rival] = RIVALS[saved["kind"]].from_saved
        arrays = unpack(bundle.read(layout.RIVAL_ARRAYS)) if layout.RIVAL_ARRAYS in bundle.config["files"] else {}
        return make(saved, arrays, target)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise layout.damaged(path, f"a rival without {error}", "one that this Rekur wrote") from error
