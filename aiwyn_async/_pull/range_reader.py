"""A pull by key ranges: sends the requests of a plan and records the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Generic, TypeVar

from aiwyn_async._core.pull_report import KeyRange, PullReport
from aiwyn_async._http.messages import Response
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.confirm import Evidence, confirm
from aiwyn_async._pagination.page import Checkpoint, Page, Position
from aiwyn_async._pagination.prefetch import Prefetcher
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read_options import MAX_RANGES, ReadOptions
from aiwyn_async._pagination.reader import DecodedPage, PageReader
from aiwyn_async._pagination.seen_keys import KeySet
from aiwyn_async._pull.key_ranges import KeyFilterIgnored, RangeKeys
from aiwyn_async._pull.progress import RangeProgress
from aiwyn_async._pull.range_plan import RangePlan
from aiwyn_async._pull.range_position import RangePosition
from aiwyn_async._pull.requests import FINAL_ERRORS, RangeClient, may_be_page_size, summarize
from aiwyn_async._pull.segments import RangeRequest
from aiwyn_async.errors import ApiError, DecodeError, InvalidRequestError, RequestError, TransportError
from aiwyn_async.models.base import Id

RowT = TypeVar("RowT")

MAX_BYTES_IN_FLIGHT: Final = 32 * 1024 * 1024


class RangeReader(Generic[RowT]):
    """One iteration over a pull by key ranges.

    ``bind`` binds a position to the query; ``resume`` is the position of an earlier pull. The report is
    updated during the read.

    Raises:
        CheckpointError: the position is damaged.
    """

    def __init__(
        self,
        session: Session,
        query: Query,
        row_type: type[RowT],
        options: ReadOptions,
        *,
        report: PullReport,
        bind: Callable[[Position], Checkpoint],
        resume: Position | None,
    ) -> None:
        page_size, ranges = options.page_size, options.ranges or min(MAX_RANGES, session.limiter.max_limit)
        self._bind = bind
        self._ordered = options.ordered
        self._reader = PageReader(session, query, row_type, options.on_bad_row)
        self._client = RangeClient(session, query, page_size=page_size, report=report)
        self._prefetcher = Prefetcher(self._client.fetch, ranges, session.limiter.slots)
        self._successes = 0
        self._successes_before: dict[RangeRequest, int] = {}
        """The successes at the time a request was sent."""
        self._largest_page = 1
        self._number = 0
        self._yielded = RangeKeys()
        self._key_filter_works = False
        self._yielded_above_last = 0
        start = None if resume is None else RangePosition.from_checkpoint(resume)
        left, last_key = (None, None) if start is None else (start.left, start.last_key)
        self._plan = RangePlan(
            page_size, query.key_range, ranges=ranges, ordered=options.ordered, left=left, last_key=last_key
        )
        self.report = report
        self.bad_rows = self._reader.bad_rows
        report.unknown_fields = self._reader.unknown_fields
        report.missing, report.min_page_size = self._plan.missing, page_size
        if start is not None:
            self._restore(start)

    def _restore(self, start: RangePosition) -> None:
        report, self._plan.order_checked = self.report, start.order_checked
        report.rows_yielded, report.total_count_at_start = start.rows_yielded, start.total_count
        report.earlier_problems = start.problems
        self._yielded_above_last = start.yielded_above_last

    @property
    def yielded_keys(self) -> KeySet | None:
        """The keys of all yielded rows; None once the key filter is known to work."""
        return self._yielded.known

    @property
    def ranges(self) -> tuple[RangeProgress, ...]:
        return () if self._ordered else self._plan.progress()

    def checkpoint(self) -> Checkpoint:
        """Return where to resume after the yielded pages."""
        plan, report = self._plan, self.report
        missing = [KeyRange(each.after, each.until) for each in report.missing]
        position = RangePosition(
            left=[*plan.remaining, *plan.suspects, *missing],
            rows_yielded=report.rows_yielded,
            yielded_above_last=self._yielded_above_last,
            last_key=plan.last_key,
            total_count=report.total_count_at_start,
            order_checked=plan.order_checked,
            problems=report.all_problem_counts,
        )
        return self._bind(position.to_checkpoint())

    def prefetch(self) -> None:
        # One request shows that a server does not respond.
        max_depth = self._prefetcher.allowed_depth if self._successes else 1
        depth = max(1, min(max_depth, MAX_BYTES_IN_FLIGHT // self._largest_page))
        plan, report = self._plan, self.report
        # If all rows counted were received, most parts of a range would be empty.
        may_split = report.rows_yielded != report.total_count_at_start
        while (len(self._prefetcher) < depth or plan.has_urgent) and (
            request := plan.next_request(may_split=may_split)
        ):
            self._successes_before[request] = self._successes
            self._prefetcher.begin(request, first=request.urgent)

    async def next_page(self) -> Page[RowT] | None:
        """Return the next page with rows, or None if nothing is left to read.

        Raises:
            KeyFilterIgnored: the server does not apply the key filter or the order.
            RequestError: an error that ends the whole pull.
        """
        while True:
            self.prefetch()
            if not len(self._prefetcher):
                await self._finish()
                return None
            request, result = await (
                self._prefetcher.next_in_order() if self._ordered else self._prefetcher.next_completed()
            )
            successes_before = self._successes_before.pop(request)
            if isinstance(result, RequestError):
                await self._process_failure(request, result, successes_before)
            elif request.purpose == "page":
                page = await self._process_page(request, result, successes_before)
                if page is not None:
                    return page
            else:
                await self._process_probe(request, result)

    async def aclose(self) -> None:
        """Cancel the requests in flight."""
        await self._prefetcher.aclose()

    async def _process_page(
        self, request: RangeRequest, response: Response, successes_before: int
    ) -> Page[RowT] | None:
        try:
            page = await self._reader.read(response, lambda: self._client.send(request))
            page, is_last = await self._confirm(request, page)
        except RequestError as error:
            if isinstance(error, DecodeError) and not error.malformed:
                raise
            await self._process_failure(request, error, successes_before)
            return None
        self._successes += 1
        self._largest_page = max(self._largest_page, response.length)
        is_first = not self._plan.has_started
        if is_first:
            self.report.total_count_at_start = page.rows.count
        accepted = self._plan.receive_page(request, page.keys, page.rows.count, is_last=is_last)
        new = self._yielded.select_new(page.keys[:accepted])
        self.report.duplicates += accepted - len(new)
        if page.keys and not is_first:
            self._key_filter_works = True
            if type(page.keys[0]) is int:
                self._yielded.trust_order()
        self._count(page, new)
        if not new:
            return None
        number, self._number = self._number, self._number + 1
        if page.rows.bad:
            # Before the checkpoint is built, which contains them.
            self.report.bad_rows += len({bad.index for bad in page.rows.bad}.intersection(new))
        return self._reader.page(page, new, number=number, checkpoint=self.checkpoint())

    async def _confirm(
        self, request: RangeRequest, page: DecodedPage[RowT]
    ) -> tuple[DecodedPage[RowT], bool]:
        """Return the page to use, and whether it is known to be the last of its range.

        A short page is the last one if the last rows of its range, requested in descending order, are the
        same. Any other page that may be wrong is requested again.
        """
        evidence = self._rate(request, page)
        if evidence == Evidence.SUFFICIENT:
            return page, False
        if page.keys and evidence == Evidence.UNPROVEN and await self._is_end(request, page):
            return page, True

        async def read_again() -> DecodedPage[RowT]:
            response = await self._client.send(request)
            return await self._reader.read(response, lambda: self._client.send(request))

        best = await confirm(
            page,
            lambda each: self._rate(request, each),
            read_again,
            reject=lambda each: self._plan.reject(each.keys),
            report=self.report,
        )
        return best, False

    def _rate(self, request: RangeRequest, page: DecodedPage[RowT]) -> Evidence:
        if self._yielded.has_all(page.keys):
            return Evidence.WRONG
        return self._plan.rate_page(request, page.keys, page.rows.count)

    async def _is_end(self, request: RangeRequest, page: DecodedPage[RowT]) -> bool:
        """Return whether the last rows of the range are those of the page."""
        if (page.rows.count or 0) > len(page.keys):
            return False
        # One row more than the page has, which shows if a row is missing at its start.
        end = RangeRequest(purpose="end", after=request.after, until=request.until, size=len(page.keys) + 1)
        try:
            is_same = await self._client.request_keys(end) == list(reversed(page.keys))
            return is_same and (len(page.keys) > 1 or await self._client.is_alone(page.keys[0], end))
        except RequestError:
            return False

    def _count(self, page: DecodedPage[RowT], new: Sequence[int]) -> None:
        report, last_key = self.report, self._plan.last_key
        report.pages += 1
        report.rows_received += len(page.keys)
        report.rows_yielded += len(new)
        report.repaired_rows += page.rows.repaired
        highest = page.keys[new[-1]] if new else None
        if last_key is not None and isinstance(highest, int) and highest > last_key:
            self._yielded_above_last += sum(
                isinstance(key, int) and key > last_key for key in page.keys[: new[-1] + 1]
            )

    async def _process_failure(
        self, request: RangeRequest, error: RequestError, successes_before: int
    ) -> None:
        """Let the plan request less or search for readable rows, or raise the error."""
        if isinstance(error, FINAL_ERRORS):
            raise error
        is_refusal = isinstance(error, (InvalidRequestError, ApiError))
        if request.purpose == "page" and is_refusal and not await self._supports_key_filter(request):
            raise KeyFilterIgnored(str(error)) from error
        if request.purpose == "last":
            self._plan.receive_last_key(None)
            return
        if self._successes <= successes_before and not await self._server_responds():
            raise error
        if request.purpose == "probe":
            self._plan.receive_probe(request, works=False)
            return
        if request.size == 1 and request.until is None and self._plan.last_key is None:
            await self._server_responds()  # records the highest key, the upper end of the search
        self._plan.fail_page(request, summarize(error), may_be_page_size=may_be_page_size(error))

    async def _supports_key_filter(self, request: RangeRequest) -> bool:
        """Return whether the server accepts a request for one row with the same filter."""
        if self._key_filter_works:
            return True
        probe = RangeRequest(purpose="probe", after=request.after, until=request.until)
        try:
            await self._client.request_keys(probe)
        except (InvalidRequestError, ApiError):
            return False
        except RequestError:  # not a refusal
            return True
        self._key_filter_works = request.after is not None
        return True

    async def _server_responds(self) -> bool:
        """Return whether the server returns a row of either end of the list."""
        for purpose in ("last", "first"):
            try:
                # Without retries: the page had all attempts.
                keys = await self._client.request_keys(RangeRequest(purpose=purpose, once=True))
            except RequestError as error:
                if not self._successes and isinstance(error, TransportError):
                    return False
                continue
            self._successes += 1
            if purpose == "last" and self._plan.last_key is None:
                self._plan.receive_last_key(keys)
            return True
        return False

    async def _process_probe(self, request: RangeRequest, response: Response) -> None:
        self._successes += 1
        keys: list[Id | None] | None
        try:
            keys = self._client.read_keys(response)
        except RequestError:
            keys = None
        if request.purpose == "probe":
            self._plan.receive_probe(request, works=keys is not None)
            return
        if keys and self.report.rows_received == 1 and self._yielded.has_all(keys):
            with suppress(RequestError):
                if not await self._client.is_alone(keys[0], request):
                    keys = await self._client.request_keys(request)  # a row may have been inserted
                    if self._yielded.has_all(keys):
                        raise KeyFilterIgnored("the server did not order rows by descending key")
        self._plan.receive_last_key(keys)

    async def _finish(self) -> None:
        """Complete the report, and verify the count unless the first one is enough."""
        report, plan = self.report, self._plan
        report.finished = True
        report.ranges_completed, report.min_page_size = plan.ranges_completed, plan.min_page_size
        report.total_count_at_end = report.total_count_at_start
        report.order_checked = plan.order_checked
        is_short = self._number <= 1 and not report.resumed
        has_no_count = report.total_count_at_start is None and not report.missing
        if has_no_count or (is_short and report.total_count_at_start == report.rows_yielded):
            return
        try:
            await self._verify_count()
        except RequestError:
            report.total_count_at_end = None

    async def _verify_count(self) -> None:
        """Compare the rows with the server's count at the end."""
        report, last_key = self.report, self._plan.last_key
        count, has_keyless = await self._count_at_end()
        if count is not None and count < report.rows_yielded:
            # Rows were deleted, or this count is wrong.
            count = max(count, await self._client.request_count(None) or 0)
        report.total_count_at_end = count
        surplus = (count or 0) - report.rows_yielded
        report.unaccounted_rows = int(has_keyless)
        if surplus <= 0 or report.missing or has_keyless:
            return
        if last_key is not None:
            surplus = (await self._client.request_count(last_key) or 0) + self._yielded_above_last
            surplus -= report.rows_yielded
        else:
            surplus = min(surplus, (report.total_count_at_start or 0) - report.rows_yielded)
        report.unaccounted_rows = max(0, surplus)

    async def _count_at_end(self) -> tuple[int | None, bool]:
        """Return the server's count, and whether a descending order begins with rows without a key."""
        try:
            response = await self._client.send(RangeRequest(purpose="last", once=True))
        except RequestError:
            return await self._client.request_count(None), False
        return self._client.read_count(response), None in self._client.read_keys(response)
