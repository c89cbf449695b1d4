"""Progress of a pull or an export in a Jupyter notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from html import escape
from typing import Any, Final

from aiwyn_async._pull.progress import Progress, details_of

__all__ = ["progress"]

SECONDS_PER_UPDATE: Final = 0.2


@contextmanager
def progress(
    noun: str = "rows", *, clock: Callable[[], float] = time.monotonic
) -> Generator[Callable[[Progress], None]]:
    """Show a bar with rows, rate and time left below the cell.

        with progress("invoices") as show:
            aiwyn.export(aiwyn.invoices.pull(), "invoices.parquet", on_progress=show)

    Outside of IPython it shows nothing.

    Args:
        noun: names the rows.
        clock: returns the time in seconds.

    Yields:
        The function to pass as ``on_progress``.
    """
    bar = _Bar(noun)
    update = _display(bar)
    shown_at = clock()

    def show(latest: Progress) -> None:
        nonlocal shown_at
        bar.progress = latest
        if clock() - shown_at >= SECONDS_PER_UPDATE:
            shown_at = clock()
            update(bar)

    try:
        yield show
    finally:
        update(bar)


def _display(bar: _Bar) -> Callable[[object], None]:
    """Show a bar, and return the function that shows it again."""
    ipython: Any = sys.modules.get("IPython")  # every notebook has imported it
    if ipython is None or ipython.get_ipython() is None:
        return lambda _: None
    update: Callable[[object], None] = ipython.display.display(bar, display_id=True).update
    return update


class _Bar:
    """What the cell shows."""

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self.progress = Progress(0, None, 0.0, None, 0, 0)

    def __repr__(self) -> str:
        latest = self.progress
        of = "" if latest.total is None else f" of {latest.total:,}"
        return ", ".join([f"{latest.rows:,}{of} {self._noun}", *details_of(latest)])

    def _repr_html_(self) -> str:
        latest = self.progress
        # Without a value, the bar shows that the total is not known.
        value = "" if latest.total is None else f' value="{latest.rows}" max="{max(1, latest.total)}"'
        return f"<progress{value}></progress> {escape(repr(self))}"
