"""A page, and the place from which a walk can go on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from aiwyn_async._http.messages import Response, encode_json
from aiwyn_async.errors import Attempt, CheckpointError

__all__ = ["Checkpoint", "Page", "PageMeta", "RawPage", "fingerprint"]

RowT = TypeVar("RowT")

VERSION: Final = 1
Position = dict[str, Any]


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a walk goes on: small JSON, good in another process, bound to one endpoint and query.

    It holds no credential, and of the data at most the keys and order values of one row.
    """

    version: int = VERSION
    endpoint: str
    query: str
    """A hash of the endpoint and the query; another query refuses the checkpoint."""
    position: Position

    def to_json(self) -> str:
        """The checkpoint as one line of JSON."""
        return encode_json(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Checkpoint:
        """The checkpoint that ``to_json()`` wrote.

        Raises:
            CheckpointError: it is none, or of a newer version.
        """
        try:
            found = _decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, ArithmeticError):
            raise CheckpointError("this is no checkpoint") from None
        if found.version != VERSION:
            raise CheckpointError(f"a checkpoint of version {found.version}; this release reads {VERSION}")
        return found

    def position_for(self, endpoint: str, query: str) -> Position:
        """The position, when the checkpoint belongs to this query.

        Raises:
            CheckpointError: it belongs to another.
        """
        if (self.endpoint, self.query) != (endpoint, query):
            raise CheckpointError(
                f"this checkpoint belongs to another query of {self.endpoint}; "
                "resume with the same filters, order and page walk, or start anew"
            )
        return self.position


# An amount among the order values must come back exact.
_decoder: Final = msgspec.json.Decoder(Checkpoint, float_hook=Decimal)


def fingerprint(endpoint: str, query: Mapping[str, Any]) -> str:
    """A short hash of an endpoint and a query, the same in every process."""
    text = encode_json([endpoint, query], in_order=True)
    return hashlib.sha256(text).hexdigest()[:24]


class PageMeta(msgspec.Struct, frozen=True):
    """About the request of a page. ``elapsed`` is the last attempt's seconds, ``bytes`` its decoded body."""

    status: int
    request_id: str | None
    attempts: tuple[Attempt, ...]
    elapsed: float
    bytes: int


class RawPage(NamedTuple):
    """A response's JSON, and the path of keys to its rows."""

    content: bytes | Response
    rows_at: tuple[str, ...]

    @property
    def body(self) -> bytes:
        """The JSON, in one piece."""
        return self.content if isinstance(self.content, bytes) else self.content.body

    def __reduce__(self) -> tuple[Any, ...]:
        return RawPage, (self.body, self.rows_at)  # without the headers of the response


class Page(Generic[RowT]):
    """One page of a walk.

    Attributes:
        items: the rows, without those that an earlier page of the walk gave already.
        count: rows that match the query in all, by the server's word; None when it gives none.
        number: 0 for the first page of this walk, and so on.
        checkpoint: where to go on after this page.
        meta: about the request.
        document: the answer, where its rows are just those of ``items``; None where some of them are not.
    """

    __slots__ = ("_raw", "checkpoint", "count", "document", "items", "meta", "number")

    def __init__(
        self,
        items: list[RowT],
        *,
        count: int | None,
        number: int,
        checkpoint: Checkpoint,
        meta: PageMeta,
        raw: Callable[[], list[msgspec.Raw]],
        document: RawPage | None = None,
    ) -> None:
        self.items = items
        self.count = count
        self.number = number
        self.checkpoint = checkpoint
        self.meta = meta
        self.document = document
        self._raw = raw

    def raw_items(self) -> list[msgspec.Raw]:
        """The rows of ``items``, in their order, as JSON with every field that the server sent."""
        return self._raw()

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return f"<Page {self.number}: {len(self.items)} rows of {self.count}>"
