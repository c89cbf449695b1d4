"""The types of reads and their rows. Only type-checked, never run."""

from typing import Any, assert_type

import msgspec

from aiwyn_async import AiwynClient, Changes, Invoice, InvoiceSearchRow, Pager, Pull, PullReport


class Row(msgspec.Struct):
    """A row type of a user."""

    id: int


async def check(aiwyn: AiwynClient) -> None:
    """Check rows as models, as dicts and as a user's type."""
    assert_type(aiwyn.invoices.list(), Pager[Invoice])
    assert_type(aiwyn.invoices.list().decode_as(dict), Pager[dict[str, Any]])
    assert_type(aiwyn.invoices.search().decode_as(dict), Pager[dict[str, Any]])
    assert_type(aiwyn.invoices.search().decode_as(Row), Pager[Row])
    assert_type(aiwyn.invoices.pull().decode_as(dict), Pull[dict[str, Any]])
    assert_type(aiwyn.invoices.pull().decode_as(Row), Pull[Row])
    plan = await aiwyn.invoices.plan(parts=3)
    assert_type(aiwyn.read(plan.partitions[0]).decode_as(Row), Pull[Row])
    assert_type(plan.commit({0: "{}"}), PullReport)
    assert_type(aiwyn.invoices.changes().decode_as(dict), Changes[dict[str, Any]])
    assert_type(aiwyn.invoices.changes().decode_as(Row), Changes[Row])
    assert_type(await aiwyn.invoices.search().decode_as(dict).collect(), list[dict[str, Any]])
    anything: Any = Row
    assert_type(aiwyn.invoices.search().decode_as(anything), Pager[Any])
    assert_type(aiwyn.invoices.pull().decode_as(anything), Pull[Any])
    assert_type(aiwyn.invoices.changes().decode_as(anything), Changes[Any])
    async for row in aiwyn.invoices.search().decode_as(dict):
        assert_type(row, dict[str, Any])
    async for plain in aiwyn.invoices.search():
        assert_type(plain, InvoiceSearchRow)
    async for page in aiwyn.invoices.pull().decode_as(dict).pages():
        assert_type(page.items, list[dict[str, Any]])
    AiwynClient(proxy=None, ssl_context=None)
    AiwynClient(ssl_context=False)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    list(aiwyn.invoices.list())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    list(aiwyn.invoices.pull().pages())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    list(aiwyn.records.upsert([]))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
