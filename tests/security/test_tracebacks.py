"""No error of the package holds a credential, not even in the locals that a traceback can show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from aiwyn_async import AiwynClient, F, Invoice
from aiwyn_async._http.messages import Request
from aiwyn_async.config import Config, Secret
from aiwyn_async.errors import AiwynError, ConfigurationError
from aiwyn_async.export import export
from aiwyn_async.sync import sync
from fault_server import READ, FaultServer, http_response, send
from secrecy import CANARY, assert_no_secret

URL = "https://a.test"
WITH_PASSWORD = f"https://user:{CANARY}@a.test"


def without_frames_of_this_file(error: Exception) -> Exception:
    """The tests hold the credential themselves."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    assert traceback is not None
    return error.with_traceback(traceback)


def client(**options: Any) -> AiwynClient:
    return AiwynClient(**dict[str, Any](base_url=URL, token="t") | options)


def config(**options: Any) -> Config:
    return Config(**dict[str, Any](base_url=URL, token=Secret("t")) | options)


@pytest.mark.parametrize(
    "fail",
    [
        lambda: client(api_kye=CANARY),
        lambda: client(Token=CANARY),
        lambda: client(api_key=CANARY),
        lambda: client(token=f"{CANARY} {CANARY}"),
        lambda: client(token=CANARY.encode()),
        lambda: client(base_url=WITH_PASSWORD),
        lambda: client(proxy=f"socks5://user:{CANARY}@proxy"),
        lambda: client(proxy=f"http://user:{CANARY}@proxy:port"),
        lambda: client(proxy=f"http://user:{CANARY}@proxy", retries=-1),
        lambda: client(headers={"X-Api-Key": f"{CANARY}\n"}),
        lambda: client(headers=[("X-Api-Key", CANARY)]),
        lambda: client().with_options(api_kye=CANARY),  # type: ignore[call-arg]
        lambda: client().with_options(token=CANARY),  # type: ignore[call-arg]
        lambda: client().with_options(proxy=f"http://user:{CANARY}@proxy"),  # type: ignore[call-arg]
        lambda: client().with_options(headers={"X-Api-Key": CANARY}, retries=-1),
        lambda: config(token=CANARY),
        lambda: config(base_url=WITH_PASSWORD),
        lambda: config(proxy=f"socks5://user:{CANARY}@proxy"),
        lambda: config(headers={"X-Api-Key": f"{CANARY}\n"}),
        lambda: msgspec.structs.replace(config(), proxy=f"socks5://user:{CANARY}@proxy"),
        lambda: Config.load(base_url=URL, api_kye=CANARY),
        lambda: Config.load(base_url=WITH_PASSWORD, token="t"),
        lambda: Secret(CANARY.encode()),  # type: ignore[arg-type]
        lambda: client(headers={"X-Api-Key": CANARY}, retries="\ud800"),
        lambda: client(headers={"X-Api-Key": CANARY}, deadline=Decimal("sNaN")),
        lambda: client(headers={"X-Api-Key": CANARY}, profile=F.id == 1),
    ],
)
def test_refused_option_is_in_no_traceback(fail: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        fail()
    assert_no_secret(without_frames_of_this_file(caught.value))


def test_error_of_an_argument_itself_has_no_frame_with_a_credential() -> None:
    """An object may raise any error when it is looked at, such as the truth value of a condition."""
    endpoints: Any = F.endpoints
    with pytest.raises(TypeError, match="cannot be called") as caught:
        client(headers={"X-Api-Key": CANARY}, endpoints=endpoints)
    assert_no_secret(without_frames_of_this_file(caught.value))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("body", {"a": "b"}),
        ("body", {"a": 1}),
        ("body", '{"a":1}'),
        ("body", F.id == 1),
        ("method", b"POST"),
        ("method", "GET\r\nX-A: b"),
        ("path", Path("/v1/whatever")),
        ("path", b"/v1/whatever"),
        ("method", "ß"),  # an ASCII word in capitals
        ("retry_class", "read"),
        ("authorised", None),
        ("template", ["/v1/whatever"]),
    ],
)
async def test_request_with_a_field_of_another_type_is_refused(field: str, value: Any) -> None:
    """aiohttp would send some of them in another form, and raise errors that hold the token for others."""
    request = Request(**dict[str, Any](method="POST", path="/v1/whatever", body=b"{}") | {field: value})
    async with FaultServer([READ, send(http_response())]) as server:
        async with AiwynClient(base_url=server.url, token=CANARY) as aiwyn:
            with pytest.raises(ConfigurationError, match=f"^{field} of a Request must be ") as caught:
                await aiwyn.request(request)
        assert_no_secret(caught.value)
        assert server.requests == []


