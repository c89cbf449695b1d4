"""Where to cut the key line into partitions of about the same number of rows."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import msgspec

from aiwyn_async._core.pull_report import KeyRange, PullReport
from aiwyn_async._core.threads import running_loop
from aiwyn_async._http.messages import Response
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read import type_name
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async._pull.key_ranges import are_integers, find_violation
from aiwyn_async._pull.plan import Partition, Plan, normalized
from aiwyn_async._pull.requests import RangeClient, summarize
from aiwyn_async._pull.segments import RangeRequest
from aiwyn_async.errors import ApiError, InvalidRequestError
from aiwyn_async.models.base import Id

MAX_PARTS: Final = 10_000


class _Bounds(NamedTuple):
    """The highest key of each partition but the last, in key order."""

    keys: Sequence[Id] = ()
    total_count: int | None = None
    reason: str | None = None


async def make_plan(
    session: Session, query: Query, row_type: type[Any], options: ReadOptions, parts: int
) -> Plan:
    """Return a plan of at most so many partitions, each of at least about one page.

    Raises:
        RequestError: a request failed.
    """
    query = msgspec.structs.replace(normalized(query), plan=secrets.token_hex(8))
    bounds = _Bounds()
    if not query.by_key:
        bounds = _Bounds(reason="rows cannot be searched by key")
    elif parts > 1:
        client = RangeClient(session, query, page_size=options.page_size, report=PullReport())
        try:
            bounds = await _find_bounds(client, parts, options.page_size)
        except (InvalidRequestError, ApiError) as error:
            bounds = _Bounds(reason=f"rows cannot be ordered or searched by key: {summarize(error)}")
            # Raises if the condition is the cause.
            await Pager(session, msgspec.structs.replace(query, by_key=False), dict[str, Any]).first()
    edges = [None, *bounds.keys, None]
    partitions = [
        make_partition(number, query, KeyRange(after, until), row_type, options)
        for number, (after, until) in enumerate(pairwise(edges))
    ]
    return Plan(partitions=tuple(partitions), total_count=bounds.total_count, fallback_reason=bounds.reason)


def make_partition(
    number: int, query: Query, key_range: KeyRange, row_type: type[Any], options: ReadOptions
) -> Partition:
    query, envelope = msgspec.structs.replace(query, key_range=key_range), query.envelope
    return Partition(
        number=number,
        endpoint=query.path,
        fields=query.fields,
        key=query.key,
        after=key_range.after,
        until=key_range.until,
        by_key=query.by_key,
        row_type=type_name(row_type),
        page_size=options.page_size,
        strict=options.strict,
        on_bad_row=options.on_bad_row,
        page_style=query.page_style,
        page_size_key=query.page_size_key,
        items_path=None if envelope is None else envelope.items,
        count_path=None if envelope is None else envelope.count,
        plan=query.plan,
        fingerprint=query.pull_fingerprint(),
    )


async def _find_bounds(client: RangeClient, parts: int, page_size: int) -> _Bounds:
    ends = await _send(client, [RangeRequest(purpose="first"), RangeRequest(purpose="last")])
    count = client.read_count(ends[0])
    low_high = [key for each in ends for key in client.read_keys(each)[:1]]
    if len(low_high) < len(ends):
        return _Bounds(total_count=count)  # no rows
    if not are_integers(low_high):
        # Servers sort rows without a key to one end or the other; no range of keys has them.
        return _Bounds(total_count=count, reason="rows have no key" if None in low_high else "keys are text")
    low, high = low_high
    if count is not None and count < len(set(low_high)):
        count = None  # of the response alone
    rows = high - low + 1 if count is None else count
    parts = max(1, min(parts, rows // page_size))
    keys = [] if count is None or parts == 1 else await _sample(client, count, parts)
    if low > high or keys != sorted(keys):
        return _Bounds(total_count=count, reason="the server does not order rows by key")
    bounds = sorted({key for key in keys if low <= key < high})
    if 2 * len(bounds) < parts - 1:  # no count, or the server ignores or refuses ``page``
        bounds = sorted({low + (high - low) * part // parts for part in range(1, parts)})
    if bounds and not await _applies_key_filter(client, bounds[0]):
        return _Bounds(total_count=count, reason="the server does not apply the key filter")
    return _Bounds(bounds, count)


async def _applies_key_filter(client: RangeClient, after: int) -> bool:
    """Return whether the server finds the rows above a key, which exist."""
    (response,) = await _send(client, [RangeRequest(purpose="first", after=after)])
    keys = client.read_keys(response)
    return bool(keys) and find_violation(after, None, keys) is None


async def _sample(client: RangeClient, count: int, parts: int) -> list[int]:
    """Return keys at equal distances; none if the server refuses to skip rows."""
    # With one row per page, the number of a page is also the number of rows before it.
    positions = [count * part // parts - 1 for part in range(1, parts)]
    requests = [RangeRequest(purpose="first", page=position) for position in positions]
    try:
        responses = await _send(client, requests)
    except (InvalidRequestError, ApiError):
        return []
    keys = (key for each in responses for key in client.read_keys(each)[:1])
    return [key for key in keys if isinstance(key, int)]


async def _send(client: RangeClient, requests: Sequence[RangeRequest]) -> list[Response]:
    """Return the responses to concurrent requests.

    Raises:
        RequestError: one of them failed.
    """
    running_loop()
    results = await asyncio.gather(*map(client.fetch, requests), return_exceptions=True)
    responses: list[Response] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        responses.append(result)
    return responses
