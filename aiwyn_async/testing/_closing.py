"""Close a client from code without an event loop, as the end of a synchronous fixture is."""

from __future__ import annotations

import asyncio

from aiwyn_async import AiwynClient


def close(client: AiwynClient) -> None:
    """Close a client in each of its event loops that is still open, and refuse further requests.

    A fixture that is a coroutine would need the test's runner; this one does not know which it is.
    """
    transport = client._session.transport  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    for loop in transport.open_loops():
        if not loop.is_running():
            loop.run_until_complete(client.aclose())
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(client.aclose())
    finally:
        loop.close()
