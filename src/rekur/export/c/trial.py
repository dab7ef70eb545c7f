"""Raw items on which an export is tried before it is written, and its outputs for them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from rekur.export.c import check
from rekur.export.c.constants import Array
from rekur.export.c.source import Lowered
from rekur.features import Features, SeriesFeatures, SymbolFeatures, TextFeatures

_COUNT = 24
#: separators of words in a trial text, and characters that may be unknown to a vocabulary
_BETWEEN = (" ", " ", " ", "", "\n", ", ", ". ", "-", "'", "  ", "\t")
_STRANGE = (
    "é",
    "Ω",
    "日本",
    "👩‍🚀",
    "🇫🇷",
    "٣",
    "3.14",
    "１",
    "İ",
    "x" * 70,
    "\u00a0",
    "ｶﾞ",
    "e\u0301",
    "§",
    "😀",
    "—",
    "K",
)


def trial_items(features: Features) -> list[Any]:
    """Return raw items for features that C reads: of known and unknown tokens, with missing numbers.

    Example:
        >>> len(trial_items(TextFeatures("char").fit(["abc"])))
        24
    """
    draw = random.Random(0)
    if isinstance(features, SeriesFeatures):
        return [_walk(features, np.random.default_rng((0, number)), number) for number in range(_COUNT)]
    if isinstance(features, SymbolFeatures):
        return [_codes(features, draw, number) for number in range(_COUNT)]
    vocabulary = (
        features.vocabulary_ if isinstance(features, TextFeatures) and features.tokens_ != "byte" else ("a", "Z")
    )
    return ["".join(_piece(draw, vocabulary) for _ in range(number * 2)) for number in range(_COUNT)]


def _piece(draw: random.Random, vocabulary: Sequence[str]) -> str:
    token = draw.choice(vocabulary) if draw.random() < 0.8 else draw.choice(_STRANGE)
    token = token.upper() if draw.random() < 0.1 else token
    return token + (draw.choice(_BETWEEN) if len(vocabulary) > 1 else "")


def _walk(features: SeriesFeatures, rng: np.random.Generator, length: int) -> Array:
    learnt = features.to_dict()["learnt"]
    rows = np.array(learnt["mean"]) + np.array(learnt["scale"]) * rng.normal(size=(length, len(learnt["mean"])))
    if features.missing != "error":
        rows[rng.random(rows.shape) < 0.2] = np.nan
    return rows


def _codes(features: SymbolFeatures, draw: random.Random, length: int) -> Any:
    codes = [draw.choice(features.vocabulary_) if draw.random() < 0.9 else "?!" for _ in range(length)]
    if features.form_ == "letters":
        return draw.choice(("", " ")).join(code.lower() if draw.random() < 0.3 else code for code in codes)
    if features.separator_ is None:
        return codes
    between = features.separator_ if features.separator is not None else draw.choice((" ", "\t", "\u2003\n"))
    return between.join(draw.choice(("", " ")) + code for code in codes)


def raw_outputs(
    sources: dict[str, str], name: str, features: Features, items: Sequence[Any], lowered: Lowered
) -> Array:
    """Return the outputs (B, K) of an export for raw items, which it reads in pieces of any size."""
    with check.scratch() as folder:
        for file in (f"{name}.h", f"{name}.c"):
            (folder / file).write_text(sources[file], encoding="utf-8")
        rows = isinstance(features, SeriesFeatures)
        (folder / "trial.c").write_text(_program(name, rows), encoding="utf-8")
        binary = check.build(folder, [f"{name}.c", "trial.c"], "trial")
        draw = random.Random(0)
        text = b"".join(_series(item) if rows else _pieces(item, draw) for item in items)
        written = check.run(binary, text + b"-1\n")
    return check.numbers_of(written, (len(items), lowered.program.output_size))


def _series(item: Any) -> bytes:
    rows = np.asarray(item, np.float64)
    return f"{len(rows)} {' '.join(f'{value:.17g}' for value in rows.reshape(-1).tolist())}\n".encode()


def _pieces(item: Any, draw: random.Random) -> bytes:
    """Return an item as a count of pieces, then each piece after its length: codes, or bytes cut anywhere."""
    if isinstance(item, list):
        pieces = [str(code).encode() for code in item]
    else:
        text, pieces = item.encode(), []
        while text:
            size = draw.randint(1, 9)
            pieces.append(text[:size])
            text = text[size:]
    return b"%d\n" % len(pieces) + b"".join(b"%d\n%s" % (len(piece), piece) for piece in pieces)


def _program(name: str, rows: bool) -> str:
    upper = name.upper()
    if rows:
        variables = f"    static double values[{upper}_CHANNELS];\n    int i;\n"
        push = f"""            for (i = 0; i < {upper}_CHANNELS; ++i) {{
                if (scanf("%lf", values + i) != 1) {{
                    return 1;
                }}
            }}
            if ({name}_push(&state, values) != 0) {{
                return 1;
            }}
"""
    else:
        variables = "    static char piece[65536];\n    int length;\n"
        push = f"""            if (scanf("%d", &length) != 1 || getchar() == EOF || length > (int)sizeof piece
                || fread(piece, 1, (size_t)length, stdin) != (size_t)length) {{
                return 1;
            }}
            {name}_push(&state, piece, (size_t)length);
"""
    finish = "" if rows else f"        {name}_finish(&state);\n"
    return f"""#include <stdio.h>
#include "{name}.h"

int main(void)
{{
    static {name}_state state;
    static float output[{upper}_OUTPUT];
{variables}    int count, k;
    while (scanf("%d", &count) == 1 && count >= 0) {{
        {name}_init(&state);
        while (count-- > 0) {{
{push}        }}
{finish}        {name}_read(&state, output);
        for (k = 0; k < {upper}_OUTPUT; ++k) {{
            printf("%.9g%c", (double)output[k], k + 1 < {upper}_OUTPUT ? ' ' : '\\n');
        }}
    }}
    return 0;
}}
"""
