"""A firm kept in a file: whether it is the one asked for."""

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path

__all__ = ["check_file"]


def check_file(path: Path, facts: Mapping[str, int]) -> None:
    """Refuse a file that holds something else than the firm asked for.

    Args:
        path: The file.
        facts: What the firm asked for says of itself.

    Raises:
        ValueError: It holds another firm, or none.
    """
    try:
        with contextlib.closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        ) as connection:
            # A file without the entry is older than the options, and holds the plain case.
            held = {"options": 0} | dict(connection.execute("SELECT key, value FROM sandbox_meta").fetchall())
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path} is not a sandbox's file") from error
    for name, value in facts.items():
        if held.get(name) != value:
            raise ValueError(
                f"{path} holds a firm with {name}={held.get(name)}, not {value}; use another path"
            )
