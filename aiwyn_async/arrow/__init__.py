"""Convert rows to Arrow tables and streams.

Importing this package does not import pyarrow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiwyn_async.arrow._stream import ArrowStream

__all__ = ["ArrowStream"]


def __getattr__(name: str) -> object:
    if name == "ArrowStream":
        from aiwyn_async.arrow._stream import ArrowStream  # noqa: PLC0415 (loaded when it is used)

        return ArrowStream
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
