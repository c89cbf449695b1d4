"""One faulty page at every position of a list or a search: every row arrives, or a problem is named."""

from __future__ import annotations

from typing import Any

import pytest

from aiwyn_async import AiwynClient, ApiError
from aiwyn_async._pagination.pager import Pager
from aiwyn_async.sandbox import Sandbox, Variant
from aiwyn_async.testing import FakeClock
from one_fault import CONTENTS, Content, OneFault, keys_received, numbered, serving


async def read(server: OneFault, clock: FakeClock, *, by_key: bool) -> tuple[list[Any], bool]:
    """Return the keys received, and whether the read is reported as complete."""
    async with serving(server, clock) as client:
        invoices = client.invoices
        begun: Pager[Any] = invoices.search(page_size=10) if by_key else invoices.list(page_size=10)
        return await keys_received(begun.decode_as(dict))


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("by_key", [False, True])
@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("cap", [1000, 8])
async def test_faulty_page_is_repaired_or_reported(
    clock: FakeClock, content: Content, by_key: bool, counted: bool, cap: int
) -> None:
    rows = numbered(range(5, 70))
    keys = [row["id"] for row in rows]
    plain = OneFault(rows, None, None, counted=counted, cap=cap)
    keys_read, is_complete = await read(plain, clock, by_key=by_key)
    assert keys_read == keys
    assert is_complete
    silent: list[int] = []
    for position in range(plain.requests):
        server = OneFault(rows, content, position, counted=counted, cap=cap)
        keys_read, is_complete = await read(server, clock, by_key=by_key)
        assert len(keys_read) == len(set(keys_read))
        if is_complete and sorted(keys_read) != keys:
            silent.append(position)
    assert silent == []


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("by_key", [False, True])
async def test_faulty_page_of_a_server_that_counts_pages_is_repaired_or_reported(
    clock: FakeClock, content: Content, by_key: bool
) -> None:
    """A first page and its count may look like the whole list."""
    keys = list(range(5, 52))
    silent: list[int] = []
    for position in range(6):
        server = OneFault(numbered(keys), content, position, counted=True)
        server.counts_pages = True
        received, is_complete = await read(server, clock, by_key=by_key)
        if is_complete and sorted(received) != keys:
            silent.append(position)
    assert silent == []


@pytest.mark.parametrize("content", ["short", "headless", "holed"])
@pytest.mark.parametrize("verb", ["list", "search"])
async def test_count_does_not_rely_on_a_first_page_that_counts_itself(
    clock: FakeClock, content: Content, verb: str
) -> None:
    for position in range(4):
        server = OneFault(numbered(range(13)), content, position, counted=True)
        server.counts_pages = server.counts_cut_pages = True
        async with serving(server, clock) as client:
            assert await getattr(client.invoices, verb)().count() == 13, position


class OtherResource(OneFault):
    """One response is that of another resource, whose keys are above all others; or all from there on."""

    def __init__(self, at: int, *, counted: bool, for_good: bool = False) -> None:
        super().__init__(numbered(range(30)), None, at, counted=counted)
        self._for_good = for_good

    def _faulty_page(self, fields: dict[str, Any], number: int) -> bytes:
        page = super()._faulty_page(fields, number)
        if self._for_good:
            return page.replace(b"deid_invoice", b"bills") if number >= (self.at or 0) else page
        return b'{"clients":[{"id":7000},{"id":7001}],"total":2}' if number == self.at else page


@pytest.mark.parametrize("verb", ["list", "search", "pull"])
@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("for_good", [False, True])
async def test_response_of_another_resource_is_requested_again(
    clock: FakeClock, verb: str, counted: bool, for_good: bool
) -> None:
    for position in range(1, 6):
        server = OtherResource(position, counted=counted, for_good=for_good)
        async with serving(server, clock) as client:
            read = getattr(client.invoices, verb)(page_size=4).decode_as(dict)
            received, is_complete = await keys_received(read)
            assert (sorted(received), is_complete) == ([*range(30)], True), position


class FailedPage(OneFault):
    """One response is an empty page that says that it failed; or all from there on."""

    def __init__(self, at: int, *, for_good: bool = False) -> None:
        super().__init__(numbered(range(30)), None, at, counted=False)
        self._for_good = for_good

    def _faulty_page(self, fields: dict[str, Any], number: int) -> bytes:
        has_failed = number == self.at or (self._for_good and number > (self.at or 0))
        page = b'{"deid_invoice":[],"statusCode":500}'
        return page if has_failed else super()._faulty_page(fields, number)


