"""Python processes that start at once: forks of a process that has imported the command line before.

Each has a pid, arguments, variables, files and signals of its own, and ends as every interpreter does.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Fork", "ForkServer", "Process", "start_interpreter"]

IS_SUPPORTED = hasattr(os, "pidfd_open")
"""By Linux; elsewhere, each process is a new interpreter."""
LARGEST_REQUEST = 200_000
IMPORTED = ("aiwyn_async.sync", "mcp.server.stdio", "pyarrow.parquet", "rich.progress")
"""What commands import while they run."""


class Fork:
    """A running process, with the part of ``asyncio.subprocess.Process`` that tests use."""

    def __init__(self, status: socket.socket) -> None:
        self.pid = int.from_bytes(status.recv(4), "little")
        assert self.pid, "the fork server has ended"
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None
        self._status = status
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_reader(status, self._end)

    @property
    def returncode(self) -> int | None:
        return self._code.result() if self._code.done() else None

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        return await asyncio.shield(self._code)

    async def communicate(self, data: bytes = b"") -> tuple[bytes, bytes]:
        """Write to stdin, close it, and return what the process writes until it ends."""
        if self.stdin is not None:
            self.stdin.write(data)
            self.stdin.close()
        out, err = await asyncio.gather(*(_read(each) for each in (self.stdout, self.stderr)))
        await self.wait()
        return out, err

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._status)
        with self._status:
            self._code.set_result(int.from_bytes(self._status.recv(4), "little", signed=True))


Process = asyncio.subprocess.Process | Fork


async def start_interpreter(*command: str, **options: Any) -> asyncio.subprocess.Process:
    """Start a new interpreter, as ``create_subprocess_exec()`` does."""
    return await asyncio.create_subprocess_exec(sys.executable, "-W", "error", *command, **options)


class ForkServer:
    """Starts ``python -W error``, of which the server has read the variables for Python itself, ``env``."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if not IS_SUPPORTED:
            return
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-W", "error", __file__, str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
            )
        is_ready = self._requests.recv(1)
        assert is_ready, f"the fork server ended with {self._process.wait()}"

    def close(self) -> None:
        if self._process is not None:
            self._requests.close()
            self._process.wait()

    async def start(
        self,
        *command: str,
        cwd: Path,
        env: Mapping[str, str],
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        start_new_session: bool = False,
    ) -> Process:
        """Start ``-m module arguments`` or ``-c code arguments``, as ``create_subprocess_exec()`` does."""
        if self._process is None:
            files_of = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
            return await start_interpreter(
                *command, cwd=cwd, env=env, start_new_session=start_new_session, **files_of
            )
        status, theirs = socket.socketpair()
        opened = [_open(*each) for each in enumerate((stdin, stdout, stderr))]
        files = [file for file, _ in opened]
        request = json.dumps([command, str(cwd), dict(env), start_new_session]).encode()
        with theirs:
            socket.send_fds(self._requests, [request], [theirs.fileno(), *files])
        for file in files:
            os.close(file)
        fork = Fork(status)
        to_stdin, from_stdout, from_stderr = (pipe for _, pipe in opened)
        fork.stdin = None if to_stdin is None else await _writer(to_stdin)
        fork.stdout = None if from_stdout is None else await _reader(from_stdout)
        fork.stderr = None if from_stderr is None else await _reader(from_stderr)
        return fork


def _open(number: int, file: int | None) -> tuple[int, int | None]:
    """Return a file for the process, and the end of its pipe that the test keeps."""
    if file == subprocess.PIPE:
        reader, writer = os.pipe()
        return (writer, reader) if number else (reader, writer)
    if file == subprocess.DEVNULL:
        return os.open(os.devnull, os.O_RDWR), None
    return os.dup(number if file is None else file), None


async def _reader(pipe: int) -> asyncio.StreamReader:
    stream = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(stream)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(pipe, "rb"))
    return stream


async def _writer(pipe: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
    transport, _ = await loop.connect_write_pipe(lambda: protocol, os.fdopen(pipe, "wb"))
    return asyncio.StreamWriter(transport, protocol, None, loop)


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    return b"" if stream is None else await stream.read()


def _serve(requests: socket.socket) -> tuple[bytes, list[int]]:
    """Fork for each request until the tests end; return the request and its files in the fork."""
    running: dict[int, tuple[int, socket.socket]] = {}
    requests.send(b"1")
    while True:
        for ready in select.select([requests.fileno(), *running], [], [])[0]:
            if ready in running:
                pid, status = running.pop(ready)
                os.close(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with status, contextlib.suppress(BrokenPipeError):  # the test no longer waits
                    status.send(code.to_bytes(4, "little", signed=True))
                continue
            request, files, _, _ = socket.recv_fds(requests, LARGEST_REQUEST, 4)
            if not request:
                os._exit(0)
            status = socket.socket(fileno=files.pop(0))
            pid = os.fork()
            if not pid:
                for other, (_, its_status) in running.items():
                    os.close(other)
                    its_status.close()
                requests.close()
                status.close()
                return request, files
            for file in files:
                os.close(file)
            status.send(pid.to_bytes(4, "little"))
            running[os.pidfd_open(pid)] = pid, status


def _become(request: bytes, files: Sequence[int]) -> None:
    """Take on what the request says, and run its module or code."""
    (option, program, *arguments), folder, env, start_new_session = json.loads(request)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if start_new_session:
        os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    for number, (name, file) in enumerate(zip(("stdin", "stdout", "stderr"), files, strict=True)):
        os.dup2(file, number)
        os.close(file)
        old = getattr(sys, name)
        buffering = 1 if name == "stderr" else -1
        stream = open(number, old.mode, buffering, old.encoding, old.errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv = [option, *arguments]
    sys.path[0] = folder
    if option == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        exec(program, {"__name__": "__main__"})


if __name__ == "__main__":
    import aiwyn_async._cli

    for each in pkgutil.iter_modules(aiwyn_async._cli.__path__, "aiwyn_async._cli."):
        importlib.import_module(each.name)
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a fork may get one before it has its own handler
    _become(*_serve(socket.socket(fileno=int(sys.argv[1]))))
