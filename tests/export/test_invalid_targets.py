"""What is not a path, a read or a table is refused before a request, by one typed error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient, ConfigurationError
from aiwyn_async.export import export, read_manifest
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.sync import sync

NO_PATHS: list[Any] = ["", "  ", "a\0b.csv", "a\0b/", "\ud83d.csv", None, 7, b"x.csv", ["x.csv"]]


@pytest.mark.parametrize("target", NO_PATHS, ids=repr)
async def test_target_that_is_not_a_path_is_refused(
    target: Any, client: AiwynClient, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="path"):
        await export(client.invoices.pull(), target)
    with pytest.raises(ConfigurationError, match="path"):
        await sync(client.invoices, target)
    with pytest.raises(ConfigurationError, match="path"):
        read_manifest(target)
    assert (sandbox.calls(), list(tmp_path.iterdir())) == (0, [])


async def test_rows_that_are_not_a_read_are_refused(
    client: AiwynClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    others: list[Any] = [[], client.invoices.changes(), aiter(client.invoices.list()), client.invoices]
    for other in others:
        with pytest.raises(ConfigurationError, match=r"export\(\) takes a list"):
            await export(other, tmp_path / "x.csv")
    assert (sandbox.calls(), list(tmp_path.iterdir())) == (0, [])


async def test_empty_table_name_is_refused(client: AiwynClient, sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="table must not be empty"):
        await export(client.invoices.pull(), tmp_path / "x.duckdb", table=" ")
    assert sandbox.calls() == 0


async def test_path_that_is_too_long_is_refused(client: AiwynClient, tmp_path: Path) -> None:
    for name in ("x" * 300 + ".csv", "x/" * 3000):
        with pytest.raises(ConfigurationError, match="File name too long"):
            await export(client.invoices.list(), f"{tmp_path}/{name}")
