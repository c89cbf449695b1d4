"""The page server, seen from the process that measures."""

from __future__ import annotations

import sys
from dataclasses import asdict
from decimal import Decimal

from .lines import Child
from .specs import Served, Spec


class PageServer(Child):
    """The server's process; `serve()` opens a port."""

    def __init__(self) -> None:
        super().__init__(sys.executable, "benchmarks.server")

    def serve(self, spec: Spec) -> Served:
        told = self.ask(asdict(spec))
        total = sum(map(Decimal, told["totals"]), Decimal())
        return Served(spec, told["url"], told["api_key"], told["authority"], told["first_id"], total)

    def seconds_of_cpu(self) -> float:
        return float(self.ask({})["cpu"])
