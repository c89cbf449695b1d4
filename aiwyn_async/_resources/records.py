"""Write records in batches of at most 100, with an outcome for each in order.

Source: https://api.doc.aiwyn.ai/bundle/records/createorupdaterecords.md, updaterecords.md (Records).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, Self

import msgspec

from aiwyn_async._core.checks import check_flag, check_positive, check_several
from aiwyn_async._http.messages import Request, RetryClass, encode_json
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.iteration import Iteration
from aiwyn_async._pagination.prefetch import Prefetcher
from aiwyn_async._resources.arguments import check_exact, iterate
from aiwyn_async._resources.record_outcomes import (
    MISMATCHES,
    Batch,
    interrupted,
    parse_outcomes,
    same_outcome,
)
from aiwyn_async.errors import (
    AuthenticationError,
    ConfigurationError,
    PartialWriteError,
    PermissionDeniedError,
    RequestError,
)
from aiwyn_async.models.records import Record, RecordOutcome, WriteReport

MAX_BATCH: Final = 100
"""Maximum records per request, as documented."""
BATCHES_IN_FLIGHT: Final = 4


class StrictRecord(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record from outside: a misspelt ``systemRef`` that is ignored would create a second record."""


RecordInput = Record | Mapping[str, Any]
Records_ = Iterable[RecordInput] | AsyncIterable[RecordInput]


