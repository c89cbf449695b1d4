"""``python -m aiwyn_async.sandbox``: serve until interrupted.

Prints URL and key as a line of JSON.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence

import msgspec

from aiwyn_async.sandbox._sandbox import Sandbox
from aiwyn_async.sandbox._serving import serve

__all__ = ["main"]

_MANY_INVOICES = 50_000
"""Generating a larger firm takes seconds."""


def _announce(box: Sandbox) -> None:
    line = msgspec.json.encode({"url": box.url, "api_key": box.api_key}).decode()
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aiwyn_async.sandbox", description=main.__doc__)
    parser.add_argument("--invoices", type=int, default=1000, help="number of invoices")
    parser.add_argument("--seed", type=int, default=7, help="selects the firm")
    parser.add_argument("--port", type=int, default=0, help="port; 0 for a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to each response")
    parser.add_argument("--rate-limit", type=float, default=None, help="requests per second; 429 above it")
    parser.add_argument("--api-key", default=None, help="API key; random by default")
    parser.add_argument("--path", default=None, help="file to store the firm in")
    parser.add_argument(
        "--fault",
        dest="faults",
        action="append",
        default=[],
        metavar="ROUTE:NAME=VALUE,...",
        help="plan a fault, such as 429@list:3 or invoices.list:status=503,nth=2; can be repeated",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the Aiwyn API on loopback until SIGINT, SIGTERM or SIGHUP."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        box = Sandbox(**vars(options), log_bodies=False)
    except ValueError as error:
        parser.error(str(error))
    if options.invoices >= _MANY_INVOICES:
        sys.stderr.write(f"generating {options.invoices:,} invoices\n")
    asyncio.run(serve(box, ready=_announce))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
