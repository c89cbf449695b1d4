"""The pytest plugin in projects of its users: every runner of coroutines, and none."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import aiwyn_async
from aiwyn_async.testing import FakeClock

ROOT = Path(aiwyn_async.__file__).parents[1]
EXAMPLE = Path(__file__).parents[2] / "examples" / "testing"
PLUGIN = "aiwyn_async.testing.plugin"

READS = """
    CLIENTS = []

    async def test_read(aiwyn_client, aiwyn_sandbox):
        CLIENTS.append(aiwyn_client)
        assert await aiwyn_client.invoices.list().count() == 30
        aiwyn_sandbox.insert("invoices")
        aiwyn_sandbox.drift = Drift(insert=1)
        assert aiwyn_sandbox.calls() == 2

    async def test_fault(aiwyn_client, aiwyn_sandbox, aiwyn_clock):
        aiwyn_sandbox.faults.add("invoices.list", status=503)
        assert len(await aiwyn_client.invoices.list().collect()) == 30
        assert len(aiwyn_clock.sleeps) == 1

    async def test_is_as_new(aiwyn_client, aiwyn_sandbox):
        assert (aiwyn_sandbox.calls(), len(aiwyn_sandbox.faults), aiwyn_sandbox.drift) == (0, 0, None)
        assert CLIENTS[0]._session.transport.open_loops() == []
        with pytest.raises(ClientClosedError):
            await CLIENTS[0].invoices.list()
        async with AiwynClient() as own:
            rows = await asyncio.gather(*(own.invoices.list().collect() for _ in range(3)))
        assert {len(each) for each in rows} == {30}
        assert len(await aiwyn_client.invoices.list().collect()) == 30

    class TestFixture:
        async def test_client_is_open_in_the_teardown_of_another_fixture(self, at_the_end):
            assert await at_the_end.invoices.list().count() == 30
"""
FIXTURE = """
    async def at_the_end(aiwyn_client):
        yield aiwyn_client
        assert await aiwyn_client.payments.list().first()
"""
HEAD = """
    import asyncio
    import pytest
    from aiwyn_async import AiwynClient, ClientClosedError
    from aiwyn_async.sandbox import Drift
"""
ANYIO_BACKEND = """
    @pytest.fixture{scope}
    def anyio_backend():
        return "asyncio"
