"""Documents with spans of characters as passages with tags, as a tagger is trained on them."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rekur._numbers import counted
from rekur._schemes import SCHEMES, Scheme
from rekur._tokenizer import LINE_ENDS, Passage, Token, TokenStream, tokenize
from rekur._values import CellError
from rekur.data.cells import spans_of_text
from rekur.data.corpus import Corpus
from rekur.data.example import Example
from rekur.data.spans import BadSpan, FittedSpans, Span, Suspects, fit_spans
from rekur.errors import InputError

#: the scheme of the tags that are made of spans
SPAN_SCHEME = SCHEMES["BIO2"]
#: lines with bad spans that a message names
_FEW = 8


class _Document(NamedTuple):
    """A document that was cut into tokens, with its spans."""

    example: Example
    tokens: list[Token]
    spans: list[Span]
    fitted: FittedSpans


def holds_documents(corpus: Corpus) -> bool:
    """Return whether the first item of a corpus is a text."""
    first = next(iter(corpus), None)
    return first is not None and isinstance(first.item, str)


def passages(corpus: Corpus, cut: str, bad_spans: str = "error", scheme: Scheme = SPAN_SCHEME) -> Corpus:
    """Return documents with spans as passages with tags.

    The rule sees the text alone. Two passages between which it cuts a span are joined; that is counted in the notes.

    Args:
        corpus: texts, with spans as labels; see :func:`~rekur.data.spans.spans_of`.
        cut: the rule that cuts documents; see :func:`rekur._tokenizer.tokenize`.
        bad_spans: ``"error"``, or ``"drop"``, which leaves out spans that do not fit; of two that overlap the first
            and longest stays.
        scheme: of the tags.

    Raises:
        InputError: the scheme marks no spans; when it is reached, a document without words, or a span that does not
            fit.
    """
    counts = Counter[str]()
    if not scheme.has_spans:
        fix = "Give lists of words with a list of tags for each."
        raise InputError(f"{corpus.name}: got texts with spans; expected tags, as the model marks no spans. {fix}")

    def read() -> Iterator[Example]:
        counted_now = Counter[str]()
        for document in _documents(corpus, cut):
            if document.fitted.bad and bad_spans == "error":
                raise _refusal(corpus)
            counted_now["spans"] += len(document.spans)
            counted_now["bad"] += len(document.fitted.bad)
            counted_now["trimmed"] += document.fitted.trimmed
            counted_now["repeated"] += document.fitted.repeated
            yield from _cut(document, counted_now, scheme)
        counts.clear()
        counts.update(counted_now)

    return corpus.derived(read, lambda: [*_notes(counts, scheme), *corpus.notes()])


def sentences(corpus: Corpus) -> Corpus:
    """Return lists of words as they are; a text among them is refused when it is reached."""

    def read() -> Iterator[Example]:
        for example in corpus:
            if isinstance(example.item, str):
                where = corpus.place_of(example.line)
                raise InputError(f"{where}: got a text; expected a list of words, as in the items before it.")
            yield example

    return corpus.derived(read, corpus.notes)


def running_text(lines: Iterable[str], cut: str) -> Iterator[Example]:
    """Yield the passages of a text whose lines come one after the other; offsets count in the whole text.

    Args:
        lines: with their ends.
        cut: the rule that cuts the text.
    """
    stream, passage = TokenStream(cut), list[Token]()
    number = begun = 1
    pieces = itertools.chain((stream.push(line) for line in lines), (stream.finish() for _ in range(1)))
    for token in itertools.chain.from_iterable(pieces):
        number += len(LINE_ENDS.findall(token.gap))
        if token.begins:
            yield Example(Passage(passage), None, begun, None)
            passage = []
        begun = begun if passage else number
        passage.append(token)
    if passage:
        yield Example(Passage(passage), None, begun, None)


def whole_text(lines: Iterable[str]) -> Iterator[Example]:
    """Yield a text whose lines come one after the other as one document.

    Args:
        lines: with their ends.
    """
    yield Example("".join(lines), None, 1, None)


def _documents(corpus: Corpus, cut: str = "none") -> Iterator[_Document]:
    for example in corpus:
        where = corpus.place_of(example.line)
        if not isinstance(example.item, str):
            raise InputError(f"{where}: got a list of words; expected a text, as in the items before it.")
        tokens = tokenize(example.item, cut)
        if not tokens:
            raise InputError(f"{where}: got a text without words; expected one word or more. Take it out, or fill it.")
        try:
            spans = spans_of_text(example.item, example.label, where, f"{where}: spans")
        except CellError as error:
            raise InputError(str(error)) from None
        yield _Document(example, tokens, spans, fit_spans(spans, example.item, tokens))


def _cut(document: _Document, counts: Counter[str], scheme: Scheme) -> Iterator[Example]:
    """Yield the passages of a document."""
    tokens, spans = document.tokens, document.fitted.spans
    bounds = {step for step, token in enumerate(tokens) if step and token.begins}
    for first, last, _ in spans:
        crossed = bounds & set(range(first + 1, last))
        counts["joined"] += len(crossed)
        bounds -= crossed
    edges = [0, *sorted(bounds), len(tokens)]
    tags = scheme.tags(spans, len(tokens))
    for start, end in itertools.pairwise(edges):
        yield dataclasses.replace(document.example, item=Passage(tokens[start:end]), label=tags[start:end])


def _notes(counts: Counter[str], scheme: Scheme) -> list[str]:
    """Return sentences about what was done to the spans of a corpus."""
    notes = [f"{counted(counts['spans'], 'span')} of characters, learned as tags of words in {scheme.name}."]
    if counts["bad"]:
        notes.append(f"Left out, as they do not fit: {counts['bad']:,} of {counted(counts['spans'], 'span')}.")
    if counts["trimmed"]:
        notes.append(f"Blanks at the ends of {counted(counts['trimmed'], 'span')} were cut off.")
    if counts["repeated"]:
        notes.append(f"{counted(counts['repeated'], 'span')} equal to an earlier one of the text: each counts once.")
    if counts["joined"]:
        cuts = counted(counts["joined"], "cut")
        notes.append(f"{cuts} inside a span: both parts are one sequence in training, and two when the model predicts.")
    return notes


def _refusal(corpus: Corpus) -> InputError:
    """Return the error about the spans of a corpus that do not fit: the first of them, their count and their cause."""
    bad: list[tuple[str, BadSpan]] = []
    lines: dict[int, None] = {}
    spans, suspects = 0, Suspects()
    for document in _documents(corpus):
        spans += len(document.spans)
        suspects.add(document.spans, document.example.item, document.tokens)
        for each in document.fitted.bad:
            bad.append((corpus.place_of(document.example.line), each))
            lines[document.example.line] = None
    where, first = bad[0]
    shown = [corpus.place_of(line).removeprefix(corpus.name).lstrip(", ") for line in list(lines)[:_FEW]]
    more = ", …" if len(lines) > _FEW else ""
    which = f" ({', '.join(shown)}{more})" if len(lines) > 1 else ""
    verb = "does" if len(bad) == 1 else "do"
    count = f"{len(bad):,} of {counted(spans, 'span')} {verb} not fit{which}."
    them = "it" if len(bad) == 1 else "them"
    fix = f"Correct {them}, or leave {them} out: bad_spans='drop' (--bad-spans drop)."
    if any(each.kind == "place" for _, each in bad):
        fix = suspects.sentence(fix)
    text = f"span {first.number}: got {first.got}; expected {first.expected}. {count} {fix}"
    return InputError(f"{where}: {text}")
