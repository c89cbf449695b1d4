"""``aiwyn list`` and ``aiwyn search``: JSON Lines in a pipe, a table on a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from aiwyn_async import AiwynClient
from aiwyn_async._cli.resources import RESOURCES, UNDOCUMENTED
from aiwyn_async._cli.rows import Order, RowFields
from aiwyn_async.models import Invoice, Payment
from aiwyn_async.sandbox import Sandbox
from command_line import Cli, wait_until
from terminal import run_on_terminal

HOSTILE = "\x1b[2J\x07\u202e\u200b[red]evil\n\x9b"


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in text.splitlines()]


def change_first(**fields: Any) -> Callable[[bytes], bytes]:
    def mutate(body: bytes) -> bytes:
        response = json.loads(body)
        response["deid_invoice"][0] |= fields
        return json.dumps(response, indent=1).encode()

    return mutate


async def test_list_in_a_pipe_is_rows_exactly_as_sent(cli: Cli, box: Sandbox) -> None:
    done = await cli.run("list", "invoices")
    assert (done.code, done.err) == (0, "")
    async with AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn:
        rows = [row async for page in aiwyn.invoices.list().pages() for row in page.raw_items()]
    assert done.out.encode() == b"".join(bytes(row) + b"\n" for row in rows)
    assert len(rows) == 400


async def test_search_sends_numbers_of_where_with_every_digit(cli: Cli, box: Sandbox) -> None:
    amount = "1234567890123456789.123456789"
    done = await cli.run("search", "invoices", "--where", f'{{"totalAmount":{{"_gt":{amount}}}}}')
    assert (done.code, done.out) == (0, ""), done.err
    body: Any = box.requests[-1].body
    assert body["where"] == {"totalAmount": {"_gt": Decimal(amount)}}


async def test_list_writes_one_line_per_row_of_indented_json(cli: Cli, box: Sandbox) -> None:
    box.faults.add("invoices.list", every=1, mutate=change_first(notes=HOSTILE, region="north"))
    done = await cli.run("list", "invoices", "--limit", "3")
    rows = lines_of(done.out)
    assert [len(rows), rows[0]["notes"], rows[0]["region"]] == [3, HOSTILE, "north"]
    chosen = await cli.run("list", "invoices", "--limit", "3", "--columns", "region,total_amount,id")
    assert list(lines_of(chosen.out)[0]) == ["region", "totalAmount", "id"]
    assert [row["totalAmount"] for row in lines_of(chosen.out)] == [row["totalAmount"] for row in rows]
    nested = await cli.run("list", "invoices", "--limit", "3", "--columns", "lineItems")
    assert lines_of(nested.out) == [{"lineItems": row["lineItems"]} for row in rows]


async def test_list_sorts_all_rows_by_value_before_the_limit(cli: Cli, box: Sandbox) -> None:
    done = await cli.run("list", "payments", "--sort", "amount:desc", "--limit", "4", "--columns", "amount")
    amounts = [row["amount"] for row in lines_of(done.out)]
    async with AiwynClient(base_url=box.url, api_key=box.api_key) as aiwyn:
        payments = await aiwyn.payments.list().collect()
    assert amounts == sorted((payment.amount for payment in payments if payment.amount), reverse=True)[:4]
    assert done.code == 0


def test_sort_compares_values_not_text() -> None:
    def ids(rows: list[bytes], field: str, *, descending: bool = False) -> list[int]:
        ordered = RowFields(Invoice).sort(rows, Order(field, descending))
        return [json.loads(row)["id"] for row in ordered]

    amounts = [
        b'{"id":1,"totalAmount":"9.5"}',
        b'{"id":2,"totalAmount":10}',
        b'{"id":3}',
        b'{"id":4,"total_amount":-1E2}',
        b'{"id":5,"totalAmount":null}',
    ]
    assert ids(amounts, "totalAmount") == [4, 1, 2, 3, 5]
    assert ids(amounts, "totalAmount", descending=True) == [2, 1, 4, 3, 5]
    times = [
        b'{"id":1,"createdAt":"2024-01-01T00:00:00.5Z"}',
        b'{"id":2,"createdAt":"2024-01-01T00:00:00Z"}',
        b'{"id":3,"createdAt":"2024-01-01T02:00:00+05:00"}',
        b'{"id":4,"createdAt":"soon"}',
        b'{"id":5,"createdAt":"2024-01-01T00:00:00"}',
    ]
    assert ids(times, "createdAt") == [3, 2, 5, 1, 4]
    mixed = [b'{"id":1,"x":"a"}', b'{"id":2,"x":[1]}', b'{"id":3,"x":2.5}', b'{"id":4,"x":true}']
    assert ids(mixed, "x") == [4, 3, 1, 2]
    assert RowFields(Payment).split(b"[1]") is None


@pytest.mark.parametrize(
    ("text", "sent"), [("7720", 7720), ("007", "007"), ("\u0663", "\u0663"), ("9" * 4400, "9" * 4400)]
)
async def test_client_id_is_sent_as_a_number_only_if_it_is_one(
    text: str, sent: int | str, cli: Cli, box: Sandbox
) -> None:
    done = await cli.run("list", "invoices", "--client-id", text, "--limit", "1")
    body: Any = box.requests[-1].body
    assert body["clientId"] == sent
    assert "this is a bug" not in done.err


async def test_search_sorts_on_the_server(cli: Cli, box: Sandbox) -> None:
    condition = '{"status": {"_eq": "PAID"}}'
    done = await cli.run(
        "search", "invoices", "--where", condition, "--sort", "total_amount:desc", "--limit", "2"
    )
    cents = box.query("SELECT total_cents FROM invoices WHERE status = 'PAID' ORDER BY 1 DESC LIMIT 2")
    assert [(row["totalAmount"] * 100,) for row in lines_of(done.out)] == cents
    assert (done.code, box.calls("invoices.search")) == (0, 1)


@pytest.mark.parametrize("plural", ["contacts", "last_mile", "offices", "wip"])
async def test_list_and_count_know_every_resource(plural: str, cli: Cli) -> None:
    listed = await cli.run("list", plural.replace("_", "-"), "--quiet")
    counted = await cli.run("count", {**RESOURCES, **UNDOCUMENTED}[plural], "--quiet")
    assert (listed.code, listed.err) == (0, ""), listed.err
    assert int(counted.out) == len(lines_of(listed.out))


def test_resources_are_those_of_the_client() -> None:
    names = {name for name in dir(AiwynClient) if not name.startswith("_")}
    other = {"aclose", "collection", "config", "describe", "read", "request", "with_options"}
    writes = {"event_subscriptions", "record_types", "records"}
    assert names - other - writes == {*RESOURCES, *UNDOCUMENTED, "time"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["list", "invoices", "--columns", "odd"],
            "--columns: 'odd' is not a field of the rows; choose from id,",
        ),
        (["list", "invoices", "--columns", "id,status,id"], "--columns: 'id' is repeated"),
        (["list", "invoices", "--sort", "odd"], "--sort: 'odd' is not a field of the rows"),
        (
            ["list", "invoices", "--sort", "id:up"],
            "--sort must be FIELD, FIELD:asc or FIELD:desc, got 'id:up'",
        ),
        (["list", "invoices", "--sort", ":desc"], "--sort must be FIELD"),
        (["list", "invoices", "--limit", "0"], "--limit must be an integer of at least 1, got 0"),
        (["list", "invoices", "--columns", "id,,id"], "--columns needs names"),
        (["list", "clients", "--status", "X"], "clients cannot be filtered by --status"),
        (["search", "payments"], "payments have no documented search endpoint; run: aiwyn list payments"),
        (["search", "invoices", "--where", "{"], "--where is not valid JSON"),
        (["search", "invoices", "--where", '{"id": {"_odd": 1}}'], "unknown operator"),
        (["search", "invoices", "--where", '{"id": {"_eq": null}}'], 'use {"_is_null": true}'),
        (["search", "invoices", "--sort", "odd"], "--sort: 'odd' is not a field"),
        (["list", "nothing"], "unknown resource 'nothing'; use one of clients,"),
        (["list"], "requires an argument"),
    ],
)
async def test_wrong_arguments_of_list_are_one_line(arguments: list[str], text: str, cli: Cli) -> None:
    done = await cli.run(*arguments)
    assert (done.code, done.out, text in done.err) == (2, "", True), done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
async def test_reader_that_exits_ends_list_quietly(unbuffered: str, cli: Cli) -> None:
    reader, writer = os.pipe()
    process = await cli.start_into(writer, subprocess.PIPE, "list", "invoices", PYTHONUNBUFFERED=unbuffered)
    os.close(writer)
    assert await asyncio.to_thread(os.read, reader, 100)
    os.close(reader)  # in the middle of a page
    _, err = await process.communicate()
    assert (process.returncode, err) == (141, b"")


async def test_slow_reader_receives_every_byte_of_an_unbuffered_write(cli: Cli) -> None:
    whole = await cli.run("list", "invoices")
    process = await cli.start("list", "invoices", PYTHONUNBUFFERED="1")
    out, _ = await process.communicate()
    assert out.decode() == whole.out


async def test_ctrl_c_ends_list_with_130(cli: Cli, box: Sandbox) -> None:
    stalled = box.faults.add("invoices.list", every=1, action="stall")
    process = await cli.start("list", "invoices")
    await wait_until(lambda: stalled.hits > 0)
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert (process.returncode, err) == (130, b"interrupted\n")


async def test_incomplete_list_says_so_after_its_rows(cli: Cli, box: Sandbox) -> None:
    box.faults.add("invoices.list", every=1, mutate=lambda body: body.replace(b'"count":400', b'"count":500'))
    done = await cli.run("list", "invoices", "--quiet")
    assert (done.code, len(done.out.splitlines())) == (5, 400)
    assert done.err.startswith("not proven complete: the server counts 500 rows")


@pytest.mark.parametrize("options", [["list"], ["list", "--sort", "id"], ["search"]])
async def test_row_that_is_not_json_is_left_out(options: list[str], cli: Cli, box: Sandbox) -> None:
    for route in ("invoices.list", "invoices.search"):
        box.faults.add(route, every=1, mutate=lambda body: body.replace(b'"status":"', b'"status":"\t', 1))
    done = await cli.run(options[0], "invoices", *options[1:])
    assert (done.code, len(lines_of(done.out))) == (5, 399)
    assert done.err == "not proven complete: 1 rows do not decode and were left out\n"


@pytest.mark.parametrize("columns", [40, 60, 100, 140])
async def test_table_fits_the_terminal(columns: int, cli: Cli) -> None:
    code, shown = await run_on_terminal(cli, "list", "invoices", "--limit", "20", columns=columns)
    lines = shown.splitlines()
    assert (code, len(lines)) == (0, 22)
    assert max(map(len, lines[:-1])) <= columns
    names = lines[0].split()
    assert {"id", "status", "totalAmount"} <= set(names)
    assert lines[-1] == f"20 rows; {24 - len(names)} fields are not shown, choose with --columns"
    assert ("invoiceNumber" in names) == (columns >= 60)


async def test_table_aligns_amounts_right_and_never_cuts_them(cli: Cli, box: Sandbox) -> None:
    box.faults.add("invoices.list", every=1, mutate=change_first(totalAmount=1.5, clientName="x" * 200))
    code, shown = await run_on_terminal(
        cli, "list", "invoices", "--limit", "5", "--columns", "clientName,totalAmount", columns=40
    )
    rows = shown.splitlines()[1:6]
    assert code == 0
    assert rows[0].endswith("    1.50")
    assert "…" in rows[0]
    assert {len(row) for row in rows} == {40}
    assert [row[-3] for row in rows] == ["."] * 5


async def test_hostile_text_is_escaped_in_a_table(cli: Cli, box: Sandbox) -> None:
    box.faults.add("invoices.list", every=1, mutate=change_first(notes=HOSTILE, **{"n\x1b[2J": "v"}))
    code, shown = await run_on_terminal(
        cli, "list", "invoices", "--limit", "2", "--columns", "id,notes,n\x1b[2J", columns=140
    )
    assert code == 0
    assert all(letter.isprintable() or letter == "\n" for letter in shown)
    assert r"\u001b[2J\u0007\u202e\u200b[red]evil\n\u009b" in shown
    assert r"n\u001b[2J" in shown.splitlines()[0]


async def test_search_prints_a_table_on_a_terminal(cli: Cli) -> None:
    code, shown = await run_on_terminal(cli, "search", "staff", "--limit", "1", columns=80)
    assert (code, shown.splitlines()[0].split()[0]) == (0, "id")
    code, shown = await run_on_terminal(cli, "search", "invoices", "--where", '{"id": {"_eq": 1}}')
    assert (code, shown) == (0, "0 rows\n")
