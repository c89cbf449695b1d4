"""Start and stop the database, server and deliveries of a sandbox together."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from aiohttp import web

from aiwyn_async.sandbox._data.database import Database
from aiwyn_async.sandbox._events.deliveries import Outbox
from aiwyn_async.sandbox._http.read_routes import ReadRoutes
from aiwyn_async.sandbox._http.server import LoopThread, Server
from aiwyn_async.sandbox._http.service import Service


@dataclass(slots=True, eq=False)
class Runtime:
    """Starts and stops the parts of a sandbox, in the running loop or in a thread."""

    database: Database
    service: Service
    reads: ReadRoutes
    outbox: Outbox
    server: Server
    port: int
    _thread: LoopThread | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    async def start(self, app: web.Application) -> None:
        """Open the database and serve the application.

        Raises:
            RuntimeError: It was started before, or no event loop of asyncio runs.
            ValueError: The file of the database holds another firm.
            OSError: The port is in use.
        """
        service = self.service
        if _running_loop() is None:
            raise RuntimeError("no asyncio event loop runs; without one, use `with Sandbox() as box`")
        if service.worker is not None or service.stopping.is_set():
            raise RuntimeError("a sandbox can be started once; create another one")
        service.worker = ThreadPoolExecutor(1, thread_name_prefix="aiwyn-sandbox")
        try:
            await service.run_in_worker(self.database.open)
            await service.run_in_worker(self.reads.warm_up)
            await self.server.start(app, self.port)
            self.outbox.start()
            self._loop = asyncio.get_running_loop()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop serving and close everything. May be called twice."""
        self._loop = None
        self.service.stopping.set()
        self.database.cancel()
        await self.server.stop()
        await self.outbox.stop()
        if self.service.worker is not None:
            self.service.worker.shutdown(wait=True)
            self.database.close()

    def reset(self) -> None:
        """Return to the state of the start, in the loop of the sandbox."""
        loop = self._loop
        if loop is None:
            raise RuntimeError("the sandbox is not running; enter `async with Sandbox() as box` first")
        if _running_loop() is loop:
            self._reset()
        else:
            asyncio.run_coroutine_threadsafe(_call(self._reset), loop).result()

    def _reset(self) -> None:
        with self.database.lock:
            self.service.forget()
            self.database.reset()
            self.reads.reset()
            self.outbox.reset()

    async def delivered(self) -> None:
        """Wait in any loop until no delivery is active."""
        loop = self._loop
        if loop is None or _running_loop() is loop:
            await self.outbox.join()
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.outbox.join(), loop))

    def start_in_thread(self, app: web.Application) -> None:
        """Start in a thread with its own event loop."""
        if self._thread is not None or self.server.port is not None:
            raise RuntimeError("the sandbox is already running")
        self._thread = LoopThread("aiwyn-sandbox")
        try:
            self._thread.run(self.start(app))
        except BaseException:
            self.stop_thread()
            raise

    def stop_thread(self) -> None:
        """Stop, and end the thread. May be called twice."""
        thread, self._thread = self._thread, None
        if thread is not None:
            try:
                thread.run(self.stop())
            finally:
                thread.close()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _call(function: Callable[[], None]) -> None:
    function()
