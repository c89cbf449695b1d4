"""A sandbox is controlled from another thread, another process and another language."""

import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiwyn_async import AiwynClient, NotFoundError, ServerError
from aiwyn_async.sandbox import FaultSpec, Sandbox, parse_fault


@pytest.fixture
def served() -> Iterator[Sandbox]:
    with Sandbox(invoices=30, seed=7) as box:
        yield box


def call(url: str, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{url}{path}", data, {k.replace("_", "-"): v for k, v in headers.items()}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def control(box: Sandbox, method: str, name: str, body: object = None) -> tuple[int, Any]:
    return call(box.url, method, f"/_sandbox/{name}", body, X_Sandbox_Key=box.api_key)


def listed(box: Sandbox) -> tuple[int, Any]:
    return call(box.url, "POST", "/gql/v1/invoices", {"pageSize": 5}, Authorization=f"Bearer {box.token}")


def test_sandbox_serves_code_without_a_loop(served: Sandbox) -> None:
    status, response = listed(served)
    assert (status, len(response["deid_invoice"])) == (200, 5)
    (row_id,) = served.insert("invoices", {"notes": "new"})
    _, result = call(served.url, "GET", f"/gql/v1/invoice/{row_id}", Authorization=f"Bearer {served.token}")
    assert result["notes"] == "new"
    assert served.calls("invoices.list") == 1


def test_sandbox_thread_ends_with_the_sandbox() -> None:
    before = threading.active_count()
    box = Sandbox(invoices=5, seed=7)
    with box:
        assert listed(box)[0] == 200
        with pytest.raises(RuntimeError, match="already running"), box:
            pass
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="not running"):
        _ = box.url


def test_sandbox_thread_ends_if_the_start_fails(served: Sandbox) -> None:
    before = threading.active_count()
    with pytest.raises(OSError, match="in use"), Sandbox(invoices=5, port=int(served.url.rpartition(":")[2])):
        pass
    assert threading.active_count() == before


def test_control_plans_faults_and_returns_counts(served: Sandbox) -> None:
    fault = {"route": "invoices.list", "status": 503, "headers": {"Retry-After": "1"}, "times": 1}
    assert control(served, "POST", "faults", fault) == (200, {"route": "invoices.list", "planned": 1})
    assert [listed(served)[0] for _ in range(2)] == [503, 200]
    _, counts = control(served, "GET", "counts")
    assert counts == {
        "calls": {"invoices.list": 2},
        "tokenExchanges": 0,
        "faults": [{"route": "invoices.list", "seen": 2, "hits": 1}],
    }
    _, result = control(served, "GET", "requests?last=1")
    assert [(item["route"], item["status"], item["body"]) for item in result["requests"]] == [
        ("invoices.list", 200, {"pageSize": 5})
    ]
    assert control(served, "POST", "reset") == (200, {"reset": True})
    assert control(served, "GET", "counts")[1] == {"calls": {}, "tokenExchanges": 0, "faults": []}
    control(served, "POST", "faults", {"route": "*", "action": "close", "every": 1})
    assert control(served, "DELETE", "faults") == (200, {"planned": 0})
    assert listed(served)[0] == 200


def test_control_changes_rows_tokens_and_latency(served: Sandbox) -> None:
    status, response = control(
        served, "POST", "rows", {"resource": "invoices", "count": 2, "values": {"notes": "x"}}
    )
    assert (status, len(response["ids"])) == (200, 2)
    assert served.scalar("SELECT count(*) FROM invoices WHERE notes = 'x'") == 2
    assert control(served, "POST", "refresh", {"resource": "invoices"}) == (200, {"refreshed": "invoices"})
    assert served.scalar("SELECT count(DISTINCT updated_at_us) FROM invoices") == 1
    assert control(served, "POST", "refresh", {})[0] == 200
    token = served.token
    assert control(served, "POST", "tokens")[0] == 200
    assert call(served.url, "POST", "/gql/v1/invoices", {}, Authorization=f"Bearer {token}")[0] == 401
    assert control(served, "PUT", "latency", {"seconds": 0.001}) == (200, {"seconds": 0.001})
    assert served.latency == 0.001


@pytest.mark.parametrize(
    ("method", "name", "body"),
    [
        ("POST", "faults", {"route": "nowhere"}),
        ("POST", "faults", {"route": "*", "status": 99}),
        ("POST", "faults", {"route": "*", "nope": 1}),
        ("POST", "faults", {"route": "*", "nth": 2}),
        ("POST", "faults", {"route": "*", "action": "raw"}),
        ("PUT", "latency", {"seconds": -1}),
        ("POST", "rows", {"resource": "nothing"}),
        ("POST", "rows", {"resource": "invoices", "values": {"nope": 1}}),
        ("POST", "rows", {"resource": "invoices", "values": {"id": 1e308}}),
        ("POST", "rows", {"resource": "invoices", "values": {"updatedAt": "infinity"}}),
        ("POST", "rows", {"resource": "invoices", "values": {"totalAmount": "1e30"}}),
        ("POST", "refresh", []),
        ("GET", "requests?last=x", None),
    ],
)
def test_control_rejects_bad_requests(served: Sandbox, method: str, name: str, body: object) -> None:
    status, response = control(served, method, name, body)
    assert (status, list(response)) == (400, ["error"])


