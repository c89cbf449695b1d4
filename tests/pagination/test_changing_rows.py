"""Random searches and pulls of rows that change during the read, with a faulty response, stopped and resumed.

Each row that exists unchanged throughout is yielded once, or the report names a problem. A default run uses
400 reads. More: ``AIWYN_READ_SEEDS=20000 pytest tests/pagination/test_changing_rows.py --timeout 0``.
"""

from __future__ import annotations

import os
import random
from typing import Any

import msgspec
import pytest

from aiwyn_async import AiwynClient, F, PaginationError
from aiwyn_async.filters import Order
from aiwyn_async.testing import FakeClock
from model_firm import HOUR, FirmServer, ModelFirm, serve

SEEDS = int(os.environ.get("AIWYN_READ_SEEDS", "400"))
CHUNKS = 8
NAME = "deid_invoice"
FAULTS = ("empty", "short", "headless", "stale", "repeated", "truncated")
ORDERS: tuple[list[Order], ...] = (
    [],
    [F.total_amount.asc()],
    [F.total_amount.desc()],
    [F.updated_at.desc()],
    [F.updated_at.asc(), F.id.desc()],
    [F.total_amount.asc(), F.updated_at.desc()],
)


class ChangingFirm:
    """A random firm that changes between requests and answers one of them wrongly.

    Args:
        seed: decides everything.
        server: serves the firm.
    """

    def __init__(self, seed: int, server: FirmServer) -> None:
        self.rng = rng = random.Random(seed)
        self.firm = server.firm = ModelFirm(rng, plain=False)
        self.changed: set[int | str] = set()
        for _ in range(rng.randrange(12)):
            self.insert()
        self.start = set(self.firm.rows)
        self.changed.clear()
        self.cap = rng.choice([1000, 1000, 3, 2])
        self._changes_at = {rng.randrange(10) for _ in range(rng.randrange(3))}
        self._fault_at, self._fault = rng.randrange(12), rng.choice(FAULTS)
        self._served: list[bytes] = []
        self._requests = 0
        server.alter = self.alter

    def insert(self) -> None:
        self._write(self.firm.key())

    def _write(self, key: int | str) -> None:
        self.firm.tick(HOUR)
        self.firm.write(key, None if self.rng.random() < 0.1 else self.firm.now)
        self.changed.add(key)

    def _change(self) -> None:
        key = self.rng.choice(list(self.firm.rows)) if self.firm.rows else None
        if key is None or self.rng.random() < 0.4:
            self.insert()
        elif self.rng.random() < 0.5:
            self._write(key)
        else:
            del self.firm.rows[key]
            self.changed.add(key)

    def alter(self, body: dict[str, Any], _sent: bytes) -> bytes:
        """Return what is sent: the page of a server with a page size of its own, or a faulty one."""
        if self._requests in self._changes_at:
            self._change()
        page = self.firm.search(body | {"pageSize": min(body["pageSize"], self.cap)})
        content = self._faulty(page) if self._requests == self._fault_at else msgspec.json.encode(page)
        self._requests += 1
        self._served.append(content)
        return content

    def _faulty(self, page: dict[str, Any]) -> bytes:
        rows = page[NAME]
        cuts = {"empty": [], "short": rows[: len(rows) // 2], "headless": rows[len(rows) // 2 :]}
        if self._fault in cuts:
            return msgspec.json.encode(page | {NAME: cuts[self._fault]})
        content = msgspec.json.encode(page)
        if self._fault == "truncated":
            return content[: len(content) // 2]
        return self._served[0 if self._fault == "stale" else -1] if self._served else content


async def read(firm: ChangingFirm, client: AiwynClient) -> tuple[list[Any], bool]:
    """Return the keys received by a random read, and whether it is reported as complete."""
    rng, keys = firm.rng, list[Any]()
    options: dict[str, Any] = {"page_size": rng.randrange(2, 6)}
    is_pull, order, ordered = rng.random() < 0.5, rng.choice(ORDERS), rng.random() < 0.3
    stop_after = rng.randrange(1, 6) if rng.random() < 0.5 else None
    resume: str | None = None
    while True:
        if is_pull:
            use: Any = client.invoices.pull(ordered=ordered, **options).decode_as(dict)
        else:
            use = client.invoices.search(order_by=order, **options).decode_as(dict)
        if resume is not None:
            use = use.resume_from(resume)
        pages = use.pages()
        try:
            async for page in pages:
                keys += [row["id"] for row in page.items]
                if stop_after is not None and (stop_after := stop_after - 1) == 0:
                    resume, stop_after = page.checkpoint.to_json(), None
                    break
            else:
                return keys, use.report.complete
        except PaginationError:
            return keys, False
        await pages.aclose()


@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_unchanged_row_is_yielded_once_or_a_problem_is_named(clock: FakeClock, chunk: int) -> None:
    wrong: list[int] = []
    async with serve() as server, AiwynClient(base_url=server.url, token="t", clock=clock) as client:
        for seed in range(chunk, SEEDS, CHUNKS):
            firm = ChangingFirm(seed, server)
            keys, is_complete = await read(firm, client)
            unchanged = firm.start - firm.changed
            received = [key for key in keys if key in unchanged]
            if is_complete and sorted(received, key=str) != sorted(unchanged, key=str):
                wrong.append(seed)
    assert wrong == []
