"""How a blocking client ends: Ctrl-C, a close during calls, the exit of the interpreter, forks, garbage."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aiwyn_async import Aiwyn, ClientClosedError
from aiwyn_async.sandbox import Sandbox

OBJECT = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"id": 1}'


@contextmanager
def silent_first_time(on_request: Callable[[], None]) -> Generator[str]:
    """Serve a server that calls a function instead of responding to its first request."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def serve() -> None:
            for respond in (False, True):
                connection, _ = listener.accept()
                held.append(connection)
                connection.recv(65536)
                if respond:
                    connection.sendall(OBJECT)
                else:
                    on_request()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for connection in held:
                connection.close()


def interrupt() -> None:
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


def test_ctrl_c_cancels_the_request_and_leaves_the_client_usable() -> None:
    with silent_first_time(interrupt) as url, Aiwyn(base_url=url, token="canary", retries=0) as aiwyn:
        with pytest.raises(KeyboardInterrupt):
            aiwyn.invoices.get(1)
        assert aiwyn.invoices.get(1).id == 1
        assert "0 in flight" in repr(aiwyn)


@contextmanager
def slow_second_page(waiting: threading.Event, interrupted: threading.Event) -> Generator[str]:
    """Serve four invoices; the second page interrupts the main thread, and arrives after that."""
    pages = [b'[{"id": 1}, {"id": 2}]', b'[{"id": 3}, {"id": 4}]', b"[]"]

    def respond(connection: socket.socket) -> None:
        with connection:
            while request := connection.recv(65536):
                number = min(2, json.loads(request.partition(b"\r\n\r\n")[2]).get("page", 0))
                if number == 1:
                    waiting.wait()
                    interrupt()
                    interrupted.wait()
                body = b'{"deid_invoice": %s, "deid_invoice_aggregate": {"aggregate": {"count": 4}}}'
                body %= pages[number]
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                connection.sendall(head % len(body) + body)

    def serve() -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                threading.Thread(target=respond, args=[listener.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_step_that_ctrl_c_interrupts_is_repeated_without_loss() -> None:
    waiting, interrupted = threading.Event(), threading.Event()
    with slow_second_page(waiting, interrupted) as url, Aiwyn(base_url=url, token="canary") as aiwyn:
        read = aiwyn.invoices.list(page_size=2)
        rows = iter(read)
        received = [next(rows).id, next(rows).id]
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012 (it can arrive at any of these lines)
            waiting.set()
            next(rows)
        interrupted.set()
        received += [row.id for row in rows]
        assert received == [1, 2, 3, 4]
        assert read.report.complete


def test_export_that_ctrl_c_interrupts_can_be_resumed_at_once(box: Sandbox, tmp_path: Path) -> None:
    pages = itertools.count()

    def stop_at_third_page(_: object) -> None:
        if next(pages) == 3:
            interrupt()

    with Aiwyn(base_url=box.url, api_key=box.api_key) as aiwyn:
        pull = aiwyn.invoices.pull(page_size=5)
        with pytest.raises(KeyboardInterrupt):
            aiwyn.export(pull, tmp_path / "invoices.parquet", on_progress=stop_at_third_page)
        result = aiwyn.export(aiwyn.invoices.pull(page_size=5), tmp_path / "invoices.parquet", resume=True)
        assert result.rows == 300


def test_close_ends_the_calls_of_other_threads() -> None:
    arrived = threading.Event()
    errors: list[BaseException] = []

    with silent_first_time(arrived.set) as url:
        aiwyn = Aiwyn(base_url=url, token="canary", retries=0)

        def call() -> None:
            with pytest.raises(ClientClosedError) as caught:
                aiwyn.invoices.get(1)
            errors.append(caught.value)

        thread = threading.Thread(target=call)
        thread.start()
        arrived.wait()
        aiwyn.close()
        thread.join()
    assert "create a new Aiwyn" in str(errors[0])


def test_iteration_that_is_dropped_ends_its_requests(box: Sandbox) -> None:
    with Aiwyn(base_url=box.url, api_key=box.api_key) as aiwyn:
        for _ in aiwyn.invoices.list(page_size=5):
            break
        assert aiwyn.invoices.list().count() == 300
        assert "0 in flight" in repr(aiwyn)


def test_client_that_is_dropped_ends_its_thread(box: Sandbox) -> None:
    threads = set(threading.enumerate())
    rows = iter(Aiwyn(base_url=box.url, api_key=box.api_key).invoices.list(page_size=50))
    next(rows)
    (thread,) = set(threading.enumerate()) - threads
    assert len(list(rows)) == 299  # the rows keep the client
    del rows
    gc.collect()
    thread.join()


PROGRAM = """
import os, sys, threading
from aiwyn_async import Aiwyn

aiwyn = Aiwyn()
assert aiwyn.invoices.list().count() == 300
"""
ENDS = {
    "idle": "",
    "reading": "rows = iter(aiwyn.invoices.list(page_size=5))\nnext(rows)",
    "page": "pages = aiwyn.invoices.pull(page_size=5).pages()\nnext(pages)",
    "exported": "aiwyn.export(aiwyn.invoices.list(), 'x.csv')",
    "thread": "def read():\n  while True: aiwyn.invoices.list(page_size=1).collect()\n"
    "threading.Thread(target=read, daemon=True).start()",
    "atexit": "import atexit\natexit.register(aiwyn.close)",
    "global": "import builtins\nbuiltins.aiwyn = aiwyn",
    "cycle": "aiwyn.self = aiwyn",
    "error": "sys.excepthook = lambda *_: None; raise ValueError",
    "forked": "pid = os.fork()\nif pid: assert os.waitpid(pid, 0)[1] == 0",
}


# A name is resolved in a thread of the event loop.
@pytest.mark.parametrize(("end", "host"), [*((end, "127.0.0.1") for end in ENDS), ("idle", "localhost")])
def test_exit_without_close_prints_nothing(
    box: Sandbox, tmp_path: os.PathLike[str], end: str, host: str
) -> None:
    environment = {"AIWYN_BASE_URL": box.url.replace("127.0.0.1", host), "AIWYN_API_KEY": box.api_key}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM + ENDS[end]],
        env=os.environ | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 1 if end == "error" else 0)


FORK = """
import gc
from aiwyn_async import LoopMismatchError
rows = iter(aiwyn.invoices.list(page_size=50))
next(rows)
pid = os.fork()
if pid:
    assert os.waitpid(pid, 0)[1] == 0
    assert len(list(rows)) == 299
else:
    for call in (aiwyn.invoices.list().count, rows.close, lambda: list(rows)[60]):
        try:
            call()
        except LoopMismatchError as error:
            assert "create an Aiwyn in each process" in str(error)
        else:
            raise AssertionError(call)
    with Aiwyn() as other:
        assert other.invoices.list().count() == 300
    aiwyn.close()
    del aiwyn, rows
    gc.collect()
"""


def test_forked_process_gets_an_error_that_names_the_fix(box: Sandbox) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM + FORK],
        env=os.environ | {"AIWYN_BASE_URL": box.url, "AIWYN_API_KEY": box.api_key},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_client_that_was_not_used_before_a_fork_works_after_it(box: Sandbox) -> None:
    program = "import os\nfrom aiwyn_async import Aiwyn\naiwyn = Aiwyn()\npid = os.fork()\n"
    program += "assert aiwyn.invoices.list().count() == 300\nif pid: assert os.waitpid(pid, 0)[1] == 0"
    subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=os.environ | {"AIWYN_BASE_URL": box.url, "AIWYN_API_KEY": box.api_key},
        timeout=30,
        check=True,
    )
