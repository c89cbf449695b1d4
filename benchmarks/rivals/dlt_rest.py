"""dlt's REST client and its paginator; rows are dicts."""

from __future__ import annotations

from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator

from benchmarks.rivals.tokens import token_for
from benchmarks.worker import Adder, Job, Tally, main


def client_of(job: Job) -> RESTClient:
    return RESTClient(
        base_url=job.url, auth=BearerTokenAuth(token=token_for(job)), data_selector="deid_invoice"
    )


def pull(job: Job) -> Tally:
    client = job.shared(client_of)
    adder = Adder(job)
    # With the number of pages, it requests no empty page at the end.
    paginator = PageNumberPaginator(
        base_page=0, page_body_path="page", total_path=None, maximum_page=job.pages
    )
    for page in client.paginate(
        "/gql/v1/invoices", method="POST", json={"pageSize": 1000}, paginator=paginator
    ):
        for row in page:
            adder.add(row)
    return adder.tally


if __name__ == "__main__":
    main({"pull": pull})
