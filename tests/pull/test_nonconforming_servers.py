"""A pull that loses a row of a nonconforming server is not complete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aiwyn_async import AiwynClient, Pull, StatusError
from fake_clock import FakeClock

Row = dict[str, Any]
NAME = "deid_invoice"


class ServerModel:
    """A server with key filters and pages. Each attribute can break one rule."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.cap = 1000
        self.count: Callable[[int, int], int | None] = lambda matching, _shown: matching
        self.order: Callable[[Row], Any] = lambda row: (row["id"] is None, row["id"] or 0)
        self.error_status: Callable[[dict[str, Any]], int] = lambda _body: 0
        self.before_each: Callable[[], None] = lambda: None
        self.bodies: list[dict[str, Any]] = []

    async def respond(self, request: web.Request) -> web.Response:
        """Return a page."""
        body = await request.json()
        self.bodies.append(body)
        self.before_each()
        if status := self.error_status(body):
            return web.Response(status=status, body=b"{}")
        descending = body.get("orderBy") == [{"id": "desc"}]
        rows = sorted(filter(_matcher(body), self.rows), key=self.order, reverse=descending)
        size = min(self.cap, body["pageSize"])
        first = body.get("page", 0) * size
        shown = rows[first : first + size]
        envelope: dict[str, Any] = {NAME: shown}
        count = self.count(len(rows), len(shown))
        if count is not None:
            envelope[f"{NAME}_aggregate"] = {"aggregate": {"count": count}}
        return web.Response(body=msgspec.json.encode(envelope), content_type="application/json")


def _matcher(body: dict[str, Any]) -> Callable[[Row], bool]:
    where = body.get("where") or {}
    bounds = [each["id"] for each in where.get("_and", [where]) if "id" in each]

    def matches(row: Row) -> bool:
        key = row["id"]
        return not bounds or (
            key is not None
            and all(key > each["_gt"] for each in bounds if "_gt" in each)
            and all(key <= each["_lte"] for each in bounds if "_lte" in each)
        )

    return matches


Serve = Callable[[ServerModel], Any]


@pytest.fixture
async def serve(clock: FakeClock) -> AsyncIterator[Serve]:
    """Start a server and return a client of it."""
    async with AsyncExitStack() as stack:

        async def start(model: ServerModel) -> AiwynClient:
            app = web.Application()
            app.router.add_post("/{path:.*}", model.respond)
            server = TestServer(app)
            await stack.enter_async_context(server)
            client = AiwynClient(base_url=str(server.make_url("")).rstrip("/"), token="t", clock=clock)
            return await stack.enter_async_context(client)

        yield start


def numbered(*keys: Any) -> list[Row]:
    return [{"id": key} for key in keys]


async def keys_of(pull: Pull[dict[str, Any]]) -> list[Any]:
    return [row["id"] async for row in pull]


COUNTS: dict[str, Callable[[int, int], int | None]] = {
    "right": lambda matching, _shown: matching,
    "none": lambda _matching, _shown: None,
    "of the page alone": lambda _matching, shown: shown,
    "capped": lambda matching, _shown: min(matching, 70),
    "always zero": lambda _matching, _shown: 0,
}


@pytest.mark.parametrize("ranges", [1, 8])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("count", COUNTS)
async def test_clamped_pages_lose_no_row_with_any_count(
    serve: Serve, count: str, ordered: bool, ranges: int
) -> None:
    model = ServerModel(numbered(*range(-40, 900, 3), 10**30))
    model.cap, model.count = 70, COUNTS[count]
    pull = (await serve(model)).invoices.pull(ordered=ordered, ranges=ranges).decode_as(dict)
    assert sorted(await keys_of(pull)) == [row["id"] for row in model.rows]
    assert pull.report.method == "key_ranges"


@pytest.mark.parametrize("count", ["right", "none"])
@pytest.mark.parametrize("ranges", [1, 8])
async def test_rows_without_a_key_are_yielded_once_or_reported(serve: Serve, count: str, ranges: int) -> None:
    model = ServerModel(numbered(*range(300), None, None))
    model.count = COUNTS[count]
    pull = (await serve(model)).invoices.pull(page_size=100, ranges=ranges).decode_as(dict)
    keys = await keys_of(pull)
    assert sorted(key for key in keys if key is not None) == list(range(300))
    assert keys.count(None) in {0, 2}, "none twice"
    assert not pull.report.complete, "rows without a key cannot be verified"