"""
ASYNCIO = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function")
ANYIO = ("-p", "anyio.pytest_plugin")
RUNNERS = {
    "asyncio auto": ("", "    @pytest.fixture", (*ASYNCIO, "-o", "asyncio_mode=auto")),
    "asyncio strict": (
        "    import pytest_asyncio\n    pytestmark = pytest.mark.asyncio\n",
        "    @pytest_asyncio.fixture",
        (*ASYNCIO, "-o", "asyncio_mode=strict"),
    ),
    "asyncio with one loop for all tests": (
        "",
        "    @pytest.fixture",
        (
            *(*ASYNCIO, "-o", "asyncio_mode=auto", "-o", "asyncio_default_test_loop_scope=session"),
            *("-o", "asyncio_default_fixture_loop_scope=session"),
        ),
    ),
    "asyncio with a loop for each module": (
        "    pytestmark = pytest.mark.asyncio(loop_scope='module')\n",
        "    @pytest.fixture",
        (*ASYNCIO, "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=module"),
    ),
    "anyio": (
        ANYIO_BACKEND.format(scope="") + "    pytestmark = pytest.mark.anyio\n",
        "    @pytest.fixture",
        ANYIO,
    ),
    "anyio beside asyncio": (
        ANYIO_BACKEND.format(scope="") + "    pytestmark = pytest.mark.anyio\n",
        "    @pytest.fixture",
        (*ANYIO, *ASYNCIO, "-o", "asyncio_mode=strict"),
    ),
    "anyio with one loop for all tests": (
        ANYIO_BACKEND.format(scope="(scope='session')")
        + "    @pytest.fixture(scope='session', autouse=True)\n"
        + "    async def loop(anyio_backend):\n        yield\n",
        "    @pytest.fixture",
        (*ANYIO, "-o", "anyio_mode=auto"),
    ),
}


def run(folder: Path, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **variables}
    environment.pop("PYTEST_ADDOPTS", None)
    command = [sys.executable, "-X", "dev", "-m", "pytest", "-p", PLUGIN, "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, "-W", "error", "-q", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def write(folder: Path, text: str, name: str = "test_it.py") -> None:
    (folder / name).write_text(textwrap.dedent(text), encoding="utf-8")


def check(done: subprocess.CompletedProcess[str], passed: int) -> None:
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert f"{passed} passed in" in output, output
    assert "warning" not in output.lower(), output


@pytest.mark.parametrize("runner", RUNNERS)
def test_client_works_with_each_runner_of_coroutines(runner: str, tmp_path: Path) -> None:
    head, decorator, options = RUNNERS[runner]
    write(tmp_path, f"{HEAD}{head}\n{decorator}{FIXTURE}{READS}")
    check(run(tmp_path, *options, "-o", "aiwyn_sandbox_invoices=30"), 4)


def test_client_works_in_tests_without_a_runner(tmp_path: Path) -> None:
    write(
        tmp_path,
        f"""{HEAD}
    import unittest

    def test_twice(aiwyn_client, aiwyn_sandbox):
        for _ in range(2):
            assert asyncio.run(aiwyn_client.invoices.list().count()) == 30
        aiwyn_sandbox.insert("invoices")

    def test_unused(aiwyn_client):
        pass

    LEFT_OPEN = []

    def test_loop_left_open(aiwyn_client):
        loop = asyncio.new_event_loop()
        LEFT_OPEN.append((loop, aiwyn_client))
        assert loop.run_until_complete(aiwyn_client.invoices.list().count()) == 30

    def test_connections_of_a_loop_left_open_are_closed():
        loop, client = LEFT_OPEN.pop()
        assert client._session.transport.open_loops() == []
        loop.close()

    @pytest.mark.usefixtures("aiwyn_sandbox")
    class TestUnit(unittest.IsolatedAsyncioTestCase):
        async def test_variables_name_the_sandbox(self):
            async with AiwynClient() as own:
                self.assertEqual(await own.invoices.list().count(), 30)
    """,
    )
    check(run(tmp_path, "-o", "aiwyn_sandbox_invoices=30"), 5)


def test_variables_of_the_developer_are_hidden_during_a_test(tmp_path: Path) -> None:
    write(
        tmp_path,
        """
    import asyncio, json, os, subprocess, sys
    import pytest
    from aiwyn_async import AiwynClient

    PROGRAM = '''
    import asyncio
    from aiwyn_async import AiwynClient

    async def main():
        async with AiwynClient() as aiwyn:
            print(await aiwyn.invoices.list().count(), aiwyn.config.base_url)

    asyncio.run(main())
    '''

    def aiwyn_variables():
        return {name: value for name, value in os.environ.items() if name.startswith("AIWYN_")}

    def test_process(aiwyn_sandbox):
        names = {"AIWYN_BASE_URL", "AIWYN_API_KEY", "AIWYN_CONFIG"}
        assert aiwyn_variables().keys() == names
        import textwrap
        out = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(PROGRAM)], check=True, capture_output=True, text=True
        )
        assert out.stdout.split() == ["1000", aiwyn_sandbox.url]
        assert aiwyn_sandbox.calls("invoices.list") == 1

    def test_restored():
        assert aiwyn_variables() == {
            "AIWYN_TOKEN": "real", "AIWYN_PROFILE": "prod", "AIWYN_RETRIES": "0",
            "AIWYN_BASE_URL": "https://api.example.com",
        }
    """,
    )
    done = run(
        tmp_path,
        AIWYN_TOKEN="real",
        AIWYN_PROFILE="prod",
        AIWYN_RETRIES="0",
        AIWYN_BASE_URL="https://api.example.com",
    )
    check(done, 2)


def test_options_are_those_of_the_fixture_then_of_the_ini_file(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naiwyn_sandbox_invoices = 20\naiwyn_sandbox_seed = 3\n")
    write(
        tmp_path,
        """
    from aiwyn_async.sandbox import Sandbox

    def test_ini(aiwyn_sandbox):
        with Sandbox(20, 3) as same:
            assert aiwyn_sandbox.query("SELECT * FROM invoices") == same.query("SELECT * FROM invoices")
    """,
        "test_1.py",
    )
    write(
        tmp_path,
        """
    import threading
    import pytest

    @pytest.fixture(scope="session")
    def aiwyn_sandbox_options():
        return {"invoices": 25, "latency": 0.001, "faults": ["503@list"]}

    urls = set()

    @pytest.mark.parametrize("_", range(2))
    def test_override(aiwyn_sandbox, _):
        urls.add(aiwyn_sandbox.url)
        assert aiwyn_sandbox.scalar("SELECT count(*) FROM invoices") == 25
        assert (aiwyn_sandbox.latency, len(aiwyn_sandbox.faults), len(urls)) == (0.001, 1, 1)
        assert sum(thread.name == "aiwyn-sandbox" for thread in threading.enumerate()) == 1
        aiwyn_sandbox.latency = 1
    """,
        "test_2.py",
    )
    write(
        tmp_path,
        """
    def test_ini(aiwyn_sandbox):
        assert aiwyn_sandbox.scalar("SELECT count(*) FROM invoices") == 20
    """,
        "test_3.py",
    )
    check(run(tmp_path), 4)


def test_ini_option_that_is_not_a_number_is_a_usage_error(tmp_path: Path) -> None:
    write(tmp_path, "def test_it(aiwyn_sandbox): pass")
    done = run(tmp_path, "-o", "aiwyn_sandbox_invoices=many")
    assert done.returncode != 0
    assert "aiwyn_sandbox_invoices must be an integer, got 'many'" in done.stdout + done.stderr


def test_plugin_loads_nothing_before_a_fixture_is_used(tmp_path: Path) -> None:
    write(tmp_path, "def test_it(): pass")
    code = (
        "import sys, pytest\n"
        f"assert pytest.main(['-q', '-p', {PLUGIN!r}, '-p', 'no:cacheprovider', '-W', 'error']) == 0\n"
        f"assert {PLUGIN!r} in sys.modules\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'aiohttp', 'anyio', 'asyncio', 'backoff', 'msgspec', 'sqlite3', 'ssl'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_entry_point_has_the_name_of_the_module() -> None:
    """A project can name it in -p and pytest_plugins too, without registering it twice."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {PLUGIN: PLUGIN}
    assert import_module(PLUGIN).aiwyn_sandbox


