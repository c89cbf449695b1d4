"""What every workload receives: the server, the number of rounds, the workers."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass

from .environments import NotInstalled, Rival
from .measure import Section, Worker
from .serving import PageServer
from .specs import Served, Spec


@dataclass
class Bench:
    """One run of `python -m benchmarks`."""

    server: PageServer
    rounds: int
    quick: bool
    five_million: bool

    def pages(self, count: int, **how: float) -> Served:
        """Serve this many pages of a thousand invoices."""
        return self.server.serve(Spec(count * 1000, **how))  # type: ignore[arg-type]

    def rounds_of(self, max_rounds: int) -> int:
        """Return the number of rounds of a workload whose rounds are long."""
        return min(self.rounds, max_rounds)

    @staticmethod
    def ours(*, cores: int = 1, steady: bool = False) -> Worker:
        """Return a process of the project's own environment."""
        return Worker(sys.executable, "benchmarks.slices", cores=cores, steady=steady)


def rivals_of(stack: ExitStack, section: Section, *rivals: Rival) -> dict[Rival, Worker]:
    """Start a process for each rival that can be installed; note the others in the section."""
    workers: dict[Rival, Worker] = {}
    for rival in rivals:
        try:
            python = rival.python()
        except NotInstalled as error:
            section.notes.append(f"{rival.title} could not be installed: {error}")
        else:
            workers[rival] = stack.enter_context(Worker(python, f"benchmarks.rivals.{rival.module}"))
    return workers
