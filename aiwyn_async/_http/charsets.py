"""Convert bodies in other character encodings to UTF-8 before they are decoded."""

from __future__ import annotations

import codecs
import functools
import re
from typing import Final

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
MAX_MARK_LENGTH: Final = 4
_JSON_STARTS: Final = (b"{", b"[")
_PARAMETER: Final = re.compile(r";\s*charset\s*=\s*[\"']?\s*([^\s\"';,]*)", re.IGNORECASE)
# Codecs of Python that turn text into text, and that no server means.
_NO_CHARSETS: Final = {"unicode_escape", "raw_unicode_escape", "idna", "punycode", "undefined", "mbcs", "oem"}


class UnknownCharsetError(LookupError):
    """The declared charset has no codec here; ``args[0]`` is its name as declared."""


@functools.lru_cache(maxsize=64)
def declared_charset(content_type: str) -> str | None:
    """Return the charset of a media type, or None for UTF-8, ASCII or no charset."""
    parameter = _PARAMETER.search(content_type)
    name = parameter[1].lower() if parameter else ""
    return None if name.replace("-", "").replace("_", "") in {"", "utf8", "usascii", "ascii"} else name


def as_utf8(
    content: bytes | tuple[bytes, ...], content_type: str, errors: str = "strict"
) -> bytes | tuple[bytes, ...]:
    """Return a body as UTF-8 without a byte order mark; the same object if it is that.

    A byte order mark outweighs the declared charset. Without either, UTF-16 and UTF-32 are recognised by
    the zero bytes that JSON has in them and nowhere else.

    Raises:
        UnknownCharsetError: the declared charset has no codec.
        UnicodeError: the body is not valid in its charset.
    """
    start = content[0] if isinstance(content, tuple) else content
    charset = declared_charset(content_type)
    if charset is None and start.startswith(_JSON_STARTS) and start[1:2] != b"\0":
        return content
    if isinstance(content, tuple) and len(start) < MAX_MARK_LENGTH:
        start = b"".join(content)
    mark, encoding = next(((mark, name) for mark, name in _MARKS if start.startswith(mark)), (b"", ""))
    encoding = encoding or _codec_of(charset, start)
    if not mark and encoding == "utf-8":
        return content
    body = (b"".join(content) if isinstance(content, tuple) else content)[len(mark) :]
    return body if encoding == "utf-8" else body.decode(encoding, errors).encode()


def _codec_of(charset: str | None, start: bytes) -> str:
    """Return the codec of a body without a byte order mark."""
    by_zeros = _wide_encoding(start)
    if charset is None:
        return by_zeros or "utf-8"
    try:
        name = codecs.lookup(charset).name
        if name.replace("-", "_") in _NO_CHARSETS:
            raise UnknownCharsetError(charset)
        "a".encode(name)  # refuses codecs from bytes to bytes
    except (LookupError, ValueError):
        raise UnknownCharsetError(charset) from None
    # Python takes these without a mark for the byte order of this machine.
    return by_zeros or f"{name}-be" if name in {"utf-16", "utf-32"} else name


def _wide_encoding(start: bytes) -> str:
    """Return the UTF-16 or UTF-32 codec recognized by zero bytes, or ''."""
    match tuple(not byte for byte in start[:4]):
        case (True, True, True, False):
            return "utf-32-be"
        case (False, True, True, True):
            return "utf-32-le"
        case (True, False, *_):
            return "utf-16-be"
        case (False, True, *_):
            return "utf-16-le"
        case _:
            return ""
