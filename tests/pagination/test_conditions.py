"""A server that ignores a condition on ids: an error, not rows of other clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from aiwyn_async import AiwynClient, F
from aiwyn_async._decoding.pages import PageDecoder
from aiwyn_async.errors import PaginationError
from aiwyn_async.sandbox import Sandbox


def answering(client_ids: list[Any]) -> Callable[[bytes], bytes]:
    """Return rows with these client ids, in turn, whatever is requested."""

    def mutate(body: bytes) -> bytes:
        page = msgspec.json.decode(body)
        for index, row in enumerate(page["deid_invoice"]):
            row["clientId"] = client_ids[index % len(client_ids)]
        return msgspec.json.encode(page)

    return mutate


READS = (
    "search",
    "search dicts",
    "search raw",
    "search by page",
    "ordered search",
    "pull",
    "pull by page",
    "changes",
)


def reads(aiwyn: AiwynClient, where: Any) -> dict[str, Any]:
    search, pull = aiwyn.invoices.search, aiwyn.invoices.pull
    return {
        "search": search(where),
        "search dicts": search(where).decode_as(dict),
        "search raw": search(where).decode_as(msgspec.Raw),
        "search by page": search(where, paging="page"),
        "ordered search": search(where, order_by=[F.updated_at.desc()]),
        "pull": pull(where),
        "pull by page": pull(where, paging="page"),
        "changes": aiwyn.invoices.changes(where=where, since="2000-01-01T00:00:00Z"),
    }


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize(
    "where",
    [
        {"clientId": {"_eq": 5}},
        {"clientId": {"_in": [5, 6]}},
        {"_and": [{"id": {"_gt": 0}}, {"_and": [{"clientId": {"_eq": 5}}]}]},
        F.client_id == 5,
    ],
)
async def test_row_that_a_condition_on_ids_excludes_is_an_error(
    aiwyn: AiwynClient, box: Sandbox, name: str, where: Any
) -> None:
    for key in (1, 2, 3):
        box.insert("invoices", {"clientId": 5, "id": 9000 + key})
    box.faults.add("invoices.search", every=1, mutate=answering([5, 7]))
    read = reads(aiwyn, where)[name]
    with pytest.raises(
        PaginationError, match="a row with clientId 7, which the condition excludes"
    ) as caught:
        await read.collect()
    assert caught.value.report == read.report


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ({"clientId": {"_eq": 5}}, [5, "5", "05", None]),
        ({"clientId": {"_in": [5, 6]}}, [5, 6]),
        ({"clientId": {"_neq": 5}}, [5]),
        ({"_or": [{"clientId": {"_eq": 5}}, {"id": {"_gt": 0}}]}, [7]),
        ({"_not": {"clientId": {"_eq": 5}}}, [7]),
        ({"totalAmount": {"_gte": 0}}, [7]),
    ],
)
async def test_rows_that_may_meet_the_condition_are_yielded(
    aiwyn: AiwynClient, box: Sandbox, where: Any, shown: list[Any]
) -> None:
    for key in (1, 2, 3, 4):
        box.insert("invoices", {"clientId": 5, "id": 9000 + key})
    count = len(await aiwyn.invoices.search(where).collect())
    box.faults.add("invoices.search", every=1, mutate=answering(shown))
    read = aiwyn.invoices.search(where)
    assert len(await read.collect()) == count > 0
    assert read.report.complete


async def test_single_response_with_excluded_rows_is_requested_again(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    box.insert("invoices", {"clientId": 5, "id": 9001})
    where = {"clientId": {"_eq": 5}}
    expected = await aiwyn.invoices.search(where).collect()
    box.faults.add("invoices.search", nth=1, mutate=answering([7]))
    assert await aiwyn.invoices.search(where).collect() == expected


async def test_conditions_decode_a_page_once(
    aiwyn: AiwynClient, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []
    decode = PageDecoder.decode

    def counting(decoder: PageDecoder[Any], body: bytes) -> Any:
        decoded.append(body)
        return decode(decoder, body)

    box.insert("invoices", {"clientId": 5, "id": 9001})
    monkeypatch.setattr(PageDecoder, "decode", counting)
    read = aiwyn.invoices.search({"clientId": {"_eq": 5}})
    await read.collect()
    assert len(decoded) == 2 * read.report.pages  # as rows, and as what the condition compares


async def test_conditions_of_a_resource_without_declared_ids_are_not_checked(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    box.insert("invoices", {"clientId": 5})
    box.faults.add("invoices.search", every=1, mutate=answering([7]))
    rows = await aiwyn.collection("/gql/v1/invoices").search({"clientId": {"_eq": 5}}).collect()
    assert {row["clientId"] for row in rows} == {7}
