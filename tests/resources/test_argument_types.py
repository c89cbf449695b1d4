"""An argument of a wrong type is named in one error, and nothing is sent."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiwyn_async import AiwynClient, F
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.export import commit_parts, export
from aiwyn_async.mcp import serve
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sync import sync

pd: Any = pytest.importorskip("pandas")

HUGE = 10**5000
ODD: list[Any] = [
    5,
    1.5,
    float("nan"),
    Decimal("1E+999999"),
    HUGE,
    np.array([1, 2]),
    np.array([]),
    np.array(5),
    str,
    pd.Series([1, 2]),
    pd.NA,
    object(),
    b"x",
    "\ud800",
    print,
]

VERBS: dict[str, tuple[str, Callable[[AiwynClient, Path, Any], Any]]] = {
    "a key": ("key", lambda aiwyn, _, value: aiwyn.invoices.get(value)),
    "one of the keys": ("key", lambda aiwyn, _, value: first(aiwyn.invoices.get_many([value]))),
    "strict": ("strict", lambda aiwyn, _, value: aiwyn.invoices.list(strict=value)),
    "ordered": ("ordered", lambda aiwyn, _, value: aiwyn.invoices.pull(ordered=value)),
    "limit": ("limit", lambda aiwyn, _, value: aiwyn.invoices.list(limit=value)),
    "since": ("since", lambda aiwyn, _, value: aiwyn.invoices.changes(since=value)),
    "row type": ("decoded as", lambda aiwyn, _, value: aiwyn.invoices.list().decode_as(value)),
    "extra": ("extra", lambda aiwyn, _, value: aiwyn.payments.list(extra=value)),
    "filters": ("filters", lambda aiwyn, _, value: aiwyn.collection("/x").list(value)),
    "path": ("path", lambda aiwyn, _, value: aiwyn.collection(value)),
    "name of the key": ("key", lambda aiwyn, _, value: aiwyn.collection("/x", key=value)),
    "known keys": ("known", lambda aiwyn, _, value: aiwyn.invoices.reconcile_keys([value])),
    "pull of keys": ("pull", lambda aiwyn, _, value: aiwyn.invoices.reconcile_keys([1], value)),
    "partition": ("partition", lambda aiwyn, _, value: aiwyn.read(value)),
    "request": ("request", lambda aiwyn, _, value: aiwyn.request(value)),
    "record": ("record 0", lambda aiwyn, _, value: aiwyn.records.upsert([value])),
    "records": ("records must|record 0", lambda aiwyn, _, value: aiwyn.records.upsert(value)),
    "fields": ("fields", lambda aiwyn, _, value: aiwyn.record_types.create("x", value)),
    "partial": ("raise_on_partial", lambda aiwyn, _, value: aiwyn.records.upsert([], raise_on_partial=value)),
    "URL": ("target_url", lambda aiwyn, _, value: subscribe(aiwyn, target_url=value)),
    "entity types": ("entity_types", lambda aiwyn, _, value: subscribe(aiwyn, entity_types=value)),
    "operations": ("operations", lambda aiwyn, _, value: subscribe(aiwyn, operations=[value])),
    "extra of a subscription": ("extra", lambda aiwyn, _, value: subscribe(aiwyn, extra=value)),
    "rows": ("rows|export", lambda _, folder, value: export(value, folder / "x.csv")),
    "force": ("force", lambda aiwyn, folder, value: write(aiwyn, folder, force=value)),
    "table": ("table", lambda aiwyn, folder, value: write(aiwyn, folder, table=value)),
    "ids": ("ids", lambda aiwyn, folder, value: write(aiwyn, folder, ids=value)),
    "compression": ("compression", lambda aiwyn, folder, value: write(aiwyn, folder, compression=value)),
    "columns": ("columns", lambda aiwyn, folder, value: write(aiwyn, folder, columns=[value])),
    "round_money": ("round_money", lambda aiwyn, folder, value: write(aiwyn, folder, round_money=value)),
    "row_group_rows": ("row_group_rows", lambda aiwyn, to, value: write(aiwyn, to, row_group_rows=value)),
    "list of columns": ("columns", lambda aiwyn, folder, value: write(aiwyn, folder, columns=value)),
    "date_columns": ("date_columns", lambda aiwyn, folder, value: write(aiwyn, folder, date_columns=value)),
    "plan": ("plan", lambda _, folder, value: commit_parts(value, {}, folder)),
    "ignore_case": ("ignore_case", lambda *args: F.x.contains("a", ignore_case=args[-1])),
    "client of a server": ("client", lambda _, folder, value: serve(value, export_folder=folder)),
    "allow_writes": ("allow_writes", lambda aiwyn, _, value: serve(aiwyn, allow_writes=value)),
    "collection": ("collection", lambda _, folder, value: sync(value, folder / "x.duckdb")),
    "full": ("full", lambda aiwyn, folder, value: sync(aiwyn.staff, folder / "x.duckdb", full=value)),
}
MAY_BE_EMPTY = {"records", "date_columns"}
VALID = {
    *(("a key", 5), ("a key", "\ud800"), ("one of the keys", 5), ("one of the keys", "\ud800")),
    *(("known keys", 5), ("known keys", "\ud800"), ("limit", 5), ("row type", 5), ("row type", str)),
    *(("round_money", 5), ("table", "\ud800"), ("row_group_rows", 5)),
}


async def first(results: Any) -> None:
    async for _ in results:
        return


async def result_of(call: Callable[[], Any]) -> None:
    result = call()
    if inspect.isawaitable(result):
        await result


def subscribe(aiwyn: AiwynClient, **changes: Any) -> Any:
    usual: dict[str, Any] = {"target_url": "https://a.test", "entity_types": ["invoice"]}
    return aiwyn.event_subscriptions.create(**usual | changes)


def write(aiwyn: AiwynClient, folder: Path, **options: Any) -> Any:
    return export(aiwyn.invoices.list(), folder / "x.parquet", **options)


@pytest.mark.filterwarnings("ignore::aiwyn_async.UndocumentedEndpointWarning")
@pytest.mark.parametrize("verb", VERBS)
async def test_argument_of_a_wrong_type_is_named_and_nothing_is_sent(
    verb: str, client: AiwynClient, sandbox: Sandbox, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    name, call = VERBS[verb]
    for index, value in enumerate(ODD):
        if is_valid(verb, value):
            continue
        with subtests.test(index=index), pytest.raises(ConfigurationError, match=name):
            await result_of(functools.partial(call, client, tmp_path, value))
    assert not sandbox.requests


def is_valid(verb: str, value: Any) -> bool:
    is_empty = isinstance(value, np.ndarray) and value.shape == (0,)
    return (type(value) in {int, str, type} and (verb, value) in VALID) or (is_empty and verb in MAY_BE_EMPTY)


@pytest.mark.parametrize("flag", [True, 1, np.True_])
async def test_flag_may_be_of_numpy(flag: Any, client: AiwynClient) -> None:
    assert client.invoices.list(strict=flag).strict is True


async def test_text_is_not_a_flag(client: AiwynClient) -> None:
    with pytest.raises(ConfigurationError, match="strict must be True or False"):
        client.invoices.list(strict="no")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
