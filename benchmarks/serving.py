"""The page server as the measuring process uses it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from decimal import Decimal

from .lines import Child
from .specs import Served, Spec


class PageServer(Child):
    """The process of the server; `serve()` opens a port."""

    def __init__(self) -> None:
        super().__init__(sys.executable, "benchmarks.server")

    def serve(self, spec: Spec) -> Served:
        port = self.ask(asdict(spec))
        total = sum(map(Decimal, port["totals"]), Decimal())
        return Served(spec, port["url"], port["api_key"], port["authority"], port["first_id"], total)

    def seconds_of_cpu(self) -> float:
        return float(self.ask({})["cpu"])
