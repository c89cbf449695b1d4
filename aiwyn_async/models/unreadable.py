"""What decoding raises when bytes are not what they should be, and how that is told."""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["UNREADABLE", "text_of"]

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""Everything that decoding hostile bytes raises; invalid UTF-8 and deep nesting are no MsgspecError."""


def text_of(fault: Exception) -> str:
    """What a fault of decoding tells: msgspec's texts name a place and a type.

    That of a UnicodeDecodeError would quote the bytes, so its name has to do.
    """
    return str(fault) if isinstance(fault, msgspec.MsgspecError) else type(fault).__name__
