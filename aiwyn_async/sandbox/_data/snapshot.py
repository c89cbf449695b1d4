"""The rows of a firm in memory before their first change, to undo all changes at once."""

import sqlite3


class Snapshot:
    """A copy of a database, made before its first change: a firm that never changes needs none."""

    def __init__(self) -> None:
        self.is_changed = False
        """Whether the database changed since it was opened or restored."""
        self._copy: sqlite3.Connection | None = None

    def note_change(self, connection: sqlite3.Connection, *, in_memory: bool) -> None:
        """Copy a database in memory unless there is a copy. A file is not copied, as it may be large."""
        if in_memory and self._copy is None:
            self._copy = sqlite3.connect(":memory:", check_same_thread=False)
            connection.backup(self._copy)
        self.is_changed = True

    def restore(self, connection: sqlite3.Connection) -> bool:
        """Undo all changes, and return whether there were changes and a copy."""
        if not self.is_changed or self._copy is None:
            return False
        self._copy.backup(connection)
        self.is_changed = False
        return True

    def close(self) -> None:
        """Discard the copy."""
        self.is_changed = False
        if self._copy is not None:
            self._copy.close()
            self._copy = None
