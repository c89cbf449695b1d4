"""A blocking client does what the async client does, one call of the event loop per page."""

from __future__ import annotations

import asyncio
import copy
import dis
import inspect
import pickle
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Self, cast

import pyarrow as pa
import pytest

from aiwyn_async import (
    Aiwyn,
    AiwynClient,
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    F,
    FileState,
    IncompleteError,
    LoopMismatchError,
    NotFoundError,
    Request,
)
from aiwyn_async.blocking._thread import LoopThread
from aiwyn_async.sandbox import Sandbox


def records(count: int) -> list[dict[str, Any]]:
    return [{"type": "TEST", "systemRef": key, "attributes": {}} for key in range(count)]


def ids(aiwyn: Aiwyn) -> list[Any]:
    return [invoice.id for invoice in aiwyn.invoices.list()]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The functions that were called in the event loop."""
    called: list[object] = []
    call: Any = LoopThread.call

    def count(thread: LoopThread, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        called.append(function)
        return call(thread, function, *args, **kwargs)

    monkeypatch.setattr(LoopThread, "call", count)
    return called


def test_reads_yield_what_the_async_client_yields(aiwyn: Aiwyn, box: Sandbox) -> None:
    async def expected() -> list[list[Any]]:
        async with AiwynClient(base_url=box.url, api_key=box.api_key) as client:
            reads = (client.invoices.list(status="PAID"), client.invoices.search(F.id > 0, limit=50))
            return [await each.collect() for each in (*reads, client.invoices.pull(ordered=True))]

    reads: tuple[Any, ...] = (
        aiwyn.invoices.list(status="PAID"),
        aiwyn.invoices.search(F.id > 0, limit=50),
        aiwyn.invoices.pull(ordered=True),
    )
    of_async_client = asyncio.run(expected())
    for read, rows in zip(reads, of_async_client, strict=True):
        assert list(read) == read.collect() == [row for page in read.pages() for row in page.items] == rows
        assert read.report.complete
        assert read.first() == rows[0]
    assert aiwyn.invoices.list(status="PAID").count() == len(of_async_client[0])
    assert aiwyn.invoices.get(ids(aiwyn)[0]).id == ids(aiwyn)[0]
    with pytest.raises(NotFoundError):
        aiwyn.invoices.get(1)


def test_rows_take_one_call_per_page(aiwyn: Aiwyn, calls: list[object]) -> None:
    rows = aiwyn.invoices.list(page_size=100)
    assert sum(1 for _ in rows) == 300
    assert len(calls) <= rows.report.pages + 1
    calls.clear()
    assert len(aiwyn.records.upsert(records(250)).outcomes) == 250
    assert len(calls) == 4


def test_partitions_of_a_plan_are_read(aiwyn: Aiwyn) -> None:
    plan = aiwyn.invoices.plan(parts=3, page_size=50)
    pulls = {partition.number: aiwyn.read(partition) for partition in plan.partitions}
    rows = [row.id for pull in pulls.values() for row in pull]
    assert sorted(rows) == sorted(ids(aiwyn))
    assert plan.commit({number: pull.report for number, pull in pulls.items()}).complete


def test_read_is_resumed_from_a_checkpoint(aiwyn: Aiwyn) -> None:
    read = aiwyn.invoices.list(page_size=100)
    pages = read.pages()
    first = next(pages)
    pages.close()
    rest = aiwyn.invoices.list(page_size=100).resume_from(first.checkpoint)
    assert [row.id for row in first.items] + [row.id for row in rest] == ids(aiwyn)
    assert type(read.decode_as(dict).first()) is dict


def test_changes_are_acknowledged(aiwyn: Aiwyn, box: Sandbox, tmp_path: Path) -> None:
    state = FileState(tmp_path / "state.json")
    changes = aiwyn.invoices.changes(state=state)
    with pytest.raises(IncompleteError):
        changes.ack()
    assert len(changes.collect()) == 300
    assert changes.complete
    changes.ack()
    box.insert("invoices", count=2)
    assert len(list(aiwyn.invoices.changes(state=state, overlap=0))) >= 2


def test_records_are_written_when_upsert_returns(aiwyn: Aiwyn) -> None:
    result = aiwyn.records.upsert(records(120))
    assert (result.total, result.created, len(result.outcomes)) == (120, 120, 120)
    assert [outcome.index for outcome in result] == list(range(120))
    assert aiwyn.records.update(records(3)).updated == 3


def test_error_of_a_write_says_what_was_written(aiwyn: Aiwyn) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield from records(130)
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError, match="the source failed") as caught:
        aiwyn.records.upsert(broken())
    assert "130 created" in caught.value.__notes__[0]


def test_iterables_are_read_in_the_thread_of_the_caller(aiwyn: Aiwyn) -> None:
    connection = sqlite3.connect(":memory:")  # refuses other threads
    connection.execute("CREATE TABLE keys (key INTEGER)")
    connection.executemany("INSERT INTO keys VALUES (?)", [(key,) for key in ids(aiwyn)])
    keys = (key for (key,) in connection.execute("SELECT key FROM keys"))
    assert not any(result.missing for result in aiwyn.invoices.get_many(keys))
    keys = (key for (key,) in connection.execute("SELECT key FROM keys"))
    assert not aiwyn.invoices.reconcile_keys(keys).untracked
    cursor = connection.execute("SELECT key FROM keys")
    rows = ({"type": "TEST", "systemRef": key, "attributes": {}} for (key,) in cursor)
    assert aiwyn.records.upsert(rows).created == 300
    connection.close()


def test_iterables_may_read_from_the_same_client(aiwyn: Aiwyn) -> None:
    keys = (invoice.id for invoice in aiwyn.invoices.list(page_size=40))
    assert [result.key for result in aiwyn.invoices.get_many(keys)] == ids(aiwyn)


def test_keys_are_read_as_they_are_needed(aiwyn: Aiwyn) -> None:
    taken: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            taken.append(len(taken))
            yield 1

    results = aiwyn.invoices.get_many(endless())
    assert next(results).missing
    results.close()
    assert len(taken) < 100


def test_text_is_not_a_collection_of_keys(aiwyn: Aiwyn) -> None:
    with pytest.raises(ConfigurationError, match="must be a collection of keys"):
        aiwyn.invoices.get_many("12")
    with pytest.raises(ConfigurationError, match="must be a collection of keys"):
        aiwyn.invoices.reconcile_keys("12")


def test_files_and_databases_are_written(aiwyn: Aiwyn, tmp_path: Path) -> None:
    result = aiwyn.export(aiwyn.invoices.pull(), tmp_path / "invoices.parquet")
    assert result.rows == 300
    assert aiwyn.sync(aiwyn.invoices, tmp_path / "firm.duckdb").inserted == 300
    with pytest.raises(ConfigurationError, match="needs a BlockingRead, not list"):
        aiwyn.export([], tmp_path / "x.csv")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_arrow_stream_is_read_without_and_within_an_event_loop(aiwyn: Aiwyn) -> None:
    def rows() -> list[int]:
        streams = (aiwyn.invoices.list(), aiwyn.invoices.pull().arrow_stream(ids="text"))
        return [pa.table(stream).num_rows for stream in streams]

    async def in_loop() -> list[int]:
        return rows()

    assert rows() == asyncio.run(in_loop()) == [300, 300]


async def test_calls_work_in_a_thread_that_runs_an_event_loop(aiwyn: Aiwyn) -> None:
    assert len(list(aiwyn.invoices.list(page_size=100))) == 300
    assert aiwyn.invoices.get(ids(aiwyn)[0]).id == ids(aiwyn)[0]


def test_threads_share_a_client_and_the_rows_of_a_read(aiwyn: Aiwyn) -> None:
    received: list[Any] = []
    rows = iter(aiwyn.invoices.list(page_size=7))

    def work() -> None:
        received.extend(row.id for row in rows)
        received.extend(row.id for row in aiwyn.invoices.list(page_size=50))

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(received) == sorted(ids(aiwyn) * 6)


def test_callback_cannot_call_its_own_client(aiwyn: Aiwyn) -> None:
    def count(_: object) -> None:
        aiwyn.invoices.list().count()

    pull = aiwyn.invoices.pull(on_progress=count)
    with pytest.raises(LoopMismatchError, match="a callback of a client cannot call that client"):
        pull.collect()
    with pytest.raises(LoopMismatchError, match="a callback"):
        aiwyn.invoices.pull(on_progress=lambda _: aiwyn.close()).collect()
    assert aiwyn.invoices.list().count() == 300


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_exit_in_a_callback_reaches_the_caller(aiwyn: Aiwyn, error: type[BaseException]) -> None:
    def leave(_: object) -> None:
        raise error

    with pytest.raises(error):
        aiwyn.invoices.pull(on_progress=leave).collect()
    assert aiwyn.invoices.list().count() == 300


def test_closed_client_refuses_calls(aiwyn: Aiwyn) -> None:
    rows = iter(aiwyn.invoices.list(page_size=10))
    next(rows)
    aiwyn.close()
    aiwyn.close()
    with pytest.raises(ClientClosedError, match="create a new Aiwyn"):
        list(rows)
    with pytest.raises(ClientClosedError, match="create a new Aiwyn"):
        aiwyn.invoices.list().count()


def test_client_that_was_never_used_is_closed(box: Sandbox) -> None:
    with Aiwyn(base_url=box.url, api_key=box.api_key) as aiwyn:
        threads = threading.active_count()
    with pytest.raises(ClientClosedError):
        aiwyn.invoices.list().count()
    assert threading.active_count() == threads


def test_view_shares_the_thread_and_closes_nothing(aiwyn: Aiwyn) -> None:
    for view in (aiwyn.with_options(retries=0), copy.copy(aiwyn), copy.deepcopy(aiwyn)):
        with view:
            assert view.invoices.list().count() == 300
    assert repr(aiwyn.with_options(retries=0)).startswith("<Aiwyn view of http://127.0.0.1:")
    assert aiwyn.invoices.list().count() == 300
    assert len(copy.deepcopy(aiwyn.invoices.list()).collect()) == 300


def test_client_and_reads_are_not_pickled(aiwyn: Aiwyn, box: Sandbox) -> None:
    for value in (aiwyn, aiwyn.invoices, aiwyn.invoices.list(), aiwyn.records, iter(aiwyn.invoices.list())):
        with pytest.raises(ConfigurationError, match="in each process") as caught:
            pickle.dumps(value)
        assert box.api_key not in str(caught.value)


def test_errors_are_those_of_the_async_client(box: Sandbox, tmp_path: Path) -> None:
    with (
        Aiwyn(base_url=box.url, api_key="wrong-canary") as aiwyn,
        pytest.raises(AuthenticationError) as caught,
    ):
        aiwyn.invoices.list().count()
    assert "wrong-canary" not in str(caught.value)
    with pytest.raises(ConfigurationError):
        Aiwyn(base_url="nonsense", api_key="x")
    assert not list(tmp_path.iterdir())


def test_other_calls_of_the_client(aiwyn: Aiwyn) -> None:
    made = aiwyn.event_subscriptions.create(target_url="http://127.0.0.1:9/x", entity_types=["invoices"])
    assert made.id is not None
    assert aiwyn.event_subscriptions.secret(made.id).reveal()
    aiwyn.event_subscriptions.deactivate(made.id)
    assert aiwyn.record_types.create("extra", [{"name": "a", "type": "STRING"}]).name == "extra"
    assert len(aiwyn.collection("/gql/v1/invoices").list({"status": "PAID"}).collect()) > 10
    assert aiwyn.request(Request(method="POST", path="/gql/v1/invoices", body=b"{}")).status == 200
    assert len(aiwyn.departments.list().collect()) > 0


@pytest.mark.parametrize("interrupted_at", [0, 50, 100, 299])
def test_keys_of_an_interrupted_generator_do_not_end_in_silence(aiwyn: Aiwyn, interrupted_at: int) -> None:
    """A generator that is interrupted has ended, though it has more keys."""
    keys = ids(aiwyn)

    def generate() -> Iterator[Any]:
        for index, key in enumerate(keys):
            if index == interrupted_at:
                raise KeyboardInterrupt
            yield key

    results, received = aiwyn.invoices.get_many(generate()), list[Any]()
    with pytest.raises(KeyboardInterrupt):
        received.extend(result.key for result in results)
    with pytest.raises(ConfigurationError, match="pass a list"):
        received.extend(result.key for result in results)
    assert received == keys[: len(received)]


def test_keys_of_an_interrupted_iterator_are_read_to_their_end(aiwyn: Aiwyn) -> None:
    keys, interrupts = ids(aiwyn), [50]

    class Keys(Iterator[Any]):
        index = 0

        def __next__(self) -> Any:
            if self.index in interrupts:
                interrupts.remove(self.index)
                raise KeyboardInterrupt
            if self.index == len(keys):
                raise StopIteration
            self.index += 1
            return keys[self.index - 1]

    results, received = aiwyn.invoices.get_many(Keys()), list[Any]()
    with pytest.raises(KeyboardInterrupt):
        received.extend(result.key for result in results)
    received.extend(result.key for result in results)
    assert received == keys


class InterruptAt:
    """Raises KeyboardInterrupt after the n-th call in a function, where CPython looks for signals."""

    def __init__(self, function: Callable[..., Any], nth: int) -> None:
        self._code = function.__code__
        self._names = {each.offset: each.opname for each in dis.get_instructions(self._code)}
        self._left = nth
        self._previous = ""

    def __enter__(self) -> Self:
        self._traced_before = sys.gettrace()
        # Python 3.12 traces opcodes only if a frame asked for it before.
        cast("FrameType", inspect.currentframe()).f_trace_opcodes = True
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._traced_before)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code is not self._code:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            previous, self._previous = self._previous, self._names[frame.f_lasti]
            self._left -= previous.startswith("CALL")
            if self._left == 0 and previous.startswith("CALL"):
                raise KeyboardInterrupt
        return self._trace


def test_no_row_is_lost_wherever_ctrl_c_interrupts_a_step(aiwyn: Aiwyn) -> None:
    expected = ids(aiwyn)
    interrupts, was_interrupted = 0, True
    while was_interrupted:
        rows, received = iter(aiwyn.invoices.list(page_size=100)), list[Any]()
        try:
            with InterruptAt(type(rows).__next__, interrupts + 1):
                while len(received) < 150:
                    received.append(next(rows).id)
            was_interrupted = False
        except KeyboardInterrupt:
            interrupts += 1
        received.extend(row.id for row in rows)
        assert received == expected, interrupts
    assert interrupts > 1
