"""Whether a stored job may be continued: the one comparison for exports, datasets and syncs."""

from __future__ import annotations

import msgspec

from aiwyn_async.errors import CheckpointError


class JobIdentity(msgspec.Struct, frozen=True):
    """What a job reads and writes; a job of another identity must not continue it.

    Checkpoints have an identity of their own, which reads compare.

    Attributes:
        server: its name, without credentials and without its port, so that servers on different ports of one
            host are the same.
        query: a hash of endpoint, filters and order.
        columns: format and columns of the output.
    """

    server: str
    query: str
    columns: str = ""

    def check_continues(self, stored: JobIdentity, what: object, fix: str) -> None:
        """Compare with the identity of a stored job.

        Raises:
            CheckpointError: it reads or writes something else; says what, how it differs, and the fix.
        """
        differences = {
            f"of another server ({stored.server}, not {self.server})": stored.server != self.server,
            "of another query": stored.query != self.query,
            "of another format, row type or other columns or options": stored.columns != self.columns,
        }
        named = [text for text, differs in differences.items() if differs]
        if named:
            raise CheckpointError(f"{what} is {' and '.join(named)}; {fix}")