@pytest.mark.parametrize("verb", ["list", "search", "pull"])
async def test_empty_page_that_says_it_failed_is_requested_again(clock: FakeClock, verb: str) -> None:
    for position in range(8):
        async with serving(FailedPage(position), clock) as client:
            failing = getattr(client.invoices, verb)(page_size=4).decode_as(dict)
            received, is_complete = await keys_received(failing)
            assert (sorted(received), is_complete) == ([*range(30)], True), position


@pytest.mark.parametrize("verb", ["list", "search"])
async def test_empty_page_that_says_twice_it_failed_is_an_error(clock: FakeClock, verb: str) -> None:
    for position in range(8):
        async with serving(FailedPage(position, for_good=True), clock) as client:
            with pytest.raises(ApiError, match="no rows and") as caught:
                await getattr(client.invoices, verb)(page_size=4).collect()
            assert caught.value.path


async def test_repeated_first_page_does_not_end_a_list_whose_server_counts_pages(clock: FakeClock) -> None:
    server = OneFault(numbered(range(47)), "repeated", 1, counted=True)
    server.counts_pages = True
    received, _ = await read(server, clock, by_key=False)
    assert received == list(range(47))


@pytest.mark.parametrize("content", ["empty", "short"])
@pytest.mark.parametrize("position", range(11))
async def test_empty_or_short_page_loses_no_row(clock: FakeClock, content: Content, position: int) -> None:
    """Without a count, nothing else shows a missing row."""
    for by_key in (False, True):
        server = OneFault(numbered(range(95)), content, position, counted=False)
        assert await read(server, clock, by_key=by_key) == (list(range(95)), True)


@pytest.mark.parametrize("content", ["short", "headless", "holed"])
@pytest.mark.parametrize("by_key", [False, True])
async def test_short_first_page_loses_no_row(clock: FakeClock, content: Content, by_key: bool) -> None:
    """Its count of more rows does not show that the server has a smaller page size."""
    server = OneFault(numbered(range(95)), content, 0, counted=True)
    assert await read(server, clock, by_key=by_key) == (list(range(95)), True)


@pytest.mark.parametrize("position", [0, 4, 9])
async def test_page_that_stays_empty_does_not_end_a_list_without_counts(
    clock: FakeClock, position: int
) -> None:
    server = OneFault(numbered(range(100)), None, None, counted=False)
    server.missing = set(range(10 * position, 10 * position + 10))
    received, is_complete = await read(server, clock, by_key=False)
    assert received == [key for key in range(100) if key not in server.missing]
    assert is_complete == (position == 9)  # the last page is as good as not there


async def test_page_that_stays_short_is_reported(clock: FakeClock) -> None:
    """293 of 300 rows, of a list without counts."""
    rows = numbered(range(300))
    server = OneFault(rows, None, None, counted=False)
    server.missing = set(range(143, 150))
    async with serving(server, clock) as client:
        pager = client.invoices.list(page_size=50).decode_as(dict)
        assert len(await pager.collect()) == 293
    assert not pager.report.complete
    assert "fewer rows" in pager.report.problems()[0]


async def test_page_that_stays_empty_does_not_hide_later_pages(clock: FakeClock) -> None:
    server = OneFault(numbered(range(100)), None, None, counted=True)
    server.missing = set(range(50, 60))
    async with serving(server, clock) as client:
        pager = client.invoices.list(page_size=10).decode_as(dict)
        keys_read = [row["id"] for row in await pager.collect()]
    assert keys_read == [*range(50), *range(60, 100)]
    assert not pager.report.complete


@pytest.mark.parametrize("by_key", [False, True])
async def test_resumed_read_reports_earlier_problems(clock: FakeClock, by_key: bool) -> None:
    rows: list[dict[str, Any]] = numbered(range(40))
    rows[12]["totalAmount"] = "a lot"
    async with serving(OneFault(rows, None, None, counted=True), clock) as client:
        resource = client.invoices
        read: Any = resource.search if by_key else resource.list
        first = read(page_size=10, on_bad_row="skip")
        pages = first.pages()
        await anext(pages)
        second = await anext(pages)
        await pages.aclose()
        rest = read(page_size=10, on_bad_row="skip", resume=second.checkpoint.to_json())
        assert len(await rest.collect()) == 20
        assert rest.report.bad_rows == 0
        assert not rest.report.complete
        assert "1 rows do not decode" in rest.report.problems()[0]


