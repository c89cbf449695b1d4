"""What a page means for a read: new rows, report, checkpoint. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec

from aiwyn_async._core.reports import ListReport
from aiwyn_async._http.messages import Response
from aiwyn_async._pagination.confirm import Evidence
from aiwyn_async._pagination.in_blocks import PageInBlocks
from aiwyn_async._pagination.page import Checkpoint, Page, Position
from aiwyn_async._pagination.query import RESUME_STATE, Query, ResumeState
from aiwyn_async._pagination.reader import DecodedPage, PageReader
from aiwyn_async._pagination.seen_keys import KeySet
from aiwyn_async._pagination.strategy import (
    PageDecision,
    PageResult,
    Pagination,
    no_order_values,
)
from aiwyn_async.errors import PaginationError
from aiwyn_async.models.base import Id

RowT = TypeVar("RowT")

MAX_KEYLESS_ROWS: Final = 10_000
"""Rows without keys that are compared by content; a longer list is hardly in another order each time."""


class Candidate(NamedTuple, Generic[RowT]):
    """A response to a page request, before it is known which of its rows are new."""

    page: DecodedPage[RowT]
    result: PageResult
    digest: bytes | None
    """Of a page with rows without keys."""

    @property
    def keys(self) -> Sequence[Id | None]:
        """What identifies each row, also one without a key."""
        return self.result.row_ids


class PageProcessor(Generic[RowT]):
    """Processes the pages of one ``PageIterator``, whose arguments it shares."""

    def __init__(
        self,
        query: Query,
        pagination: Pagination,
        reader: PageReader[RowT],
        *,
        limit: int | None,
        position: Position | None,
        yielded_keys: KeySet | None,
    ) -> None:
        resume_state = ResumeState.from_position(position)
        self._query = query
        self._pagination = pagination
        self._reader = reader
        self._limit = limit
        self._yielded_keys = yielded_keys
        self._order = pagination.order
        self._query_hash = query.fingerprint()
        self._checkpoint: Checkpoint | None = None
        self._keyless_pages: set[bytes] = set()
        self._keyless_rows: set[Id | None] = set()
        self._rejected_keys: set[Id] = set()
        self._due = resume_state.due
        self._lost_rows = 0  # rows without a key that were due
        self._pages_yielded = 0
        self.keys = KeySet()
        """The keys of all rows received."""
        self.keys.add_each(pagination.keys_before_resume)
        self.sum_of_rows = 0
        """For rows without a key: the same for the same rows, whatever their order."""
        rows = pagination.position()["yielded"]
        self.report = ListReport(
            rows_received=rows,
            rows_yielded=rows,
            resumed=position is not None,
            keyset_only=len(self._order) == 1,
            unknown_fields=reader.unknown_fields,
            total_count=resume_state.total_count_at_start,  # until a page has a count
            total_count_at_start=resume_state.total_count_at_start,
            earlier_problems=resume_state.problems,
        )

    def checkpoint(self) -> Checkpoint:
        """Return where to resume after the pages processed."""
        if self._checkpoint is None:
            self._checkpoint = self._checkpoint_at(self._pagination.position())
        return self._checkpoint

    def checkpoint_within(self, page: PageInBlocks[RowT]) -> Checkpoint:
        """Return where to resume within a page, after the rows decoded."""
        position = self._pagination.mid_page_position(len(page.keys), len(page.new_rows))
        return self._checkpoint_at(position)

    def _checkpoint_at(self, position: Position) -> Checkpoint:
        self.count_unused_rows()
        resume_state = ResumeState(
            total_count_at_start=self.report.total_count_at_start,
            problems=self.report.all_problem_counts,
            due=self._due,
        )
        position = position | {RESUME_STATE: msgspec.to_builtins(resume_state)}
        return Checkpoint(endpoint=self._query.path, query=self._query_hash, position=position)

    def candidate(self, page: DecodedPage[RowT]) -> Candidate[RowT]:
        """Return a decoded page as the pagination sees it."""
        (ordered, unordered), digests = self._order_values(page), self._reader.digests(page)
        text = " ".join(map(str, digests))
        digest = hashlib.blake2b(text.encode(), digest_size=12).digest() if text else None
        is_repeat = digest in self._keyless_pages
        result = PageResult(
            page.keys,
            (),
            page.rows.count,
            ordered,
            unordered,
            is_repeat,
            self._are_known(page, digests),
            digests=digests,
        )
        return Candidate(page, self._pagination.normalized(result), digest)

    def _are_known(self, page: DecodedPage[RowT], digests: Sequence[Id | None]) -> bool:
        """Return whether all rows of a page with rows without keys have a key or content received before."""
        if not digests or not self._keyless_rows.issuperset(self._contents(page, digests)):
            return False
        keys = [key for key in page.keys if key is not None] if self._query.key else []
        return not keys or self.keys.has_all(keys)

    def _contents(self, page: DecodedPage[RowT], digests: Sequence[Id | None]) -> list[Id | None]:
        """Return the digests of the rows of a page that have no key."""
        if not self._query.key:
            return list(digests)
        return [digest for key, digest in zip(page.keys, digests, strict=False) if key is None]

    def evidence(self, candidate: Candidate[RowT]) -> Evidence:
        known = bool(self._query.key) and self.keys.has_all(candidate.page.keys)
        return self._pagination.evidence(candidate.result, known=known)

    def reject(self, candidate: Candidate[RowT]) -> None:
        """Record the rows of an unused response, which another one must have."""
        if not self._pagination.was_before_resume(candidate.result):
            self._rejected_keys.update(key for key in candidate.page.keys if key is not None)

    def add_keys(self, keys: Sequence[Id | None]) -> Sequence[int]:
        """Add the keys of a page; return the indices of the rows that are new."""
        # Rows without a key may be equal without being the same row.
        added = self.keys.add_new(keys) if self._query.key else None
        return range(len(keys)) if added is None else added

    def process(self, candidate: Candidate[RowT], new: Sequence[int]) -> tuple[Sequence[int], bool]:
        """Process the response to use, whose new rows have these indices and whose keys are added.

        Returns:
            The indices of the rows to yield, and whether the pages in flight are void.

        Raises:
            PaginationError: the server does not paginate as requested.
        """
        page, keys = candidate.page, candidate.page.keys
        decision = self._decide(msgspec.structs.replace(candidate.result, new=new))
        rows, left = new, list[Id | None]()
        end = len(keys) - decision.skip_last if decision.use else 0
        if decision.skip_rows or end < len(keys):
            rows = [index for index in new if decision.skip_rows <= index < end]
            left = [keys[index] for index in new if index >= end]
        self._leave(left, page)
        self.count_page(page, len(rows), decision)
        if candidate.result.is_repeat:  # rows without keys, which may be equal, are yielded again
            self.report.duplicates += len(rows)
        if decision.use and candidate.digest is not None:
            self._keyless_pages.add(candidate.digest)
            if len(self._keyless_rows) < MAX_KEYLESS_ROWS:
                self._keyless_rows.update(self._contents(page, candidate.result.digests))
        if not self._query.key:
            self.sum_of_rows += sum(int(str(keys[index]), 16) for index in rows)
        self._pages_yielded += bool(rows)
        return self._cut_at_limit(rows), decision.discard_in_flight

    def _leave(self, left: Sequence[Id | None], page: DecodedPage[RowT]) -> None:
        """Forget rows of a page that are not used; in an order, they are due on the next page."""
        if left and self._query.key:
            self.keys.forget(left)
        due, self._due = self._due, ()
        if self._query.by_key and self._pagination.stop_reason is None:
            self._due = tuple(left)
        if not due:
            return
        self._rejected_keys.update(key for key in due if key is not None and key not in self._due)
        if page.rows.count is None or len(page.keys) < len(due):  # no count proves that they have a key now
            self._lost_rows += max(0, due.count(None) - page.keys[: len(due)].count(None))

    def _decide(self, result: PageResult) -> PageDecision:
        self._checkpoint = None
        try:
            return self._pagination.receive(result)
        except PaginationError as error:
            raise self._named(error) from None

    def _named(self, error: PaginationError) -> PaginationError:
        error.args = (f"{self._query.path}: {error.args[0]}",)
        return error

    def _cut_at_limit(self, rows: Sequence[int]) -> Sequence[int]:
        surplus = 0 if self._limit is None else self.report.rows_yielded - self._limit
        if surplus <= 0:
            return rows
        self.report.rows_yielded -= surplus
        return rows[: len(rows) - surplus]

    def page(self, page: DecodedPage[RowT], rows: Sequence[int]) -> Page[RowT] | None:
        """Return a page of the rows at these indices, or None if there is none to yield."""
        rows = self._to_yield(page, rows)
        if not rows:
            return None
        return self._reader.page(page, rows, number=self._pages_yielded - 1, checkpoint=self.checkpoint())

    def items(self, page: DecodedPage[RowT], rows: Sequence[int]) -> list[RowT]:
        """Return the rows at these indices that no other page yields, without building a page."""
        return self._reader.items(page, self._to_yield(page, rows), self._pages_yielded - 1)[1]

    def _to_yield(self, page: DecodedPage[RowT], rows: Sequence[int]) -> Sequence[int]:
        """Return which of these rows no other page yields; count the bad ones."""
        if self._yielded_keys is not None:
            new = self._yielded_keys.add_new([page.keys[index] for index in rows])
            rows = rows if new is None else [rows[index] for index in new]
        if page.rows.bad:  # counted before the checkpoint is created, which stores the count
            self.report.bad_rows += len({bad.index for bad in page.rows.bad}.intersection(rows))
        return rows

    def _order_values(self, page: DecodedPage[RowT]) -> tuple[Sequence[tuple[Any, ...]], Sequence[int]]:
        if not self._order or not page.keys:
            return (), ()
        ordered, unordered = self._reader.order_values(page, self._order)
        if unordered and self._reader.on_bad_row == "raise":
            raise self._named(no_order_values(self._order))
        return ordered, unordered

    def count_response(self, response: Response) -> None:
        self.report.requests += len(response.attempts)
        self.report.bytes += response.length

    def count_unused_rows(self) -> None:
        """Count the rows that were rejected, or left to the next page, and did not arrive in others."""
        unused = sum(not self.keys.has_all([key]) for key in self._rejected_keys)
        self.report.unused_rows = unused + self._lost_rows

    def count_moved_rows(self, keys: Sequence[Id | None]) -> None:
        """Count yielded rows that are missing from the page's second response."""
        gone = self.keys.add_new(keys)
        moved = len(keys) if gone is None else len(gone)
        self.report.rows_received += moved
        self.report.rows_yielded += moved

    def count_page(self, page: DecodedPage[RowT], new: int, decision: PageDecision) -> None:
        report, keys, rows = self.report, page.keys, page.rows
        report.pages += 1
        report.short_pages += decision.after_gap
        if rows.count is not None and decision.counts_all:
            # The count of keyset pagination covers the remaining rows only.
            before = report.rows_yielded - decision.expected_duplicates if self._query.by_key else 0
            report.total_count = rows.count + before
            if report.total_count_at_start is None:
                report.total_count_at_start = report.total_count
        if decision.use:
            received = len(keys) - decision.skip_last
            report.rows_received += received
            report.duplicates += received - new
            report.repaired_rows += rows.repaired
            report.rows_yielded += new
            if keys and (not self._query.key or all(key is None for key in keys)):
                report.deduplicated = False
        report.duplicates -= decision.expected_duplicates