def test_installed_plugin_is_loaded_and_warns_of_no_import(tmp_path: Path) -> None:
    """A program may import the package and then call pytest.main()."""
    site = tmp_path / "site" / "installed-1.0.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Name: installed\nVersion: 1.0\n")
    (site / "entry_points.txt").write_text(f"[pytest11]\n{PLUGIN} = {PLUGIN}\n")
    (site / "RECORD").write_text("aiwyn_async/__init__.py,,\naiwyn_async/testing/plugin.py,,\n")
    write(tmp_path, "def test_it(aiwyn_sandbox): assert aiwyn_sandbox.url")
    others = ("asyncio", "anyio", "hypothesispytest", "randomly", "schemathesis", "timeout", "xdist")
    options = [option for name in others for option in ("-p", f"no:{name}")]
    code = f"import aiwyn_async, pytest; pytest.main({['-q', '-p', 'no:cacheprovider', *options]})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(site.parent)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert "aiwyn_async" not in done.stdout, done.stdout


def test_example_project_passes() -> None:
    check(run(EXAMPLE, "-p", "pytest_asyncio.plugin"), 4)


async def test_fake_clock_passes_time_at_once() -> None:
    clock = FakeClock()
    start = clock.time()
    await clock.sleep(3600)
    clock.advance(60)
    assert (clock.monotonic(), clock.time() - start, clock.sleeps) == (3660, 3660, [3600])
