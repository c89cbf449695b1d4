"""A sandbox starts once, stops without leaving anything open, and runs as a module."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from aiwyn_async import sandbox as package
from aiwyn_async.sandbox import Drift, FirmOptions, RateLimit, Sandbox, Sender, Variant, serve
from sandbox_requests import LIST, bearer


def _entries(path: Path) -> list[str]:
    return [entry.name for entry in path.iterdir()]


async def test_sandbox_starts_once(http: aiohttp.ClientSession) -> None:
    box = Sandbox(10)
    with pytest.raises(RuntimeError, match="not running"):
        _ = box.url
    await box.start()
    url, headers = box.url, bearer(box.token)
    with pytest.raises(RuntimeError, match="once"):
        await box.start()
    async with http.post(f"{url}{LIST}", json={}, headers=headers) as response:
        assert response.status == 200
    await box.stop()
    await box.stop()
    with pytest.raises(RuntimeError, match="once"):
        await box.start()
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.post(f"{url}{LIST}", json={}, headers=headers)
    with pytest.raises(RuntimeError, match="not running"):
        box.scalar("SELECT 1")


async def test_stop_leaves_nothing_open() -> None:
    def open_files() -> int:
        return len(_entries(Path("/proc/self/fd")))

    async with Sandbox(10):
        pass
    before, tasks = open_files(), asyncio.all_tasks()
    for _ in range(3):
        async with (
            Sandbox(10) as box,
            aiohttp.ClientSession() as session,
            session.post(f"{box.url}{LIST}", json={}, headers=bearer(box.token)) as response,
        ):
            assert response.status == 200
    assert open_files() == before
    assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize("turns", range(5))
async def test_stop_closes_a_connection_that_is_being_accepted(turns: int) -> None:
    box = Sandbox(10)
    await box.start()
    with socket.create_connection(("127.0.0.1", int(box.url.rpartition(":")[2]))) as connection:
        connection.settimeout(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        await box.stop()
        await asyncio.sleep(0)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""


async def test_start_on_a_used_port_leaves_nothing_running() -> None:
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        box = Sandbox(10, port=occupied.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await box.start()
    with pytest.raises(RuntimeError, match="not running"):
        box.scalar("SELECT 1")


async def test_large_firm_uses_a_temporary_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("aiwyn_async.sandbox._data.database._MAX_INVOICES_IN_MEMORY", 5)
    async with Sandbox(10) as box:
        (directory,) = _entries(tmp_path)
        assert _entries(tmp_path / directory) == ["firm.sqlite3"]
        assert box.scalar("SELECT count(*) FROM invoices") == 10
    assert not _entries(tmp_path)


async def test_serve_runs_until_stopped() -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    box = Sandbox(10)
    running = asyncio.create_task(serve(box, stop, ready=lambda _: ready.set()))
    await ready.wait()
    assert box.url.startswith("http://127.0.0.1:")
    stop.set()
    await running
    with pytest.raises(RuntimeError, match="not running"):
        _ = box.url


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_module_prints_its_url_and_stops_on_a_signal(
    number: signal.Signals, http: aiohttp.ClientSession
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "aiwyn_async.sandbox", "--invoices", "20", "--api-key", "abc"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(Path(package.__file__).parents[2]), "PYTHONWARNINGS": "error"},
    )
    assert process.stdout is not None
    announced = json.loads(await process.stdout.readline())
    assert announced.keys() == {"url", "api_key"}
    async with http.post(f"{announced['url']}/v1/auth/token", json={"jwtApiKey": "abc"}) as response:
        assert response.status == 200
    process.send_signal(number)
    _, problems = await process.communicate()
    assert (process.returncode, problems) == (0, b"")


def test_sandbox_imports_nothing_of_the_client() -> None:
    """A mistake shared by client and server would not show."""
    code = (
        "import sys, aiwyn_async.sandbox, where_oracle;"
        "mine = [m for m in sys.modules if m.startswith('aiwyn_async.')];"
        "print([m for m in mine if not m.startswith('aiwyn_async.sandbox') and m[-9:] != '._version'])"
    )
    paths = [Path(package.__file__).parents[2], Path(__file__).parents[1] / "support"]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_start_without_an_event_loop_names_what_to_use() -> None:
    with pytest.raises(RuntimeError, match="use `with Sandbox"):
        next(Sandbox(10).__aenter__().__await__())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"invoices": 1.5}, "invoices: Expected `int`, got `float`"),
        ({"seed": "x"}, "seed: Expected `int`, got `str`"),
        ({"port": "80"}, "port: Expected `int`"),
        ({"sizes": {"staff": 6.5}}, "sizes: Expected `int`, got `float`"),
        ({"latency": "1"}, "latency: Expected `float`, got `str`"),
        ({"rate_limit": "5"}, "rate_limit: Expected `float"),
        ({"faults": "429@list"}, "faults must be a list such as"),
        ({"faults": [429]}, "faults must be a list such as"),
        ({"max_page_size": 0}, "max_page_size must be a whole number of at least 1, got 0"),
        ({"clamp_page_size": 0}, "clamp_page_size must be"),
        ({"clamp_page_size": True}, "clamp_page_size: Expected `int"),
        ({"default_page_size": 5000}, "default_page_size must not exceed max_page_size"),
        ({"count_cap": -1}, "count_cap must be a whole number of at least 0"),
        ({"api_key": 5}, "api_key: Expected `str"),
        ({"variant": 5}, "variant: Expected `object"),
        ({"firm": {"refunds": 0.5}}, "firm: expected "),
        ({"drift": 5}, "drift: Expected `object"),
        ({"sender": 5}, "sender: Expected `object"),
        ({"ties": "shift"}, "ties: Invalid enum value 'shift'"),
        ({"clock": 5}, "clock: Expected `Callable"),
        ({"path": 5}, "path: expected str | pathlib"),
    ],
)
def test_invalid_options_are_refused_when_a_sandbox_is_created(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        Sandbox(**options)


@pytest.mark.parametrize(
    ("options", "values"),
    [
        (Variant, {"page": "nonsense"}),
        (Variant, {"nulls": "no"}),
        (Drift, {"insert": "3"}),
        (Drift, {"every": 1.5}),
        (FirmOptions, {"refunds": "half"}),
        (RateLimit, {"per_second": "5"}),
        (Sender, {"waits": 5}),
    ],
)
def test_option_of_another_type_is_refused_by_name(options: Any, values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(values))}: "):
        options(**values)


@pytest.mark.parametrize(("name", "value"), [("latency", "1"), ("latency", -1), ("drift", 5)])
def test_control_of_another_type_is_refused(name: str, value: object) -> None:
    box = Sandbox(1)
    with pytest.raises(ValueError, match="Expected"):
        setattr(box, name, value)


async def test_numbers_of_numpy_are_options_as_int_is() -> None:
    number: Any = np.int64
    async with Sandbox(number(10), number(3), port=number(0), sizes={"staff": number(6)}) as box:
        assert box.scalar("SELECT count(*) FROM invoices") == 10
        assert box.scalar("SELECT count(*) FROM staff") == 6
