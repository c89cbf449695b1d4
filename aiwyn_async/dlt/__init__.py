"""A source and a destination for dlt. Needs the extra ``dlt``.

Importing this package does not import dlt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiwyn_async._core.checks import needs_extra

if TYPE_CHECKING:
    from aiwyn_async.dlt._destination import aiwyn_destination
    from aiwyn_async.dlt._source import aiwyn_source

__all__ = ["aiwyn_destination", "aiwyn_source"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needs_extra(f"{name} needs dlt", "dlt"):
        from aiwyn_async.dlt import _destination, _source  # noqa: PLC0415 (loaded when it is used)
    return getattr(_source, name, None) or getattr(_destination, name)
