"""A sandbox in a thread, and a blocking client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aiwyn_async import Aiwyn
from aiwyn_async.sandbox import Sandbox


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A sandbox that serves from a thread."""
    with Sandbox(invoices=300, seed=7) as running:
        yield running


@pytest.fixture
def aiwyn(box: Sandbox) -> Iterator[Aiwyn]:
    """A blocking client."""
    with Aiwyn(base_url=box.url, api_key=box.api_key, warn_undocumented=False) as client:
        yield client