@pytest.mark.parametrize(("method", "name"), [("POST", "faults"), ("POST", "rows"), ("PUT", "latency")])
def test_control_refuses_a_body_that_its_encoding_does_not_fit(
    served: Sandbox, method: str, name: str
) -> None:
    status, result = call(
        served.url, method, f"/_sandbox/{name}", {}, X_Sandbox_Key=served.api_key, Content_Encoding="gzip"
    )
    assert (status, result) == (400, {"error": "the body cannot be read; check its Content-Encoding"})


@pytest.mark.parametrize("last", ["x", "", "-1", "1_0", "9" * 5000])
def test_control_names_the_parameter_that_is_no_number(served: Sandbox, last: str) -> None:
    status, result = control(served, "GET", f"requests?last={last}")
    assert status == 400
    assert result["error"].startswith("last: ")


def test_control_requires_the_key_and_the_host(served: Sandbox) -> None:
    assert call(served.url, "GET", "/_sandbox/counts")[0] == 401
    assert call(served.url, "GET", "/_sandbox/counts", X_Sandbox_Key="wrong")[0] == 401
    assert call(served.url, "POST", "/_sandbox/reset", X_Sandbox_Key=served.token)[0] == 401
    evil = call(served.url, "GET", "/_sandbox/counts", X_Sandbox_Key=served.api_key, Host="evil.example")
    assert evil[0] == 421


def test_parse_fault_reads_text() -> None:
    assert parse_fault("invoices.list:status=503,nth=2,header.Retry-After=1") == FaultSpec(
        "invoices.list", nth=2, status=503, headers={"Retry-After": "1"}
    )
    assert parse_fault("*:delay=0.5,every=3,action=reset") == FaultSpec(
        "*", every=3, delay=0.5, action="reset"
    )
    assert parse_fault("429@list:3") == FaultSpec("list", nth=3, status=429)
    assert parse_fault("429@list:3,times=2,header.Retry-After=1") == FaultSpec(
        "list", nth=3, times=2, status=429, headers={"Retry-After": "1"}
    )
    assert parse_fault("reset@invoices.get") == FaultSpec("invoices.get", action="reset")


@pytest.mark.parametrize(
    "text",
    [
        *("invoices.list:status", "a:status=x", "a:status=700", "a:nope=1", "a:action=explode"),
        *(
            "list",
            "invoices.list",
            "list:nth=2",
            "700@list",
            "explode@list",
            "@list",
            "429@list:x",
            "429@list:0",
            "429@list:3,times",
        ),
    ],
)
def test_parse_fault_rejects_bad_text(text: str) -> None:
    with pytest.raises(ValueError, match=text.partition(":")[0]):
        parse_fault(text)


async def test_sandbox_plays_the_faults_it_is_created_with() -> None:
    async with (
        Sandbox(invoices=20, faults=["503@list:2", FaultSpec("invoices.get", status=404)]) as box,
        AiwynClient(base_url=box.url, api_key=box.api_key, retries=0) as aiwyn,
    ):
        rows = await aiwyn.invoices.list().collect()
        with pytest.raises(ServerError):
            await aiwyn.payments.list()
        with pytest.raises(NotFoundError):
            await aiwyn.invoices.get(rows[0].id)
        await aiwyn.payments.list()
        assert (await aiwyn.invoices.get(rows[0].id)).id == rows[0].id
    with pytest.raises(ValueError, match="unknown route 'nowhere'"):
        Sandbox(faults=["503@nowhere"])


def test_cli_sandbox_accepts_fault_limit_key_and_file(tmp_path: Path) -> None:
    path = tmp_path / "firm.sqlite3"
    command = [sys.executable, "-m", "aiwyn_async", "sandbox", "--invoices", "20", "--api-key", "known"]
    options = ["--fault", "500@list", "--rate-limit", "1", "--path", str(path)]
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip().partition("=")[2]
            assert process.stdout.readline().strip() == "export AIWYN_API_KEY=known"
            statuses = [call(url, "POST", "/gql/v1/invoices", {})[0] for _ in range(3)]
            assert statuses == [500, 401, 429], "a fault, no token, and above the limit"
            counts = call(url, "GET", "/_sandbox/counts", X_Sandbox_Key="known")[1]
            assert counts["calls"] == {"invoices.list": 3}
        finally:
            process.terminate()
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert errors.startswith("generating 20 invoices\n")
    assert path.exists()


def test_module_accepts_fault_and_key() -> None:
    command = [sys.executable, "-m", "aiwyn_async.sandbox", "--invoices", "20", "--api-key", "known"]
    with subprocess.Popen(
        [*command, "--fault", "auth.token:status=500"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            result = json.loads(process.stdout.readline())
            assert result["api_key"] == "known"
            statuses = [
                call(result["url"], "POST", "/v1/auth/token", {"jwtApiKey": "known"})[0] for _ in range(2)
            ]
            assert statuses == [500, 200]
            _, counts = call(result["url"], "GET", "/_sandbox/counts", X_Sandbox_Key="known")
            assert (counts["calls"], counts["tokenExchanges"]) == ({"auth.token": 2}, 1)
        finally:
            process.terminate()
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fault", "nowhere:status=500"],
        ["--fault", "500@nowhere"],
        ["--latency", "-1"],
        ["--rate-limit", "0"],
    ],
)
def test_module_rejects_bad_options(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aiwyn_async.sandbox", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
