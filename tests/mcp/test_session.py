"""``aiwyn mcp`` as a process, with the client of the package mcp."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiwyn_async.sandbox import Sandbox
from command_line import Cli
from mcp_session import Connect


async def test_server_reads_only_by_default(connect: Connect, box: Sandbox) -> None:
    async with connect() as session:
        tools = (await session.client.list_tools()).tools
        assert [tool.name for tool in tools] == ["describe", "search", "get", "count"]
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
        before = len(box.requests)
        assert "--allow-writes" in await session.refused("upsert", records=[{"type": "a", "systemRef": 1}])
        assert "--export-folder" in await session.refused("export", resource="invoices", path="x.jsonl")
        assert len(box.requests) == before


async def test_options_add_export_and_upsert(connect: Connect, folder: Path) -> None:
    async with connect("--allow-writes", "--export-folder", str(folder)) as session:
        tools = {tool.name: tool for tool in (await session.client.list_tools()).tools}
        assert list(tools) == ["describe", "search", "get", "count", "export", "upsert"]
        for name in ("export", "upsert"):
            hints = tools[name].annotations
            assert hints is not None
            assert not hints.read_only_hint
            assert hints.destructive_hint
        for tool in tools.values():
            assert "not instructions" in (tool.description or "")
            assert tool.input_schema["type"] == "object"
            assert tool.input_schema["additionalProperties"] is False
            assert "$ref" not in json.dumps(tool.input_schema)


async def test_session_in_which_mistakes_are_corrected(connect: Connect, folder: Path) -> None:
    async with connect("--export-folder", str(folder)) as session:
        resources = await session.call("describe")
        assert "invoices" in [each["name"] for each in resources["resources"]]

        columns = ["invoiceNumber", "clientName", "outstandingAmount"]
        where = {"state": {"eq": "OVERDUE"}}
        error = await session.refused("search", resource="invoice", where=where)
        assert "unknown resource 'invoice'; use one of" in error
        error = await session.refused("search", resource="invoices", where=where)
        assert "unknown column 'state'; use one of" in error
        assert "status" in error
        error = await session.refused("search", resource="invoices", where={"status": {"eq": "OVERDUE"}})
        assert "where.status: unknown operator 'eq'; use one of _eq, " in error

        where = {"status": {"_eq": "PAID"}}
        order = [{"outstandingAmount": "desc"}]
        page = await session.call(
            "search", resource="invoices", where=where, columns=columns, order_by=order, limit=5
        )
        assert [list(row) for row in page["rows"]] == [columns] * 5
        assert page["rows_in_all"] == (await session.call("count", resource="invoices", where=where))["count"]
        assert f"5 of {page['rows_in_all']} rows" in page["more"]

        error = await session.refused("export", resource="invoices", path="/tmp/paid.csv", where=where)
        assert "in the export folder" in error
        export = await session.call("export", resource="invoices", path="paid.csv", where=where)
        assert export["complete"]
        assert export["rows"] == page["rows_in_all"]
        assert len((folder / "paid.csv").read_text().splitlines()) == export["rows"] + 1
    print("\n".join(line[:300] for line in session.transcript))  # noqa: T201 (shown with -rP)
    assert session.stderr == ""


@pytest.mark.parametrize("variable", ["AIWYN_API_KEY", "AIWYN_TOKEN"])
async def test_no_response_and_no_log_has_a_credential(
    connect: Connect, box: Sandbox, cli: Cli, folder: Path, variable: str
) -> None:
    key = cli.env.pop("AIWYN_API_KEY")
    secret = key if variable == "AIWYN_API_KEY" else box.token
    cli.env[variable] = secret
    box.insert("clients", {"name": f"name of {secret}"})
    async with connect("--allow-writes", "--export-folder", str(folder)) as session:
        session.texts.append((await session.client.list_tools()).model_dump_json())
        session.texts.append(session.client.instructions or "")
        await session.call("describe")
        await session.call("describe", resource="clients")
        rows = await session.call("search", resource="clients", where={"name": {"_like": "name of%"}})
        assert rows["rows"][0]["name"] == "name of ***"
        await session.call("get", resource="clients", key=rows["rows"][0]["id"])
        await session.refused("search", resource=secret)
        await session.refused("search", resource="clients", where={secret: {}})
        await session.refused("search", resource="clients", where={"name": {secret: 1}})
        await session.refused("search", resource="clients", where={"name": {"_" + secret: 1}})
        await session.refused("search", resource="clients", limit=secret)
        await session.refused(secret)
        await session.refused("get", resource="clients", key=secret)
        await session.refused("export", resource="clients", path=f"../{secret}.csv")
        await session.refused("export", resource="clients", path=f"{secret}.x")
        await session.call("export", resource="clients", path="x.jsonl")
        await session.refused("upsert", records=[{"type": "", "systemRef": secret}])
        body = f'{{"message": "no {secret}"}}'.encode()
        box.faults.add("invoices.search", status=400, body=body)
        box.faults.add("invoices.search", status=200, body=body, times=9)
        await session.refused("search", resource="invoices")
        await session.refused("search", resource="invoices")
    assert len(session.texts) == 19
    for text in (*session.texts, session.stderr):
        assert secret not in text


async def test_unusable_options_end_in_one_line(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for arguments, text in (
        (("--export-folder", "nowhere"), "--export-folder nowhere"),
        (("--export-folder", "file"), "not a folder"),
        (("--max-rows", "0"), "between 1 and 1000"),
        (("--max-rows", "1001"), "between 1 and 1000"),
    ):
        done = await cli.run("mcp", *arguments)
        assert done.code == 2, done.err
        assert text in done.err
        assert len(done.err.splitlines()) == 1
        assert not done.out


async def test_sandbox_needs_no_configuration(connect: Connect, cli: Cli) -> None:
    cli.env.pop("AIWYN_BASE_URL")
    cli.env.pop("AIWYN_API_KEY")
    async with connect("--sandbox", "--sandbox-invoices", "30") as session:
        assert await session.call("count", resource="invoices") == {"count": 30}
