"""Every row that a pipeline loads is acknowledged, is a dead letter, or remains pending."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import dlt
import msgspec
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from aiwyn_async import AiwynClient, AuthenticationError
from aiwyn_async.dlt import aiwyn_destination
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.testing import FakeClock
from looking_inside import session_of
from secrecy import CANARY

Connect = Callable[[], AiwynClient]


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    return tmp_path / "refused.jsonl"


def record(number: int, **attributes: object) -> dict[str, Any]:
    return {"type": "vendor", "systemRef": {"id": number}, "attributes": attributes or {"n": number}}


def records(count: int) -> Iterator[dict[str, Any]]:
    return (record(number) for number in range(count))


def load(destination: Any, rows: Any) -> Any:
    pipeline = dlt.pipeline("writer", destination=destination)
    pipeline.run(rows, table_name="records")
    return pipeline


def written(box: Sandbox) -> list[int]:
    refs = box.query("SELECT system_ref FROM records ORDER BY id")
    return sorted(msgspec.json.decode(str(ref))["id"] for (ref,) in refs)


def read_letters(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def test_rows_are_written_in_batches_of_100(
    box: Sandbox, connect: Connect, clients: list[AiwynClient]
) -> None:
    before = set(threading.enumerate())
    load(aiwyn_destination(connect), records(450))
    assert written(box) == list(range(450))
    assert box.calls("records.upsert") == 5
    assert box.token_exchanges == 2
    assert box.scalar("SELECT max(times_applied) FROM records") == 1
    assert set(threading.enumerate()) == before
    assert not any(session_of(client).transport.is_open for client in clients)


def test_values_are_exact(box: Sandbox, connect: Connect) -> None:
    amount = Decimal("1234567.89")
    attributes: dict[str, object] = {"amount": amount, "cleared": None, "lines": [{"n": 1}, {}], "none": {}}
    load(aiwyn_destination(connect), [record(1, **attributes)])
    ((stored,),) = box.query("SELECT attributes FROM records")
    assert msgspec.json.Decoder(float_hook=Decimal).decode(str(stored)) == attributes


def test_system_refs_of_several_kinds_are_written_as_they_are(box: Sandbox, connect: Connect) -> None:
    refs = [{"id": 1}, 7, "seven", [1, 2], Decimal("1.5")]
    rows = [{"type": "vendor", "systemRef": ref, "attributes": {}} for ref in refs]
    load(aiwyn_destination(connect), rows)
    stored = {str(ref) for (ref,) in box.query("SELECT system_ref FROM records")}
    assert stored == {'{"id":1}', "7", '"seven"', "[1,2]", "1.5"}


def test_refused_rows_are_dead_letters(
    box: Sandbox, connect: Connect, letters: Path, caplog: pytest.LogCaptureFixture
) -> None:
    box.fail_records(
        lambda row: row["systemRef"] in [{"id": 3}, {"id": 140}], code="LOCKED", message="in use"
    )
    load(aiwyn_destination(connect, dead_letters=letters), records(150))
    assert written(box) == [n for n in range(150) if n not in {3, 140}]
    assert read_letters(letters) == [
        {"row": record(3), "error": "LOCKED: in use"},
        {"row": record(140), "error": "LOCKED: in use"},
    ]
    assert letters.stat().st_mode & 0o777 == 0o600
    assert f"2 of 150 rows were refused; see {letters}" in caplog.text


def test_rows_that_cannot_be_records_are_dead_letters(box: Sandbox, connect: Connect, letters: Path) -> None:
    rows = [
        record(1),
        {"type": "vendor", "attributes": {"n": 2}},
        record(3) | {"colour": "red"},
        record(4) | {"type": ""},
        record(5) | {"attributes": 5},
    ]
    load(aiwyn_destination(connect, dead_letters=letters), rows)
    assert written(box) == [1]
    errors = [letter["error"] for letter in read_letters(letters)]
    assert errors[0].startswith("systemRef is missing")
    assert errors[1].startswith("unknown columns: colour")
    assert errors[2] == "the row has an empty type"
    assert errors[3].startswith("the row is malformed: ")
    assert [letter["row"] for letter in read_letters(letters)] == rows[1:]


def test_dead_letters_follow_a_line_that_was_cut_off(box: Sandbox, connect: Connect, letters: Path) -> None:
    """A full disk leaves such a line, and dlt sends its row again."""
    letters.write_bytes(b'{"row":{"ty')
    box.fail_records(every=1, code="LOCKED", message="in use")
    for number in (1, 2):
        load(aiwyn_destination(connect, dead_letters=letters), [record(number)])
    cut_off, *lines = letters.read_bytes().splitlines()
    assert cut_off == b'{"row":{"ty'
    assert [msgspec.json.decode(line)["row"] for line in lines] == [record(1), record(2)]


def test_refused_row_without_dead_letters_leaves_the_load_pending(box: Sandbox, connect: Connect) -> None:
    rule = box.fail_records(lambda row: row["systemRef"] == {"id": 3}, code="LOCKED", message="in use")
    destination = aiwyn_destination(connect)
    with pytest.raises(PipelineStepFailed, match="1 of 150 rows were refused: LOCKED: in use"):
        load(destination, records(150))
    assert 3 not in written(box)
    box.record_failures.remove(rule)
    dlt.attach("writer", destination=destination).load()
    assert written(box) == list(range(150))


@pytest.mark.parametrize(("status", "when"), [(400, "before"), (500, "after")])
def test_failed_request_leaves_the_load_pending(
    status: int, when: Any, box: Sandbox, connect: Connect, letters: Path
) -> None:
    fault = box.faults.add("records.upsert", nth=2, times=10_000, status=status, when=when)
    destination = aiwyn_destination(connect, dead_letters=letters)
    with pytest.raises(PipelineStepFailed) as raised:
        load(destination, records(250))
    assert f"HTTP_{status}" in str(raised.value)
    assert fault.hits
    assert not letters.exists()
    box.faults.clear()
    dlt.attach("writer", destination=destination).load()
    assert written(box) == list(range(250))
    assert not letters.exists()


def test_refused_credentials_leave_the_load_pending(box: Sandbox, connect: Connect, letters: Path) -> None:
    box.faults.add("records.upsert", times=10_000, status=401)
    destination = aiwyn_destination(connect, dead_letters=letters)
    with pytest.raises(PipelineStepFailed, match=AuthenticationError.__name__):
        load(destination, records(3))
    assert not letters.exists()


@pytest.mark.parametrize("fails", [False, True])
def test_credentials_are_in_no_file_or_trace(*, fails: bool, tmp_path: Path, letters: Path) -> None:
    with Sandbox(invoices=1, seed=7, api_key=CANARY) as box:

        def connect() -> AiwynClient:
            return AiwynClient(base_url=box.url, api_key=CANARY, clock=FakeClock())

        destination = aiwyn_destination(connect, dead_letters=letters)
        box.fail_records(every=2, message=CANARY)
        if fails:
            box.faults.add("records.upsert", every=1, status=400, body=f'{{"error": "{CANARY}"}}'.encode())
            with pytest.raises(PipelineStepFailed) as raised:
                load(destination, records(3))
            assert CANARY not in str(raised.value)
        else:
            load(destination, records(3))
            assert len(read_letters(letters)) == 1
    pipeline = dlt.pipeline()
    for shown in (pipeline, pipeline.last_trace, vars(pipeline.last_trace), destination):
        assert CANARY not in repr(shown) + str(shown)
    files = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert len(files) > 5
    assert not [each for each in files if CANARY.encode() in each.read_bytes()]
