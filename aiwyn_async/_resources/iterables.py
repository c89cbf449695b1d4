"""What a caller hands in: items all at once or as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from typing import TypeVar

__all__ = ["each"]

ItemT = TypeVar("ItemT")


async def each(items: Iterable[ItemT] | AsyncIterable[ItemT]) -> AsyncGenerator[ItemT, None]:
    """The items of an iterable of either kind, read as they are needed."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
