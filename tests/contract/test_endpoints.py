"""Endpoints that are inferred, configured, or unknown to this package."""

from __future__ import annotations

import json
import traceback
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aiwyn_async import AiwynClient, ApiError, ConfigurationError, DecodeError, EndpointOverride
from aiwyn_async._resources.untyped import UNDOCUMENTED_RESOURCES
from aiwyn_async.errors import UndocumentedEndpointWarning


class CannedServer:
    """A server with a response per path, which records the requests."""

    def __init__(self) -> None:
        self.by_path: dict[str, Any] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.url = ""

    async def respond(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read() or b"null")
        self.requests.append((request.method, request.path, body))
        if request.path not in self.by_path:
            return web.json_response({"message": "no such path"}, status=404)
        response = self.by_path[request.path]
        return web.json_response(response(body) if callable(response) else response)


@pytest.fixture
async def server() -> AsyncIterator[CannedServer]:
    server = CannedServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.respond)
    async with TestServer(app) as test_server:
        server.url = str(test_server.make_url(""))
        yield server


def paged(items: str, rows: list[dict[str, Any]]) -> Any:
    """Return an endpoint with page numbers and no count."""

    def respond(body: dict[str, Any]) -> dict[str, Any]:
        start = body["page"] * body["pageSize"]
        return {items: rows[start : start + body["pageSize"]]}

    return respond


ROWS = [{"id": number, "name": f"Row {number}", "rate": 12.50} for number in range(7)]


async def test_inferred_endpoint_warns_once_per_client(server: CannedServer) -> None:
    server.by_path["/gql/v1/projects"] = paged("projects", ROWS)
    async with AiwynClient(base_url=server.url, token="t") as aiwyn:
        with pytest.warns(
            UndocumentedEndpointWarning, match="projects.list: the path /projects is inferred"
        ) as caught:
            aiwyn.projects.list()
        assert caught[0].filename == __file__
        aiwyn.projects.list()
        aiwyn.with_options(retries=0).projects.list()


async def test_warning_can_be_disabled_and_documented_endpoints_do_not_warn(server: CannedServer) -> None:
    async with AiwynClient(base_url=server.url, token="t", warn_undocumented=False) as aiwyn:
        aiwyn.projects.list()
    async with AiwynClient(base_url=server.url, token="t") as aiwyn:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            aiwyn.invoices.list()
            aiwyn.contacts.list()
            aiwyn.staff.search()


async def test_configuration_overrides_paths_keys_and_envelope(server: CannedServer) -> None:
    rows = [{"uuid": f"c-{row['id']}", "name": row["name"]} for row in ROWS]
    server.by_path["/v1/customers"] = lambda _: {"a": [], "page": {"rows": rows[:2], "of": 2}}
    options = {
        "list_path": "/customers",
        "key": "uuid",
        "items_key": "page.rows",
        "count_key": "page.of",
    }
    async with AiwynClient(
        base_url=server.url, token="t", gql_prefix="/v1", endpoints={"clients": options}
    ) as aiwyn:
        pager = aiwyn.clients.list().decode_as(dict)
        assert [row["uuid"] for row in await pager.collect()] == ["c-0", "c-1"]
        assert pager.report.total_count == 2


