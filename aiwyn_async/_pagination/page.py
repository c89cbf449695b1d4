"""A page of rows, and the checkpoint to resume from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Final, Generic, NamedTuple, Self, TypeVar

import msgspec

from aiwyn_async._core.check_values import check_value
from aiwyn_async._core.checks import shown
from aiwyn_async._html import rows_html
from aiwyn_async._http.messages import Response, encode_json
from aiwyn_async.errors import Attempt, CheckpointError, ConfigurationError

RowT = TypeVar("RowT")

VERSION: Final = 1
START_NEW: Final = "start a new read without resume"
Position = dict[str, Any]

# Numbers of a condition, and amounts among the order values, stay exact.
decode_exactly: Final = msgspec.json.Decoder(float_hook=Decimal).decode


class Stored(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """JSON with a check value."""

    version: int = VERSION
    _name: ClassVar[str]
    _error: ClassVar[type[ConfigurationError]] = ConfigurationError
    _fix: ClassVar[str] = ""

    def to_json(self) -> str:
        """Return one line of JSON.

        Its check value detects damage and edits, which could skip rows; it is not a protection against an
        attacker.

        Raises:
            ConfigurationError: it was made with a value that has no JSON.
        """
        try:
            content = decode_exactly(encode_json(self))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise self._error(f"a {self._name} cannot be stored: {error}") from None
        return encode_json(content | {"check": check_value(content)}).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Decode the JSON that ``to_json()`` returned.

        Raises:
            ConfigurationError: the text is not valid, was changed, or is of another version; for a checkpoint
                a ``CheckpointError``.
        """
        # Drivers of databases return bytes as others of these, too.
        if not isinstance(text, (str, bytes, bytearray, memoryview)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise cls._error(f"a {cls._name} is the text of its to_json(), not {shown(text)}")
        try:
            content: Any = decode_exactly(text)
            check, version = content.pop("check", None), content["version"]
            if version == VERSION and check == check_value(content):
                return msgspec.convert(content, cls)
        # Those of msgspec are ValueErrors.
        except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError):
            raise cls._error(f"not a valid {cls._name}") from None
        if version != VERSION:
            raise cls._error(
                f"{cls._name} version {shown(version)} is not supported, only {VERSION}; {cls._fix}"
            )
        raise cls._error(_damaged(cls._name, cls._fix))


class Checkpoint(Stored, frozen=True, kw_only=True):
    """Where a read resumes: small JSON, bound to one endpoint and query, valid in every process.

    It contains no credentials, and of the data only a few keys and the order values of one row.
    """

    endpoint: str
    query: str
    """A hash of the endpoint and the query; another query rejects the checkpoint."""
    position: Position
    _name = "checkpoint"
    _error = CheckpointError
    _fix = START_NEW

    def position_for(self, endpoint: str, query: str) -> Position:
        """Return the position if the checkpoint belongs to this query.

        Raises:
            CheckpointError: it belongs to another query.
        """
        if (self.endpoint, self.query) != (endpoint, query):
            raise CheckpointError(
                f"this checkpoint belongs to another query of {self.endpoint}, or to another server; "
                f"resume with the same filters and order, or {START_NEW}"
            )
        return self.position


def damaged_checkpoint() -> CheckpointError:
    """Return the error for a checkpoint that was changed or whose position is not valid."""
    return CheckpointError(_damaged("checkpoint", START_NEW))


def _damaged(name: str, fix: str) -> str:
    return f"the {name} is damaged; {fix}"


def fingerprint(endpoint: str, query: Mapping[str, Any]) -> str:
    """Return a short hash of an endpoint and a query, the same in every process."""
    text = encode_json([endpoint, query], in_order=True)
    return hashlib.sha256(text).hexdigest()[:24]


class PageMeta(msgspec.Struct, frozen=True):
    """A page's request: ``elapsed`` seconds of the last attempt, decoded ``bytes``."""

    status: int
    request_id: str | None
    attempts: tuple[Attempt, ...]
    elapsed: float
    bytes: int


class RawPage(NamedTuple):
    """The JSON of a response, and the path of keys to its rows."""

    content: bytes | Response
    rows_at: tuple[str, ...]

    @property
    def body(self) -> bytes:
        """The JSON as one bytes object."""
        return self.content if isinstance(self.content, bytes) else self.content.body

    def __reduce__(self) -> tuple[Any, ...]:
        return RawPage, (self.body, self.rows_at)  # without the headers of the response


class Page(Generic[RowT]):
    """One page of a read.

    Attributes:
        items: the rows, without those that an earlier page of the read contained.
        indices: the index of each of these rows within the response, from 0.
        count: total number of matching rows, as reported by the server, or None.
        number: index of the page in this read, from 0.
        checkpoint: where to resume after this page.
        meta: status, attempts and size of the response.
        document: the response, if its rows are exactly those of ``items``, or None.
    """

    __slots__ = ("_raw", "checkpoint", "count", "document", "indices", "items", "meta", "number")

    def __init__(
        self,
        items: list[RowT],
        *,
        indices: Sequence[int] | None = None,
        count: int | None,
        number: int,
        checkpoint: Checkpoint,
        meta: PageMeta,
        raw: Callable[[], list[msgspec.Raw]],
        document: RawPage | None = None,
    ) -> None:
        self.items: list[RowT] = items
        self.indices: Sequence[int] = range(len(items)) if indices is None else indices
        self.count: int | None = count
        self.number: int = number
        self.checkpoint: Checkpoint = checkpoint
        self.meta: PageMeta = meta
        self.document: RawPage | None = document
        self._raw = raw

    def raw_items(self) -> list[msgspec.Raw]:
        """Return the rows of ``items`` as JSON, with every field that the server sent."""
        return self._raw()

    def __len__(self) -> int:
        return len(self.items)

    def _repr_html_(self) -> str:
        of = "" if self.count is None else f" of {self.count:,}"
        return rows_html(f"Page {self.number}: {len(self.items):,} rows{of}", self.items)

    def __repr__(self) -> str:
        return f"<Page {self.number}: {len(self.items)} rows of {self.count}>"
