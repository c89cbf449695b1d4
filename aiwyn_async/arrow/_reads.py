"""What this package needs of a read and its pages, which are defined on a higher floor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Protocol, Self

import msgspec

from aiwyn_async._decoding.pages import BadRow, OnBadRow
from aiwyn_async.errors import AiwynError, RequestError


class Document(Protocol):
    """The JSON of a response."""

    @property
    def body(self) -> bytes:
        """The JSON as one bytes object."""
        ...

    @property
    def rows_at(self) -> tuple[str, ...]:
        """The path of keys to its rows."""
        ...


class RowPage(Protocol):
    """A page of rows."""

    @property
    def items(self) -> list[Any]:
        """The decoded rows."""
        ...

    @property
    def number(self) -> int:
        """The index of the page in its read."""
        ...

    @property
    def document(self) -> Document | None:
        """The response, if its rows are exactly those of the page."""
        ...

    def raw_items(self) -> list[msgspec.Raw]:
        """Return the JSON of each row."""
        ...


class Keyed(Protocol):
    """A query."""

    @property
    def key(self) -> str:
        """The wire name of the key, or an empty string."""
        ...


class Decodable(Protocol):
    """A read whose rows can be decoded as another type."""

    @property
    def query(self) -> Keyed:
        """The request that is paged."""
        ...

    def decode_as(self, row_type: Any, /) -> Any:
        """Return a copy with another row type."""
        ...


class PagedRead(Protocol):
    """What a stream needs of a read."""

    error: AiwynError | None
    loop: asyncio.AbstractEventLoop | None
    may_block: bool
    row_type: Any

    @property
    def query(self) -> Keyed:
        """The request that is paged."""
        ...

    @property
    def on_bad_row(self) -> OnBadRow:
        """What happens to rows that do not decode."""
        ...

    def mask(self, error: RequestError) -> RequestError:
        """Mask credentials in an error found in a row; drop its frames."""
        ...

    def undecoded(self) -> Self:
        """Return a copy whose pages decode only keys."""
        ...

    def record(self, counts: Any, bad_rows: list[BadRow]) -> None:
        """Add the counts of a consumer of undecoded pages."""
        ...

    def follow(self, use: Any) -> None:
        """Show the state of a copy as that of the latest use."""
        ...

    def pages(self) -> AsyncGenerator[RowPage, None]:
        """Iterate over the pages."""
        ...
