"""Ordered prefetch, for async clients without it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from itertools import islice
from typing import TypeVar

PageT = TypeVar("PageT")


async def in_order(
    fetch: Callable[[int], Awaitable[PageT]], pages: int, in_flight: int
) -> AsyncGenerator[PageT, None]:
    numbers = iter(range(pages))
    window = deque(asyncio.ensure_future(fetch(number)) for number in islice(numbers, in_flight))
    while window:
        page = await window.popleft()
        window += [asyncio.ensure_future(fetch(number)) for number in islice(numbers, 1)]
        yield page
        del page
