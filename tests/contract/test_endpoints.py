"""Endpoints that are inferred, overridden by configuration, or unknown to this package."""

from __future__ import annotations

import json
import traceback
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from aiwyn_async import AiwynClient, ApiError, ConfigurationError, DecodeError
from aiwyn_async._resources.untyped import UNDOCUMENTED_RESOURCES
from aiwyn_async.errors import UndocumentedEndpointWarning


class Answers:
    """A server that answers each path with what a test put there, and notes the bodies it was sent."""

    def __init__(self) -> None:
        self.by_path: dict[str, Any] = {}
        self.seen: list[tuple[str, str, Any]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read() or b"null")
        self.seen.append((request.method, request.path, body))
        if request.path not in self.by_path:
            return web.json_response({"message": "no such path"}, status=404)
        answer = self.by_path[request.path]
        return web.json_response(answer(body) if callable(answer) else answer)


@pytest.fixture
async def server() -> AsyncIterator[Answers]:
    answers = Answers()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answers.answer)
    async with TestServer(app) as test_server:
        answers.url = str(test_server.make_url(""))
        yield answers


def paged(items: str, rows: list[dict[str, Any]]) -> Any:
    """An endpoint that pages by number and gives no count."""

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        start = body["page"] * body["pageSize"]
        return {items: rows[start : start + body["pageSize"]]}

    return answer


ROWS = [{"id": number, "name": f"Row {number}", "rate": 12.50} for number in range(7)]


async def test_an_inferred_endpoint_warns_once_a_client_at_first_use(server: Answers) -> None:
    server.by_path["/gql/v1/projects"] = paged("projects", ROWS)
    async with AiwynClient(base_url=server.url, token="t") as aiwyn:
        with pytest.warns(
            UndocumentedEndpointWarning, match="projects.list: the path /projects is inferred"
        ) as told:
            aiwyn.projects.list()
        assert told[0].filename == __file__
        aiwyn.projects.list()
        aiwyn.with_options(retries=0).projects.list()


async def test_the_warning_can_be_silenced_and_documented_endpoints_do_not_warn(server: Answers) -> None:
    async with AiwynClient(base_url=server.url, token="t", warn_undocumented=False) as aiwyn:
        aiwyn.projects.list()
    async with AiwynClient(base_url=server.url, token="t") as aiwyn:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            aiwyn.invoices.list()
            aiwyn.contacts.list()
            aiwyn.staff.search()


async def test_configuration_overrides_paths_keys_and_envelope(server: Answers) -> None:
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
        walk = aiwyn.clients.list().decode_as(dict)
        assert [row["uuid"] for row in await walk.collect()] == ["c-0", "c-1"]
        assert walk.report.total_count == 2


