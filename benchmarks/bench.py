"""What every workload is given: the server, how long to measure, and who takes part."""

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
        """So many pages of a thousand invoices, served so."""
        return self.server.serve(Spec(count * 1000, **how))  # type: ignore[arg-type]

    def rounds_of(self, most: int) -> int:
        """The rounds of a workload whose rounds are long."""
        return min(self.rounds, most)

    @staticmethod
    def ours(*, cores: int = 1, steady: bool = False) -> Worker:
        """A process of the project's own environment."""
        return Worker(sys.executable, "benchmarks.slices", cores=cores, steady=steady)


def rivals_of(stack: ExitStack, section: Section, *rivals: Rival) -> dict[Rival, Worker]:
    """A process for each rival that can be installed; the section notes those that cannot."""
    found: dict[Rival, Worker] = {}
    for rival in rivals:
        try:
            python = rival.python()
        except NotInstalled as why:
            section.notes.append(f"{rival.title} could not be installed: {why}")
        else:
            found[rival] = stack.enter_context(Worker(python, f"benchmarks.rivals.{rival.module}"))
    return found
