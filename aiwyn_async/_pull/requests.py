"""The requests of a pull, with their attempts, failures and bodies."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from aiwyn_async._core.pull_report import PullReport
from aiwyn_async._decoding.checked_types import key_only
from aiwyn_async._decoding.pages import PageDecoder
from aiwyn_async._http.messages import Response
from aiwyn_async._http.session import Session
from aiwyn_async._pagination.query import Query
from aiwyn_async._pull.segments import RangeRequest
from aiwyn_async.errors import (
    ApiError,
    AuthenticationError,
    DecodeError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RedirectRefusedError,
    RequestError,
    ResponseTooLargeError,
    StatusError,
    TokenExchangeError,
    TransportError,
)
from aiwyn_async.models.base import Id

ATTEMPTS_PER_PAGE: Final = 6
"""More than for a single request: if a page fails, the whole pull is lost."""
ATTEMPTS_PER_SMALLER_PAGE: Final = 2
"""A failing page is requested in up to ten sizes."""

# Another range or a smaller page would fail in the same way.
FINAL_ERRORS: Final = (
    AuthenticationError,
    PermissionDeniedError,
    NotFoundError,
    RateLimitError,
    RedirectRefusedError,
    TokenExchangeError,
)


def with_attempts(session: Session, attempts: int) -> Session:
    """Return a view of a session with more attempts, unless retries are disabled."""
    config = session.config
    retries = 0 if config.retries == 0 else max(config.retries, attempts - 1)
    return session.view(msgspec.structs.replace(config, retries=retries))


def without_retries(session: Session) -> Session:
    """Return a view of a session that sends each request once."""
    return session.view(msgspec.structs.replace(session.config, retries=0))


def may_be_page_size(error: RequestError) -> bool:
    """Return whether a smaller page may avoid an error."""
    if isinstance(error, StatusError):
        return error.status >= 500 or error.status in {408, 413}
    if isinstance(error, DecodeError):
        return error.malformed
    return isinstance(error, (TransportError, ResponseTooLargeError, ApiError))


def summarize(error: RequestError) -> str:
    return f"{type(error).__name__}: {error.args[0]}"


class RangeClient:
    """Sends the requests of a pull by key ranges, and counts them in its report.

    Pages smaller than ``page_size`` get fewer attempts.
    """

    def __init__(self, session: Session, query: Query, *, page_size: int, report: PullReport) -> None:
        self._page_session = with_attempts(session, ATTEMPTS_PER_PAGE)
        self._probe_session = with_attempts(session, ATTEMPTS_PER_SMALLER_PAGE)
        self._single_session = without_retries(session)
        self._query = query
        self._page_size = page_size
        self._report = report
        self._keys: PageDecoder[Any] = PageDecoder(key_only(query.key), query.envelope)
        self._in_flight = 0

    async def fetch(self, request: RangeRequest) -> Response | RequestError:
        """Return the response or the error, which must not end other requests."""
        is_small = request.purpose == "page" and request.size < self._page_size
        is_brief = is_small or request.purpose in {"probe", "end"}
        session = self._probe_session if is_brief else self._page_session
        if request.once:
            session = self._single_session
        report = self._report
        self._in_flight += 1
        report.peak_concurrency = max(report.peak_concurrency, self._in_flight)
        try:
            result: Response | RequestError = await session.call(self._query.request(self._fields(request)))
        except RequestError as error:
            result = error
        finally:
            self._in_flight -= 1
        report.requests += len(result.attempts)
        report.retries += max(0, len(result.attempts) - 1)
        if isinstance(result, Response):
            report.bytes += result.length
        return result

    async def send(self, request: RangeRequest) -> Response:
        """Return the response.

        Raises:
            RequestError: the request failed after its attempts.
        """
        result = await self.fetch(request)
        if isinstance(result, RequestError):
            raise result
        return result

    async def request_keys(self, request: RangeRequest) -> list[Id | None]:
        """Send a request and return the keys of its rows."""
        return self.read_keys(await self.send(request))

    async def is_alone(self, key: Id | None, within: RangeRequest) -> bool:
        """Return whether a range has no other key than the one that is its lowest and its highest.

        A server that ignores the order, and returns one row, returns the same row for either. One that
        ignores or refuses the condition shows nothing, and is believed.
        """
        others = RangeRequest(purpose="end", after=within.after, until=within.until, other_than=key)
        try:
            return set(await self.request_keys(others)) <= {key}
        except InvalidRequestError:
            return True

    async def request_count(self, until: Id | None) -> int | None:
        """Return the server's count of rows with keys up to ``until``, or None."""
        response = await self.send(RangeRequest(purpose="count", until=until))
        return self.read_count(response)

    def read_count(self, response: Response) -> int | None:
        return self._keys.decode(response.body).count

    def read_keys(self, response: Response) -> list[Id | None]:
        return [row.key for row in self._keys.decode(response.body).rows]

    def _fields(self, request: RangeRequest) -> dict[str, Any]:
        query = self._query
        where = query.where(request.after, request.until, other_than=request.other_than)
        direction = "desc" if request.purpose in {"last", "end"} else "asc"
        fields = {"orderBy": [{query.key: direction}], query.page_size_key: request.size}
        if request.page is not None:
            fields["page"] = request.page
        return fields if where is None else fields | {"where": where}
