"""A pull by ranges of keys: requests in flight together, each answer told to the plan, each failure too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from aiwyn_async._core.reports import EarlierProblems, KeyRange, PullReport
from aiwyn_async._decoding.checked_types import key_only
from aiwyn_async._decoding.pages import OnBadRow, PageDecoder
from aiwyn_async._http.messages import Request, Response, encode_json
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.confirm import Evidence, confirm
from aiwyn_async._pagination.page import Checkpoint, Page, Position
from aiwyn_async._pagination.prefetch import Prefetcher
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.reader import DecodedPage, PageReader
from aiwyn_async._pagination.seen_keys import KeySet
from aiwyn_async._pull.failures import ATTEMPTS_PER_PAGE, can_be_the_size, summary, with_attempts
from aiwyn_async._pull.progress import RangeProgress
from aiwyn_async._pull.range_plan import KeyFilterIgnored, RangePlan, RangeRequest, highest_of, lowest_of
from aiwyn_async.errors import (
    ApiError,
    AuthenticationError,
    CheckpointError,
    DecodeError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RedirectRefusedError,
    RequestError,
    TokenExchangeError,
)
from aiwyn_async.filters._keyset import key_between
from aiwyn_async.models.base import Id

__all__ = ["KeyFilterIgnored", "RangeReader"]

RowT = TypeVar("RowT")

MAX_BYTES_IN_FLIGHT: Final = 32 * 1024 * 1024
ATTEMPTS_A_SMALLER_PAGE: Final = 2
"""Of which there are up to ten sizes."""

# No other range and no smaller page would fare better after these.
FINAL_ERRORS: Final = (
    AuthenticationError,
    PermissionDeniedError,
    NotFoundError,
    RateLimitError,
    RedirectRefusedError,
    TokenExchangeError,
)


class _Position(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left of a pull by key, and what its report needs of the runs before."""

    left: list[KeyRange]
    rows_yielded: int
    yielded_above_last: int
    last_key: int | None
    total_count: int | None
    order_checked: bool = True
    problems: EarlierProblems = EarlierProblems()


