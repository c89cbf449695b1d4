"""A sandbox, and pipelines into a DuckDB file, without dlt's telemetry and outside the home folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dlt
import pytest

from aiwyn_async import AiwynClient
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.testing import FakeClock

Connect = Callable[[], AiwynClient]


@pytest.fixture(autouse=True)
def _dlt_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("LOAD__RAISE_ON_MAX_RETRIES", "1")
    yield
    dlt.pipeline().deactivate()


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(invoices=120, seed=7) as started:
        yield started


@pytest.fixture
def clients() -> list[AiwynClient]:
    """The clients that ``connect`` made."""
    return []


@pytest.fixture
def connect(box: Sandbox, clients: list[AiwynClient]) -> Connect:
    """Make clients of the sandbox whose retries take no time."""

    def make() -> AiwynClient:
        clients.append(
            AiwynClient(base_url=box.url, api_key=box.api_key, clock=FakeClock(), warn_undocumented=False)
        )
        return clients[-1]

    return make


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "firm.duckdb"


@pytest.fixture
def pipeline(path: Path) -> Any:
    """A pipeline into the DuckDB file."""
    return dlt.pipeline("firm", destination=dlt.destinations.duckdb(str(path)), dataset_name="books")
