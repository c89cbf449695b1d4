# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
"""The recipes of docs/arrow.md: whole reads arrive, and a read that fails leaves nothing that looks whole."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset as pa_dataset
import pytest
from deltalake import DeltaTable
from pyiceberg.catalog.sql import SqlCatalog

from aiwyn_async import AiwynClient, IncompleteError, PermissionDeniedError, Read
from aiwyn_async.sandbox import Sandbox
from unreadable_rows import ids, page_contains

PAGE = Path(__file__).parents[2] / "docs/arrow.md"

Firm = tuple[Sandbox, AiwynClient]
Rows = tuple[int, int] | None
"""The number of rows and the sum of their amounts in cents; None if there is no target."""


@pytest.fixture(scope="module")
def recipes() -> dict[str, Any]:
    """The functions of the page, by name."""
    text = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    module = ast.parse(text.replace("await ", ""))
    retained = (ast.Import, ast.ImportFrom, ast.FunctionDef)
    module.body = [node for node in module.body if isinstance(node, retained)]
    names: dict[str, Any] = {}
    exec(compile(module, PAGE.name, "exec"), names)
    return names


@pytest.fixture
async def firm() -> AsyncIterator[Firm]:
    async with (
        Sandbox(invoices=400, seed=11) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key, backoff_base=0, retries=0) as aiwyn,
    ):
        yield box, aiwyn


class Target:
    """A target of one library in a folder.

    Args:
        recipes: the functions of the page.
        folder: an empty folder.
    """

    def __init__(self, recipes: dict[str, Any], folder: Path) -> None:
        self.recipes = recipes
        self.folder = folder

    def write(self, read: Read[Any]) -> None:
        """Write all rows as the page shows it."""
        raise NotImplementedError

    def read(self) -> Rows:
        """Read what is there."""
        raise NotImplementedError


class Delta(Target):
    def write(self, read: Read[Any]) -> None:
        self.recipes["to_delta"](read, str(self.folder / "invoices"))

    def read(self) -> Rows:
        path = str(self.folder / "invoices")
        if not DeltaTable.is_deltatable(path):
            return None
        return totals(DeltaTable(path).to_pyarrow_table())


class Iceberg(Target):
    def catalog(self) -> SqlCatalog:
        uri = f"sqlite:///{self.folder}/catalog.db"
        catalog = SqlCatalog("firm", uri=uri, warehouse=self.folder.as_uri())
        catalog.create_namespace_if_not_exists("aiwyn")
        return catalog

    def write(self, read: Read[Any]) -> None:
        with self.catalog() as catalog:
            self.recipes["to_iceberg"](read, catalog, "aiwyn.invoices")

    def read(self) -> Rows:
        with self.catalog() as catalog:
            if not catalog.table_exists("aiwyn.invoices"):
                return None
            table = catalog.load_table("aiwyn.invoices")
            assert table.schema().find_field("id").required
            return totals(table.scan().to_arrow())


class Duckdb(Target):
    def write(self, read: Read[Any]) -> None:
        self.recipes["to_duckdb"](read, self.folder / "firm.duckdb")

    def read(self) -> Rows:
        with duckdb.connect(self.folder / "firm.duckdb") as connection:
            if not connection.execute("SHOW TABLES").fetchall():
                return None
            return totals(connection.sql("FROM invoices").to_arrow_table())


class Dataset(Target):
    def write(self, read: Read[Any]) -> None:
        self.recipes["to_dataset"](read, self.folder / "invoices")

    def read(self) -> Rows:
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return totals(pa_dataset.dataset(files).to_table()) if files else None


class Frame(Target):
    rows: Rows = None
    function: str

    def write(self, read: Read[Any]) -> None:
        frame = self.recipes[self.function](read)
        self.rows = len(frame), int(frame["totalAmount"].sum() * 100)

    def read(self) -> Rows:
        return self.rows


class Polars(Frame):
    function = "to_polars"


class Pandas(Frame):
    function = "to_pandas"


TARGETS = [Delta, Iceberg, Duckdb, Dataset, Polars, Pandas]


def totals(table: Any) -> Rows:
    return table.num_rows, int(sum(table["totalAmount"].to_pylist()) * 100)


def expected_rows(box: Sandbox) -> Rows:
    rows, cents = box.query("SELECT count(*), sum(total_cents) FROM invoices")[0]
    return int(str(rows)), int(str(cents))


def unreadable_range(box: Sandbox, aiwyn: AiwynClient) -> Read[Any]:
    bad = ids(box)[250]
    box.faults.add("invoices.search", times=9999, status=400, match=page_contains(box, {bad}))
    return aiwyn.invoices.pull(page_size=100, strict=True)


def server_that_fails_midway(box: Sandbox, aiwyn: AiwynClient) -> Read[Any]:
    box.faults.add("invoices.list", nth=4, times=9999, status=403)
    return aiwyn.invoices.list(page_size=100, strict=True)


def list_with_a_missing_row(box: Sandbox, aiwyn: AiwynClient) -> Read[Any]:
    """The last page lacks a row that the server counts."""
    count = b'"count":400'
    box.faults.add("invoices.list", times=9999, mutate=lambda body: body.replace(count, b'"count":401'))
    return aiwyn.invoices.list(page_size=100, strict=True)


def bad_row_that_is_skipped(box: Sandbox, aiwyn: AiwynClient) -> Read[Any]:
    box.faults.add(
        "invoices.list",
        nth=3,
        mutate=lambda body: body.replace(b'"lineItems":[', b'"lineItems":[7,', 1),
    )
    return aiwyn.invoices.list(page_size=100, strict=True, on_bad_row="skip")


FAILURES: dict[Callable[[Sandbox, AiwynClient], Read[Any]], type[Exception]] = {
    unreadable_range: IncompleteError,
    server_that_fails_midway: PermissionDeniedError,
    list_with_a_missing_row: IncompleteError,
    bad_row_that_is_skipped: IncompleteError,
}


@pytest.mark.parametrize("target", TARGETS)
async def test_recipe_writes_all_rows(
    firm: Firm, recipes: dict[str, Any], target: type[Target], tmp_path: Path
) -> None:
    box, aiwyn = firm
    written = target(recipes, tmp_path)
    await asyncio.to_thread(written.write, aiwyn.invoices.pull(strict=True))
    assert written.read() == expected_rows(box)


@pytest.mark.parametrize("failing", FAILURES)
@pytest.mark.parametrize("target", TARGETS)
async def test_recipe_leaves_nothing_of_a_read_that_fails(
    firm: Firm,
    recipes: dict[str, Any],
    target: type[Target],
    failing: Callable[[Sandbox, AiwynClient], Read[Any]],
    tmp_path: Path,
) -> None:
    read = failing(*firm)
    written = target(recipes, tmp_path)
    with pytest.raises(Exception, match=r"not read completely|status 403"):
        await asyncio.to_thread(written.write, read)
    assert isinstance(read.error, FAILURES[failing])
    assert written.read() is None


@pytest.mark.parametrize("target", TARGETS)
async def test_recipe_leaves_an_earlier_run_unchanged_if_the_read_fails(
    firm: Firm, recipes: dict[str, Any], target: type[Target], tmp_path: Path
) -> None:
    box, aiwyn = firm
    written = target(recipes, tmp_path)
    await asyncio.to_thread(written.write, aiwyn.invoices.pull(strict=True))
    read = unreadable_range(box, aiwyn)
    with pytest.raises(Exception, match="not read completely"):
        await asyncio.to_thread(written.write, read)
    assert written.read() == expected_rows(box)
