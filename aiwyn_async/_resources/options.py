"""Keyword options of the verbs of resources, for type checkers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TypedDict

from aiwyn_async._decoding.pages import OnBadRow
from aiwyn_async._pagination.page import Checkpoint
from aiwyn_async._pull.progress import Progress
from aiwyn_async.models.base import Id
from aiwyn_async.models.payments import PaymentMethod


class ListOptions(TypedDict, total=False):
    """Options of every ``list()`` and ``search()``.

    Attributes:
        page_size: rows per request, 1 to 1000; 1000 by default.
        limit: stop after this many rows; no limit by default.
        strict: raise ``IncompleteError`` at the end unless the read is complete; off by default.
        on_bad_row: "raise" (the default), "skip" or "collect" rows that do not decode.
        resume: the checkpoint of an earlier read of the same query.
    """

    page_size: int
    limit: int | None
    strict: bool
    on_bad_row: OnBadRow
    resume: Checkpoint | str | bytes | None


class PlanOptions(TypedDict, total=False):
    """Options of every ``plan()``, stored in its partitions.

    For a resource without a search, also the filters of its ``list()``.

    Attributes:
        page_size: rows per request, 1 to 1000; 1000 by default.
        strict: raise ``IncompleteError`` unless the report of a partition is complete; off by default.
        on_bad_row: "raise" (the default), "skip" or "collect" rows that do not decode.
        client_id, payment_method, start_date, end_date, extra: as ``list()`` takes them.
    """

    page_size: int
    strict: bool
    on_bad_row: OnBadRow
    client_id: Id | None
    payment_method: PaymentMethod | None
    start_date: date | str | None
    end_date: date | str | None
    extra: Mapping[str, object] | None


class PartitionOptions(TypedDict, total=False):
    """Options of ``AiwynClient.read()``.

    Attributes:
        ranges: key ranges read at once, 1 to 64; by default the client's limit of requests in flight. 1 sends
            one request at a time.
        ordered: yield rows in key order; off by default.
        resume: the checkpoint of an earlier read of the same partition and row type.
        on_progress: called after each page with a ``Progress``.
    """

    ranges: int | None
    ordered: bool
    resume: Checkpoint | str | bytes | None
    on_progress: Callable[[Progress], None] | None


class PullOptions(PlanOptions, PartitionOptions, total=False):
    """Options of every ``pull()``.

    For a resource without a search, also the filters of its ``list()``.

    Attributes:
        page_size: rows per request, 1 to 1000; 1000 by default.
        ranges: key ranges read at once, 1 to 64; by default the client's limit of requests in flight.
        ordered: yield rows in key order; off by default.
        strict: raise ``IncompleteError`` at the end unless ``report.complete``; off by default.
        on_bad_row: "raise" (the default), "skip" or "collect" rows that do not decode.
        resume: the checkpoint of an earlier pull of the same query and row type.
        on_progress: called after each page with a ``Progress``.
        client_id, payment_method, start_date, end_date, extra: as ``list()`` takes them.
    """


class ChangesOptions(TypedDict, total=False):
    """Options of ``changes()``.

    Attributes:
        page_size: rows per request, 1 to 1000; 1000 by default.
        on_bad_row: "raise" (the default), "skip" or "collect" rows that do not decode.
        resume: the checkpoint of an earlier read of the same query.
        on_progress: called after each page with a ``Progress``.
    """

    page_size: int
    on_bad_row: OnBadRow
    resume: Checkpoint | str | bytes | None
    on_progress: Callable[[Progress], None] | None
