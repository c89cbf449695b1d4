"""``aiwyn sandbox``: serve a sandbox of the API."""

from __future__ import annotations

import math
import shlex
from typing import Annotated

from cyclopts import Parameter

from aiwyn_async._cli.client import create_sandbox, sandbox_errors
from aiwyn_async._cli.errors import ExitCode
from aiwyn_async._cli.options import FilePath, WholeNumber
from aiwyn_async._cli.output import write_data, write_message
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.sandbox import Sandbox, serve


async def serve_sandbox(
    *,
    invoices: WholeNumber = 10_000,
    seed: WholeNumber = 7,
    port: WholeNumber = 0,
    latency: float = 0.0,
    rate_limit: float | None = None,
    api_key: str | None = None,
    path: FilePath | None = None,
    fault: Annotated[tuple[str, ...], Parameter(negative=(), show_default=False)] = (),
) -> int:
    """Serve a sandbox of the API on 127.0.0.1 until Ctrl-C.

    Args:
        invoices: Number of invoices in the sandbox.
        seed: Seed of the sandbox's data; the same seed generates the same data.
        port: The port; 0 uses a free one.
        latency: Seconds before each response.
        rate_limit: Requests per second, above which the server responds with 429.
        api_key: The key that clients exchange for a token; random by default.
        path: A file to store the data in.
        fault: A planned fault, such as 429@list:3 or invoices.list:status=503,nth=2; may be repeated.
    """

    def ready(box: Sandbox) -> None:
        write_data(
            f"export AIWYN_BASE_URL={box.url}\nexport AIWYN_API_KEY={shlex.quote(box.api_key)}".encode()
        )
        write_message(f"serving {invoices:,} invoices; press Ctrl-C to stop")

    if not 0 <= latency < math.inf:
        raise ConfigurationError(f"--latency must be 0 or more, got {latency:g}")
    box = create_sandbox(
        {"per_second": "--rate-limit"},
        invoices=invoices,
        seed=seed,
        port=port,
        latency=latency,
        rate_limit=rate_limit,
        api_key=api_key,
        path=path,
        faults=fault,
    )
    write_message(f"generating {invoices:,} invoices")
    with sandbox_errors(path, port):
        await serve(box, ready=ready)
    return ExitCode.OK
