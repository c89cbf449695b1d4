"""Write any number of records in batches of at most 100, with an outcome for each, in input order.

Source: https://api.doc.aiwyn.ai/bundle/records/createorupdaterecords.md, updaterecords.md (Records).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, Literal, NoReturn

import msgspec

from aiwyn_async._http.messages import Request, RetryClass, encode_json
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.iteration import Iteration
from aiwyn_async._pagination.prefetch import Prefetcher
from aiwyn_async._pagination.read import check_integer
from aiwyn_async._resources.arguments import each
from aiwyn_async.errors import (
    AuthenticationError,
    ConfigurationError,
    PartialWriteError,
    PermissionDeniedError,
    RequestError,
    StatusError,
)
from aiwyn_async.models.base import Id
from aiwyn_async.models.records import Record, RecordOutcome, WriteReport

__all__ = ["RecordWrite", "Records"]

MAX_BATCH: Final = 100
"""Maximum records per request, as documented."""
BATCHES_IN_FLIGHT: Final = 4
MISMATCHES: Final = {"UNREADABLE_ANSWER", "RESULTS_DO_NOT_MATCH"}
"""Codes of outcomes whose response does not match the records that were sent."""

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

        ``async for`` over it gives a ``RecordOutcome`` for each record, in order; ``await`` gives a
        ``WriteReport`` of all. A record that fails does not hold up the others and raises nothing.

        Args:
            records: ``Record`` objects or dicts with type, systemRef and attributes; any length, also an
                async iterable, read as it is needed.
            batch_size: records a request, 1 to 100.
            raise_on_partial: raise ``PartialWriteError`` at the end when a record failed or is ambiguous.

        Raises:
            ConfigurationError: a record is malformed. When ``records`` is a sequence nothing was sent; of
                other iterables those before it were written, and their outcomes given.
            AuthenticationError, PermissionDeniedError: the credentials are refused.
        """
        return RecordWrite(self._session, "POST", records, batch_size, raise_on_partial=raise_on_partial)

    def update(
        self, records: Records_, *, batch_size: int = MAX_BATCH, raise_on_partial: bool = False
    ) -> RecordWrite:
        """Update existing records; a missing one fails with RECORD_NOT_FOUND. Otherwise like ``upsert()``.

        A record without systemRef is refused before it is sent: the documentation demands one here.
        """
        return RecordWrite(self._session, "PUT", records, batch_size, raise_on_partial=raise_on_partial)


class _Batch(msgspec.Struct):
    start: int
    records: list[Record]
    keys: set[bytes]


class RecordWrite:
    """A write that has not started. It can be used once, so that nothing is written twice."""

    def __init__(
        self,
        session: Session,
        method: Literal["POST", "PUT"],
        records: Records_,
        batch_size: int,
        *,
        raise_on_partial: bool,
    ) -> None:
        batch_size = check_integer("batch_size", batch_size, 1, MAX_BATCH)
        if isinstance(records, (str, bytes, Mapping)):
            raise ConfigurationError("records must be an iterable of records; put a single one in a list")
        self.report = WriteReport()
        self._session = session
        self._method = method
        self._batch_size = batch_size
        self._raise_on_partial = raise_on_partial
        self._begun = False
        self._records: Records_ = records
        if isinstance(records, Sequence):
            self._records = [self._checked(record, index) for index, record in enumerate(records)]

    def __await__(self) -> Generator[Any, None, WriteReport]:
        """Write all records and return the report."""
        return self._write_all().__await__()

    def __iter__(self) -> NoReturn:
        raise TypeError("a RecordWrite is read asynchronously; use 'async for outcome in write'")

    def __aiter__(self) -> Iteration[RecordOutcome]:
        """Write, and yield the outcome of each record in order; a cancelled step can be repeated."""
        return Iteration(self._chunks())

    async def _chunks(self) -> AsyncGenerator[list[RecordOutcome], None]:
        if self._begun:
            raise ConfigurationError(
                "this write was begun already; build another with the records still to write"
            )
        self._begun = True
        window: Prefetcher[_Batch, list[RecordOutcome]] = Prefetcher(self._send, BATCHES_IN_FLIGHT)
        in_flight: list[_Batch] = []
        broken: Exception | None = None
        try:
            async for batch in self._batches():
                if isinstance(batch, Exception):
                    broken = batch
                    break
                # The same record in two concurrent batches could be applied in either order.
                while window.is_full or any(batch.keys & other.keys for other in in_flight):
                    del in_flight[0]
                    yield await self._taken(window)
                window.begin(batch)
                in_flight.append(batch)
            while len(window):
                yield await self._taken(window)
        finally:
            await window.aclose()
        if broken is not None:
            raise broken
        if self._raise_on_partial and not self.report.ok:
            raise PartialWriteError(f"not every record was written: {self.report}", report=self.report)

    async def _write_all(self) -> WriteReport:
        async with aclosing(self._chunks()) as chunks:
            async for _ in chunks:
                pass
        return self.report

    async def _taken(self, window: Prefetcher[_Batch, list[RecordOutcome]]) -> list[RecordOutcome]:
        _, outcomes = await window.next_in_order()
        self.report.batches += 1
        for outcome in outcomes:
            self.report.add(outcome)
        return outcomes

    async def _batches(self) -> AsyncGenerator[_Batch | Exception, None]:
        """Yield batches in which no record occurs twice.

        A malformed record, or an error of the iterable itself, ends them and comes last: what was read before
        it is written.
        """
        batch = _Batch(0, [], set())
        index = 0
        broken: Exception | None = None
        records = each(self._records)
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
                batch = _Batch(index, [], set())
            batch.records.append(record)
            if known:
                batch.keys.add(key)
            index += 1
        if batch.records:
            yield batch
        if broken is not None:
            yield broken

    def _checked(self, given: RecordInput, index: int) -> Record:
        try:
            record = given if isinstance(given, Record) else msgspec.convert(given, Record)
            encode_json(record)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as misfit:
            raise ConfigurationError(f"record {index} is malformed: {misfit}") from None
        if not record.type:
            raise ConfigurationError(f"record {index} has an empty type")
        if self._method == "PUT" and record.system_ref is None:
            raise ConfigurationError(f"record {index} has no systemRef, which an update matches records by")
        return record

    async def _send(self, batch: _Batch) -> list[RecordOutcome]:
        request = Request(
            method=self._method,
            path=f"{self._session.config.api_prefix}/records",
            body=encode_json({"records": batch.records}),
            retry_class=RetryClass.WRITE,
        )
        try:
            response = await self._session.call(request)
        except (AuthenticationError, PermissionDeniedError):
            raise
        except RequestError as error:
            return _all_alike(batch, error)
        outcomes = _outcomes(batch, response.body)
        if any(outcome.code in MISMATCHES for outcome in outcomes):
            # It may belong to another request, and the next response on that connection to this one.
            self._session.distrust_connections()
        return outcomes