async def test_empty_response_with_a_count_is_not_complete(serve: Serve) -> None:
    model = ServerModel([])
    model.count = lambda _matching, _shown: 300
    pull = (await serve(model)).invoices.pull()
    assert await pull.collect() == []
    assert not pull.report.complete


async def test_resumed_pull_of_one_page_is_compared_with_the_count(serve: Serve) -> None:
    model = ServerModel(numbered(*range(150)))
    client = await serve(model)
    pull = client.invoices.pull(page_size=100, ranges=1).decode_as(dict)
    pages = pull.pages()
    first = await anext(pages)
    await pages.aclose()
    model.rows = model.rows[:100]  # filters match no other row
    model.count = lambda matching, _shown: 50 if matching == 0 else 150
    rest = pull.resume_from(first.checkpoint)
    await keys_of(rest)
    assert not rest.report.complete


@pytest.mark.parametrize("count", ["right", "none"])
async def test_text_keys_out_of_order_are_not_reported_as_complete(serve: Serve, count: str) -> None:
    model = ServerModel(numbered(*(f"{number * 7919 % 1000:03}" for number in range(300))))
    positions = {row["id"]: index for index, row in enumerate(model.rows)}
    model.order = lambda row: positions[row["id"]]
    model.count = COUNTS[count]
    pull = (await serve(model)).invoices.pull(page_size=50).decode_as(dict)
    keys = await keys_of(pull)
    assert len(keys) == len(set(keys))
    assert len(keys) == 300 or not pull.report.complete


@pytest.mark.parametrize("keys", [[f"{n:08x}-a" for n in range(300)], [str(n) for n in range(300)]])
async def test_text_keys_in_order_are_complete(serve: Serve, keys: list[str]) -> None:
    model = ServerModel(numbered(*keys))
    model.count = COUNTS["none"]
    model.order = lambda row: row["id"]
    pull = (await serve(model)).invoices.pull(page_size=50, strict=True).decode_as(dict)
    assert await keys_of(pull) == sorted(keys)


async def test_refused_page_size_is_halved(serve: Serve) -> None:
    model = ServerModel(numbered(*range(1000)))
    model.error_status = lambda body: 400 * (body["pageSize"] > 200)
    pull = (await serve(model)).invoices.pull(strict=True).decode_as(dict)
    assert sorted(await keys_of(pull)) == list(range(1000))
    assert (pull.report.method, pull.report.min_page_size, pull.report.missing) == ("key_ranges", 125, [])


async def test_known_text_key_matches_an_integer_of_either_sign(serve: Serve) -> None:
    model = ServerModel(numbered(-5, 7))
    diff = await (await serve(model)).invoices.reconcile_keys(["-5", 7, "x"])
    assert (diff.deleted, diff.untracked) == (["x"], [])


# Full scans


async def test_rows_without_a_key_that_move_during_the_first_scan_are_not_complete(serve: Serve) -> None:
    model = ServerModel([{"id": number, "no": number} for number in range(30)])

    def move() -> None:
        if len(model.bodies) == 2:
            model.rows = [{"id": -1, "no": -1}, *model.rows[:-1]]

    model.before_each = move
    client = await serve(model)
    pull = client.draft_invoices.pull(page_size=10).decode_as(dict)
    numbers = [row["no"] async for row in pull]
    assert sorted(numbers) != [row["no"] for row in model.rows]
    assert not pull.report.complete


async def test_rows_without_a_key_are_not_yielded_again_in_smaller_pages(serve: Serve) -> None:
    model = ServerModel(numbered(*range(30)))
    model.error_status = lambda body: 413 * (body["page"] == 1 and body["pageSize"] > 5)
    client = await serve(model)
    pull = client.draft_invoices.pull(page_size=10).decode_as(dict)
    received: list[Any] = []

    async def read() -> None:
        async for page in pull.pages():
            received.extend(row["id"] for row in page.items)

    with pytest.raises(StatusError):
        await read()
    assert received == list(range(10))
    assert not pull.report.complete