async def test_profile_file_overrides_endpoints(
    server: CannedServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.by_path["/gql/v1/customers"] = paged("clients", ROWS)
    profile = tmp_path / "config.toml"
    profile.write_text(
        f'[profiles.default]\nbase_url = "{server.url}"\ntoken = "t"\n'
        '[profiles.default.endpoints.clients]\nlist_path = "/customers"\n'
    )
    profile.chmod(0o600)
    monkeypatch.setenv("AIWYN_CONFIG", str(profile))
    async with AiwynClient() as aiwyn:
        assert len(await aiwyn.clients.list().collect()) == 7


@pytest.mark.parametrize(
    "override", [{"list_pth": "/x"}, {"page_style": "sideways"}, {"items_key": 3}], ids=str
)
def test_invalid_override_is_refused(override: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="endpoints"):
        AiwynClient(base_url="https://x.example", token="t", endpoints={"clients": override})


INVALID_PATHS: list[Any] = [
    "x",
    "",
    "/a b",
    "/a?b=1",
    "/a#b",
    "/../x",
    "/%2e%2e/x",
    "/\r\nX: y",
    "/\ud800",
    5,
    b"/x",
]


@pytest.mark.parametrize("path", INVALID_PATHS, ids=ascii)
@pytest.mark.parametrize("name", ["list_path", "search_path", "get_path"])
def test_path_that_no_request_can_be_sent_to_is_refused_by_name(name: str, path: Any) -> None:
    options: dict[str, Any] = {"base_url": "https://x.example", "token": "t"}
    with pytest.raises(ConfigurationError, match=rf"{name}: expected text|{name} must start with /"):
        AiwynClient(**options, endpoints={"clients": {name: path}})
    with pytest.raises(ConfigurationError, match=f"^{name} must start with /"):
        EndpointOverride(**{name: path})
    with pytest.raises(ConfigurationError, match=f"^{name.removeprefix('list_')} must start with /"):
        AiwynClient(**options).collection(**{"path": "/x", name.removeprefix("list_"): path})


def test_path_of_objects_has_no_slash_at_its_end() -> None:
    """A key is appended to it, and a path with two slashes is refused."""
    with pytest.raises(ConfigurationError, match=r"^get_path must start with / and not end with /"):
        EndpointOverride(get_path="/x/")
    assert EndpointOverride(list_path="/x/", search_path="/x/search/").list_path == "/x/"


def test_error_of_a_path_that_is_not_ascii_says_so() -> None:
    with pytest.raises(ConfigurationError, match=r"printable ASCII .*escape the rest with %"):
        EndpointOverride(list_path="/Bücher")
    assert EndpointOverride(list_path="/B%C3%BCcher").list_path == "/B%C3%BCcher"


@pytest.mark.parametrize(
    "name", ["key", "items_key", "count_key", "search_page_size_key", "modified_at_field"]
)
@pytest.mark.parametrize("value", ["a\0b", "\ud800", 5, b"id", ["id"]], ids=ascii)
def test_name_of_an_override_that_is_not_plain_text_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} must be text without control characters"):
        EndpointOverride(**{name: value})
    with pytest.raises(ConfigurationError, match=r"endpoints|must be text"):
        AiwynClient(base_url="https://x.example", token="t", endpoints={"clients": {name: value}})


@pytest.mark.parametrize("name", ["client", "invoces", "records", "time", ""])
def test_override_of_an_unknown_resource_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"endpoints: unknown resource '{name}'; use one of clients"):
        AiwynClient(base_url="https://x.example", token="t", endpoints={name: {"list_path": "/x"}})


async def test_override_of_a_collection_names_its_path(server: CannedServer) -> None:
    server.by_path["/gql/v1/whatever"] = paged("things", [{"uid": 1}])
    overrides = {"/gql/v1/whatever": {"key": "uid"}}
    async with AiwynClient(base_url=server.url, token="t", endpoints=overrides) as aiwyn:
        assert aiwyn.collection("/gql/v1/whatever").endpoint.key == "uid"


async def test_untyped_collection_supports_every_read(server: CannedServer) -> None:
    server.by_path["/gql/v1/whatever"] = paged("things", ROWS)
    server.by_path["/gql/v1/whatever/3"] = {"data": ROWS[3], "error": None, "meta": {"success": True}}
    server.by_path["/gql/v1/whatever/search"] = lambda body: {
        "things": [row for row in ROWS if row["id"] > body.get("where", {}).get("id", {}).get("_gt", -1)][:2]
    }
    async with AiwynClient(base_url=server.url, token="t") as aiwyn:
        whatever = aiwyn.collection("/gql/v1/whatever")
        pager = whatever.list(page_size=3)
        assert [row["id"] for row in await pager.collect()] == list(range(7))
        assert pager.report.complete
        assert (await whatever.get(3))["name"] == "Row 3"
        assert [row["id"] async for row in whatever.search(page_size=2)] == list(range(7))
        results = [result async for result in whatever.get_many([3, 99])]
        assert [result.missing for result in results] == [False, True]


