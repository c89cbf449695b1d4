"""A process that has no file descriptor left for another connection."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from fault_server import READ, Connection, FaultServer, http_response, send

SCRIPT = """
import asyncio, json, resource, sys

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from aiwyn_async import AiwynClient

async def main():
    async with AiwynClient(
        base_url=sys.argv[1], token="t", max_concurrency=200, backoff_base=0.05, backoff_cap=0.05
    ) as client:
        results = await asyncio.gather(
            *(client.invoices.get(key) for key in range(200)), return_exceptions=True
        )
        limiter = client._session.limiter
        failed = [str(result) for result in results if isinstance(result, BaseException)]
        print(json.dumps({"failed": failed, "limit": limiter.limit, "in_flight": limiter.in_flight}))

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file descriptors there")
async def test_limit_shrinks_to_what_the_process_can_open() -> None:
    async def answer_by_key(connection: Connection) -> None:
        while True:
            await READ(connection)
            key = connection.server.requests[-1].target.rpartition("/")[2]
            await asyncio.sleep(0.01)  # so that the requests are in flight together
            await send(http_response(body=json.dumps({"id": int(key)}).encode()))(connection)

    async with FaultServer([answer_by_key]) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SCRIPT, server.url), stdout=subprocess.PIPE
        )
        reported, _ = await process.communicate()
    result = json.loads(reported)
    assert result["failed"] == []
    assert 10 < result["limit"] < 64
    assert result["in_flight"] == 0
