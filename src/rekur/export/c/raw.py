"""Raw input in C: texts, symbols and rows of numbers become steps of a program, as in the features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rekur._ids import PADDING, RESERVED, START
from rekur.export.c.characters import KINDS, class_table, folded, hashes_of, runs_of, spaces
from rekur.export.c.constants import Constants, comment
from rekur.export.c.source import Extra, Style
from rekur.features import Features, SeriesFeatures, SymbolFeatures, TextFeatures, WordFeatures
from rekur.features.cut import LONGEST

_TEXT_MEMBERS = [("uint32_t", "text_code", 0), ("uint32_t", "text_least", 0), ("uint8_t", "text_left", 0)]
_CHANGING = {"ς", "\u0307"}


def unsupported(features: Features) -> str:
    """Return why plain C cannot read the raw input; empty if it can.

    Example:
        >>> unsupported(TextFeatures("byte"))
        ''
    """
    saved = features.to_dict()["options"]
    if isinstance(features, WordFeatures):
        return "words are cut into columns by rekur.features; give rows of ids"
    if isinstance(features, TextFeatures):
        if features.tokens_ == "bpe":
            return "byte pairs need tables of merges that are larger than most models; give the numbers of tokens"
        folding = features.folding_
        if features.tokens_ == "byte" and any(folding):
            return "folding characters before cutting them into bytes needs tables of all of Unicode"
        letters = set("".join(features.vocabulary_)) if features.tokens_ == "word" else set()
        if folding[0] and letters & _CHANGING:
            return "small letters of Greek and Turkish words depend on the letters around them"
        if features.tokens_ == "word" and hashes_of(features.vocabulary_) is None:
            return "two words of the vocabulary have the same hash"
    if isinstance(features, SymbolFeatures) and features.form_ == "codes":
        if saved["fold_case"]:
            return "capitals of whole codes need tables of all of Unicode"
        if features.separator_ is not None and len(features.separator_) != 1:
            return "separators of several characters are not supported"
        if hashes_of(features.vocabulary_) is None:
            return "two codes of the vocabulary have the same hash"
    return ""


def raw_input(features: Features, style: Style, constants: Constants, *, scores_tokens: bool) -> Extra:
    """Return the code that reads raw input: ``NAME_push`` and, for input in pieces, ``NAME_finish``.

    Args:
        features: fitted features that :func:`unsupported` accepts.
        style: the form of the export.
        constants: of the export; tables are added.
        scores_tokens: whether the log-probability of the input is added up.
    """
    if isinstance(features, SeriesFeatures):
        return _series(features, style, constants)
    extra = Extra(members=list(_TEXT_MEMBERS))
    macros: dict[str, int] = {}
    longest = features.max_length  # type: ignore[attr-defined]
    if isinstance(features, TextFeatures):
        variants = _text(features, extra, constants, macros)
    else:
        variants = _symbols(features, extra, constants, macros)  # type: ignore[arg-type]
    _token_taker(extra, style, longest, scores_tokens)
    extra.variants = variants
    extra.reset += [f"state->{name} = 0;" for _, name, _ in extra.members]
    extra.macros = "".join(f"#define {name} {value}\n" for name, value in macros.items())
    _pushing(extra, style, "byte" if "byte" in variants else "text", "code" in variants)
    return extra


def _text(features: TextFeatures, extra: Extra, constants: Constants, macros: dict[str, int]) -> tuple[str, ...]:
    if features.tokens_ == "byte":
        extra.members.clear()
        return ("byte",)
    lowercase, zero_digits = features.folding_
    changes = folded(lowercase=lowercase, zero_digits=zero_digits) if lowercase or zero_digits else {}
    if features.tokens_ == "char":
        _characters(features.vocabulary_, changes, (), constants, macros)
        return ("char",)
    _words(features.vocabulary_, constants, macros)
    letters = {ord(letter) for letter in "".join(features.vocabulary_)}
    folds = {code: ord(new) for code, new in changes.items() if ord(new) in letters}
    if folds:
        _runs("character_folds", folds, constants, macros)
    extra.members += [("uint64_t", "text_hash", 0), ("uint8_t", "text_length", 0)]
    by_spaces = features.words_ == "spaces"
    lines = by_spaces if features.lines is None else features.lines
    macros |= {"LONGEST": LONGEST, "LINES": int(lines)}
    variants = ("folded" if folds else "plain",)
    if by_spaces:
        _runs("spaces", spaces(), constants, macros)
        return (*variants, "spaces")
    table = class_table()
    constants.array("character_classes", table)
    macros |= {"CHARACTER_CLASSES": len(table), "CLASS_BITS": len(KINDS)}
    macros |= {f"IS_{kind.upper()}": 1 << bit for bit, kind in enumerate(KINDS)}
    macros |= {f"IN_{kind}": index for index, kind in enumerate(("WORD", "PICTURE", "FLAG", "UNSPACED"))}
    extra.members += [("uint32_t", "text_held", 0), ("uint8_t", "text_kind", 0), ("uint8_t", "text_digit", 0)]
    return (*variants, "marks")


def _symbols(features: SymbolFeatures, extra: Extra, constants: Constants, macros: dict[str, int]) -> tuple[str, ...]:
    if features.form_ == "letters":
        folds = features.fold_case is not False
        changes = folded(capitals=True) if folds else {}
        _characters(features.vocabulary_, changes, tuple(spaces()), constants, macros)
        return ("char",)
    _words(features.vocabulary_, constants, macros)
    extra.members.append(("uint64_t", "text_hash", 0))
    if features.separator_ is None:
        return ("code",)
    extra.members.append(("uint8_t", "text_length", 0))
    _runs("spaces", spaces(), constants, macros)
    if features.separator is None:
        return ("blanks",)
    extra.members.append(("uint64_t", "text_ahead", 0))
    macros["SEPARATOR"] = ord(features.separator)
    return ("codes",)


def _characters(
    vocabulary: tuple[str, ...],
    changes: Mapping[int, str],
    dropped: tuple[int, ...],
    constants: Constants,
    macros: dict[str, int],
) -> None:
    """Add the table of characters -> tokens, with folding; dropped characters have token 0."""
    tokens = {character: token for token, character in enumerate(vocabulary, start=RESERVED)}
    table = {ord(character): token for character, token in tokens.items() if ord(character) not in changes}
    table |= {code: tokens[new] for code, new in changes.items() if new in tokens}
    _runs("character_tokens", table | dict.fromkeys(dropped, PADDING), constants, macros)


def _runs(name: str, values: Mapping[int, int], constants: Constants, macros: dict[str, int]) -> None:
    runs = np.array(runs_of(values), np.uint32)
    constants.records(name, "character_run", runs)
    macros[name.upper()] = len(runs)


def _words(vocabulary: tuple[str, ...], constants: Constants, macros: dict[str, int]) -> None:
    hashes = hashes_of(vocabulary)
    if hashes is not None:
        constants.array("word_hashes", hashes[0])
        constants.array("word_tokens", hashes[1])
    macros["WORDS"] = len(vocabulary)


def _token_taker(extra: Extra, style: Style, longest: int | None, scores_tokens: bool) -> None:
    """Add the function that passes a token to the model: length limit, log-probability, step."""
    name, lines = style.name, list[str]()
    if longest is not None:
        lines += [f"if (state->text_tokens >= {longest}u) {{", "    return;", "}"]
    if scores_tokens:
        extra.members.append(("double", "log_probability", 0))
        lines += [f"static {name.upper()}_THREAD float scores[{name.upper()}_OUTPUT];"]
        lines += ["if (state->text_tokens == 0) {", f"    {name}_step(state, {START});", "}"]
        lines += [f"{name}_read(state, scores);"]
        lines += [f"state->log_probability += (double){name}_log_probability(scores, token);"]
    if lines:
        extra.members.append(("uint32_t", "text_tokens", 0))
        lines.append("state->text_tokens += state->text_tokens < UINT32_MAX;")
    body = "".join(f"    {line}\n" for line in [*lines, f"{name}_step(state, token);"])
    extra.preamble = f"""typedef {name}_state live_stream;

