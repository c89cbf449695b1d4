"""A pull that loses a row of a nonconforming server is not complete."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import aclosing
from operator import gt, le
from typing import Any

import msgspec
import pytest

from aiwyn_async import IncompleteError, PaginationError, Pull, StatusError
from edited_checkpoints import edited
from server_model import Row, ServerModel, matcher, numbered

Serve = Callable[[ServerModel], Any]


async def keys_of(pull: Pull[dict[str, Any]]) -> list[Any]:
    return [row["id"] async for row in pull]


COUNTS: dict[str, Callable[[int, int], int | None]] = {
    "right": lambda matching, _shown: matching,
    "none": lambda _matching, _shown: None,
    "of the page alone": lambda _matching, shown: shown,
    "capped": lambda matching, _shown: min(matching, 70),
    "too low": lambda matching, _shown: max(0, matching - 35),  # for 105 rows that of a clamped page
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


@pytest.mark.parametrize("count", ["right", "none", "of the page alone"])
@pytest.mark.parametrize("ranges", [1, 8])
@pytest.mark.parametrize("keyed", [range(300), [f"k{n:03}" for n in range(300)]], ids=["integers", "texts"])
async def test_rows_without_a_key_are_yielded_once_or_reported(
    serve: Serve, count: str, ranges: int, keyed: Any
) -> None:
    model = ServerModel(numbered(*keyed, None, None))
    model.count, model.order = COUNTS[count], lambda row: (row["id"] is None, row["id"] or keyed[0])
    pull = (await serve(model)).invoices.pull(page_size=100, ranges=ranges).decode_as(dict)
    keys = await keys_of(pull)
    assert sorted(key for key in keys if key is not None) == list(keyed)
    assert keys.count(None) in {0, 2}, "none twice"
    assert not pull.report.complete, "rows without a key cannot be verified"


async def test_full_scans_of_clamped_counts_do_not_end_with_one_empty_page(serve: Serve) -> None:
    model = ServerModel(numbered(*range(5)))
    model.cap, model.count = 2, lambda matching, _shown: min(matching, 2)
    matching = model.matching
    model.matching = lambda body: matching(body)[:2] if len(model.bodies) == 3 else matching(body)
    pull = (await serve(model)).contacts.pull(page_size=3).decode_as(dict)
    assert sorted(await keys_of(pull)) == list(range(5))


async def test_empty_page_after_as_many_rows_as_a_capped_count_is_requested_again(serve: Serve) -> None:
    model = ServerModel(numbered(*range(5)))
    model.count = lambda matching, _shown: min(matching, 4)
    matching = model.matching
    model.matching = lambda body: [] if len(model.bodies) == 3 else matching(body)
    pull = (await serve(model)).invoices.pull(page_size=2, ranges=1).decode_as(dict)
    assert await keys_of(pull) == list(range(5))


@pytest.mark.parametrize("keys", [range(6), "abcdef"], ids=["integers", "texts"])
async def test_resumed_pull_reads_rows_without_a_key(serve: Serve, keys: Any) -> None:
    model = ServerModel(numbered(*keys, None))
    model.count, model.order = COUNTS["none"], lambda row: (row["id"] is None, row["id"] or keys[0])
    pull = (await serve(model)).invoices.pull(page_size=2, ranges=1).decode_as(dict)
    pages = pull.pages()
    first = await anext(pages)
    await pages.aclose()
    rest = pull.resume_from(first.checkpoint)
    assert None in await keys_of(rest)
    assert not rest.report.complete


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


def compares_as_sent(body: dict[str, Any]) -> Callable[[Row], bool]:
    """Compare keys with a bound as numbers if it is a number, and as text if it is text."""
    where = body.get("where") or {}
    bounds = [bound for each in where.get("_and", [where]) for bound in each.get("id", {}).items()]

    def matches(row: Row) -> bool:
        return all(
            (gt if operator == "_gt" else le)(type(bound)(row["id"]), bound) for operator, bound in bounds
        )

    return matches


@pytest.mark.parametrize("is_text", [lambda key: key > 50, lambda key: key <= 50], ids=["later", "at first"])
@pytest.mark.parametrize("ranges", [1, 8])
async def test_keys_whose_type_changes_lose_no_row_unnoticed(
    serve: Serve, is_text: Callable[[int], bool], ranges: int
) -> None:
    model = ServerModel([{"id": str(key) if is_text(key) else key} for key in range(1, 101)])
    model.order = lambda row: int(row["id"])
    model.matching = lambda body: list(filter(compares_as_sent(body), model.rows))
    pull = (await serve(model)).invoices.pull(page_size=20, ranges=ranges).decode_as(dict)
    keys = await keys_of(pull)
    assert len(keys) == len(set(keys)) or not pull.report.complete
    assert set(map(int, keys)) == set(range(1, 101)) or not pull.report.complete


async def test_text_keys_that_return_after_integers_are_yielded_once(serve: Serve) -> None:
    texts = list("abcdefghij")
    pages: dict[Any, list[Any]] = {
        None: texts,
        "j": list(range(1, 11)),
        10: ["a", "b", *"klmnopqr"],
    }

    def matching(body: dict[str, Any]) -> list[dict[str, Any]]:
        after = body.get("where", {}).get("id", {}).get("_gt")
        rest = list(pages)[list(pages).index(after) :] if after in pages else []
        return [{"id": key} for start in rest for key in pages[start]]

    model = ServerModel([])
    model.order, model.matching = (lambda _: 0), matching
    pull = (await serve(model)).invoices.pull(page_size=10, ranges=1).decode_as(dict)
    keys = await keys_of(pull)
    assert sorted(map(str, keys)) == sorted(map(str, set(keys)))
    assert pull.report.duplicates == 2
    assert not pull.report.complete


async def test_count_of_0_after_rows_is_not_complete(serve: Serve) -> None:
    model = ServerModel(numbered(*range(30)))
    model.before_each = lambda: model.rows.clear() if len(model.bodies) > 1 else None
    pull = (await serve(model)).invoices.pull(page_size=10, ranges=1).decode_as(dict)
    assert len(await keys_of(pull)) == 10
    assert not pull.report.complete
    assert "the count at the end is 0" in str(pull.report)


@pytest.mark.parametrize("keys", [range(300), [f"k{n:03}" for n in range(300)]], ids=["integers", "texts"])
@pytest.mark.parametrize("ordered", [False, True])
async def test_filter_that_includes_its_bound_yields_no_row_twice(
    serve: Serve, keys: Any, ordered: bool
) -> None:
    model = ServerModel(numbered(*keys))
    model.includes_bound = True
    pull = (await serve(model)).invoices.pull(page_size=50, ordered=ordered, strict=True).decode_as(dict)
    assert sorted(await keys_of(pull)) == list(keys)
    assert (pull.report.method, pull.report.duplicates) == ("full_scan", 0)


async def test_two_alternating_pages_of_text_keys_end_the_key_ranges(serve: Serve) -> None:
    keys = [f"k{n:03}" for n in range(100)]
    model = ServerModel(numbered(*keys))

    def alternate(body: dict[str, Any]) -> list[Row]:
        after = str(body["where"]["id"]["_gt"]) if "where" in body else "k099"
        return model.rows[50:] if after < "k050" else model.rows[:50]

    model.count = COUNTS["none"]
    model.error_status = lambda _: 404 * (len(model.bodies) > 30)
    model.matching = lambda body: alternate(body) if "orderBy" in body else model.rows
    pull = (await serve(model)).invoices.pull(page_size=50, strict=True).decode_as(dict)
    assert sorted(await keys_of(pull)) == keys
    assert pull.report.method == "full_scan"


async def test_page_that_ends_at_the_end_of_its_range_completes_it(serve: Serve) -> None:
    model = ServerModel(numbered(*range(300)))
    client = await serve(model)
    begun = client.invoices.pull(page_size=50, ranges=1).decode_as(dict)
    pages = begun.pages()
    first = await anext(pages)
    await pages.aclose()
    rest = begun.resume_from(edited(first.checkpoint, left=[{"after": 99, "until": 149}], rows_yielded=250))
    assert await keys_of(rest) == list(range(100, 150))
    assert sum('"_lte"' in json.dumps(body) for body in model.bodies) == 1


async def test_unreadable_row_of_an_open_range_is_missing_alone_if_the_highest_key_is_unknown(
    serve: Serve,
) -> None:
    model = ServerModel(numbered(*range(1000)))
    client = await serve(model)
    begun = client.invoices.pull(page_size=8).decode_as(dict)
    pages = begun.pages()
    first = await anext(pages)
    await pages.aclose()

    def refuse(body: dict[str, Any]) -> int:
        if body["orderBy"] == [{"id": "desc"}]:
            return 500 if "where" in body else 0  # the first request for the highest key
        shown = [row["id"] for row in model.rows if matcher(body, gt)(row)][: body["pageSize"]]
        return 500 if 950 in shown else 0

    model.error_status = refuse
    left = [{"after": 7, "until": 899}, {"after": 899, "until": None}]
    rest = begun.resume_from(edited(first.checkpoint, left=left, last_key=None))
    keys: list[Any] = []

    async def read() -> None:
        async for row in rest:
            keys.append(row["id"])  # noqa: PERF401 (the rows before the error)

    with pytest.raises(IncompleteError):
        await read()
    assert sorted(keys) == [*range(8, 950), *range(951, 1000)]
    assert [(each.after, each.until) for each in rest.report.missing] == [(949, 950)]


@pytest.mark.parametrize(("max_pages_of_bytes", "depth"), [(3, 3), (1, 1), (100, 8)])
async def test_large_pages_in_flight_are_bounded_by_their_bytes(
    serve: Serve, max_pages_of_bytes: int, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ServerModel([{"id": number, "notes": "x" * 200} for number in range(3000)])
    max_bytes = max_pages_of_bytes * 100 * len(msgspec.json.encode(model.rows[2999])) + 500
    monkeypatch.setattr("aiwyn_async._pull.range_reader.MAX_BYTES_IN_FLIGHT", max_bytes)
    pull = (await serve(model)).invoices.pull(page_size=100, ranges=8).decode_as(dict)
    assert len(await keys_of(pull)) == 3000
    assert pull.report.peak_concurrency == depth


async def test_refused_page_size_is_halved(serve: Serve) -> None:
    model = ServerModel(numbered(*range(1000)))
    model.error_status = lambda body: 400 * (body["pageSize"] > 200)
    pull = (await serve(model)).invoices.pull(strict=True).decode_as(dict)
    assert sorted(await keys_of(pull)) == list(range(1000))
    assert (pull.report.method, pull.report.min_page_size, pull.report.missing) == ("key_ranges", 125, [])


async def test_refused_page_is_halved_if_the_server_fails_to_show_that_it_has_key_filters(
    serve: Serve,
) -> None:
    model = ServerModel(numbered(*range(1000)))
    first_row = {"orderBy": [{"id": "asc"}], "pageSize": 1}
    model.error_status = lambda body: (
        500 if first_row.items() <= body.items() else 400 * (body["pageSize"] > 200)
    )
    pull = (await serve(model)).invoices.pull(strict=True).decode_as(dict)
    assert sorted(await keys_of(pull)) == list(range(1000))
    assert (pull.report.method, pull.report.fallback_reason) == ("key_ranges", None)


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


async def test_resumed_pull_accounts_for_rows_above_the_highest_key(serve: Serve) -> None:
    """They do not hide a row that was inserted behind the pull."""
    model = ServerModel(numbered(*range(2, 42, 2)))
    invoices = (await serve(model)).invoices
    new = numbered(1, *range(42, 62, 2))
    model.before_each = lambda: model.rows.extend(new if len(model.bodies) == 4 else [])
    keys: list[int | str] = []
    checkpoint = None
    async for page in invoices.pull(page_size=4, ranges=2, ordered=True).pages():
        keys += [row.id for row in page.items]
        checkpoint = page.checkpoint
        if 44 in keys:
            break
    rest = invoices.pull(page_size=4, ranges=2, ordered=True, resume=checkpoint)
    keys += [row.id for row in await rest.collect()]
    assert keys == list(range(2, 62, 2))
    assert (rest.report.unaccounted_rows, rest.report.total_count_at_end) == (1, 31)
    assert not rest.report.complete


async def test_resumed_pull_counts_again_at_its_end(serve: Serve) -> None:
    model = ServerModel(numbered(*range(2, 62, 2)))
    begun = (await serve(model)).invoices.pull(page_size=4, ranges=4).decode_as(dict)
    pages = begun.pages()
    first = await anext(pages)
    await pages.aclose()
    model.rows += numbered(1)  # below the keys that are left
    rest = begun.resume_from(first.checkpoint)
    await keys_of(rest)
    report = rest.report
    assert (report.total_count_at_start, report.total_count_at_end, report.unaccounted_rows) == (30, 31, 1)


async def test_count_at_the_end_that_is_too_low_is_requested_again(serve: Serve) -> None:
    model = ServerModel(numbered(*range(2, 62, 2)))
    model.before_each = lambda: model.rows.extend(numbered(1) if len(model.bodies) == 3 else [])
    low = [7]

    def count(matching: int, _shown: int) -> int:
        is_at_end = len(model.bodies) > 3 and "where" not in model.bodies[-1]
        return low.pop() if low and is_at_end else matching

    model.count = count
    pull = (await serve(model)).invoices.pull(page_size=4, ranges=4)
    assert len(await pull.collect()) == 30
    assert (low, pull.report.total_count_at_end, pull.report.unaccounted_rows) == ([], 31, 1)


@pytest.mark.parametrize("deleted", [0, 1])
async def test_row_without_a_key_is_reported_although_an_inserted_one_makes_the_counts_agree(
    serve: Serve, deleted: int
) -> None:
    """No range of keys has it, and one that is inserted ahead of the read arrives in its place."""
    model = ServerModel(numbered(2, 4, 6, 8, None))
    model.order = lambda row: (row["id"] is None, row["id"] or 0)

    def change() -> None:
        if len(model.bodies) == 2:
            model.rows += numbered(9)
            del model.rows[:deleted]

    model.before_each = change
    pull = (await serve(model)).invoices.pull(page_size=3, ranges=1)
    assert [row.id for row in await pull.collect()] == [2, 4, 6, 8, 9]
    assert pull.report.problems() == ["1 rows counted by the server were not received"]


async def test_pull_of_two_pages_counts_again_at_its_end(serve: Serve) -> None:
    model = ServerModel(numbered(*range(2, 14, 2)))
    model.before_each = lambda: model.rows.extend(numbered(1) if len(model.bodies) == 2 else [])
    pull = (await serve(model)).invoices.pull(page_size=4, ranges=1)
    assert [row.id for row in await pull.collect()] == list(range(2, 14, 2))
    report = pull.report
    assert (report.total_count_at_start, report.total_count_at_end, report.unaccounted_rows) == (6, 7, 0)


async def test_full_scan_counts_duplicates_and_short_pages(serve: Serve) -> None:
    model = ServerModel(numbered(*range(16)))
    model.count = lambda _matching, _shown: None
    model.matching = lambda body: model.rows[:7] if body.get("page") == 1 else [*model.rows, {"id": 15}]
    invoices = (await serve(model)).invoices
    pull = invoices.pull(paging="page", page_size=4)
    assert [row.id for row in await pull.collect()] == [*range(7), *range(8, 16)]
    report = pull.report
    assert (report.scans, report.duplicates, report.short_pages) == (2, 2, 1)
    assert not report.complete


async def test_response_of_the_lower_end_is_not_the_highest_key(serve: Serve) -> None:
    """If the last row cannot be read, the first one shows only that the server responds."""
    model = ServerModel(numbered(*range(1, 41), None))
    model.error_status = lambda body: (
        500 if body.get("orderBy") != [{"id": "asc"}] or body["pageSize"] > 10 else 0
    )
    pull = (await serve(model)).invoices.pull(page_size=20, ranges=1).decode_as(dict)
    assert [key for key in await keys_of(pull) if key is not None] == list(range(1, 41))
    assert pull.report.unaccounted_rows == 1, "the row without a key, which no filter matches"


@pytest.mark.parametrize("counts_pages", [False, True])
async def test_ignored_order_shows_in_the_request_for_the_highest_key(
    serve: Serve, counts_pages: bool
) -> None:
    """The first page happens to be in order; rows below its last key would never be requested."""
    model = ServerModel(numbered(20, 40, 10, 60, 30, 50))
    model.order = lambda _row: 0
    model.count = lambda _matching, shown: shown if counts_pages else None
    pull = (await serve(model)).invoices.pull(page_size=2).decode_as(dict)
    assert sorted(await keys_of(pull)) == [10, 20, 30, 40, 50, 60]
    assert pull.report.fallback_reason == "the server did not order rows by descending key"
    assert pull.report.complete


PAGES_OF_ONE_ROW = {"requested": {"page_size": 1}, "clamped": {"page_size": 10}}


@pytest.mark.parametrize("pages", PAGES_OF_ONE_ROW)
@pytest.mark.parametrize("counts_pages", [False, True])
@pytest.mark.parametrize("keys", [(20, 40, 10, 60), (60, 10, 20, 40), ("b", "d", "a", "c"), ("d", "a", "b")])
async def test_ignored_order_of_pages_of_one_row_loses_no_row(
    serve: Serve, keys: tuple[Any, ...], counts_pages: bool, pages: str
) -> None:
    """The first row is the response to the request for the highest key too."""
    model = ServerModel(numbered(*keys))
    model.order, model.cap = lambda _row: 0, 1
    model.count = lambda _matching, shown: shown if counts_pages else None
    pull = (await serve(model)).invoices.pull(**PAGES_OF_ONE_ROW[pages]).decode_as(dict)
    assert sorted(await keys_of(pull)) == sorted(keys)
    assert pull.report.fallback_reason == "the server did not order rows by descending key"
    assert pull.report.complete


async def test_resumed_pull_notices_an_ignored_order_of_pages_of_one_row(serve: Serve) -> None:
    """No row is above the one before the checkpoint, says the server, and then sends one."""
    model = ServerModel(numbered(20, 40, 10, 60))
    model.order, model.count = lambda _row: 0, lambda _matching, _shown: None
    invoices = (await serve(model)).invoices
    async with aclosing(invoices.pull(page_size=1).decode_as(dict).pages()) as pages:
        checkpoint = (await anext(pages)).checkpoint
    resumed = invoices.pull(page_size=1).decode_as(dict).resume_from(checkpoint)
    with pytest.raises(PaginationError, match="did not order rows by descending key"):
        await keys_of(resumed)


@pytest.mark.parametrize("page_size", [1, 10])
@pytest.mark.parametrize("at", range(2, 6))
async def test_row_inserted_above_the_only_one_is_no_ignored_order(
    serve: Serve, page_size: int, at: int
) -> None:
    model = ServerModel(numbered(5))
    model.count = lambda _matching, _shown: None
    model.before_each = lambda: model.rows.extend(numbered(7, 9) if len(model.bodies) == at else [])
    pull = (await serve(model)).invoices.pull(page_size=page_size).decode_as(dict)
    assert (await keys_of(pull))[0] == 5
    assert (pull.report.method, pull.report.complete) == ("key_ranges", True)


async def test_highest_key_of_an_earlier_moment_is_no_ignored_order(serve: Serve) -> None:
    """Pages of several rows showed the order; a replica may not have the newest row yet."""
    model = ServerModel(numbered(1, 2, 3, 4, 5, 6))
    model.count = lambda _matching, _shown: None
    hidden = numbered(5, 6)

    def lag() -> None:
        is_last = model.bodies[-1]["orderBy"] == [{"id": "desc"}]
        model.rows = numbered(1, 2, 3, 4) + ([] if is_last else hidden)

    model.before_each = lag
    pull = (await serve(model)).invoices.pull(page_size=4, ranges=1).decode_as(dict)
    assert await keys_of(pull) == [1, 2, 3, 4, 5, 6]
    assert pull.report.complete


async def test_pull_of_one_row_asks_once_for_others(serve: Serve) -> None:
    model = ServerModel(numbered(5))
    model.count = lambda _matching, _shown: None
    assert await keys_of((await serve(model)).invoices.pull().decode_as(dict)) == [5]
    assert [body.get("where") for body in model.bodies] == [None, None, {"id": {"_neq": 5}}]


async def test_row_without_a_key_in_a_discarded_response_is_not_lost(serve: Serve) -> None:
    """The number of rows is right in the end, because another one is inserted."""
    model = ServerModel([*numbered(1, 2, 3, 5, 6, 7), {"id": None}])
    model.order = lambda row: (row["id"] is None, row["id"] or 0)
    model.count = lambda matching, _shown: matching if len(model.bodies) <= 3 else None

    def change() -> None:
        if len(model.bodies) == 2:
            model.cap = 2
        elif len(model.bodies) == 6:
            model.rows += numbered(8)

    model.before_each = change
    pull = (await serve(model)).invoices.pull(page_size=50).decode_as(dict)
    assert None in await keys_of(pull) or not pull.report.complete
