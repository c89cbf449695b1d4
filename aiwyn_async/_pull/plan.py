"""A plan of partitions: a pull that several tasks, processes or machines read together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec

from aiwyn_async import models
from aiwyn_async._core.checks import check_kind
from aiwyn_async._core.pull_report import KeyRange, PullReport
from aiwyn_async._core.reports import EarlierProblems, combine_fields
from aiwyn_async._core.urls import is_plain_setting
from aiwyn_async._decoding.envelope import Envelope
from aiwyn_async._decoding.pages import OnBadRow
from aiwyn_async._http.messages import encode_json
from aiwyn_async._pagination.page import Stored, decode_exactly
from aiwyn_async._pagination.query import Query
from aiwyn_async._pagination.read import type_name
from aiwyn_async._pagination.read_options import ReadOptions
from aiwyn_async._pagination.strategy import PageStyle
from aiwyn_async.errors import ConfigurationError, IncompleteError
from aiwyn_async.models.base import Id, Model

PLAN_OPTIONS: Final = ("page_size", "strict", "on_bad_row")
_FIX: Final = "make another plan with plan()"
PARTITION_OPTIONS: Final = ("ranges", "ordered", "resume", "on_progress")


class Partition(Stored, frozen=True, kw_only=True):
    """One range of keys of a plan, for ``AiwynClient.read()``. Valid in every process; has no credentials.

    Attributes:
        number: its position in the plan, from 0.
        endpoint: the path that is read, below ``base_url``.
        fields: the fields of each request, as on the wire.
        key: wire name of the unique key; empty if rows have none.
        after, until: its keys are greater than ``after``, up to ``until``; None is unbounded.
        by_key: rows are searched by key.
        row_type: name of the row type: a model, or "dict".
        page_size, strict, on_bad_row: options of the read, see ``PullOptions``.
        page_style, page_size_key: how the endpoint pages.
        items_path, count_path: the keys of rows and count in a response; None to detect them.
        plan: the id of the plan.
        fingerprint: a hash of query, range, plan and server, which its checkpoints and reports are bound to.
    """

    number: Annotated[int, msgspec.Meta(ge=0)]
    endpoint: str
    fields: dict[str, Any]
    key: str
    after: Id | None
    until: Id | None
    by_key: bool
    row_type: str
    page_size: int
    strict: bool
    on_bad_row: OnBadRow
    page_style: PageStyle
    page_size_key: str
    items_path: tuple[str, ...] | None
    count_path: tuple[str, ...] | None
    plan: str
    fingerprint: str
    _name = "partition"
    _fix = _FIX


class Plan(Stored, frozen=True, kw_only=True):
    """The partitions of a pull: together they have every key once, also keys inserted later.

    Attributes:
        partitions: in key order.
        total_count: the server's count when the plan was made, or None if it was not needed.
        fallback_reason: why there is only one partition although more were requested; None if rows are few.

    Raises:
        ConfigurationError: the partitions are not all of one plan, from the first to the last.
    """

    partitions: tuple[Partition, ...]
    total_count: int | None = None
    fallback_reason: str | None = None
    _name = "plan"
    _fix = _FIX

    def __post_init__(self) -> None:
        # Without this, a plan made of some partitions would be complete without the rows of the others.
        numbers = [each.number for each in self.partitions]
        bounds = [None, *(each.until for each in self.partitions)]
        if (
            not numbers
            or numbers != list(range(len(numbers)))
            or [*(each.after for each in self.partitions), None] != bounds
            or len({(each.plan, each.endpoint) for each in self.partitions}) > 1
        ):
            raise ConfigurationError(
                "the partitions are not all of one plan; pass each of its partitions once, in the order of "
                "their numbers"
            )

    def commit(self, reports: Mapping[int, PullReport | str | bytes]) -> PullReport:
        """Return one report of all partitions. Sends nothing.

        Counts and ``seconds`` are sums.

        Args:
            reports: the report of each partition, or its JSON, by the number of the partition.

        Raises:
            IncompleteError: a partition has no report, was not read to its end or has missing ranges, or the
                plan is strict and a report has problems. The text names the numbers; ``report`` combines the
                reports that there are.
            ConfigurationError: a report is not valid, or of another plan.
        """
        check_kind("reports", reports, Mapping, "a dict of the report of each partition by its number")
        parsed = {number: to_report(number, report) for number, report in reports.items()}
        self._check_origin(parsed)
        present = [parsed[each.number] for each in self.partitions if each.number in parsed]
        combined = _combine(present, self.total_count) if present else None
        problems = self._problems(parsed)
        if problems or combined is None:
            text = f"{self.partitions[0].endpoint} was not read completely: {'; '.join(problems)}"
            raise IncompleteError(text, report=combined)
        return combined

    def _check_origin(self, reports: Mapping[int, PullReport]) -> None:
        fingerprints = {each.number: each.fingerprint for each in self.partitions}
        foreign = sorted(
            number for number, report in reports.items() if fingerprints.get(number) != report.partition
        )
        if foreign:
            raise ConfigurationError(
                f"the reports under {_listed(foreign)} are not those of the partitions with these numbers; "
                "pass the report of each read(partition) under partition.number"
            )

    def _problems(self, reports: Mapping[int, PullReport]) -> list[str]:
        absent = [each.number for each in self.partitions if each.number not in reports]
        problems = [f"no report of partition {_listed(absent)}"] if absent else []
        for partition in self.partitions:
            report = reports.get(partition.number)
            if report is None or report.complete:
                continue
            if partition.strict or report.missing or not report.finished:
                problems.append(f"partition {partition.number}: {', '.join(report.problems())}")
        return problems


def _combine(reports: Sequence[PullReport], total_count: int | None) -> PullReport:
    """Return one report of partitions, at least one; ``total_count`` is the count before all of them."""
    changes = combine_fields(
        reports,
        *("rows_received", "rows_yielded", "rows_without_key", "unaccounted_rows", "short_pages"),
        *("retries", "ranges_completed", "scans", "total_count_at_start", "total_count_at_end"),
    )
    if total_count is not None:
        changes["total_count_at_start"] = total_count
    earlier = [msgspec.structs.asdict(each.earlier_problems) for each in reports]
    return msgspec.structs.replace(
        reports[0],
        **changes,
        earlier_problems=EarlierProblems(
            **{name: sum(each[name] for each in earlier) for name in earlier[0]}
        ),
        order_checked=all(each.order_checked for each in reports),
        finished=all(each.finished for each in reports),
        resumed=any(each.resumed for each in reports),
        missing=[missing for each in reports for missing in each.missing],
        peak_concurrency=max(each.peak_concurrency for each in reports),
        min_page_size=min(each.min_page_size for each in reports),
        partition=None,
    )


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def to_report(number: int, report: PullReport | str | bytes) -> PullReport:
    """Return the report of a partition, decoded if it is JSON.

    Raises:
        ConfigurationError: it is not valid.
    """
    if isinstance(report, PullReport):
        return report
    try:
        return msgspec.json.decode(report, type=PullReport)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, TypeError):
        raise ConfigurationError(
            f"the report of partition {number} is not valid; pass a PullReport or its to_json()"
        ) from None


def normalized(query: Query) -> Query:
    """Return a query as its JSON is decoded, so that it has the same fingerprint in every process."""
    fields = decode_exactly(encode_json(query.fields))
    return msgspec.structs.replace(query, fields=fields, key_range=KeyRange(None, None))


def to_query(partition: Partition, server: str) -> Query:
    """Return the query of a partition at a server.

    Raises:
        ConfigurationError: the partition was changed, or made at another server or by another release.
    """
    query = Query(
        path=partition.endpoint,
        fields=partition.fields,
        server=server,
        key=partition.key,
        envelope=None
        if partition.items_path is None
        else Envelope(partition.items_path, partition.count_path),
        by_key=partition.by_key,
        page_style=partition.page_style,
        page_size_key=partition.page_size_key,
        model=to_row_type(partition.row_type),
        key_range=KeyRange(partition.after, partition.until),
        plan=partition.plan,
    )
    if query.pull_fingerprint() != partition.fingerprint or not is_plain_setting(query.path):
        raise ConfigurationError(f"the partition was changed, or is of a plan of another server; {_FIX}")
    return query


def to_options(partition: Partition, **options: Any) -> ReadOptions:
    """Return the options of a partition, with those of its read.

    Raises:
        TypeError: an unknown keyword argument.
        ConfigurationError: a value is out of bounds.
    """
    built = ReadOptions.build("read", PARTITION_OPTIONS, **options)
    planned = ReadOptions.build("plan", **{name: getattr(partition, name) for name in PLAN_OPTIONS})
    return msgspec.structs.replace(built, **{name: getattr(planned, name) for name in PLAN_OPTIONS})


def to_row_type(name: str) -> type[Any]:
    """Return the row type of this name.

    Raises:
        ConfigurationError: there is none.
    """
    if name == type_name(dict):
        return dict
    row_type: Any = getattr(models, name, None)
    if isinstance(row_type, type) and issubclass(row_type, Model):
        return row_type
    raise ConfigurationError(f"no row type is named {name!r}; use the release that made the plan")
