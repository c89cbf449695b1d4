"""What this package needs of a read and its pages, which a higher floor defines and documents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol, Self

import msgspec

from aiwyn_async._decoding.pages import BadRow, OnBadRow
from aiwyn_async.errors import AiwynError, RequestError


class Document(Protocol):
    """The JSON of a response."""

    @property
    def body(self) -> bytes: ...
    @property
    def rows_at(self) -> tuple[str, ...]: ...


class RowPage(Protocol):
    """A page of rows. It has a document if the rows of that are exactly its own."""

    @property
    def items(self) -> list[Any]: ...
    @property
    def indices(self) -> Sequence[int]: ...
    @property
    def number(self) -> int: ...
    @property
    def document(self) -> Document | None: ...

    def raw_items(self) -> list[msgspec.Raw]: ...


class Keyed(Protocol):
    """A query."""

    @property
    def key(self) -> str: ...


class Decodable(Protocol):
    """A read whose rows can be decoded as another type."""

    @property
    def query(self) -> Keyed: ...

    def decode_as(self, row_type: Any, /) -> Any: ...


class PagedRead(Protocol):
    """What a stream needs of a ``Read``."""

    error: AiwynError | None
    loop: asyncio.AbstractEventLoop | None
    may_block: bool
    row_type: Any

    @property
    def query(self) -> Keyed: ...
    @property
    def on_bad_row(self) -> OnBadRow: ...

    def mask(self, error: RequestError) -> RequestError: ...
    def undecoded(self) -> Self: ...
    def record(self, counts: Any, bad_rows: list[BadRow]) -> None: ...
    def follow(self, use: Any) -> None: ...
    def pages(self) -> AsyncGenerator[RowPage, None]: ...
