"""The state of one use of a ``Changes``, whether the rows that must have arrived did, and what is next."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

import msgspec

from aiwyn_async._changes.bounds import Bounds, Span
from aiwyn_async._changes.lookup import first_row, key_and_timestamp
from aiwyn_async._changes.reconcile import plain_key
from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._core.reports import ListReport, combine_fields
from aiwyn_async._decoding.row_decoder import key_decoder, row_decoder
from aiwyn_async._decoding.values import DECODING_ERRORS
from aiwyn_async._pagination.page import Checkpoint, Page
from aiwyn_async._pagination.pager import Pager
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async._pagination.reader import key_getter
from aiwyn_async._pagination.timestamps import instant_of
from aiwyn_async._pull.pull import Pull
from aiwyn_async.models.base import Id

RowT = TypeVar("RowT")


class ChangesIteration(Generic[RowT]):
    """One use of a ``Changes``: its reads, its progress and its problems."""

    def __init__(self, span: Span | None, *, leaves_bad_rows: bool) -> None:
        self.leaves_bad_rows = leaves_bad_rows
        self.reads: list[Pull[RowT] | Pager[RowT]] = []
        self.span = span
        self.checkpoint: Checkpoint | None = None
        self.has_ended = False
        self.problems: list[str] = [] if span is None else list(span.unproven)
        """Why the read is not proven complete, beyond what the reports say."""
        self.started = time.perf_counter()

    @property
    def report(self) -> PullReport | ListReport:
        """A ``PullReport`` if all rows were read, else one ``ListReport``."""
        reports = [read.report for read in self.reads]
        pulls = [report for report in reports if isinstance(report, PullReport)]
        lists = [report for report in reports if isinstance(report, ListReport)]
        return pulls[-1] if pulls else _sum_of(lists) if lists else PullReport()

    def blocking_problems(self) -> list[str]:
        """Return why the read is not proven complete; then the bookmark must not move."""
        if not self.has_ended:
            return ["the read did not reach its end"]
        return self.problems_so_far()

    def problems_so_far(self) -> list[str]:
        """Return why the parts that were read are not proven complete."""
        return [problem for read in self.reads for problem in self._problems_of(read)] + self.problems

    @property
    def bad_rows(self) -> int:
        """Rows that do not decode, or have no key to merge them by, if such are left out."""
        reports = [read.report for read in self.reads]
        without_key = sum(report.rows_without_key for report in reports if isinstance(report, PullReport))
        return sum(report.bad_rows for report in reports) + (without_key if self.leaves_bad_rows else 0)

    def _problems_of(self, read: Pull[RowT] | Pager[RowT]) -> list[str]:
        """Return why a read is not proven complete, apart from rows left out on purpose."""
        report = read.report
        if isinstance(report, ListReport) and report.missing == 0 and report.total_count is not None:
            # Rows that changed during the read have left the span.
            report = msgspec.structs.replace(report, total_count_at_start=report.total_count)
        return report.blocking_problems(allow_rows_without_key=self.leaves_bad_rows)


def _sum_of(reports: Sequence[ListReport]) -> ListReport:
    """Return one report of lists over parts of the rows."""
    changes = combine_fields(
        reports,
        *("rows_received", "rows_yielded", "short_pages", "unused_rows"),
        *("total_count", "total_count_at_start"),
    )
    return msgspec.structs.replace(reports[-1], **changes, keyset_only=False)


class Checks:
    """Checks the parts of one read of changes; problems are added to its ``ChangesIteration``."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._session = bounds.session
        self._query = bounds.query

    def without_received(self, span: Span, page: Page[Any], page_type: Any) -> Span:
        """Clear the awaited rows that are on this page and as new as they must be."""
        awaited = {"newest": (span.newest, span.until), "witness": (span.witness, span.before)}
        keys = {plain_key(key) for key, _ in awaited.values() if key is not None}
        if not keys:
            return span
        received: dict[str, None] = {}
        for index, key in enumerate(self._keys_of(page, page_type)):
            if key is None or plain_key(key) not in keys:
                continue
            at = self._instant_of(page.raw_items()[index])
            for name, (awaited_key, minimum) in awaited.items():
                is_it = awaited_key is not None and plain_key(awaited_key) == plain_key(key)
                # An older one is of a replica that lags behind, or of a server that was set back.
                if is_it and minimum is not None and at is not None and at >= instant_of(minimum):
                    received[name] = None
        return msgspec.structs.replace(span, **received) if received else span

    def _keys_of(self, page: Page[Any], page_type: Any) -> Iterable[Id | None]:
        key_of = key_getter(page_type, self._query.key)
        if key_of is not None:
            return map(key_of, page.items)
        return map(key_decoder(self._query.key), map(bytes, page.raw_items()))

    def _instant_of(self, raw: msgspec.Raw) -> datetime | None:
        try:
            timestamp = row_decoder(
                cast("Any", key_and_timestamp(self._query.key, self._query.modified_at_field))
            )(bytes(raw)).row.timestamp
            return None if timestamp is None else instant_of(timestamp)
        except (*DECODING_ERRORS, ValueError, TypeError):
            return None

    async def next_span(self, use: ChangesIteration[Any], span: Span) -> Span | None:
        """Check the part that was read; return the next one, or None at the end."""
        read = use.reads[-1]
        if isinstance(read, Pager):
            await self._check_count(use, read)
            if not span.nulls:
                unproven = tuple(use.problems_so_far())
                return msgspec.structs.replace(span, nulls=True, inner=None, unproven=unproven)
        await self._check_newest(use, span)
        if span.start is None or span.witness is None or span.before is None:
            return None
        row = await self._bounds.row(span.witness)
        if row.at is not None and instant_of(row.at) >= instant_of(span.before):
            await self._check_witness(use, span, row.at)
            return None
        note = (
            f"row {span.witness}, dated {span.before} at the last read, is gone, or its date is earlier or "
            f"not valid: {self._query.path} may have been restored, so all rows were read again"
        )
        return msgspec.structs.replace(
            span, start=None, nulls=False, inner=None, witness=None, notes=(*span.notes, note)
        )

    async def _check_count(self, use: ChangesIteration[Any], read: Pager[Any]) -> None:
        """Ask for the count again if it shrank: rows may have left the span or be missing."""
        report = read.report
        if report.missing or (report.total_count_at_start or 0) <= report.rows_yielded:
            return
        newest = await first_row(self._session, read.query)
        if newest.total is not None and newest.total > report.rows_yielded:
            use.problems.append(
                f"the server counts {newest.total} changed rows and {report.rows_yielded} were received"
            )

    async def _check_newest(self, use: ChangesIteration[Any], span: Span) -> None:
        """Check that the newest row was received, unless it was changed or deleted since, or left out."""
        if span.newest is None or span.until is None:
            return
        row = await self._bounds.row(span.newest)
        if row.at is None or instant_of(row.at) > instant_of(span.until):
            return
        if use.leaves_bad_rows and not await self._decodes(span.newest, use.reads[-1].page_type):
            return
        use.problems.append(
            f"row {span.newest}, the newest at the start (dated {span.until}), was not received: "
            f"{self._query.path} does not compare {self._query.modified_at_field} as it orders by it, "
            "or was set back"
        )

    async def _check_witness(self, use: ChangesIteration[Any], span: Span, at: str) -> None:
        """Check that the row dated at the bookmark was received, unless it changed since, or was left out."""
        if span.witness is None or span.until is None or instant_of(at) > instant_of(span.until):
            return
        if self._query.fields.get("where"):
            query = self._bounds.query_of({self._query.key: {"_eq": span.witness}})
            if (await first_row(self._session, query)).at is None:
                return  # it no longer meets the condition
        if use.leaves_bad_rows and not await self._decodes(span.witness, use.reads[-1].page_type):
            return
        use.problems.append(
            f"row {span.witness}, the newest at the last read (dated {at} now), was not received, "
            "so earlier changes may be missing"
        )

    async def _decodes(self, key: Id, row_type: Any) -> bool:
        options = ReadOptions(limit=1, on_bad_row="skip")
        return bool(await Pager(self._session, self._bounds.query_of_row(key), row_type, options).collect())
