"""Where a bookmark is kept between two reads of what changed."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

from aiwyn_async._changes.timestamps import instant_of
from aiwyn_async._core.files import disk_errors, replace_content
from aiwyn_async._pagination.page import Checkpoint
from aiwyn_async.errors import CheckpointError
from aiwyn_async.models.base import Id

__all__ = ["Bookmark", "BookmarkStore", "FileState", "StateBackend", "server_name"]


class Bookmark(NamedTuple):
    """Where an incremental read left off: the instant, and the key of the row that had it."""

    at: str
    key: Id | None = None


class StateBackend(Protocol):
    """Keeps texts by a key: a file, a table, a key-value store. Both methods may be async."""

    def get(self, key: str, /) -> str | Awaitable[str | None] | None:
        """The text under a key, None when there is none."""
        ...

    def put(self, key: str, value: str, /) -> object:
        """Replace the text under a key; when this returns, it must be kept."""
        ...


class FileState:
    """State in a small JSON file, one for any number of endpoints, but for one process at a time.

    The file is replaced as a whole, and its mode is 0600.

    Args:
        path: the file; its folder must be there.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"FileState({str(self.path)!r})"

    def get(self, key: str, /) -> str | None:
        """The text under a key, None when there is none.

        Raises:
            CheckpointError: the file is damaged, or none of this kind.
            StorageError: it cannot be read.
        """
        return self._read().get(key)

    def put(self, key: str, value: str, /) -> None:
        """Replace the text under a key, on disk before this returns.

        Raises:
            CheckpointError: the file is damaged, or none of this kind.
            StorageError: it cannot be written; what was there before is untouched.
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
                raise CheckpointError(f"{self.path} holds no bookmarks, or is damaged") from None


class BookmarkStore:
    """The bookmark of one query in a state, which another query of the same endpoint refuses.

    Args:
        state: keeps it; None keeps nothing.
        endpoint: its key in the state.
        query: a hash of the query.
    """

    def __init__(self, state: StateBackend | None, endpoint: str, query: str) -> None:
        self.state = state
        self._endpoint = endpoint
        self._query = query

    async def get(self) -> Bookmark | None:
        """The bookmark, None before the first.

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
        try:
            position = Checkpoint.from_json(text).position_for(self._endpoint, self._query)
        except CheckpointError as fault:
            raise CheckpointError(f"the bookmark of {self._endpoint}: {fault}") from None
        at, key = str(position.get("bookmark")), position.get("key")
        try:
            instant_of(at)
        except ValueError:
            raise CheckpointError(f"the bookmark of {self._endpoint} is damaged") from None
        return Bookmark(at, key if isinstance(key, (int, str)) else None)

    async def put(self, bookmark: Bookmark) -> None:
        """Replace the bookmark."""
        if self.state is None:
            return
        key = {} if bookmark.key is None else {"key": bookmark.key}
        position = {"bookmark": bookmark.at, **key}
        kept = Checkpoint(endpoint=self._endpoint, query=self._query, position=position)
        done = self.state.put(self._endpoint, kept.to_json())
        if inspect.isawaitable(done):
            await done


def server_name(url: str) -> str:
    """A server by scheme, host and path: a sandbox takes another port each time."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"
