"""Each option of a variant changes one point of the API."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from aiwyn_async.sandbox import Sandbox, Variant
from aiwyn_async.sandbox._declarations.declarations import PageStyle
from aiwyn_async.sandbox._declarations.schema import CLIENTS, INVOICES

Fetch = Callable[..., Awaitable[Any]]
LIST = "/gql/v1/invoices"


@pytest.fixture
def fetch(http: aiohttp.ClientSession) -> Fetch:
    """Return a function that starts a sandbox of a variant and sends one request."""

    async def send(variant: Variant, path: str = LIST, body: Any = None, status: int = 200) -> Any:
        async with Sandbox(invoices=700, seed=7, variant=variant) as box:
            headers = {"Authorization": f"Bearer {box.token}"}
            async with http.post(f"{box.url}{path}", json=body or {}, headers=headers) as response:
                assert response.status == status
                return await response.json()

    return send


async def test_default_variant_changes_nothing(fetch: Fetch) -> None:
    response = await fetch(Variant())
    assert list(response) == ["deid_invoice", "deid_invoice_aggregate"]
    assert isinstance(response["deid_invoice"][0]["totalAmount"], float)


async def test_variant_prefix_replaces_the_path_prefix(fetch: Fetch) -> None:
    assert (await fetch(Variant(prefix="/v1"), "/v1/invoices"))["deid_invoice"]
    await fetch(Variant(prefix="/v1"), LIST, status=404)


async def test_variant_envelope_prefix_renames_keys(fetch: Fetch) -> None:
    response = await fetch(Variant(envelope_prefix="acme_"))
    assert list(response) == ["acme_invoice", "acme_invoice_aggregate"]
    assert list(await fetch(Variant(envelope_prefix="acme_"), "/gql/v1/clients")) == ["clients", "total"]


@pytest.mark.parametrize(
    ("count", "rest"),
    [
        ("absent", {}),
        ("null", {"deid_invoice_aggregate": {"aggregate": {"count": None}}}),
        ("string", {"deid_invoice_aggregate": {"aggregate": {"count": "700"}}}),
        ("total", {"total": {"aggregate": {"count": 700}}}),
        ("aggregate", {"deid_invoice_aggregate": {"aggregate": {"count": 700}}}),
    ],
)
async def test_variant_count_moves_the_count(fetch: Fetch, count: Any, rest: Any) -> None:
    response = await fetch(Variant(count=count))
    assert response.pop("deid_invoice")
    assert response == rest
    if count == "aggregate":
        assert "clients_aggregate" in await fetch(Variant(count=count), "/gql/v1/clients")


async def test_variant_page_sets_the_page_style(fetch: Fetch) -> None:
    full = (await fetch(Variant(), body={"pageSize": 40}))["deid_invoice"]
    skipped = await fetch(Variant(page=PageStyle.OFFSET), body={"pageSize": 10, "page": 2})
    assert skipped["deid_invoice"] == full[2:12]
    clients = (await fetch(Variant(), "/gql/v1/clients"))["clients"]
    numbered = await fetch(Variant(page=PageStyle.PAGE), "/gql/v1/clients", {"pageSize": 3, "page": 2})
    assert numbered["clients"] == clients[6:9]


async def test_variant_selects_the_key_of_the_page_size(fetch: Fetch) -> None:
    response = await fetch(Variant(size_key="limit"), body={"pageSize": 1000, "limit": 7})
    assert len(response["deid_invoice"]) == 7
    assert len((await fetch(Variant(size_key="limit"), body={"pageSize": 1000}))["deid_invoice"]) == 25


async def test_variant_numbers_become_strings(fetch: Fetch) -> None:
    def kinds(row: Any) -> list[str]:
        values: list[object] = [row["id"], row["totalAmount"], row["lineItems"][0]["amount"]]
        return [type(value).__name__ for value in values]

    (money,) = (await fetch(Variant(numbers="money"), body={"pageSize": 1}))["deid_invoice"]
    assert kinds(money) == ["int", "str", "str"]
    assert money["totalAmount"][-3] == "."
    (ids,) = (await fetch(Variant(numbers="ids"), body={"pageSize": 1}))["deid_invoice"]
    assert kinds(ids) == ["str", "float", "float"]
    assert isinstance(ids["clientId"], str)
    (every,) = (await fetch(Variant(numbers="all"), body={"pageSize": 1}))["deid_invoice"]
    assert kinds(every) == ["str", "str", "str"]


async def test_variant_changes_rows(fetch: Fetch) -> None:
    async def row(variant: Variant) -> Any:
        return (await fetch(variant, body={"pageSize": 1}))["deid_invoice"][0]

    plain = await row(Variant())
    extra = await row(Variant(extra_fields=True))
    assert {key: extra[key] for key in plain} == plain
    assert extra.keys() > plain.keys()
    unknown = await row(Variant(unknown_enums=True))
    assert unknown["status"] == unknown["paymentStatus"] == "NEVER_SEEN_BEFORE"
    assert unknown["invoiceNumber"] == plain["invoiceNumber"]
    empty = await row(Variant(nulls=True))
    assert empty == {**dict.fromkeys(plain), "id": plain["id"]}
    snake = await row(Variant(snake_case=True))
    assert snake["invoice_number"] == plain["invoiceNumber"]
    assert "unit_price" in snake["line_items"][0]
    naive = await row(Variant(naive_dates=True))
    assert naive["createdAt"] == plain["createdAt"].removesuffix("Z")
    assert naive["updatedAt"] == plain["updatedAt"].removesuffix("+00:00")


async def test_variant_wraps_or_empties_the_response(fetch: Fetch) -> None:
    wrapped = await fetch(Variant(wrap="data"))
    assert list(wrapped) == ["data", "error", "meta"]
    assert wrapped["data"]["deid_invoice"]
    broken = await fetch(Variant(wrap="errors"))
    assert list(broken) == ["errors"]
    empty = await fetch(Variant(empty=True))
    assert empty == {"deid_invoice": [], "deid_invoice_aggregate": {"aggregate": {"count": 0}}}


async def test_variant_options_combine_in_searches(fetch: Fetch) -> None:
    variant = Variant(envelope_prefix="x_", count="string", numbers="ids", snake_case=True, wrap="data")
    response = await fetch(variant, "/gql/v1/invoices/search", {"pageSize": 2})
    assert response["data"]["x_invoice_aggregate"]["aggregate"]["count"] == "700"
    assert isinstance(response["data"]["x_invoice"][0]["client_id"], str)


def test_variant_copies_the_declaration() -> None:
    assert Variant(prefix="").applied(CLIENTS).paths["list"] == "/clients"
    assert INVOICES.paths["list"] == LIST
