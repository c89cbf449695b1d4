"""Stores for the bookmark between two reads of changes."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from aiwyn_async._core.files import disk_errors, local_path, replace_content
from aiwyn_async._pagination.page import Checkpoint
from aiwyn_async._pagination.timestamps import instant_of
from aiwyn_async.errors import CheckpointError
from aiwyn_async.models.base import Id


class Bookmark(NamedTuple):
    """Where an incremental read left off.

    Attributes:
        at: the latest last-modified timestamp that was read.
        key: the key of the row with that timestamp.
    """

    at: str
    key: Id | None = None


class StateBackend(Protocol):
    """Stores texts by key, for example in a file or a table. Methods may be async."""

    def get(self, key: str, /) -> str | Awaitable[str | None] | None:
        """Return the text of a key, or None."""
        ...

    def put(self, key: str, value: str, /) -> object:
        """Replace the text of a key. It must be durable when this returns."""
        ...


class FileState:
    """Stores the bookmarks of any number of endpoints in a small JSON file.

    The file is replaced atomically, with mode 0600. Only one process at a time may use it.

    Args:
        path: the file; its directory must exist.

    Raises:
        ConfigurationError: it is a URL, or not a path.
    """

    def __init__(self, path: str | Path) -> None:
        self.path: Path = local_path(path)

    def __repr__(self) -> str:
        return f"FileState({str(self.path)!r})"

    def get(self, key: str, /) -> str | None:
        """Return the text of a key, or None.

        Raises:
            CheckpointError: the file is damaged, or not a bookmark file.
            StorageError: it cannot be read.
        """
        return self._read().get(key)

    def put(self, key: str, value: str, /) -> None:
        """Replace the text of a key. It is on disk when this returns.

        Raises:
            CheckpointError: the file is damaged, or not a bookmark file.
            StorageError: it cannot be written; its content is unchanged.
        """
        text = msgspec.json.format(msgspec.json.encode(self._read() | {key: value}), indent=2)
        with disk_errors(self.path):
            replace_content(self.path, text + b"\n")

    def _read(self) -> dict[str, str]:
        with disk_errors(self.path, "read"):
            try:
                return msgspec.json.decode(self.path.read_bytes(), type=dict[str, str])
            except FileNotFoundError:
                return {}
            except (msgspec.MsgspecError, UnicodeDecodeError):
                raise CheckpointError(
                    f"{self.path} is damaged or not a bookmark file; remove it to read all rows again, "
                    "or use another path"
                ) from None


class BookmarkStore:
    """The bookmark of one query in a state backend.

    Another query of the same endpoint refuses the bookmark.

    Args:
        state: the backend, or None to store nothing.
        endpoint: the key of the bookmark.
        query: a hash of the query.
    """

    def __init__(self, state: StateBackend | None, endpoint: str, query: str) -> None:
        self.state = state
        self._endpoint = endpoint
        self._query = query

    async def get(self) -> Bookmark | None:
        """Return the bookmark, or None if there is none yet.

        Raises:
            CheckpointError: it belongs to another query, or is damaged.
        """
        if self.state is None:
            return None
        text = self.state.get(self._endpoint)
        if inspect.isawaitable(text):
            text = await text
        if text is None:
            return None
        name, fix = f"the bookmark of {self._endpoint}", "remove it from the state to read all rows again"
        try:
            checkpoint = Checkpoint.from_json(text)
            at, key = str(checkpoint.position.get("bookmark")), checkpoint.position.get("key")
            instant_of(at)
        except ValueError:  # a CheckpointError, whose advice is that of reads, which take ``resume``
            raise CheckpointError(f"{name} is damaged, or of another release; {fix}") from None
        if (checkpoint.endpoint, checkpoint.query) != (self._endpoint, self._query):
            raise CheckpointError(
                f"{name} belongs to another query of it, or to another server; "
                f"use the filters that it was stored with, or {fix}"
            )
        return Bookmark(at, key if isinstance(key, (int, str)) else None)

    async def put(self, bookmark: Bookmark) -> None:
        """Replace the bookmark."""
        if self.state is None:
            return
        key = {} if bookmark.key is None else {"key": bookmark.key}
        position = {"bookmark": bookmark.at, **key}
        checkpoint = Checkpoint(endpoint=self._endpoint, query=self._query, position=position)
        result = self.state.put(self._endpoint, checkpoint.to_json())
        if inspect.isawaitable(result):
            await result