async def test_overrides_come_from_a_profile_file_too(
    server: Answers, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.by_path["/gql/v1/customers"] = paged("clients", ROWS)
    profile = tmp_path / "config.toml"
    profile.write_text(
        f'[profiles.default]\nbase_url = "{server.url}"\n'
        '[profiles.default.endpoints.clients]\nlist_path = "/customers"\n'
    )
    monkeypatch.setenv("AIWYN_CONFIG", str(profile))
    async with AiwynClient(token="t") as aiwyn:
        assert len(await aiwyn.clients.list().collect()) == 7


@pytest.mark.parametrize(
    "override", [{"list_pth": "/x"}, {"page_style": "sideways"}, {"items_key": 3}], ids=str
)
def test_a_wrong_override_is_refused(override: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="endpoints"):
        AiwynClient(base_url="https://x.example", token="t", endpoints={"clients": override})


async def test_any_endpoint_has_the_full_surface(server: Answers) -> None:
    server.by_path["/gql/v1/whatever"] = paged("things", ROWS)
    server.by_path["/gql/v1/whatever/3"] = {"data": ROWS[3], "error": None, "meta": {"success": True}}
    server.by_path["/gql/v1/whatever/search"] = lambda body: {
        "things": [row for row in ROWS if row["id"] > body.get("where", {}).get("id", {}).get("_gt", -1)][:2]
    }
    async with AiwynClient(base_url=server.url, token="t") as aiwyn:
        whatever = aiwyn.collection("/gql/v1/whatever")
        walk = whatever.list(page_size=3)
        assert [row["id"] for row in await walk.collect()] == list(range(7))
        assert walk.report.complete
        assert (await whatever.get(3))["name"] == "Row 3"
        assert [row["id"] async for row in whatever.search(page_size=2)] == list(range(7))
        found = [found async for found in whatever.get_many([3, 99])]
        assert [item.missing for item in found] == [False, True]


async def test_rows_without_types_hold_exact_decimals(server: Answers) -> None:
    server.by_path["/gql/v1/whatever"] = paged("things", ROWS)
    server.by_path["/gql/v1/whatever/3"] = ROWS[3]
    async with AiwynClient(base_url=server.url, token="t") as aiwyn:
        whatever = aiwyn.collection("/gql/v1/whatever")
        row = await whatever.list().first()
        assert row is not None
        assert str(row["rate"]) == "12.5"
        assert str((await whatever.get(3))["rate"]) == "12.5"


@pytest.mark.parametrize("path", ["gql/v1/x", "/x?y=1", "/x#y", "https://evil.example/x"])
async def test_a_collection_refuses_what_is_no_path(path: str) -> None:
    async with AiwynClient(base_url="https://x.example", token="t") as aiwyn:
        with pytest.raises(ConfigurationError):
            aiwyn.collection(path)


@pytest.mark.parametrize("tag", UNDOCUMENTED_RESOURCES)
async def test_tags_without_a_known_operation_work_by_convention(tag: str, server: Answers) -> None:
    plural, singular = UNDOCUMENTED_RESOURCES[tag]
    server.by_path[f"/gql/v1{plural}"] = paged("rows", ROWS)
    server.by_path[f"/gql/v1{singular}/3"] = ROWS[3]
    async with AiwynClient(base_url=server.url, token="t") as aiwyn:
        with pytest.warns(UndocumentedEndpointWarning, match=f"{tag}.list"):
            walk = getattr(aiwyn, tag).list()
        assert len(await walk.collect()) == 7
        with pytest.warns(UndocumentedEndpointWarning, match=f"{tag}.get"):
            assert (await getattr(aiwyn, tag).get(3))["id"] == 3


async def test_two_lists_are_not_guessed_between(server: Answers) -> None:
    server.by_path["/gql/v1/whatever"] = {"a": [{"id": 1}], "b": [{"id": 2}]}
    async with AiwynClient(base_url=server.url, token="t") as aiwyn:
        with pytest.raises(DecodeError, match="its keys: a, b"):
            await aiwyn.collection("/gql/v1/whatever").list().collect()


async def test_time_is_another_name_for_wip() -> None:
    async with AiwynClient(base_url="https://x.example", token="t") as aiwyn:
        assert aiwyn.time is aiwyn.wip


async def test_history_rows_have_no_key_and_the_report_says_so(server: Answers) -> None:
    rows = [{"clientId": 1, "invoiceId": number // 2} for number in range(7)]
    server.by_path["/gql/v1/draft_invoice_histories"] = paged("draftInvoices", rows)
    async with AiwynClient(base_url=server.url, token="t") as aiwyn:
        walk = aiwyn.draft_invoices.list(page_size=3)
        assert [row.invoice_id for row in await walk.collect()] == [number // 2 for number in range(7)]
        assert not walk.report.deduplicated
        with pytest.raises(ConfigurationError, match="have no key"):
            aiwyn.draft_invoices.search(paging="key")


async def test_a_credential_that_an_answer_repeats_is_masked(server: Answers) -> None:
    token = "header.payload.signature-of-a-token"
    told = {"errors": [{"message": f"bad token {token}"}]}
    server.by_path |= {"/gql/v1/invoices": told, "/gql/v1/invoice/1": told}
    async with AiwynClient(base_url=server.url, token=token) as aiwyn:
        for asked in (aiwyn.invoices.list().collect(), aiwyn.invoices.get(1)):
            with pytest.raises(ApiError, match=r"bad token \*\*\*") as raised:
                await asked
            assert token not in repr(vars(raised.value)) + str(raised.value)


def test_a_wrong_option_shows_no_credential_in_the_locals_of_its_traceback() -> None:
    credential = "canary-" + "credential"
    with pytest.raises(ConfigurationError) as raised:
        AiwynClient(base_url="https://x.example", api_key=credential, retries=-1)
    shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    ours = [frame for frame in shown.stack if frame.filename != __file__]
    assert ours
    assert credential not in "".join(str(frame.locals) for frame in ours)