class RangeReader(Generic[RowT]):
    """One use of a pull by key.

    Args:
        session: sends the requests.
        query: what is asked.
        row_type: of the rows that are given.
        page_size: rows a request, at most.
        ranges: how many are read at once, at most.
        ordered: give the rows in the order of their keys.
        on_bad_row: what to do with a row that does not decode.
        report: to be written.
        bind: makes a checkpoint of a position.
        resume: the position of an earlier pull.

    Raises:
        CheckpointError: the position is damaged.
    """

    def __init__(
        self,
        session: Session,
        query: Query,
        row_type: type[RowT],
        *,
        page_size: int,
        ranges: int,
        ordered: bool,
        on_bad_row: OnBadRow,
        report: PullReport,
        bind: Callable[[Position], Checkpoint],
        resume: Position | None,
    ) -> None:
        self._path = query.path
        self._query = query
        self._bind = bind
        self._all_attempts = with_attempts(session, ATTEMPTS_PER_PAGE)
        self._few_attempts = with_attempts(session, ATTEMPTS_A_SMALLER_PAGE)
        self._page_size = page_size
        self._ordered = ordered
        self._ranges = ranges
        self._reader = PageReader(session, query, row_type, on_bad_row)
        self._keys: PageDecoder[Any] = PageDecoder(key_only(query.key), query.envelope)
        self._window: Prefetcher[RangeRequest, Response | RequestError] = Prefetcher(self._fetch, ranges)
        self._in_flight = 0
        self._successes = 0
        self._began: dict[RangeRequest, int] = {}
        self._largest_page = 1
        self._number = 0
        self._seen: KeySet | None = KeySet()
        """The keys given; None from where their order vouches for their being new."""
        self._text_keys = KeySet()
        """The keys given since then in pages that end with text."""
        self._key_filter_works = False
        self._yielded_above_last = 0
        self._plan = RangePlan(page_size, ranges=ranges, ordered=ordered)
        self.report = report
        report.unknown_fields = self._reader.unknown_fields
        self.bad_rows = self._reader.bad_rows
        if resume is not None:
            self._restore(_checked(resume))
        report.missing, report.min_page_size = self._plan.missing, page_size

    def _restore(self, found: _Position) -> None:
        self.report.rows_yielded, self.report.total_count_at_start = found.rows_yielded, found.total_count
        self._yielded_above_last = found.yielded_above_last
        self._plan = RangePlan(
            self._page_size,
            ranges=self._ranges,
            ordered=self._ordered,
            left=found.left,
            last_key=found.last_key,
        )
        self._plan.order_checked, self.report.earlier_problems = found.order_checked, found.problems

    @property
    def yielded_keys(self) -> KeySet | None:
        """The keys of all rows given; None once it was seen that the server keeps to the key filter."""
        return self._seen

    @property
    def ranges(self) -> tuple[RangeProgress, ...]:
        """How far each range is."""
        return () if self._ordered else self._plan.progress()

    def position(self) -> Position:
        """What is left after all pages given."""
        position = _Position(
            left=[
                *self._plan.active,
                *self._plan.suspect,
                *(KeyRange(lost.after, lost.until) for lost in self.report.missing),
            ],
            rows_yielded=self.report.rows_yielded,
            yielded_above_last=self._yielded_above_last,
            last_key=self._plan.last_key,
            total_count=self.report.total_count_at_start,
            order_checked=self._plan.order_checked,
            problems=self.report.all_problem_counts,
        )
        return dict(msgspec.to_builtins(position))

    def checkpoint(self) -> Checkpoint:
        """Where to go on after the pages given."""
        return self._bind(self.position())

    def prefetch(self) -> None:
        """Begin what may be asked now."""
        depth = max(1, min(self._ranges, MAX_BYTES_IN_FLIGHT // self._largest_page))
        while len(self._window) < depth and (ask := self._plan.next_request()) is not None:
            self._began[ask] = self._successes
            self._window.begin(ask, first=ask.urgent)

    async def next_page(self) -> Page[RowT] | None:
        """The next page with rows, or None when nothing is left to read.

        Raises:
            KeyFilterRefused: the server does not take the key filter, or does not keep to it.
            RequestError: one that ends the whole pull.
        """
        while True:
            self.prefetch()
            if not len(self._window):
                await self._verify_count()
                return None
            ask, answer = await (
                self._window.next_in_order() if self._ordered else self._window.next_completed()
            )
            began = self._began.pop(ask)
            if isinstance(answer, RequestError):
                await self._process_failure(ask, answer, began)
            elif ask.purpose == "page":
                page = await self._process_page(ask, answer, began)
                if page is not None:
                    return page
            else:
                self._process_probe(ask, answer)

    async def aclose(self) -> None:
        """End what is in flight."""
        await self._window.aclose()

    async def _process_page(self, ask: RangeRequest, response: Response, began: int) -> Page[RowT] | None:
        try:
            page = await self._reader.read(response, lambda: self._repeat(ask))
            page, is_last = await self._confirmed(ask, page)
        except RequestError as error:
            if isinstance(error, DecodeError) and not error.malformed:
                raise
            await self._process_failure(ask, error, began)
            return None
        self._successes += 1
        self._largest_page = max(self._largest_page, response.length)
        is_first = not self._plan.has_started
        if is_first:
            self.report.total_count_at_start = page.rows.count
        kept = self._new_among(
            page.keys, self._plan.receive_page(ask, page.keys, page.rows.count, is_last=is_last)
        )
        if page.keys and not is_first:
            self._key_filter_works = True
            if type(page.keys[0]) is int:
                self._seen = None
        self._count(page, kept)
        if not kept:
            return None
        number, self._number = self._number, self._number + 1
        if page.rows.bad:
            # Before the checkpoint is made, which has to know of them.
            self.report.bad_rows += len({bad.index for bad in page.rows.bad}.intersection(kept))
        return self._reader.page(page, kept, number=number, checkpoint=self.checkpoint())

    async def _confirmed(self, ask: RangeRequest, page: DecodedPage[RowT]) -> tuple[DecodedPage[RowT], bool]:
        """The page to use, and whether it is known to be the last of its range.

        A short page is the last if the last rows of its range, requested downwards, are the same. Anything
        else that could be a fault is requested again.
        """
        evidence = self._evidence_of(ask, page)
        if evidence == Evidence.SUFFICIENT:
            return page, False
        if page.keys and evidence == Evidence.UNPROVEN and await self._is_end(ask, page):
            return page, True

        async def again() -> DecodedPage[RowT]:
            return await self._reader.read(await self._repeat(ask), lambda: self._repeat(ask))

        rejected: list[DecodedPage[RowT]] = []
        best, is_confirmed = await confirm(
            page, lambda each: self._evidence_of(ask, each), again, rejected=rejected
        )
        self.report.unstable_pages += not is_confirmed
        for other in rejected:
            self._plan.reject(other.keys)
        return best, False

    def _evidence_of(self, ask: RangeRequest, page: DecodedPage[RowT]) -> Evidence:
        report = self.report
        if not page.keys and page.rows.count == 0 and report.rows_yielded == report.total_count_at_start != 0:
            return Evidence.SUFFICIENT
        if self._seen is not None and self._seen.has_all(page.keys):
            return Evidence.WRONG
        return self._plan.evidence(ask, page.keys, page.rows.count)

    async def _is_end(self, ask: RangeRequest, page: DecodedPage[RowT]) -> bool:
        if (page.rows.count or 0) > len(page.keys):
            return False
        # One row more than the page has, which shows a row that is missing at its beginning.
        end = RangeRequest(purpose="end", after=ask.after, until=ask.until, size=len(page.keys) + 1)
        try:
            return await self._request_keys(end) == list(reversed(page.keys))
        except RequestError:
            return False

    def _new_among(self, keys: Sequence[Id | None], kept: int) -> Sequence[int]:
        """Of the first rows of a page, those that were not given before."""
        if self._seen is None:
            self._check_text_keys(keys[:kept])
            return range(kept)
        new = self._seen.add_new(keys[:kept])
        if kept and new == []:
            raise KeyFilterIgnored("rows come again")
        if new is None:
            return range(kept)
        self.report.duplicates += kept - len(new)
        return new

    def _check_text_keys(self, keys: Sequence[Id | None]) -> None:
        """Refuse a page of text keys that came before, which their order does not show."""
        if keys and isinstance(keys[-1], str) and self._text_keys.add_new(keys) == []:
            raise KeyFilterIgnored("rows come again")

    def _count(self, page: DecodedPage[RowT], kept: Sequence[int]) -> None:
        report, highest = self.report, self._plan.last_key
        report.pages += 1
        report.rows_received += len(page.keys)
        report.rows_yielded += len(kept)
        report.repaired_rows += page.rows.repaired
        last = page.keys[kept[-1]] if kept else None
        if highest is not None and isinstance(last, int) and last > highest:
            self._yielded_above_last += sum(
                isinstance(key, int) and key > highest for key in page.keys[: kept[-1] + 1]
            )

    async def _process_failure(self, ask: RangeRequest, error: RequestError, began: int) -> None:
        """Read less at a time, look for the end of what cannot be read, or end the pull by this error."""
        if isinstance(error, FINAL_ERRORS):
            raise error
        is_refusal = isinstance(error, (InvalidRequestError, ApiError))
        if ask.purpose == "page" and is_refusal and not await self._supports_key_filter(ask):
            raise KeyFilterIgnored(str(error)) from error
        if ask.purpose == "last":
            self._plan.receive_last_key(None)
            return
        is_alive = self._successes > began or await self._server_responds()
        if not is_alive:
            raise error
        if ask.purpose == "probe":
            self._plan.receive_probe(ask, works=False)
            return
        may_shrink = can_be_the_size(error)
        is_open = ask.until is None and self._plan.last_key is None
        if is_open and ask.size == 1:
            await self._server_responds()  # and tells where the keys end
        self._plan.fail_page(ask, summary(error), can_be_the_size=may_shrink)

    async def _supports_key_filter(self, ask: RangeRequest) -> bool:
        """Whether what was refused is the key's filter or order, or a page so large: one row is asked for."""
        if self._key_filter_works:
            return True
        try:
            await self._request_keys(RangeRequest(purpose="probe", after=ask.after, until=ask.until))
        except (InvalidRequestError, ApiError):
            return False
        except RequestError:  # not a refusal
            return True
        self._key_filter_works = ask.after is not None
        return True

    async def _server_responds(self) -> bool:
        """Whether it is one range that fails, or the server: its ends are asked for, a row each."""
        for purpose in ("last", "first"):
            try:
                keys = await self._request_keys(RangeRequest(purpose=purpose))
            except RequestError:
                continue
            self._successes += 1
            if purpose == "last" and self._plan.last_key is None:
                self._plan.receive_last_key(keys)
            return True
        return False

    def _process_probe(self, ask: RangeRequest, response: Response) -> None:
        self._successes += 1
        keys: list[Id | None] = []
        works = True
        try:
            keys, _ = self._keys_and_count(response)
        except RequestError:
            works = False
        if ask.purpose == "probe":
            self._plan.receive_probe(ask, works=works)
        else:
            self._plan.receive_last_key(keys if works else None)

    async def _verify_count(self) -> None:
        """Ask for the count once more, and hold it against what came."""
        report, plan = self.report, self._plan
        if report.finished:
            return
        report.finished = True
        report.ranges_completed, report.min_page_size = plan.done, plan.min_page_size
        report.total_count_at_end = report.total_count_at_start
        report.order_checked = plan.order_checked
        is_short = report.resumed or self._number <= 1
        has_no_count = report.total_count_at_start is None and not report.missing
        if has_no_count or (is_short and report.total_count_at_start == report.rows_yielded):
            return
        try:
            report.total_count_at_end = await self._request_count(None)
            if report.total_count_at_end is not None and report.total_count_at_end < report.rows_yielded:
                # Rows were deleted, or the count is a fault.
                again = await self._request_count(None)
                report.total_count_at_end = max(report.total_count_at_end, again or 0)
            surplus = (report.total_count_at_end or 0) - report.rows_yielded
            if surplus > 0 and plan.last_key is not None and not report.missing:
                within = await self._request_count(plan.last_key)
                report.unaccounted_rows = max(
                    0, (within or 0) - (report.rows_yielded - self._yielded_above_last)
                )
            elif surplus > 0 and not report.missing:
                report.unaccounted_rows = min(
                    surplus, max(0, (report.total_count_at_start or 0) - report.rows_yielded)
                )
        except RequestError:
            report.total_count_at_end = None

    async def _request_count(self, until: Id | None) -> int | None:
        answer = await self._fetch(RangeRequest(purpose="count", until=until))
        if isinstance(answer, RequestError):
            raise answer
        return self._keys_and_count(answer)[1]

    async def _request_keys(self, ask: RangeRequest) -> list[Id | None]:
        answer = await self._fetch(ask)
        if isinstance(answer, RequestError):
            raise answer
        return self._keys_and_count(answer)[0]

    def _keys_and_count(self, response: Response) -> tuple[list[Id | None], int | None]:
        found = self._keys.decode(response.body)
        return [row.key for row in found.rows], found.count

    async def _repeat(self, ask: RangeRequest) -> Response:
        answer = await self._fetch(ask)
        if isinstance(answer, RequestError):
            raise answer
        return answer

    async def _fetch(self, ask: RangeRequest) -> Response | RequestError:
        """An answer, or the error as a value: that one request failed is no reason to end the others."""
        is_brief = ask.purpose in {"probe", "end"} or self._is_small(ask)
        session = self._few_attempts if is_brief else self._all_attempts
        self._in_flight += 1
        self.report.peak_concurrency = max(self.report.peak_concurrency, self._in_flight)
        try:
            answer: Response | RequestError = await session.call(
                Request(method="POST", path=self._path, body=encode_json(self._body(ask)))
            )
        except RequestError as error:
            answer = error
        finally:
            self._in_flight -= 1
        self.report.requests += len(answer.attempts)
        self.report.retries += max(0, len(answer.attempts) - 1)
        if isinstance(answer, Response):
            self.report.bytes += answer.length
        return answer

    def _is_small(self, ask: RangeRequest) -> bool:
        return ask.purpose == "page" and ask.size < self._page_size

    def _body(self, ask: RangeRequest) -> dict[str, Any]:
        own = self._query.fields.get("where")
        conditions = [*([own] if own else []), *key_between(self._query.key, ask.after, ask.until)]
        where: Any = {"_and": conditions} if len(conditions) > 1 else next(iter(conditions), None)
        direction = "desc" if ask.purpose in {"last", "end"} else "asc"
        body = self._query.fields | {
            "orderBy": [{self._query.key: direction}],
            self._query.page_size_key: ask.size,
        }
        return body if where is None else body | {"where": where}


def _checked(position: Position) -> _Position:
    try:
        found = msgspec.convert(position, _Position)
        return msgspec.structs.replace(found, left=_in_order(found.left))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise CheckpointError("the checkpoint is damaged; start anew") from None


def _in_order(ranges: list[KeyRange]) -> list[KeyRange]:
    """Ranges of integers from the lowest on; those that could not be read come last in a checkpoint.

    Raises:
        ValueError: they overlap, so that rows would come twice.
    """
    if any(isinstance(bound, str) for each in ranges for bound in (each.after, each.until)):
        return ranges  # a server's collation orders them
    ordered = sorted(ranges, key=lowest_of)
    edges = [edge for each in ordered for edge in (lowest_of(each), highest_of(each))]
    if edges != sorted(edges):
        raise ValueError
    return ordered