def _all_alike(batch: _Batch, error: RequestError) -> list[RecordOutcome]:
    status = "ambiguous" if error.ambiguous else "failed"
    code = f"HTTP_{error.status}" if isinstance(error, StatusError) else type(error).__name__
    return [
        RecordOutcome(index=batch.start + place, status=status, code=code, message=str(error))
        for place in range(len(batch.records))
    ]


class _Error(msgspec.Struct):
    code: str | int | None = None
    message: str | None = None


class _Result(msgspec.Struct):
    status: str | None = None
    id: Id | None = None
    error: _Error | str | None = None
    system_ref: Any = msgspec.field(name="systemRef", default=msgspec.UNSET)


class _Data(msgspec.Struct):
    records: list[_Result] | None = None


class _Answer(msgspec.Struct):
    data: _Data | None = None
    error: _Error | str | None = None


_answer: Final = msgspec.json.Decoder(_Answer, strict=False)


def _outcomes(batch: _Batch, body: bytes) -> list[RecordOutcome]:
    """Return one outcome per record; all are ambiguous if the response does not show each."""
    try:
        answer = _answer.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _unclear(batch, "UNREADABLE_ANSWER", "the answer does not tell what became of the records")
    results = answer.data.records if answer.data is not None else None
    if results is None and answer.error is not None:
        code, message = _told(answer.error)
        return _unclear(batch, code or "ERROR", message or "the answer tells of an error")
    if results is not None and not _shows_known_references(batch, results):
        return _unclear(
            batch,
            "RESULTS_DO_NOT_MATCH",
            "the response shows references of records that were not sent; it belongs to another request",
        )
    if results is None or len(results) != len(batch.records):
        return _unclear(
            batch,
            "RESULTS_DO_NOT_MATCH",
            f"the answer tells of {len(results or [])} results for {len(batch.records)} records",
        )
    in_order = _in_order_of(batch, results)
    if in_order is None:
        return _unclear(
            batch,
            "RESULTS_DO_NOT_MATCH",
            "the references in the response are not in the order of the records",
        )
    return [_outcome(batch.start + place, result) for place, result in enumerate(in_order)]


def _shows_known_references(batch: _Batch, results: Sequence[_Result]) -> bool:
    """Return whether every reference in a response was sent."""
    shown = [result for result in results if _shows_reference(result)]
    if not shown or any(record.system_ref is None for record in batch.records):
        return True  # to a record without a reference the server may assign one
    sent = {_reference(record.system_ref) for record in batch.records}
    return all(_reference(result.system_ref) in sent for result in shown)


def _in_order_of(batch: _Batch, results: Sequence[_Result]) -> Sequence[_Result] | None:
    """Return the results in the order of the records, by the references if all of them show one.

    None if a reference is out of order and the others do not identify the results.
    """
    sent = [_reference(record.system_ref) for record in batch.records]
    shown = [_reference(result.system_ref) if _shows_reference(result) else None for result in results]
    if all(
        found is None or found == expected or record.system_ref is None
        for record, expected, found in zip(batch.records, sent, shown, strict=True)
    ):
        return results
    by_reference = dict(zip(shown, results, strict=True))
    return [by_reference[reference] for reference in sent] if by_reference.keys() == set(sent) else None


def _shows_reference(result: _Result) -> bool:
    return result.system_ref is not msgspec.UNSET and result.system_ref is not None


def _reference(system_ref: object) -> bytes:
    """Return the same bytes for references that are equal as JSON: 1.0 is 1, and keys have no order."""
    return encode_json(_plain_numbers.decode(encode_json(system_ref)), in_order=True)


def _plain_number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


_plain_numbers: Final = msgspec.json.Decoder(float_hook=_plain_number)


def _outcome(index: int, result: _Result) -> RecordOutcome:
    code, message = _told(result.error)
    failed = result.error is not None or (result.status or "").upper() in {"FAILED", "ERROR"}
    if result.status is None and not failed:
        return RecordOutcome(
            index=index, status="ambiguous", code="NO_STATUS", message="the answer tells no status"
        )
    status = "failed" if failed else str(result.status).lower()
    return RecordOutcome(index=index, status=status, id=result.id, code=code, message=message)


def _told(error: _Error | str | None) -> tuple[str | None, str | None]:
    if isinstance(error, _Error):
        return None if error.code is None else str(error.code), error.message
    return None, error


def _unclear(batch: _Batch, code: str, message: str) -> list[RecordOutcome]:
    return [
        RecordOutcome(index=batch.start + place, status="ambiguous", code=code, message=message)
        for place in range(len(batch.records))
    ]
