"""Keys that no field can have: with quotes, backslashes and control characters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient, DecodeError, deferred
from aiwyn_async.export import export
from aiwyn_async.models.invoices import Invoice
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sync import sync

KEYS = [r"a\"b", r"a\\b", r"a\nb", r"a\u0000b", r"total\u0000Amount", r"\ud83d", ""]


@pytest.fixture(params=KEYS)
def odd(request: pytest.FixtureRequest, sandbox: Sandbox) -> Sandbox:
    """A firm whose rows and nested objects have such a key, apart from the first."""
    key = str(request.param).encode()

    def add_key(body: bytes) -> bytes:
        head, first, rest = body.partition(b'{"id":')
        return head + first + rest.replace(b'{"id":', b'{"%s":[7],"id":' % key)

    for route in ("invoices.list", "invoices.search"):
        sandbox.faults.add(route, every=1, mutate=add_key)
    return sandbox


async def test_row_with_an_odd_key_is_read(odd: Sandbox, client: AiwynClient) -> None:
    plain = [row.id for row in await client.invoices.list(page_size=7).collect()]
    assert len(plain) == 60
    for kind in (dict[str, Any], deferred(Invoice)):
        read: Any = client.invoices.pull(page_size=7, strict=True).decode_as(kind)
        assert len(await read.collect()) == 60
    listed = client.invoices.list(page_size=7)
    await listed.collect()
    assert listed.report.unknown_fields
    assert odd.calls() > 3


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet", "duckdb"])
@pytest.mark.parametrize("options", [{}, {"extra": "json"}], ids=["", "extra"])
@pytest.mark.usefixtures("odd")
async def test_row_with_an_odd_key_is_exported(
    suffix: str, options: Any, client: AiwynClient, tmp_path: Path
) -> None:
    if suffix == "jsonl" and options:
        pytest.skip("JSON lines have every key")
    result = await export(client.invoices.pull(page_size=7), tmp_path / f"x.{suffix}", **options)
    assert (result.rows, result.report.complete) == (60, True)


@pytest.mark.usefixtures("odd")
async def test_row_with_an_odd_key_is_synced(client: AiwynClient, tmp_path: Path) -> None:
    assert (await sync(client.invoices, tmp_path / "x.duckdb", page_size=7)).inserted == 60


@pytest.mark.parametrize("key", KEYS[:4])
async def test_rows_under_an_odd_key_are_refused(key: str, client: AiwynClient, sandbox: Sandbox) -> None:
    name = f'"{key}":'.encode()
    sandbox.faults.add("invoices.list", every=1, mutate=lambda body: body.replace(b'"deid_invoice":', name))
    with pytest.raises(DecodeError, match="no single list of rows"):
        await client.invoices.list().collect()