def test_proxy_password_is_in_no_repr() -> None:
    made = client(proxy=f"http://user:{CANARY}@proxy", headers={"X-Api-Key": CANARY})
    assert CANARY not in repr(made) + repr(made.config) + repr(vars(made))


ECHOES = {
    "refused": (400, {"message": f"no {CANARY}"}),
    "key of an object": (200, {"errors": [{"message": CANARY}], CANARY: CANARY}),
    "no object": (200, [CANARY]),
    "no list": (200, {CANARY: 1}),
    "bad amount": (200, {"deid_invoice": [{"id": 1, "totalAmount": CANARY}]}),
    "bad key": (200, {"deid_invoice": [{"id": {CANARY: CANARY}}]}),
    "bad count": (200, {"deid_invoice": [{"id": 1}], "totalCount": CANARY}),
    "object without a key": (200, {"number": CANARY}),
    "object with a bad amount": (200, {"id": 1, "totalAmount": CANARY}),
}
READS: dict[str, Callable[[AiwynClient, Path], Awaitable[object]]] = {
    "get": lambda aiwyn, _: aiwyn.invoices.get(1),
    "list": lambda aiwyn, _: aiwyn.invoices.list().collect(),
    "search": lambda aiwyn, _: aiwyn.invoices.search(F.id == 1).collect(),
    "pull": lambda aiwyn, _: aiwyn.invoices.pull().collect(),
    "count": lambda aiwyn, _: aiwyn.invoices.list().count(),
    "export": lambda aiwyn, folder: export(aiwyn.invoices.list(), folder / "x.csv"),
    "parquet": lambda aiwyn, folder: export(aiwyn.invoices.list(), folder / "x.parquet"),
    "arrow": lambda aiwyn, _: asyncio.to_thread(pa.table, aiwyn.invoices.pull()),
    "untyped": lambda aiwyn, _: aiwyn.collection("/x").list().decode_as(Invoice).collect(),
    "record type": lambda aiwyn, _: aiwyn.record_types.deactivate("x"),
    "catalog": lambda aiwyn, _: aiwyn.event_subscriptions.catalog(),
    "subscription": lambda aiwyn, _: aiwyn.event_subscriptions.update(1, active=True),
    "secret": lambda aiwyn, _: aiwyn.event_subscriptions.secret(1),
    "sync": lambda aiwyn, folder: sync(aiwyn.invoices, folder / "x.duckdb"),
}


@pytest.mark.filterwarnings("ignore::aiwyn_async.UndocumentedEndpointWarning")
@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("echo", ECHOES)
async def test_token_that_a_server_repeats_is_in_no_traceback(
    echo: str, read: str, connect: Callable[..., AiwynClient], tmp_path: Path
) -> None:
    status, body = ECHOES[echo]
    response = http_response(status, json.dumps(body).encode(), {"X-Request-Id": CANARY})
    async with FaultServer([READ, send(response)]) as server:
        try:
            await READS[read](connect(server.url, retries=0), tmp_path)
        except (AiwynError, pa.ArrowException) as error:
            assert_no_secret(without_frames_of_this_file(error))
