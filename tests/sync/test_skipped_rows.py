"""Rows that a sync skipped, when a run or a lookup ends early."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient, PermissionDeniedError
from aiwyn_async.sync import sync
from duckdb_files import stored_notes
from model_firm import FirmServer


async def test_row_without_key_is_retained_when_a_run_fails_right_after_its_transaction(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    for day in (1, 2):
        for number in range(1, 31):
            firm.put(number, f"2025-03-0{day}T01:{number:02}:00Z")
        if day == 1:
            assert (await sync(reader.invoices, path)).complete

    def without_key(body: bytes) -> bytes:
        return re.sub(rb'"id":5,', b'"id":{"x":5},', body)

    def fail_after_ten_pages(body: Any, content: bytes) -> bytes | None:
        is_refused = b'"id":21,' in content and {"updatedAt": "desc"} not in body["orderBy"]
        return None if is_refused else without_key(content)

    served.alter = fail_after_ten_pages
    with pytest.raises(PermissionDeniedError):
        await sync(reader.invoices, path, page_size=2, on_bad_row="collect")
    served.alter = lambda _body, content: without_key(content)
    result = await sync(reader.invoices, path, page_size=2, on_bad_row="collect")
    assert (result.skipped, result.complete) == (1, False)


async def test_incomplete_lookup_does_not_forget_a_skipped_row(
    served: FirmServer, reader: AiwynClient, path: Path
) -> None:
    firm = served.firm
    for number in range(1, 8):
        firm.put(number, f"2025-03-01T1{number}:00:00Z")
    firm.extra_fields[3] = {"totalAmount": "abc"}
    assert (await sync(reader.invoices, path, on_bad_row="collect")).skipped == 1

    def without_row_3(body: Any, content: bytes) -> bytes:
        return re.sub(rb'\{"id":3,[^}]*\}', b"", content) if "_in" in str(body["where"]) else content

    served.alter = without_row_3
    lost = await sync(reader.invoices, path, on_bad_row="collect")
    assert (lost.skipped, lost.complete) == (1, False)
    served.alter = None
    del firm.extra_fields[3]
    assert (await sync(reader.invoices, path, on_bad_row="collect")).complete
    assert stored_notes(path) == firm.notes()
