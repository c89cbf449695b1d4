"""What many requests, and many clients, leave in a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aiwyn_async.sandbox import Sandbox

SCALE = int(os.environ.get("AIWYN_GROWTH_SCALE", "1"))
"""1 sends 2,000 requests and opens 60 clients; 5 sends 10,000 and opens 300."""
MEBIBYTE = 1024 * 1024

# The first part warms caches up, so that only growth per request or client is measured.
PROGRAM = """
import asyncio, gc, os, sys, threading

from aiwyn_async import AiwynClient

url, api_key, what, scale = *sys.argv[1:4], int(sys.argv[4])

async def get(number):
    async with AiwynClient(base_url=url, api_key=api_key) as aiwyn:
        key = (await aiwyn.invoices.list(limit=1).first()).id
        for _ in range(number // 50):
            await asyncio.gather(*(aiwyn.invoices.get(key) for _ in range(50)))

async def open_clients(number):
    for _ in range(number):
        async with AiwynClient(base_url=url, api_key=api_key) as aiwyn:
            await aiwyn.invoices.list(limit=1)

def measure():
    gc.collect()
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    return resident, len(os.listdir("/proc/self/fd")), len(gc.get_objects()), threading.active_count()

async def main():
    work, number = (get, 2000) if what == "gets" else (open_clients, 60)
    await work(number // 2)
    before = measure()
    await work(number * scale)
    print(*(after - earlier for after, earlier in zip(measure(), before)))

asyncio.run(main())
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory from /proc")
@pytest.mark.parametrize("what", ["gets", "clients"])
def test_requests_and_clients_leave_nothing_behind(what: str) -> None:
    with Sandbox(invoices=20, seed=7) as box:
        command = [sys.executable, "-c", PROGRAM, box.url, box.api_key, what, str(SCALE)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    memory, files, objects, threads = map(int, done.stdout.split())
    grown = f"{memory / MEBIBYTE:.1f} MiB, {objects} objects, {files} files, {threads} threads"
    print(f"{what} x {SCALE}: {grown}")  # noqa: T201
    assert memory < 4 * MEBIBYTE
    assert objects < 1000  # asyncio keeps up to 100 cancelled timers, of 9 objects each
    assert max(files, threads) <= 0
