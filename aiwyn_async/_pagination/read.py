"""Iteration, ``collect()`` and ``first()``, which all reads share."""

from __future__ import annotations

import asyncio
import copy
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Iterable
from contextlib import aclosing
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar, cast

import msgspec

from aiwyn_async._core.checks import shown
from aiwyn_async._core.reports import ReadReport
from aiwyn_async._core.threads import running_loop
from aiwyn_async._decoding.checked_types import bare_type, key_only
from aiwyn_async._decoding.pages import BadRow, OnBadRow
from aiwyn_async._decoding.plain_types import find_custom_type
from aiwyn_async._decoding.row_decoder import RowDecoder
from aiwyn_async._html import changed_fields, fields_html
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.iteration import Iteration
from aiwyn_async._pagination.page import Checkpoint, Page
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read_options import ReadOptions, as_checkpoint
from aiwyn_async.arrow._rows import RowCounts
from aiwyn_async.arrow._stream import ArrowReadable, running_loop_or_none
from aiwyn_async.errors import AiwynError, ConfigurationError, DecodeError, RequestError

ResultT = TypeVar("ResultT")
RowT = TypeVar("RowT")
ReportT = TypeVar("ReportT", bound=ReadReport)


class Read(ArrowReadable, ABC, Generic[RowT]):
    """A read that sends nothing before it is iterated: a ``Pager``, a ``Pull`` or ``Changes``.

    ``async for`` yields rows, ``pages()`` pages. Each use starts from the beginning (or from the checkpoint
    passed as ``resume``); the attributes describe the latest use.

    Attributes:
        query: the request that is paged.
        row_type: a Struct, ``dict`` or ``msgspec.Raw``.
        page_type: the type that pages decode rows as; the row type, unless the read is ``undecoded()``.
        options: the checked options.
        loop: the event loop that ran when the read was created, or None.
        may_block: an Arrow reader may block a thread that runs another event loop; off by default.
        error: the error that ended the latest use, or None. A consumer that only passes rows on, such as an
            Arrow reader, may replace it with its own.
    """

    def __init__(
        self, session: Session, query: Query, row_type: type[RowT], options: ReadOptions | None = None
    ) -> None:
        row_type = bare_type(row_type)
        check_decodable(row_type)
        self.query = query
        self.row_type = row_type
        self.options: ReadOptions = ReadOptions() if options is None else options
        self._checkpoint: Checkpoint | None = None
        self.error: AiwynError | None = None
        self._session = session
        self.page_type: Any = row_type
        self.loop: asyncio.AbstractEventLoop | None = running_loop_or_none()
        self.may_block: bool = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.query.path} of {type_name(self.row_type)}: {self.report}>"

    def _repr_html_(self) -> str:
        title = f"{type(self).__name__} {self.query.path} of {type_name(self.row_type)}"
        problems = {"problems": self.report.problems()} if self.checkpoint is not None else {}
        return fields_html(title, changed_fields(self.report) | problems)

    @property
    @abstractmethod
    def report(self) -> ReadReport:
        """What the latest use did, and whether it is complete."""

    @property
    @abstractmethod
    def bad_rows(self) -> list[BadRow]:
        """Rows that do not decode, if they are collected."""

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Where to resume after the rows yielded so far; None before the first use."""
        return self._checkpoint

    def mask(self, error: RequestError) -> RequestError:
        """Mask credentials in an error found in a row; drop its frames, whose locals hold the row."""
        return self._session.mask(error)

    def check_usable(self) -> None:
        """Raise ``ClientClosedError`` or ``LoopMismatchError`` if a request now would."""
        self._session.transport.check_usable(running_loop())

    async def masking(self, work: Awaitable[ResultT]) -> ResultT:
        """Await work on rows of this read; mask credentials that a row repeats in an error of it.

        Raises:
            DecodeError: without the frames of the work, whose locals hold the row.
        """
        try:
            return await work
        except DecodeError as error:
            refused = self.mask(error)
        raise refused

    @property
    def server(self) -> str:
        """The base_url of the server."""
        return self._session.config.base_url

    @property
    def strict(self) -> bool:
        """Whether an incomplete read raises at its end."""
        return self.options.strict

    @property
    def on_bad_row(self) -> OnBadRow:
        """What happens to rows that do not decode."""
        return self.options.on_bad_row

    @property
    def is_resumed(self) -> bool:
        """Whether the read starts from a checkpoint."""
        return self.options.resume is not None

    def __deepcopy__(self, _memo: object) -> Self:
        return copy.copy(self)  # its client, and the reports of its latest use, are shared

    def __aiter__(self) -> Iteration[RowT]:
        """Iterate over all rows, fetching pages as needed; a cancelled step can be repeated."""
        return Iteration(self._chunks())

    if not TYPE_CHECKING:  # with NoReturn, list() of it would pass

        def __iter__(self) -> NoReturn:
            kind = type(self).__name__
            raise TypeError(f"a {kind} is read asynchronously; use 'async for row in {kind.lower()}'")

    def pages(self) -> Iteration[Page[RowT]]:
        """Iterate over the pages. The ``checkpoint`` of a page resumes after it.

        Raises:
            IncompleteError: rows are missing, or ``strict`` is set and the read is not proven complete.
            PaginationError: the server does not page as requested.
            RequestError: a request failed; ``checkpoint`` is where to resume.
        """
        return Iteration(self._page_chunks())

    def undecoded(self) -> Self:
        """Return a copy whose pages decode only keys, for a consumer of ``document`` or ``raw_items()``.

        Its checkpoints are those of this read.
        """
        read = copy.copy(self)
        read.page_type = key_only(self.query.key) if self.query.key else msgspec.Raw
        return read

    def record(self, counts: RowCounts, bad_rows: list[BadRow]) -> None:
        """Add the counts of a consumer of undecoded pages."""
        counts.add_to(self.report)
        self.bad_rows.extend(bad_rows)

    def follow(self, use: Any) -> None:
        """Show the state of a copy as that of the latest use."""
        self._checkpoint, self.error = use.checkpoint, use.error

    async def collect(self) -> list[RowT]:
        """Return all rows in a list. Memory grows with them: about 1 KB per invoice."""
        rows: list[RowT] = []
        async with aclosing(self._chunks()) as chunks:
            async for chunk in chunks:
                rows += chunk
        return rows

    async def first(self) -> RowT | None:
        """Return the first row, or None if there is none."""
        read = self._with(page_size=1, ranges=1, ordered=True)
        async with aclosing(read.pages()) as pages:
            async for page in pages:
                if page.items:
                    row: RowT = page.items[0]
                    return row
        return None

    @abstractmethod
    async def count(self) -> int:
        """Return the server's count, or the number of keys without one."""

    def resume_from(self, checkpoint: Checkpoint | str | bytes) -> Self:
        """Return the same read from a checkpoint on.

        Raises:
            CheckpointError: the checkpoint belongs to another query or row type.
        """
        read: Self = self._with(resume=as_checkpoint(checkpoint))
        return read

    def _end_with(self, error: AiwynError | None) -> None:
        self.error = error  # set here alone: a subclass would need to declare its type again

    @abstractmethod
    def _page_chunks(self) -> AsyncGenerator[tuple[Page[RowT]], None]:
        """Yield each page alone, as ``Iteration`` expects chunks."""

    @abstractmethod
    def _chunks(self) -> AsyncGenerator[Iterable[RowT], None]:
        """Yield the rows, a chunk at a time."""

    def _with(self, row_type: Any = None, **changes: Any) -> Any:
        """Return the same read with other options or another row type."""
        options = msgspec.structs.replace(self.options, **changes)
        return type(self)(self._session, self.query, self.row_type if row_type is None else row_type, options)


