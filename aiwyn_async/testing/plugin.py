"""The pytest plugin.

pytest imports it at every start, also for projects that do not use it: it loads neither aiohttp nor msgspec
before a fixture is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from aiwyn_async.testing._clock import FakeClock

if TYPE_CHECKING:
    from aiwyn_async import AiwynClient
    from aiwyn_async.sandbox import Sandbox

__all__ = ["aiwyn_client", "aiwyn_clock", "aiwyn_sandbox", "aiwyn_sandbox_options"]

_INI = {"invoices": "1000", "seed": "7"}
_PREFIX = "AIWYN_"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of ``pytest.ini``."""
    for name, default in _INI.items():
        parser.addini(
            f"aiwyn_sandbox_{name}", f"{name} of the fixture aiwyn_sandbox ({default})", default=default
        )


@pytest.fixture(scope="session")
def aiwyn_sandbox_options() -> Mapping[str, object]:
    """Arguments of ``Sandbox`` for ``aiwyn_sandbox``; override it to pass some."""
    return {}


@pytest.fixture
def aiwyn_sandbox(
    _aiwyn_sandboxes: _Sandboxes, aiwyn_sandbox_options: Mapping[str, object]
) -> Iterator[Sandbox]:
    """A sandbox in a thread, for all tests of the session and as new in each of them.

    During the test, ``AIWYN_BASE_URL`` and ``AIWYN_API_KEY`` name it, for ``AiwynClient()`` and for processes
    that the test starts; no other variable ``AIWYN_*`` is set, and profiles are not read.
    """
    box = _aiwyn_sandboxes.get(aiwyn_sandbox_options)
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith(_PREFIX)]:
            environment.delenv(name)
        environment.setenv("AIWYN_CONFIG", os.devnull)
        environment.setenv("AIWYN_BASE_URL", box.url)
        environment.setenv("AIWYN_API_KEY", box.api_key)
        yield box


@pytest.fixture
def aiwyn_clock() -> FakeClock:
    """The clock of ``aiwyn_client``, whose sleeps take no time."""
    return FakeClock()


@pytest.fixture
def aiwyn_client(aiwyn_sandbox: Sandbox, aiwyn_clock: FakeClock) -> Iterator[AiwynClient]:
    """A client of ``aiwyn_sandbox`` that retries without waiting, closed after the test.

    It works in the event loop of any runner, such as pytest-asyncio, anyio or ``asyncio.run()``.
    """
    from aiwyn_async import AiwynClient  # noqa: PLC0415

    client = AiwynClient(base_url=aiwyn_sandbox.url, api_key=aiwyn_sandbox.api_key, clock=aiwyn_clock)
    yield client
    _close(client)


def _close(client: AiwynClient) -> None:
    """Close a client in each of its event loops that is still open, and refuse further requests.

    A fixture that is a coroutine would need the test's runner; this one does not know which it is.
    """
    import asyncio  # noqa: PLC0415

    transport = client._session.transport  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    for loop in transport.open_loops():
        if not loop.is_running():
            loop.run_until_complete(client.aclose())
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(client.aclose())
    finally:
        loop.close()


@pytest.fixture(scope="session")
def _aiwyn_sandboxes(pytestconfig: pytest.Config) -> Iterator[_Sandboxes]:
    sandboxes = _Sandboxes({name: _read_ini(pytestconfig, f"aiwyn_sandbox_{name}") for name in _INI})
    yield sandboxes
    sandboxes.close()


def _read_ini(config: pytest.Config, name: str) -> int:
    text = str(config.getini(name))
    try:
        return int(text)
    except ValueError:
        raise pytest.UsageError(f"{name} must be an integer, got {text!r}") from None


class _Sandboxes:
    """The running sandbox, replaced if tests use other options."""

    def __init__(self, defaults: Mapping[str, int]) -> None:
        self._defaults = defaults
        self._options: dict[str, Any] = {}
        self._box: Sandbox | None = None

    def get(self, options: Mapping[str, object]) -> Sandbox:
        """Return a sandbox with these options, as new."""
        merged: dict[str, Any] = {**self._defaults, **options}
        if self._box is not None and merged == self._options:
            self._box.reset()
            return self._box
        self.close()
        from aiwyn_async.sandbox import Sandbox  # noqa: PLC0415

        self._options = merged
        self._box = Sandbox(**self._options).__enter__()
        return self._box

    def close(self) -> None:
        """Stop the sandbox."""
        box, self._box = self._box, None
        if box is not None:
            box.__exit__(None, None, None)
