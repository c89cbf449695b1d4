"""Small firms that this process has generated: test suites start a sandbox of the same firm for each test."""

import contextlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

_MAX_FIRM_BYTES: Final = 12_000_000
"""About 3,500 invoices."""
_MAX_BYTES: Final = 32_000_000

_firms: Final[OrderedDict[Hashable, bytes]] = OrderedDict()
_lock: Final = threading.Lock()


def load(key: Hashable, connection: sqlite3.Connection) -> bool:
    """Copy the firm of ``key`` into an empty database; False if it is not cached."""
    with _lock:
        content = _firms.get(key)
        if content is None:
            return False
        _firms.move_to_end(key)
    with contextlib.closing(sqlite3.connect(":memory:")) as cached:
        cached.deserialize(content)
        cached.backup(connection)
    return True


def store(key: Hashable, connection: sqlite3.Connection) -> None:
    """Cache the firm in a database, unless it is large."""
    pages, page_size = (connection.execute(f"PRAGMA page_{name}").fetchone()[0] for name in ("count", "size"))
    if pages * page_size > _MAX_FIRM_BYTES or not hasattr(connection, "serialize"):  # which SQLite may lack
        return
    content = connection.serialize()
    with _lock:
        _firms[key] = content
        while sum(map(len, _firms.values())) > _MAX_BYTES:
            _firms.popitem(last=False)