class ReportedRead(Read[RowT], Generic[RowT, ReportT]):
    """A read with a report and bad rows of its own; ``Changes`` shows those of its parts."""

    _report: ReportT
    _bad_rows: list[BadRow]

    @property
    def report(self) -> ReportT:
        """What the latest use did, and whether it is complete."""
        return self._report

    @property
    def bad_rows(self) -> list[BadRow]:
        """Rows that do not decode, if they are collected."""
        return self._bad_rows

    def adopt(self, report: ReportT, bad_rows: list[BadRow]) -> None:
        """Show the report of a consumer that reads these rows with another type."""
        self._report, self._bad_rows = report, bad_rows

    def follow(self, use: Any) -> None:
        """Show the state of a copy as that of the latest use."""
        super().follow(use)
        self.adopt(use.report, use.bad_rows)


def check_decodable(row_type: object) -> None:
    """Refuse a type that no row can be decoded as.

    Raises:
        ConfigurationError: names the type and the reason.
    """
    try:
        _decoder_of(cast("Any", row_type))
    except (TypeError, NameError, ValueError) as error:
        raise ConfigurationError(f"rows cannot be decoded as {type_name(row_type)}: {error}") from None


# Creating a decoder reads the annotations of its type, which takes longer than all else before a request.
@lru_cache(maxsize=256)
def _decoder_of(row_type: Any) -> None:
    msgspec.json.Decoder(row_type)
    RowDecoder(row_type)  # rejects annotations that cannot be hashed
    if (custom := find_custom_type(row_type)) is not None:
        raise TypeError(
            f"no JSON decodes to {type_name(custom)}; use a msgspec.Struct, a dataclass or a TypedDict, "
            "or convert rows of decode_as(dict)"
        )


def type_name(row_type: object) -> str:
    """Return the name of a type for an error message."""
    name: object = getattr(row_type, "__name__", None)
    return name if isinstance(name, str) and name else shown(row_type)