class Records:
    """``aiwyn.records``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def upsert(
        self, records: Records_, *, batch_size: int = MAX_BATCH, raise_on_partial: bool = False
    ) -> RecordWrite:
        """Create records, or update those that the server matches by type and systemRef.

        ``async for`` yields a ``RecordOutcome`` per record, in order; ``await`` returns a ``WriteReport`` of
        all. A record that fails raises nothing and does not stop the others.

        Args:
            records: ``Record`` objects or dicts with type, systemRef and attributes, in an iterable of any
                length or an async iterable, which is read as needed.
            batch_size: records per request, 1 to 100.
            raise_on_partial: raise ``PartialWriteError`` at the end if a record failed or is ambiguous.

        Raises:
            ConfigurationError: a record is malformed. If ``records`` is a sequence, nothing was sent;
                otherwise the records before it were sent, and their outcomes yielded.
            AuthenticationError, PermissionDeniedError: the credentials are refused; raised after the
                outcomes of the batches in flight.
        """
        return RecordWrite(self._session, "POST", records, batch_size, raise_on_partial=raise_on_partial)

    def update(
        self, records: Records_, *, batch_size: int = MAX_BATCH, raise_on_partial: bool = False
    ) -> RecordWrite:
        """Update existing records; otherwise like ``upsert()``.

        A missing record fails with RECORD_NOT_FOUND. A record without systemRef, which the documentation
        requires, is refused before it is sent.
        """
        return RecordWrite(self._session, "PUT", records, batch_size, raise_on_partial=raise_on_partial)


class RecordWrite:
    """A write that has not started; usable once, so that nothing is written twice.

    Attributes:
        report: the outcomes so far. If the write ends early, records in flight are ambiguous in it as soon as
            the iteration is closed; ``contextlib.aclosing()`` waits for that.
    """

    def __init__(
        self,
        session: Session,
        method: Literal["POST", "PUT"],
        records: Records_,
        batch_size: int,
        *,
        raise_on_partial: bool,
    ) -> None:
        batch_size = check_positive("batch_size", batch_size, MAX_BATCH)
        raise_on_partial = check_flag("raise_on_partial", raise_on_partial)
        check_several("records", records, "a collection of records", "pass a single record in a list")
        self.report: WriteReport = WriteReport()
        self._session = session
        self._method = method
        self._batch_size = batch_size
        self._raise_on_partial = raise_on_partial
        self._begun = False
        self._refused: RequestError | None = None
        self._records: Records_ = records
        if isinstance(records, Sequence):
            self._records = [self._checked(record, index) for index, record in enumerate(records)]

    def __copy__(self) -> Self:
        return self  # a second object would write the records a second time

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __await__(self) -> Generator[Any, None, WriteReport]:
        """Write all records and return the report."""
        return self._write_all().__await__()

    if not TYPE_CHECKING:  # with NoReturn, list() of it would pass

        def __iter__(self) -> NoReturn:
            raise TypeError("a RecordWrite is read asynchronously; use 'async for outcome in write'")

    def __aiter__(self) -> Iteration[RecordOutcome]:
        """Write, and yield the outcome of each record in order.

        A cancelled step can be repeated.
        """
        return Iteration(self._chunks())

    async def _chunks(self) -> AsyncGenerator[list[RecordOutcome], None]:
        if self._begun:
            raise ConfigurationError(
                "this write was already started; create another one with the remaining records"
            )
        self._begun = True
        window: Prefetcher[Batch, list[RecordOutcome]] = Prefetcher(self._send, BATCHES_IN_FLIGHT)
        in_flight: list[Batch] = []
        broken: Exception | None = None
        try:
            async for batch in self._batches():
                if isinstance(batch, Exception):
                    broken = batch
                    break
                # The same record in two concurrent batches could be applied in either order.
                while window.is_full or any(batch.keys & other.keys for other in in_flight):
                    yield await self._taken(window, in_flight)
                if self._refused is not None:
                    break
                window.begin(batch)
                in_flight.append(batch)
            while len(window):
                yield await self._taken(window, in_flight)
        finally:
            try:
                await window.aclose()
            finally:
                for batch in in_flight:
                    self._count(batch.outcomes or interrupted(batch))
        if (error := self._refused or broken) is not None:
            raise error
        if self._raise_on_partial and not self.report.ok:
            raise PartialWriteError(f"not every record was written: {self.report}", report=self.report)

    async def _write_all(self) -> WriteReport:
        async with aclosing(self._chunks()) as chunks:
            async for _ in chunks:
                pass
        return self.report

    async def _taken(
        self, window: Prefetcher[Batch, list[RecordOutcome]], in_flight: list[Batch]
    ) -> list[RecordOutcome]:
        _, outcomes = await window.next_in_order()
        del in_flight[0]
        self._count(outcomes)
        return outcomes

    def _count(self, outcomes: list[RecordOutcome]) -> None:
        self.report.batches += 1
        for outcome in outcomes:
            self.report.add(outcome)

    async def _batches(self) -> AsyncGenerator[Batch | Exception, None]:
        """Yield batches in which no record occurs twice.

        A malformed record, or an error of the iterable itself, ends them and comes last: what was read before
        it is written.
        """
        batch = Batch(0, [], set())
        index = 0
        broken: Exception | None = None
        records = iterate(self._records)
        while True:
            try:
                record = self._checked(await anext(records), index)
            except StopAsyncIteration:
                break
            except Exception as error:  # noqa: BLE001 (raised again once the records before it are written)
                broken = error
                break
            key = encode_json([record.type, record.system_ref], in_order=True)
            known = record.system_ref is not None
            if len(batch.records) == self._batch_size or (known and key in batch.keys):
                yield batch
                batch = Batch(index, [], set())
            batch.records.append(record)
            if known:
                batch.keys.add(key)
            index += 1
        if batch.records:
            yield batch
        if broken is not None:
            yield broken

    def _checked(self, record_input: RecordInput, index: int) -> Record:
        if not isinstance(record_input, (Record, Mapping)):  # pyright: ignore[reportUnnecessaryIsInstance]
            kind = type(record_input).__name__
            raise ConfigurationError(f"record {index} is malformed: expected a Record or a dict, got {kind}")
        try:
            record = (
                record_input
                if isinstance(record_input, Record)
                else msgspec.convert(record_input, StrictRecord)
            )
            values = [record.system_ref, record.attributes]
            check_exact(msgspec.to_builtins(values, builtin_types=(Decimal, datetime, time)))
            encode_json(record)
        except RecursionError:
            raise ConfigurationError(f"record {index} is malformed: nested too deeply") from None
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
            raise ConfigurationError(f"record {index} is malformed: {error}") from None
        if not record.type:
            raise ConfigurationError(f"record {index} has an empty type")
        if self._method == "PUT" and record.system_ref is None:
            raise ConfigurationError(f"record {index} has no systemRef, which an update matches records by")
        return record

    async def _send(self, batch: Batch) -> list[RecordOutcome]:
        batch.outcomes = await self._outcomes_of(batch)
        return batch.outcomes

    async def _outcomes_of(self, batch: Batch) -> list[RecordOutcome]:
        request = Request(
            method=self._method,
            path=f"{self._session.config.api_prefix}/records",
            body=encode_json({"records": batch.records}),
            retry_class=RetryClass.WRITE,
        )
        try:
            response = await self._session.call(request)
        except RequestError as error:
            if isinstance(error, (AuthenticationError, PermissionDeniedError)):
                self._refused = self._refused or error
            return same_outcome(batch, error)
        outcomes = parse_outcomes(batch, response.body, self._session.mask_text)
        if any(outcome.code in MISMATCHES for outcome in outcomes):
            # It may belong to another request, and the next response on that connection to this one.
            self._session.transport.retire_connections()
        return outcomes
