"""Requests go to base_url alone, and carry what the caller passed as data, never as syntax."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiwyn_async import AiwynClient, F
from aiwyn_async.export import export
from command_line import Cli
from fault_server import READ, FaultServer, http_response, send

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


async def test_urls_in_responses_are_never_requested(connect: Callable[..., AiwynClient]) -> None:
    async with FaultServer([]) as other:
        url = f"{other.url}/gql/v1/invoices?page=2"
        links = {"next": url, "nextPageUrl": url, "@odata.nextLink": url, "links": {"next": url}}
        body = {"deid_invoice": [{"id": 1, "reference": url, "pdfUrl": url}], "totalCount": 1, **links}
        headers = {"Link": f'<{url}>; rel="next"', "Refresh": f"0; url={url}", "Alt-Svc": f'h2="{other.url}"'}
        response = http_response(body=json.dumps(body).encode(), headers={**headers, "Location": url})
        async with FaultServer([READ, send(response)] * 1) as server:
            aiwyn = connect(server.url)
            assert len(await aiwyn.invoices.list().collect()) == 1
        assert server.connections >= 1
    assert other.connections == 0


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TEXTS, TEXTS.filter(str.strip))  # an empty filter is refused
async def test_text_of_filters_arrives_as_it_is(
    connect: Callable[..., AiwynClient], text: str, status: str
) -> None:
    response = send(http_response(body=b'{"deid_invoice":[],"totalCount":0}'))
    async with FaultServer([READ, response]) as server:
        aiwyn = connect(server.url)
        await aiwyn.invoices.search(F.description == text)
        await aiwyn.invoices.list(status=status)
    searched, listed = (
        next(json.loads(sent.body) for sent in server.requests if sent.target.endswith(path))
        for path in ("/invoices/search", "/invoices")
    )
    assert searched["where"] == {"description": {"_eq": text}}
    assert listed["status"] == status
    assert {sent.target for sent in server.requests} == {"/gql/v1/invoices/search", "/gql/v1/invoices"}


@pytest.mark.parametrize("table", ['a"; DROP TABLE precious; --', "a'; --", "select", "a b", '"', "ü"])
async def test_name_of_a_table_is_an_identifier(table: str, client: AiwynClient, tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    with duckdb.connect(str(path)) as database:
        database.execute("CREATE TABLE precious AS SELECT 1 AS one")
    await export(client.invoices.list(limit=5), path, table=table, force=True)
    with duckdb.connect(str(path)) as database:
        names = {name for (name,) in database.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert names == {"precious", table}


@pytest.mark.parametrize("command", ["count", "doctor", "export", "get", "sync", "upsert"])
async def test_command_takes_no_credential_as_an_argument(command: str, cli: Cli) -> None:
    """Other users of the machine can read the arguments of a process."""
    shown = (await cli.run(command, "--help")).out
    assert "--help" in (await cli.run("--help")).out
    assert not [word for word in ("key", "token", "secret", "password") if f"--{word}" in shown.lower()]
    assert "--api-key" not in shown
    done = await cli.run(command, "--api-key", "x")
    assert done.code == 2
