"""Pulls of servers that break a rule: none may lose a row and call itself complete."""

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


class Books:
    """Rows on loopback that are searched by key or walked by page. Each attribute breaks one rule."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.cap = 1000
        self.count: Callable[[int, int], int | None] = lambda matching, _shown: matching
        self.order: Callable[[Row], Any] = lambda row: (row["id"] is None, row["id"] or 0)
        self.refuses: Callable[[dict[str, Any]], int] = lambda _body: 0
        self.before_each: Callable[[], None] = lambda: None
        self.bodies: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.Response:
        """One page."""
        body = await request.json()
        self.bodies.append(body)
        self.before_each()
        if status := self.refuses(body):
            return web.Response(status=status, body=b"{}")
        descending = body.get("orderBy") == [{"id": "desc"}]
        rows = sorted(filter(_fits(body), self.rows), key=self.order, reverse=descending)
        size = min(self.cap, body["pageSize"])
        first = body.get("page", 0) * size
        shown = rows[first : first + size]
        envelope: dict[str, Any] = {NAME: shown}
        count = self.count(len(rows), len(shown))
        if count is not None:
            envelope[f"{NAME}_aggregate"] = {"aggregate": {"count": count}}
        return web.Response(body=msgspec.json.encode(envelope), content_type="application/json")


def _fits(body: dict[str, Any]) -> Callable[[Row], bool]:
    where = body.get("where") or {}
    bounds = [each["id"] for each in where.get("_and", [where]) if "id" in each]

    def fits(row: Row) -> bool:
        key = row["id"]
        return not bounds or (
            key is not None
            and all(key > each["_gt"] for each in bounds if "_gt" in each)
            and all(key <= each["_lte"] for each in bounds if "_lte" in each)
        )

    return fits


Serve = Callable[[Books], Any]


@pytest.fixture
async def serve(clock: FakeClock) -> AsyncIterator[Serve]:
    """A client of such books."""
    async with AsyncExitStack() as stack:

        async def start(books: Books) -> AiwynClient:
            app = web.Application()
            app.router.add_post("/{path:.*}", books.answer)
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
    "always nought": lambda _matching, _shown: 0,
}


@pytest.mark.parametrize("ranges", [1, 8])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("count", COUNTS)
async def test_pages_shorter_than_asked_for_lose_nothing_whatever_is_counted(
    serve: Serve, count: str, ordered: bool, ranges: int
) -> None:
    books = Books(numbered(*range(-40, 900, 3), 10**30))
    books.cap, books.count = 70, COUNTS[count]
    pull = (await serve(books)).invoices.pull(ordered=ordered, ranges=ranges).decode_as(dict)
    assert sorted(await keys_of(pull)) == [row["id"] for row in books.rows]
    assert pull.report.method == "key_ranges"


@pytest.mark.parametrize("count", ["right", "none"])
@pytest.mark.parametrize("ranges", [1, 8])
async def test_rows_that_no_key_filter_finds_are_not_lost(serve: Serve, count: str, ranges: int) -> None:
    books = Books(numbered(*range(300), None, None))
    books.count = COUNTS[count]
    pull = (await serve(books)).invoices.pull(page_size=100, ranges=ranges).decode_as(dict)
    keys = await keys_of(pull)
    assert sorted(key for key in keys if key is not None) == list(range(300))
    assert keys.count(None) in {0, 2}, "none twice"
    assert not pull.report.complete, "what has no key cannot be vouched for"


async def test_an_empty_answer_that_counts_rows_is_not_complete(serve: Serve) -> None:
    books = Books([])
    books.count = lambda _matching, _shown: 300
    pull = (await serve(books)).invoices.pull()
    assert await pull.collect() == []
    assert not pull.report.complete


async def test_a_resumed_pull_of_one_page_is_held_against_the_count(serve: Serve) -> None:
    books = Books(numbered(*range(150)))
    client = await serve(books)
    pull = client.invoices.pull(page_size=100, ranges=1).decode_as(dict)
    batches = pull.pages()
    first = await anext(batches)
    await batches.aclose()
    shown = books.rows
    books.rows = shown[:100]  # what is left is not shown to filters
    books.count = lambda matching, _shown: 50 if matching == 0 else 150
    rest = pull.resume_from(first.checkpoint)
    await keys_of(rest)
    assert not rest.report.complete


@pytest.mark.parametrize("count", ["right", "none"])
async def test_text_keys_out_of_their_order_are_not_called_complete(serve: Serve, count: str) -> None:
    books = Books(numbered(*(f"{number * 7919 % 1000:03}" for number in range(300))))
    places = {row["id"]: place for place, row in enumerate(books.rows)}
    books.order = lambda row: places[row["id"]]
    books.count = COUNTS[count]
    pull = (await serve(books)).invoices.pull(page_size=50).decode_as(dict)
    keys = await keys_of(pull)
    assert len(keys) == len(set(keys))
    assert len(keys) == 300 or not pull.report.complete


@pytest.mark.parametrize("keys", [[f"{n:08x}-a" for n in range(300)], [str(n) for n in range(300)]])
async def test_text_keys_are_pulled(serve: Serve, keys: list[str]) -> None:
    books = Books(numbered(*keys))
    books.count = COUNTS["none"]
    books.order = lambda row: row["id"]
    pull = (await serve(books)).invoices.pull(page_size=50, strict=True).decode_as(dict)
    assert await keys_of(pull) == sorted(keys)


async def test_a_page_size_that_is_refused_is_made_smaller(serve: Serve) -> None:
    books = Books(numbered(*range(1000)))
    books.refuses = lambda body: 400 * (body["pageSize"] > 200)
    pull = (await serve(books)).invoices.pull(strict=True).decode_as(dict)
    assert sorted(await keys_of(pull)) == list(range(1000))
    assert (pull.report.method, pull.report.min_page_size, pull.report.missing) == ("key_ranges", 125, [])


async def test_a_known_key_in_quotes_is_found_whatever_its_sign(serve: Serve) -> None:
    books = Books(numbered(-5, 7))
    diff = await (await serve(books)).invoices.reconcile_keys(["-5", 7, "x"])
    assert (diff.deleted, diff.untracked) == (["x"], [])


# Passes


async def test_rows_without_a_key_that_moved_during_the_only_pass_that_gave_them(serve: Serve) -> None:
    books = Books([{"id": number, "no": number} for number in range(30)])

    def move() -> None:
        if len(books.bodies) == 2:
            books.rows = [{"id": -1, "no": -1}, *books.rows[:-1]]

    books.before_each = move
    client = await serve(books)
    pull = client.draft_invoices.pull(page_size=10).decode_as(dict)
    given = [row["no"] async for row in pull]
    assert sorted(given) != [row["no"] for row in books.rows]
    assert not pull.report.complete


async def test_rows_without_a_key_are_not_given_again_when_pages_become_smaller(serve: Serve) -> None:
    books = Books(numbered(*range(30)))
    books.refuses = lambda body: 413 * (body["page"] == 1 and body["pageSize"] > 5)
    client = await serve(books)
    pull = client.draft_invoices.pull(page_size=10).decode_as(dict)
    found: list[Any] = []

    async def read() -> None:
        async for batch in pull.pages():
            found.extend(row["id"] for row in batch.items)

    with pytest.raises(StatusError):
        await read()
    assert found == list(range(10))
    assert not pull.report.complete
