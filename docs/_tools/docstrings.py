"""A griffe extension: the reStructuredText of docstrings (math, roles) as Markdown, and the options of estimators."""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from typing import Any

import griffe
from latex2mathml.converter import convert

_BLOCK = re.compile(r"^\.\. math::[ \t]*(.*(?:\n(?!\s*$).*)*)", re.MULTILINE)
_INLINE = re.compile(r":math:`([^`]+)`")
_ROLE = re.compile(r":(?:class|meth|func|data|attr|mod):`~?([^`]+)`")
_LITERAL = re.compile(r"``([^`]+)``")
_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)


#: decorators that insert the options of a class into its docstring
_GENERATE = {"rekur._options.documented", "rekur._options.options"}


class Docstrings(griffe.Extension):
    """Rewrites every docstring as it is collected."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if isinstance(obj, griffe.Class) and {each.callable_path for each in obj.decorators} & _GENERATE:
            _generate(obj)
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def _generate(cls: griffe.Class) -> None:
    """Give a class the docstring and the constructor that its options give it when it is imported."""
    made = getattr(importlib.import_module(cls.module.path), cls.name)
    cls.docstring = griffe.Docstring(inspect.getdoc(made) or "", parent=cls)
    parameters = [
        griffe.Parameter(
            each.name,
            annotation=str(each.annotation),
            kind=griffe.ParameterKind.keyword_only,
            default=repr(each.default),
        )
        for each in inspect.signature(made).parameters.values()
    ]
    cls.set_member("__init__", griffe.Function("__init__", parameters=griffe.Parameters(*parameters)))


def markdown(text: str) -> str:
    """Return a docstring with equations as MathML, roles as code, and its example as a section.

    Example:
        >>> markdown("See :meth:`~rekur.nn.Layer.step` and ``x``.")
        'See `rekur.nn.Layer.step` and `x`.'
    """
    text = _BLOCK.sub(_display, text)
    # in a span, since a line that begins with <math> would become a paragraph of its own
    text = _INLINE.sub(lambda found: f"<span>{_math(found[1], 'inline')}</span>", text)
    text = _ROLE.sub(r"`\1`", text)
    text = _LITERAL.sub(r"`\1`", text)
    return _EXAMPLE.sub("Examples:", text)


def _display(found: re.Match[str]) -> str:
    """Return a block of equations, one a line, as MathML."""
    source = textwrap.dedent(found[1]).replace("\n", " ")
    lines = [line.replace("&", "") for line in source.split(r"\\")]
    shown = "".join(f"<p>{_math(line.strip(), 'block')}</p>" for line in lines)
    return f'\n<div class="equations">{shown}</div>\n'


def _math(latex: str, display: str) -> str:
    return convert(latex, display=display).replace("\n", " ")
