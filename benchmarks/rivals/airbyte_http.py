"""An `HttpStream` of airbyte-cdk; rows are dicts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from airbyte_cdk.models import SyncMode
from airbyte_cdk.sources.streams.http import HttpStream
from airbyte_cdk.sources.streams.http.requests_native_auth import TokenAuthenticator

from benchmarks.rivals.tokens import token_for
from benchmarks.worker import Adder, Job, Tally, main


class Invoices(HttpStream):
    primary_key = "id"
    http_method = "POST"
    # With a cursor field the stream reads all pages at once, the faster of its two ways.
    cursor_field = "id"

    def __init__(self, job: Job) -> None:
        self._url = job.url
        self._pages = job.pages
        self._page = 0
        super().__init__(authenticator=TokenAuthenticator(token_for(job)))

    @property
    def url_base(self) -> str:
        return f"{self._url}/"

    def path(self, **_: Any) -> str:
        return "gql/v1/invoices"

    def request_body_json(
        self, next_page_token: Mapping[str, Any] | None = None, **_: Any
    ) -> Mapping[str, Any]:
        self._page = next_page_token["page"] if next_page_token else 0
        return {"pageSize": 1000, "page": self._page}

    def next_page_token(self, _response: Any) -> Mapping[str, Any] | None:
        return {"page": self._page + 1} if self._page + 1 < self._pages else None

    def parse_response(self, response: Any, **_: Any) -> Iterable[Mapping[str, Any]]:
        return response.json()["deid_invoice"]  # type: ignore[no-any-return]


def pull(job: Job) -> Tally:
    logging.disable(logging.INFO)
    stream = job.shared(Invoices)
    adder = Adder(job)
    for row in stream.read_records(SyncMode.full_refresh):
        adder.add(row)
    return adder.tally


if __name__ == "__main__":
    main({"pull": pull})
