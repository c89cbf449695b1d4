"""Exports that fail after three parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient, ServerError
from aiwyn_async.export import export
from aiwyn_async.sandbox import Sandbox

__all__ = ["is_late", "start_broken_export"]


def is_late(body: Any) -> bool:
    """True for a request of the 26th page or a later one."""
    return isinstance(body, dict) and body.get("page", 0) >= 25


async def start_broken_export(box: Sandbox, aiwyn: AiwynClient, target: Path) -> Path:
    """Start an export that fails after three parts, and return its staging folder."""
    box.faults.add("invoices.list", times=99, status=500, match=is_late)
    with pytest.raises(ServerError):
        await export(aiwyn.invoices.list(page_size=20), target)
    box.faults.clear()
    return target.parent / f".{target.name}.partial"
