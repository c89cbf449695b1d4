"""Plans of partitions: their bounds, their JSON, and reads that together are the pull."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from aiwyn_async import (
    AiwynClient,
    AuthenticationError,
    CheckpointError,
    ConfigurationError,
    ExportError,
    F,
    IncompleteError,
    InvalidRequestError,
    KeyRange,
    PaginationError,
    Partition,
    Plan,
    PullReport,
)
from aiwyn_async._pull.key_bounds import make_partition
from aiwyn_async._pull.plan import normalized
from aiwyn_async.export import export, part_name
from aiwyn_async.models import InvoiceSearchRow
from aiwyn_async.sandbox import Sandbox
from aiwyn_async.testing import FakeClock
from secrecy import CANARY
from server_model import ServerModel, numbered
from unreadable_rows import ids

Serve = Callable[[ServerModel], Any]


async def read_all(aiwyn: AiwynClient, plan: Plan) -> tuple[list[Any], dict[int, PullReport]]:
    keys: list[Any] = []
    reports: dict[int, PullReport] = {}
    for partition in plan.partitions:
        pull = aiwyn.read(partition).decode_as(dict)
        keys += [row[partition.key] async for row in pull]
        reports[partition.number] = pull.report
    return keys, reports


@pytest.mark.parametrize("condition", [None, F.status == "PAID", F.total_amount >= Decimal("1000.50")])
async def test_partitions_together_are_the_pull(aiwyn: AiwynClient, condition: Any) -> None:
    expected = [row.id async for row in aiwyn.invoices.pull(condition)]
    plan = await aiwyn.invoices.plan(condition, parts=7, page_size=50, strict=True)
    assert len(plan.partitions) == 7
    keys, reports = await read_all(aiwyn, Plan.from_json(plan.to_json()))
    assert sorted(keys) == sorted(expected)
    combined = plan.commit({number: report.to_json() for number, report in reports.items()})
    assert combined.complete
    assert (combined.rows_yielded, combined.total_count) == (len(expected), len(expected))
    sizes = [report.rows_yielded for report in reports.values()]
    assert max(sizes) - min(sizes) <= 1


async def test_plan_sends_at_most_one_small_request_per_bound_and_three_more(
    aiwyn: AiwynClient, box: Sandbox
) -> None:
    await aiwyn.invoices.plan(parts=8, page_size=100)
    bodies: list[Any] = [each.body for each in box.requests if each.route == "invoices.search"]
    assert len(bodies) == 10
    assert {body["pageSize"] for body in bodies} == {1}


@pytest.mark.parametrize(("page_size", "parts"), [(1000, 3), (2000 // 2, 3), (700, 4), (30, 64)])
async def test_plan_has_fewer_parts_if_rows_are_few(aiwyn: AiwynClient, page_size: int, parts: int) -> None:
    plan = await aiwyn.invoices.plan(page_size=page_size)
    assert len(plan.partitions) == parts
    assert plan.fallback_reason is None


async def test_plan_without_rows_has_one_partition(aiwyn: AiwynClient) -> None:
    plan = await aiwyn.invoices.plan(F.id < 0)
    assert len(plan.partitions) == 1
    keys, reports = await read_all(aiwyn, plan)
    assert keys == []
    assert plan.commit(reports).complete


async def reports_of(aiwyn: AiwynClient, plan: Plan) -> dict[int, PullReport]:
    return (await read_all(aiwyn, plan))[1]


async def test_partitions_have_every_row_inserted_after_the_plan(aiwyn: AiwynClient, box: Sandbox) -> None:
    plan = await aiwyn.invoices.plan(parts=5, page_size=100)
    box.insert("invoices", count=250)
    for key in ids(box)[:2000:7]:
        box.delete("invoices", key)
    keys, reports = await read_all(aiwyn, plan)
    assert sorted(keys) == ids(box)
    combined = plan.commit(reports)
    assert combined.complete
    assert combined.changed_during_read
    assert (combined.total_count_at_start, combined.total_count) == (3000, len(keys))


async def test_plan_has_no_credential(connect: Callable[..., AiwynClient], box: Sandbox) -> None:
    aiwyn = connect(box.url, api_key=box.api_key, headers={"X-Firm": CANARY})
    plan = await aiwyn.invoices.plan(parts=3, page_size=100)
    for text in (plan.to_json(), plan.partitions[1].to_json(), str(pickle.dumps(plan)), repr(plan)):
        for secret in (box.api_key, CANARY, box.token, box.url):
            assert secret not in text


async def test_plan_and_partition_are_the_same_after_json_and_pickle(aiwyn: AiwynClient) -> None:
    condition = F.total_amount.between(0.1, Decimal("1e22")) & (F.issue_date >= "2020-01-01")
    plan = await aiwyn.invoices.plan(condition, parts=3, page_size=100)
    assert Plan.from_json(plan.to_json()) == plan == pickle.loads(pickle.dumps(plan))
    for each in plan.partitions:
        assert Partition.from_json(each.to_json().encode()) == each
    keys, _ = await read_all(aiwyn, Plan.from_json(plan.to_json()))
    assert len(keys) == plan.total_count


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("invoices", "payments"),
        lambda text: text.replace('"number":1', '"number":2'),
        lambda text: text.replace('"page_size":100', '"page_size":10'),
        lambda text: text[:-2],
        lambda _text: "",
        lambda _text: "[]",
        lambda _text: "{}",
        lambda _text: '{"version":1,"check":3}',
        lambda _text: b"\xff",
        lambda _text: "[" * 100_000,
        lambda text: text.replace('"version":1', '"version":2'),
    ],
)
async def test_damaged_plan_is_refused(aiwyn: AiwynClient, damage: Callable[[str], str]) -> None:
    plan = await aiwyn.invoices.plan(parts=3, page_size=100)
    with pytest.raises(ConfigurationError, match="plan"):
        Plan.from_json(damage(plan.to_json()))
    with pytest.raises(ConfigurationError, match="partition"):
        Partition.from_json(damage(plan.partitions[1].to_json()))


@pytest.mark.parametrize(
    "change",
    [{"after": 3}, {"until": None}, {"endpoint": "/x"}, {"fields": {"where": {}}}, {"key": "number"}],
)
async def test_changed_partition_is_refused(aiwyn: AiwynClient, change: dict[str, Any]) -> None:
    plan = await aiwyn.invoices.plan(parts=3, page_size=100)
    with pytest.raises(ConfigurationError, match="partition was changed"):
        aiwyn.read(msgspec.structs.replace(plan.partitions[1], **change))


@pytest.mark.parametrize("path", ["//other.example/x", "/gql/../x", "https://other.example", ""])
async def test_partition_of_a_path_that_climbs_is_refused(aiwyn: AiwynClient, path: str) -> None:
    pull = aiwyn.invoices.pull()
    query = msgspec.structs.replace(normalized(pull.query), path=path)
    forged = make_partition(0, query, KeyRange(None, None), dict, pull.options)
    with pytest.raises(ConfigurationError, match="partition was changed"):
        aiwyn.read(Partition.from_json(forged.to_json()))


async def test_options_of_plan_and_read_are_checked(aiwyn: AiwynClient, box: Sandbox) -> None:
    plan = await aiwyn.invoices.plan(parts=1)
    sent = len(box.requests)
    for parts in (0, 10_001, 1.5, "3"):
        with pytest.raises(ConfigurationError, match="parts must be an integer"):
            await aiwyn.invoices.plan(parts=parts)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"invoices\.plan\(\) got an unexpected keyword argument 'ranges'"):
        await aiwyn.invoices.plan(ranges=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"read\(\) got an unexpected keyword argument 'page_size'"):
        aiwyn.read(plan.partitions[0], page_size=3)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="row type"):
        aiwyn.read(msgspec.structs.replace(plan.partitions[0], row_type="os"))
    assert len(box.requests) == sent


async def test_read_yields_models_and_keeps_options(aiwyn: AiwynClient) -> None:
    plan = await aiwyn.invoices.plan(parts=3, page_size=123, strict=True, on_bad_row="collect")
    pull = aiwyn.read(plan.partitions[2], ranges=1, ordered=True)
    row = await pull.first()
    assert isinstance(row, InvoiceSearchRow)
    options = pull.options
    assert (options.page_size, options.strict, options.on_bad_row) == (123, True, "collect")
    await pull.collect()
    assert pull.report.peak_concurrency == 1
    assert await pull.count() == pull.report.rows_yielded < 3000


async def test_resources_without_search_have_one_partition(aiwyn: AiwynClient, box: Sandbox) -> None:
    plan = await aiwyn.payments.plan(client_id=1)
    assert len(plan.partitions) == 1
    assert plan.fallback_reason == "rows cannot be searched by key"
    assert not box.requests
    expected = [row.id async for row in aiwyn.payments.pull(client_id=1)]
    keys, reports = await read_all(aiwyn, plan)
    assert keys == expected
    assert plan.commit(reports).method == "full_scan"
    assert len((await aiwyn.invoices.plan(paging="page")).partitions) == 1


@pytest.mark.filterwarnings("ignore::aiwyn_async.errors.UndocumentedEndpointWarning")
@pytest.mark.parametrize(
    "resource", ["clients", "contacts", "engagements", "projects", "staff", "wip", "other"]
)
async def test_partitions_of_every_resource_are_its_pull(aiwyn: AiwynClient, resource: str) -> None:
    collection: Any = (
        aiwyn.collection("/gql/v1/invoices") if resource == "other" else getattr(aiwyn, resource)
    )
    expected = [row[collection.endpoint.key] async for row in collection.pull().decode_as(dict)]
    plan = await collection.plan(parts=3, page_size=min(1000, max(1, len(expected) // 3)))
    assert len(plan.partitions) == (1 if plan.fallback_reason else 3)
    keys, reports = await read_all(aiwyn, Plan.from_json(plan.to_json()))
    assert sorted(keys) == sorted(expected)
    assert plan.commit(reports).complete
    row = await aiwyn.read(plan.partitions[0]).first()
    assert isinstance(row, collection.hit_type)


async def test_rows_without_a_key_are_read_in_one_partition(aiwyn: AiwynClient) -> None:
    plan = await aiwyn.draft_invoices.plan(parts=3, page_size=100)
    pull = aiwyn.read(plan.partitions[0])
    assert await pull.collect() == await aiwyn.draft_invoices.pull().collect()
    assert plan.commit({0: pull.report}).method == "full_scan"


async def test_partition_resumes_from_its_own_checkpoint_alone(aiwyn: AiwynClient) -> None:
    plan = await aiwyn.invoices.plan(parts=3, page_size=100)
    for partition in plan.partitions:
        pull = aiwyn.read(partition)
        pages = pull.pages()
        received = [row.id for row in (await anext(pages)).items]
        checkpoint = (await anext(pages)).checkpoint
        received += [row.id for row in (await aiwyn.read(partition).collect())[100:200]]
        await pages.aclose()
        resumed = aiwyn.read(partition, resume=checkpoint.to_json(), ordered=True)
        await resumed.collect()
        assert resumed.report.rows_yielded == 1000
        assert resumed.report.complete
        other = plan.partitions[(partition.number + 1) % 3]
        for refuse in (
            lambda other=other, checkpoint=checkpoint: aiwyn.read(other, resume=checkpoint),
            lambda checkpoint=checkpoint: aiwyn.invoices.pull(resume=checkpoint),
        ):
            with pytest.raises(CheckpointError):
                refuse()


async def test_finished_part_sends_no_request_again(aiwyn: AiwynClient, box: Sandbox, tmp_path: Any) -> None:
    plan = await aiwyn.invoices.plan(parts=3, page_size=100)
    path = tmp_path / "part-001.parquet"
    first = await export(aiwyn.read(plan.partitions[1]), path, resume=True)
    sent = len(box.requests)
    again = await export(aiwyn.read(plan.partitions[1]), path, resume=True)
    assert len(box.requests) == sent
    assert (again.rows, again.bytes, again.report) == (first.rows, first.bytes, first.report)
    assert first.rows == 1000
    assert again.report.partition == plan.partitions[1].fingerprint  # type: ignore[union-attr]
    with pytest.raises(Exception, match=r"part-001\.parquet already exists"):
        await export(aiwyn.read(plan.partitions[2]), path, resume=True)


async def test_partition_is_an_arrow_stream(aiwyn: AiwynClient) -> None:
    plan = await aiwyn.invoices.plan(parts=3, page_size=100)
    table = await asyncio.to_thread(pa.table, aiwyn.read(plan.partitions[0]))
    assert table.num_rows == 1000
    assert max(table["id"].to_pylist()) == plan.partitions[0].until


async def test_partition_is_refused_at_another_server(
    aiwyn: AiwynClient, box: Sandbox, clock: FakeClock
) -> None:
    partition = (await aiwyn.invoices.plan(parts=2, page_size=100)).partitions[0]
    url = box.url.replace("127.0.0.1", "localhost")
    async with AiwynClient(base_url=url, api_key=box.api_key, clock=clock) as other:
        with pytest.raises(ConfigurationError, match="of a plan of another server"):
            other.read(partition)


async def test_reports_and_parts_of_another_plan_are_refused(
    aiwyn: AiwynClient, box: Sandbox, tmp_path: Any
) -> None:
    """Its keys are the same, but it read the rows as they were at another time."""
    earlier = await aiwyn.invoices.plan(parts=3, page_size=100)
    reports: dict[int, PullReport | str | bytes] = {}
    for partition in earlier.partitions:
        pull = aiwyn.read(partition)
        await export(pull, tmp_path / part_name(partition.number), resume=True)
        reports[partition.number] = pull.report
    until = earlier.partitions[0].until
    assert isinstance(until, int)
    box.update("invoices", until, {"status": "CANCELLED"})

    plan = await aiwyn.invoices.plan(parts=3, page_size=100)

    with pytest.raises(ConfigurationError, match="the reports under 0, 1, 2 are not those"):
        plan.commit(reports)
    with pytest.raises(ExportError, match="already exists"):
        await export(aiwyn.read(plan.partitions[0]), tmp_path / part_name(0), resume=True)
    assert earlier.commit(reports).complete


def without_filter(model: ServerModel) -> None:
    model.matching = lambda _body: model.rows


def without_filter_and_order(model: ServerModel) -> None:
    without_filter(model)
    model.order = lambda row: row["id"] % 7


def refusing_the_filter(model: ServerModel) -> None:
    model.error_status = lambda body: 400 if "where" in body else 0


def refusing_the_order(model: ServerModel) -> None:
    model.error_status = lambda body: 400 if "orderBy" in body else 0


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("break_rule", [without_filter, without_filter_and_order, refusing_the_filter])
async def test_partition_of_a_server_without_key_filter_yields_no_foreign_row(
    serve: Serve, break_rule: Callable[[ServerModel], None], number: int
) -> None:
    model = ServerModel(numbered(*range(300)))
    aiwyn = await serve(model)
    partition = (await aiwyn.invoices.plan(parts=3, page_size=20)).partitions[number]
    break_rule(model)
    yielded: list[int] = []

    async def read() -> None:
        async for page in aiwyn.read(partition).decode_as(dict).pages():
            yielded.extend(row["id"] for row in page.items)

    with pytest.raises(PaginationError, match="cannot be read in partitions"):
        await read()
    bounds = range((partition.after or -1) + 1, (partition.until or 299) + 1)
    assert set(yielded) <= set(bounds)


@pytest.mark.parametrize(
    ("break_rule", "reason"),
    [
        (lambda model: setattr(model, "order", lambda row: -row["id"]), "does not order rows by key"),
        (refusing_the_order, "cannot be ordered or searched by key"),
        (refusing_the_filter, "cannot be ordered or searched by key"),
        (without_filter, "does not apply the key filter"),
        (lambda model: model.rows.append({"id": None}), "rows have no key"),
        (lambda model: setattr(model, "rows", numbered(*"abcdefgh")), "keys are text"),
    ],
)
async def test_plan_without_usable_keys_has_one_partition(
    serve: Serve, break_rule: Callable[[ServerModel], None], reason: str
) -> None:
    model = ServerModel(numbered(*range(300)))
    break_rule(model)
    aiwyn = await serve(model)
    plan = await aiwyn.invoices.plan(parts=3, page_size=2)
    assert len(plan.partitions) == 1
    assert reason in str(plan.fallback_reason)
    keys, reports = await read_all(aiwyn, plan)
    assert sorted(keys, key=str) == sorted((row["id"] for row in model.rows), key=str)
    assert plan.commit(reports).rows_yielded == len(model.rows)


async def test_plan_of_a_server_whose_filter_matches_nothing_has_one_incomplete_partition(
    serve: Serve,
) -> None:
    model = ServerModel(numbered(*range(300)))
    model.matching = lambda body: [] if "where" in body else model.rows
    aiwyn = await serve(model)
    plan = await aiwyn.invoices.plan(parts=3, page_size=20, strict=True)
    assert plan.fallback_reason == "the server does not apply the key filter"
    with pytest.raises(IncompleteError):
        await read_all(aiwyn, plan)


def ignoring_page(model: ServerModel) -> None:
    respect = model.matching
    model.matching = lambda body: respect(body | {"page": body.pop("page", 0)})


@pytest.mark.parametrize(
    "break_rule",
    [
        ignoring_page,
        lambda model: setattr(model, "error_status", lambda body: 400 if "page" in body else 0),
        lambda model: setattr(model, "count", lambda _matching, _shown: None),
        lambda model: setattr(model, "count", lambda _matching, shown: shown),
    ],
)
async def test_plan_without_pages_or_count_divides_the_keys(
    serve: Serve, break_rule: Callable[[ServerModel], None]
) -> None:
    model = ServerModel(numbered(*range(-50, 250)))
    break_rule(model)
    aiwyn = await serve(model)
    plan = await aiwyn.invoices.plan(parts=6, page_size=20)
    assert len(plan.partitions) == 6
    keys, reports = await read_all(aiwyn, plan)
    assert sorted(keys) == list(range(-50, 250))
    assert plan.commit(reports).complete


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (400, InvalidRequestError)])
async def test_plan_raises_the_error_of_its_condition_or_credential(
    serve: Serve, status: int, error: type[Exception]
) -> None:
    model = ServerModel(numbered(*range(300)))
    model.error_status = lambda _body: status
    with pytest.raises(error):
        await (await serve(model)).invoices.plan(parts=3)


async def test_bounds_of_partitions_meet(aiwyn: AiwynClient) -> None:
    plan = await aiwyn.invoices.plan(parts=9, page_size=10)
    first, last = plan.partitions[0], plan.partitions[-1]
    assert first.after is None
    assert last.until is None
    assert all(one.until == other.after for one, other in pairwise(plan.partitions))
    assert [each.number for each in plan.partitions] == list(range(9))


@pytest.mark.parametrize("chosen", [(0, 1), (1, 2), (0, 2), (0, 0, 1, 2), (1, 0, 2), (), (0, 1, 3)])
async def test_plan_of_other_than_all_its_partitions_is_refused(
    aiwyn: AiwynClient, chosen: tuple[int, ...]
) -> None:
    """A commit would report that all rows were read, without those of the partitions left out."""
    one, other = [await aiwyn.invoices.plan(parts=3, page_size=50) for _ in range(2)]
    partitions = (*one.partitions, other.partitions[2])
    with pytest.raises(ConfigurationError, match="are not all of one plan"):
        Plan(partitions=tuple(partitions[number] for number in chosen))


async def test_commit_names_absent_and_incomplete_partitions(serve: Serve) -> None:
    model = ServerModel(numbered(*range(300)))
    aiwyn = await serve(model)
    plan = await aiwyn.invoices.plan(parts=5, page_size=20)
    reports: dict[int, PullReport] = {}
    for partition in plan.partitions:
        pull = aiwyn.read(partition).decode_as(dict)
        if partition.number in {2, 3}:
            async for _ in pull.pages():
                break
        else:
            await pull.collect()
        reports[partition.number] = pull.report
    del reports[1], reports[4]
    with pytest.raises(IncompleteError) as caught:
        plan.commit(reports)
    text = str(caught.value)
    assert "no report of partition 1, 4" in text
    assert "partition 2: the pull did not reach its end" in text
    assert "partition 3: the pull did not reach its end" in text
    assert isinstance(caught.value.report, PullReport)
    assert not caught.value.report.complete
    with pytest.raises(IncompleteError, match="no report of partition 0, 1, 2, 3, 4"):
        plan.commit({})


async def test_commit_refuses_reports_of_other_partitions(aiwyn: AiwynClient) -> None:
    plan = await aiwyn.invoices.plan(parts=3, page_size=100)
    other = await aiwyn.invoices.plan(F.total_amount > 0, parts=3, page_size=100)
    reports = await reports_of(aiwyn, plan)
    foreign = await reports_of(aiwyn, other)
    whole = aiwyn.invoices.pull()
    await whole.collect()
    wrongs: list[dict[int, Any]] = [
        {**reports, 1: reports[2]},
        {**reports, 1: foreign[1]},
        {**reports, 7: reports[0]},
        {**reports, 0: whole.report},
        {**reports, 0: "{}"},
        {**reports, 0: b"no JSON"},
    ]
    for wrong in wrongs:
        with pytest.raises(ConfigurationError, match="report"):
            plan.commit(wrong)


async def test_strict_plan_refuses_what_a_lenient_one_reports(serve: Serve) -> None:
    model = ServerModel([*numbered(*range(100)), {"id": 55, "totalAmount": "a lot"}])
    aiwyn = await serve(model)
    for strict in (False, True):
        plan = await aiwyn.invoices.plan(parts=3, page_size=20, on_bad_row="skip", strict=strict)
        report = PullReport(finished=True, bad_rows=1, rows_yielded=1, total_count_at_end=1)
        reports = {
            each.number: msgspec.structs.replace(report, partition=each.fingerprint)
            for each in plan.partitions
        }
        if strict:
            with pytest.raises(IncompleteError, match="partition 2: 1 rows do not decode"):
                plan.commit(reports)
        else:
            combined = plan.commit(reports)
            assert combined.problems() == ["3 rows do not decode and were left out"]
