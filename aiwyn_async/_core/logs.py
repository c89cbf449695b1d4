"""Logging: silent, unless the application or AIWYN_LOG turns it on."""

from __future__ import annotations

import functools
import logging
import os
import sys
from typing import Final

from aiwyn_async.errors import ConfigurationError

VARIABLE: Final = "AIWYN_LOG"
LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO}

_package: Final = logging.getLogger("aiwyn_async")
# Without a handler, Python would print warnings to stderr.
_package.addHandler(logging.NullHandler())


class _StderrHandler(logging.Handler):
    """Writes to the current stderr, unless the application handles the records."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None and not _is_configured():
            print(self.format(record), file=sys.stderr)  # noqa: T201 (a stream may be replaced later)


@functools.cache
def configure_logging() -> None:
    """Log to stderr if AIWYN_LOG is "debug" or "info"; once per process.

    Handlers of the application take precedence.

    Raises:
        ConfigurationError: AIWYN_LOG has another value.
    """
    name = os.environ.get(VARIABLE, "").strip().lower()
    if not name:
        return
    if name not in LEVELS:
        raise ConfigurationError(f"{VARIABLE} must be 'debug' or 'info'")
    if _is_configured():
        return
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    _package.addHandler(handler)
    _package.setLevel(LEVELS[name])


def _is_configured() -> bool:
    """Return whether the application handles records of this package."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("aiwyn_async.")]
    loggers = [logging.getLogger(), _package, *map(logging.getLogger, names)]
    own = (logging.NullHandler, _StderrHandler)
    return any(not isinstance(handler, own) for logger in loggers for handler in logger.handlers)
