from __future__ import annotations

import contextlib
import warnings
from functools import cached_property
from typing import Any

import msgspec
import pytest

from aiwyn_async import (
    AiwynClient,
    Collection,
    ColumnDescription,
    ConfigurationError,
    RequestError,
    ResourceDescription,
    UndocumentedEndpointWarning,
)
from aiwyn_async._resources.docstrings import field_meanings, section_entries
from aiwyn_async.sandbox import Sandbox

TYPED = (
    "clients",
    "contacts",
    "draft_invoices",
    "engagements",
    "invoices",
    "payments",
    "projects",
    "staff",
    "wip",
)
UNTYPED = ("departments", "jobs", "offices")


@pytest.fixture
def described(aiwyn: AiwynClient) -> dict[str, ResourceDescription]:
    return {each.name: each for each in aiwyn.describe()}


def by_name(columns: tuple[ColumnDescription, ...], verb: str) -> dict[str, ColumnDescription]:
    return {each.name: each for each in columns if verb in each.verbs}


def paths(resource: ResourceDescription) -> dict[str, tuple[str, str]]:
    return {verb.name: (verb.path, verb.source) for verb in resource.verbs}


def test_describe_returns_every_resource_that_can_be_read(
    aiwyn: AiwynClient, described: dict[str, ResourceDescription]
) -> None:
    attributes = [name for name, each in vars(AiwynClient).items() if isinstance(each, cached_property)]
    assert list(described) == [name for name in attributes if isinstance(getattr(aiwyn, name), Collection)]
    assert set(TYPED) | set(UNTYPED) <= described.keys()
    assert all(aiwyn.describe(name) == each for name, each in described.items())
    assert aiwyn.describe("time") == described["wip"]


def test_describe_sends_nothing_and_warns_of_nothing(box: Sandbox) -> None:
    with warnings.catch_warnings(action="error"):
        AiwynClient(base_url=box.url, api_key=box.api_key, warn_undocumented=True).describe()
    assert not box.requests


@pytest.mark.parametrize("name", TYPED)
@pytest.mark.parametrize(
    ("verb", "attribute"), [("list", "row_type"), ("search", "hit_type"), ("get", "detail_type")]
)
def test_columns_are_the_fields_of_the_row_type(
    aiwyn: AiwynClient, described: dict[str, ResourceDescription], name: str, verb: str, attribute: str
) -> None:
    collection = getattr(aiwyn, name)
    if verb == "search" and not hasattr(collection, "search"):
        pytest.skip("has no search")
    fields = msgspec.structs.fields(getattr(collection, attribute))
    columns = by_name(described[name].columns, verb)
    assert {(each.name, each.attribute) for each in columns.values()} == {
        (field.encode_name, field.name) for field in fields
    }
    assert {each.name for each in columns.values() if not each.nullable} == {
        field.encode_name for field in fields if field.required
    }
    assert all(each.type not in {"any", "null"} for each in columns.values())


@pytest.mark.parametrize("name", [*TYPED, *UNTYPED])
async def test_paths_are_those_that_the_server_receives(aiwyn: AiwynClient, box: Sandbox, name: str) -> None:
    collection: Any = getattr(aiwyn, name)
    described = paths(aiwyn.describe(name))
    for verb in described.keys() & {"list", "search"}:
        with contextlib.suppress(RequestError):  # the sandbox lacks the undocumented resources
            await getattr(collection, verb)().first()
        assert box.requests[-1].path == described[verb][0]
    with pytest.raises(RequestError, match="4711"):
        await collection.get("4711")
    assert box.requests[-1].path == described["get"][0].format(key="4711")


@pytest.mark.parametrize("name", [*TYPED, *UNTYPED])
async def test_inferred_verbs_are_those_that_warn(box: Sandbox, name: str) -> None:
    async with AiwynClient(base_url=box.url, api_key=box.api_key, backoff_base=0) as aiwyn:
        collection: Any = getattr(aiwyn, name)
        described = paths(aiwyn.describe(name))
        for verb in described.keys() & {"list", "search"}:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", UndocumentedEndpointWarning)
                getattr(collection, verb)()
            assert (described[verb][1] == "inferred") == bool(caught)