@pytest.mark.parametrize("times", [1, 9])
async def test_page_before_a_checkpoint_is_not_yielded_again(clock: FakeClock, times: int) -> None:
    """The resumed read does not know its keys; the server repeats it once, or each time."""
    async with serving(OneFault(numbered(range(47)), None, None, counted=False), clock) as client:
        pages = client.invoices.list(page_size=10).pages()
        await anext(pages)
        second = await anext(pages)
        await pages.aclose()
    server = OneFault(numbered(range(47)), None, None, counted=False)
    server.repeat(page=1, instead_of=2, times=times)
    async with serving(server, clock) as client:
        rest = client.invoices.list(page_size=10, resume=second.checkpoint.to_json()).decode_as(dict)
        received = [row["id"] for row in await rest.collect()]
    assert received == list(range(20 if times == 1 else 30, 47))
    assert rest.report.complete == (times == 1)


async def test_empty_page_after_a_checkpoint_is_requested_again(clock: FakeClock) -> None:
    async with serving(OneFault(numbered(range(47)), "empty", 1, counted=False), clock) as client:
        page = await client.invoices.list(page_size=10)
        rest = client.invoices.list(page_size=10, resume=page.checkpoint)
        assert [row.id for row in await rest.collect()] == list(range(10, 47))
    assert rest.report.complete


@pytest.mark.parametrize("position", range(1, 5))
async def test_short_page_does_not_end_a_resumed_search_whose_server_counts_pages(
    clock: FakeClock, position: int
) -> None:
    """The pages before the checkpoint showed what the server counts."""
    server = OneFault(numbered(range(47)), "short", position, counted=True)
    server.counts_pages = server.counts_cut_pages = True
    keys: list[Any] = []
    checkpoint: str | None = None
    async with serving(server, clock) as client:
        for _ in range(6):
            page = await client.invoices.search(page_size=10, resume=checkpoint)
            keys += [row.id for row in page.items]
            checkpoint = page.checkpoint.to_json()
    assert keys == list(range(47))


async def test_search_page_before_a_checkpoint_is_not_reported_as_lost(
    sandbox: Sandbox, client: AiwynClient
) -> None:
    bodies: list[bytes] = []

    def keep(body: bytes) -> bytes:
        bodies.append(body)
        return body

    sandbox.faults.add("invoices.search", every=1, mutate=keep)
    first = client.invoices.search(page_size=10, limit=20)
    keys = [row.id for row in await first.collect()]
    assert first.checkpoint is not None
    sandbox.faults.clear()
    sandbox.faults.add("invoices.search", nth=1, times=1, mutate=lambda _: bodies[1])
    rest = client.invoices.search(page_size=10, resume=first.checkpoint.to_json())
    keys += [row.id for row in await rest.collect()]
    assert len(set(keys)) == len(keys) == 60
    assert rest.report.complete


async def test_agreeing_count_costs_no_extra_request(clock: FakeClock) -> None:
    async with (
        Sandbox(invoices=95, seed=7) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key, clock=clock) as client,
    ):
        await client.invoices.list(page_size=10).collect()
        assert box.calls("invoices.list") == 10
        await client.invoices.search(page_size=19).collect()
        assert box.calls("invoices.search") == 6


async def test_list_without_counts_requests_its_last_pages_twice(clock: FakeClock) -> None:
    async with (
        Sandbox(invoices=95, seed=7, variant=Variant(count="absent")) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key, clock=clock) as client,
    ):
        assert len(await client.invoices.list(page_size=10).collect()) == 95
        bodies: list[Any] = [request.body for request in box.requests if request.route == "invoices.list"]
        pages = [body["page"] for body in bodies]
        assert pages == [*range(10), 9, 10, 10]


@pytest.mark.parametrize("counted", [False, True])
async def test_short_page_that_reaches_the_limit_is_requested_again(clock: FakeClock, counted: bool) -> None:
    server = OneFault(numbered(range(80)), "headless", 5, counted=counted)
    async with serving(server, clock) as client:
        pager = client.invoices.list(page_size=10, limit=51).decode_as(dict)  # six pages of nine rows
        assert [row["id"] for row in await pager.collect()] == list(range(51))
    assert pager.report.complete