async def test_untyped_rows_have_exact_decimals(server: CannedServer) -> None:
    server.by_path["/gql/v1/whatever"] = paged("things", ROWS)
    server.by_path["/gql/v1/whatever/3"] = ROWS[3]
    async with AiwynClient(base_url=server.url, token="t") as aiwyn:
        whatever = aiwyn.collection("/gql/v1/whatever")
        row = await whatever.list().first()
        assert row is not None
        assert str(row["rate"]) == "12.5"
        assert str((await whatever.get(3))["rate"]) == "12.5"


@pytest.mark.parametrize("path", ["", "gql/v1/x", "/x?y=1", "/x#y", "https://evil.example/x"])
async def test_collection_with_an_invalid_path_is_refused(path: str) -> None:
    async with AiwynClient(base_url="https://x.example", token="t") as aiwyn:
        with pytest.raises(ConfigurationError):
            aiwyn.collection(path)


@pytest.mark.parametrize("resource", UNDOCUMENTED_RESOURCES)
async def test_undocumented_resources_work_by_convention(resource: str, server: CannedServer) -> None:
    plural, singular = UNDOCUMENTED_RESOURCES[resource]
    server.by_path[f"/gql/v1{plural}"] = paged("rows", ROWS)
    server.by_path[f"/gql/v1{singular}/3"] = ROWS[3]
    async with AiwynClient(base_url=server.url, token="t") as aiwyn:
        with pytest.warns(UndocumentedEndpointWarning, match=f"{resource}.list"):
            pager = getattr(aiwyn, resource).list()
        assert len(await pager.collect()) == 7
        with pytest.warns(UndocumentedEndpointWarning, match=f"{resource}.get"):
            assert (await getattr(aiwyn, resource).get(3))["id"] == 3


async def test_response_with_two_lists_is_ambiguous(server: CannedServer) -> None:
    server.by_path["/gql/v1/whatever"] = {"a": [{"id": 1}], "b": [{"id": 2}]}
    async with AiwynClient(base_url=server.url, token="t") as aiwyn:
        with pytest.raises(DecodeError, match="its keys: a, b"):
            await aiwyn.collection("/gql/v1/whatever").list().collect()


async def test_time_is_another_name_for_wip() -> None:
    async with AiwynClient(base_url="https://x.example", token="t") as aiwyn:
        assert aiwyn.time is aiwyn.wip


async def test_history_rows_without_a_key_are_not_deduplicated(server: CannedServer) -> None:
    rows = [{"clientId": 1, "invoiceId": number // 2} for number in range(7)]
    server.by_path["/gql/v1/draft_invoice_histories"] = paged("draftInvoices", rows)
    async with AiwynClient(base_url=server.url, token="t") as aiwyn:
        pager = aiwyn.draft_invoices.list(page_size=3)
        assert [row.invoice_id for row in await pager.collect()] == [number // 2 for number in range(7)]
        assert not pager.report.deduplicated
        with pytest.raises(ConfigurationError, match="have no key"):
            aiwyn.draft_invoices.search(paging="key")


async def test_credential_in_a_response_is_masked(server: CannedServer) -> None:
    token = "header.payload.signature-of-a-token"
    body = {"errors": [{"message": f"bad token {token}"}]}
    server.by_path |= {"/gql/v1/invoices": body, "/gql/v1/invoice/1": body}
    async with AiwynClient(base_url=server.url, token=token) as aiwyn:
        for read in (aiwyn.invoices.list().collect(), aiwyn.invoices.get(1)):
            with pytest.raises(ApiError, match=r"bad token \*\*\*") as raised:
                await read
            assert token not in repr(vars(raised.value)) + str(raised.value)


def test_traceback_of_an_invalid_option_contains_no_credential() -> None:
    credential = "canary-" + "credential"
    with pytest.raises(ConfigurationError) as raised:
        AiwynClient(base_url="https://x.example", api_key=credential, retries=-1)
    shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    ours = [frame for frame in shown.stack if frame.filename != __file__]
    assert ours
    assert credential not in "".join(str(frame.locals) for frame in ours)