def test_overridden_path_is_configured(box: Sandbox) -> None:
    aiwyn = AiwynClient(
        base_url=box.url,
        api_key=box.api_key,
        gql_prefix="/gql/v9",
        endpoints={"payments": {"list_path": "/pay", "key": "uid", "modified_at_field": "at"}},
    )
    payments = aiwyn.describe("payments")
    assert paths(payments)["list"] == ("/gql/v9/pay", "configured")
    assert paths(payments)["pull"] == ("/gql/v9/pay", "configured")
    assert paths(payments)["get"] == ("/gql/v9/payment/{key}", "documented")
    assert (payments.key, payments.modified_at_field) == ("uid", "at")
    assert "changes" not in paths(payments)


def test_verbs_follow_search_key_and_modified_at_field(described: dict[str, ResourceDescription]) -> None:
    assert list(paths(described["invoices"])) == [
        *("list", "search", "get", "get_many", "pull", "plan", "changes", "reconcile_keys")
    ]
    assert "search" not in paths(described["payments"])
    assert paths(described["payments"])["pull"] == paths(described["payments"])["list"]
    assert "reconcile_keys" not in paths(described["draft_invoices"])
    assert described["invoices"].modified_at_field == "updatedAt"
    assert described["draft_invoices"].key is None
    assert "_ilike" in described["invoices"].operators
    assert not described["payments"].operators


def test_columns_have_type_values_meaning_and_nested_columns(
    described: dict[str, ResourceDescription],
) -> None:
    invoices = by_name(described["invoices"].columns, "search")
    assert invoices["totalAmount"].type == "decimal"
    assert invoices["dueDate"].type == "datetime"
    assert invoices["id"].type == "integer or string"
    assert invoices["status"].type == "string"
    assert "OVERDUE" in invoices["status"].values
    assert "SENT" in by_name(described["invoices"].columns, "get")["status"].values
    lines = invoices["lineItems"]
    assert (lines.type, lines.meaning) == ("list of objects", "One line of an invoice.")
    assert {"unitPrice", "taxRate"} <= {each.name for each in lines.columns}
    assert "practice management" in by_name(described["clients"].columns, "list")["pmsRef"].meaning
    assert by_name(described["wip"].columns, "search")["duration"].meaning == "Hours."
    assert "any other string" in invoices["status"].meaning
    assert "clientId" in by_name(described["engagements"].columns, "list")
    assert "client_id" in by_name(described["engagements"].columns, "search")


def test_filters_are_the_keywords_of_list(described: dict[str, ResourceDescription]) -> None:
    filters = {each.name: each for each in described["payments"].filters}
    assert list(filters) == ["client_id", "payment_method", "start_date", "end_date", "extra"]
    assert "APPLE_PAY" in filters["payment_method"].values
    assert filters["client_id"].meaning == "only payments of this client."
    assert filters["start_date"].type == "date or string"
    assert not described["clients"].filters


def test_description_is_frozen_and_has_json(described: dict[str, ResourceDescription]) -> None:
    invoices = described["invoices"]
    with pytest.raises(AttributeError):
        invoices.key = "uid"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    assert msgspec.json.decode(msgspec.json.encode(invoices), type=ResourceDescription) == invoices


@pytest.mark.parametrize("name", ["invoice", "records", "collection", "config", "", "__class__", 7])
def test_unknown_resource_lists_the_known_ones(aiwyn: AiwynClient, name: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown resource .*; use one of clients, contacts, "):
        aiwyn.describe(name)


class _Base(msgspec.Struct):
    """A base.

    Attributes:
        grade: from A to F.
        name: of the base.
    """

    grade: str
    name: str


class _Row(_Base):
    """A row.

    Attributes:
        first, second: two numbers,
            on two lines: both.
        name: of the row.

    More text.
    """

    first: int
    second: int
    third: int


def test_meanings_are_those_of_a_class_and_its_bases() -> None:
    both = "two numbers, on two lines: both."
    assert section_entries(_Row.__doc__, "Attributes") == {
        "first": both,
        "second": both,
        "name": "of the row.",
    }
    assert section_entries(_Row.__doc__, "Args") == section_entries(None, "Args") == {}
    assert field_meanings(_Row) == {
        "grade": "from A to F.",
        "name": "of the row.",
        "first": both,
        "second": both,
    }
