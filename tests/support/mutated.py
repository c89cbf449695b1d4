"""Valid documents with a few mutations, which reach further into a parser than random text."""

from __future__ import annotations

import os
import re

from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("AIWYN_EXAMPLES", "100"))

PIECES = (
    *("\0", "\\", '"', "\n", "=", "\\ud83d", "\ud83d", "é", "٣", "null", "true", "nan", "inf", "-1", "1e400"),
    *("1E+999999", "18446744073709551616", "9" * 400, "9" * 5000, "[" * 3000, '{"a":' * 3000, "[]", "{}"),
    *("[a]", "[[a]]", "1979-05-27", "//[", "http://[::1", "%", "@", "://"),
)
_TOKEN = re.compile(r'"[^"]*"|[\w.-]+')


@st.composite
def mutated(draw: st.DrawFn, document: str) -> str:
    """Texts with one to four pieces replaced, cut or repeated."""
    for _ in range(draw(st.integers(1, 4))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(document))] * 2)))
        tokens = [match.span() for match in _TOKEN.finditer(document)]
        kind = draw(st.sampled_from(["insert", "token", "cut", "repeat"]))
        if kind == "token" and tokens:
            start, end = draw(st.sampled_from(tokens))
        if kind in {"insert", "token"}:
            end = start if kind == "insert" else end
            document = document[:start] + draw(st.sampled_from(PIECES)) + document[end:]
        elif kind == "cut":
            document = document[:start] + document[end:]
        else:
            document = document[:end] + document[start:]
    return document[: 64 * 1024]


def as_bytes(text: str) -> bytes:
    """UTF-8, in which a lone surrogate is not valid."""
    return text.encode("utf-8", "surrogatepass")
