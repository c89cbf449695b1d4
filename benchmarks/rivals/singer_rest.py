"""A `RESTStream` of singer-sdk; rows are dicts."""

from __future__ import annotations

from typing import Any, ClassVar

from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import BearerTokenAuthenticator
from singer_sdk.pagination import PageNumberPaginator

from benchmarks.rivals.tokens import token_for
from benchmarks.worker import Adder, Job, Tally, main

SCHEMA = th.PropertiesList(th.Property("id", th.IntegerType)).to_dict()


class Pages(PageNumberPaginator):
    """With the number of pages, it requests no empty page at the end."""

    def __init__(self, pages: int) -> None:
        super().__init__(0)
        self._pages = pages

    def has_more(self, _response: Any) -> bool:
        return self.current_value + 1 < self._pages


class Invoices(RESTStream[int]):
    name = "invoices"
    path = "/gql/v1/invoices"
    http_method = "POST"
    schema: ClassVar[dict[str, Any]] = SCHEMA
    records_jsonpath = "$.deid_invoice[*]"

    @property
    def url_base(self) -> str:
        return str(self.config["url"])

    @property
    def authenticator(self) -> BearerTokenAuthenticator:
        return BearerTokenAuthenticator(token=self.config["token"])

    def get_new_paginator(self) -> Pages:
        return Pages(self.config["pages"])

    def prepare_request_payload(self, _context: Any, next_page_token: int | None) -> dict[str, Any]:
        return {"pageSize": 1000, "page": next_page_token or 0}


class Invoicing(Tap):
    name = "invoicing"
    config_jsonschema: ClassVar[dict[str, Any]] = {"type": "object", "properties": {}}

    def discover_streams(self) -> list[Invoices]:
        return [Invoices(self)]


def stream_of(job: Job) -> Invoices:
    tap = Invoicing(config={"url": job.url, "token": token_for(job), "pages": job.pages})
    return Invoices(tap)


def pull(job: Job) -> Tally:
    stream = job.shared(stream_of)
    adder = Adder(job)
    for row in stream.request_records(None):
        adder.add(row)
    return adder.tally


if __name__ == "__main__":
    main({"pull": pull})