static void take_token(live_stream *state, int32_t token)
{{
{body}}}
"""


def _pushing(extra: Extra, style: Style, kind: str, one_code: bool) -> None:
    name = style.name
    extra.declarations += f"""
/* take a piece of the {"text in UTF-8" if not one_code else "sequence: one code, in UTF-8"} */
void {name}_push({name}_state *state, const char *text, size_t length);
"""
    one_byte = f"take_token(state, (uint8_t)text[i] + {RESERVED});"
    each = "take_byte(state, (uint8_t)text[i]);" if kind == "text" else one_byte
    ends = "    end_text(state);\n" if one_code else ""
    extra.definitions += f"""
void {name}_push({name}_state *state, const char *text, size_t length)
{{
    size_t i;
    for (i = 0; i < length; ++i) {{
        {each}
    }}
{ends}}}
"""
    extra.uses |= {"take_byte", "end_text"} if kind == "text" else set()
    extra.declarations += f"""
/* end the sequence: take the input that was held back; to predict and then continue, finish a copy */
void {name}_finish({name}_state *state);
"""
    ends = "end_text(state);" if kind == "text" and not one_code else "(void)state;"
    extra.definitions += f"""
void {name}_finish({name}_state *state)
{{
    {ends}
}}
"""


def _series(features: SeriesFeatures, style: Style, constants: Constants) -> Extra:
    name, extra = style.name, Extra()
    learnt = features.to_dict()["learnt"]
    mean, scale = np.array(learnt["mean"], np.float64), np.array(learnt["scale"], np.float64)
    channels, marks = len(mean), len(learnt["indicated"])
    centre = constants.array("channel_mean", mean)
    scaled = "value"
    if features.standardise:
        scaled = f"(value - {centre}[i]) / {constants.array('channel_scale', scale)}[i]"
    raw, held = "values[i]", f"{centre}[i]"
    if features.missing == "hold":
        extra.members.append(("double", "channel_last", channels))
        extra.reset.append(f"for (i = 0; i < {channels}; ++i) {{ state->channel_last[i] = {centre}[i]; }}")
        held = "state->channel_last[i]"
    refuse = "missing || " if features.missing == "error" else ""
    missing = " : 0.0" if features.missing == "zero" else ""
    value = f"missing ? 0.0 : {scaled}" if missing else scaled
    lines = [
        f"float x[{channels + marks}];",
        "int i;",
        f"for (i = 0; i < {channels}; ++i) {{",
        f"    const int missing = {raw} != {raw};",
        f"    const double value = missing ? {held} : {raw}, scaled = {value};",
        f"    if ({refuse}value > DBL_MAX || value < -DBL_MAX || scaled > FLT_MAX || scaled < -FLT_MAX) {{",
        "        return 1;",
        "    }",
        "    x[i] = (float)scaled;",
        "}",
    ]
    for index, channel in enumerate(learnt["indicated"]):
        lines.append(f"x[{channels + index}] = values[{channel}] != values[{channel}] ? 1.0f : 0.0f;")
    if features.missing == "hold":
        lines += [f"for (i = 0; i < {channels}; ++i) {{", f"    if ({raw} == {raw}) {{"]
        lines += [f"        state->channel_last[i] = {raw};", "    }", "}"]
    body = "".join(f"    {line}\n" for line in [*lines, f"{name}_step(state, x);", "return 0;"])
    names = comment(", ".join(features.names_[:channels]))
    gaps, refused = (", NaN where one is missing", "") if not refuse else ("", ", as one with NaN is")
    extra.declarations = f"""
/* raw numbers of a row */
#define {name.upper()}_CHANNELS {channels}

/* take a row of {channels} raw numbers{gaps}: {names};
   returns 0, or 1 for a row that is refused{refused}, which changes nothing */
int {name}_push({name}_state *state, const double values[{channels}]);
"""
    extra.definitions = f"""
int {name}_push({name}_state *state, const double values[{channels}])
{{
{body}}}
"""
    return extra


def token_texts(features: Any) -> list[bytes] | None:
    """Return the text of every token of a language model; None for byte tokens.

    Example:
        >>> token_texts(TextFeatures("char").fit(["ab"]))
        [b'', b'\\xef\\xbf\\xbd', b'a', b'b']
    """
    if features.tokens_ == "byte":
        return None
    if features.tokens_ == "bpe":
        from rekur.features.byte_pairs import byte_names

        value = {name: byte for byte, name in enumerate(byte_names())}
        texts = [bytes(value[letter] for letter in token) for token in features.vocabulary_]
    else:
        texts = [token.encode() for token in features.vocabulary_]
    return [b"", "\ufffd".encode(), *texts]
