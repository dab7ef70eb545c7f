"""Texts and symbols cut into tokens in C: token for token as the features cut them, whatever the characters."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from rekur.export.c import check
from rekur.export.c.characters import class_table, hash_of, hashes_of
from rekur.export.c.constants import Constants
from rekur.export.c.parts import assemble
from rekur.export.c.raw import raw_input
from rekur.export.c.source import Style
from rekur.features import Features, SymbolFeatures, TextFeatures

pytestmark = pytest.mark.skipif(check.compiler() is None, reason="no C compiler: neither $CC nor cc, gcc or clang")

#: characters that words are cut at, joined by, or made of, in many scripts
CHARACTERS = (
    "aB9Z '’-‐.,,..  \n\t_éÉßΣσДж١٣１あがｶﾞ日本々\u3099\u0301\u20e3\u200c\u200d\u200d\ufe0f👩👍🏽🚀🇫🇷🇩☂➀①ℹ"
    "\u200b\ufeff\u00a0\u2028İK№½²﹏x\x1c\x85"
)


def texts(seed: int, count: int = 300) -> list[str]:
    """Return random texts, some with very long words."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        alphabet = draw.sample(CHARACTERS, draw.randint(1, 12)) if draw.random() < 0.5 else CHARACTERS
        found.append("".join(draw.choices(alphabet, k=draw.randint(0, 200 if draw.random() < 0.3 else 20))))
    return found


def tokens_in_c(features: Features, items: list[str], folder: Path) -> list[list[int]]:
    """Return the tokens that the C code makes of texts that come in pieces of any size."""
    constants, style = Constants(), Style("m")
    extra = raw_input(features, style, constants, scores_tokens=False)
    parts, _ = assemble(extra.uses, (*style.variants, *extra.variants))
    members = "".join(f"    {kind} {name}{f'[{size}]' if size else ''};\n" for kind, name, size in extra.members)
    resets = "".join(f"    {line}\n" for line in extra.reset)
    code = f"""#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
typedef struct {{
{members}    int steps;
}} m_state;
static void m_step(m_state *state, int32_t token)
{{
    state->steps += 1;
    printf(" %d", (int)token);
}}
{extra.declarations}{constants.kinds}{extra.macros}{constants.arrays}{extra.preamble}{parts}{extra.definitions}
int main(void)
{{
    static char piece[4096];
    int count, length;
    static m_state first;
    m_state *state = &first;
{resets}    while (scanf("%d", &count) == 1) {{
        while (count-- > 0) {{
            if (scanf("%d", &length) != 1 || getchar() == EOF
                || fread(piece, 1, (size_t)length, stdin) != (size_t)length) {{
                return 1;
            }}
            m_push(state, piece, (size_t)length);
        }}
        m_finish(state);
{resets}        puts("");
    }}
    return 0;
}}
"""
    (folder / "cut.c").write_text(code, encoding="utf-8")
    binary = check.build(folder, ["cut.c"], "cut")
    draw, given = random.Random(1), b""
    for item in items:
        rest, pieces = item.encode("utf-8", "surrogateescape"), []
        while rest:
            size = draw.choice((1, 1, 2, 3, 7, 50))
            pieces.append(rest[:size])
            rest = rest[size:]
        given += b"%d\n" % len(pieces) + b"".join(b"%d\n%s" % (len(piece), piece) for piece in pieces)
    return [[int(token) for token in line.split()] for line in check.run(binary, given).splitlines()]


@pytest.mark.parametrize(
    "options",
    [
        {"tokens": "word"},
        {"tokens": "word", "lowercase": False, "digits": "keep", "lines": True},
        {"tokens": "word", "words": "spaces"},
        {"tokens": "char", "lowercase": True, "digits": "zero"},
        {"tokens": "char", "max_length": 7},
        {"tokens": "byte"},
    ],
    ids=["marks", "marks and lines", "spaces", "folded characters", "bounded", "bytes"],
)
def test_texts(options: dict[str, Any], tmp_path: Path) -> None:
    learnt = [text.replace("Σ", "").replace("İ", "").replace("σ", "") for text in texts(0, 150)]
    features = TextFeatures(**options).fit(learnt)
    items = [*learnt, *texts(2)]
    for item, found in zip(items, tokens_in_c(features, items, tmp_path), strict=True):
        assert found == features.transform(item).tolist(), repr(item)


@pytest.mark.parametrize(
    "options",
    [{"codes": False}, {"codes": False, "fold_case": False}, {"codes": True}, {"separator": ";"}, {"separator": " "}],
)
def test_symbols(options: dict[str, Any], tmp_path: Path) -> None:
    draw = random.Random(3)
    items = ["".join(draw.choices("ACGTacgtnß é;; \u00a0日", k=draw.randint(1, 30))) for _ in range(200)]
    features = SymbolFeatures(**options).fit(items[:100])
    for item, found in zip(items, tokens_in_c(features, items, tmp_path), strict=True):
        assert found == features.transform(item).tolist(), repr(item)


def test_bytes_that_are_no_text_stand_for_one_unknown_character(tmp_path: Path) -> None:
    features = TextFeatures("char").fit(["ab"])
    items = [
        "a\udcffb",
        "\udce6\udc97b",
        "a\udcc0\udc80",
        "\udced\udca0\udc80",
        "\udcf0\udc9f",
        "\udcf4\udc90\udc80\udc80b",
    ]
    found = tokens_in_c(features, items, tmp_path)
    assert found == [[2, 1, 3], [1, 3], [2, 1, 1], [1], [1], [1, 3]]


def test_tables() -> None:
    table = class_table()
    assert 1000 < len(table) < 4000
    assert hashes_of(["a", "b", "ab"]) is not None
    assert hashes_of(["a", "a"]) is None
    assert hash_of("ab") != hash_of("ba")
