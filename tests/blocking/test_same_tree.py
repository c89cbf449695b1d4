"""Everything of the async client has a blocking form, with the same arguments."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from aiwyn_async import (
    Aiwyn,
    AiwynClient,
    Changes,
    EventSubscriptions,
    Pager,
    Pull,
    Records,
    RecordTypes,
    SearchableCollection,
    blocking,
)
from aiwyn_async.export import export

RENAMED = {"aclose": "close"}
INTERNAL = {
    *("adopt", "check_usable", "follow", "mask", "masking", "record", "undecoded"),  # for this package
    *("server", "strict", "on_bad_row", "is_resumed", "row_type", "hit_type", "detail_type", "endpoint"),
}
PAIRS: tuple[tuple[type[Any], type[Any]], ...] = (
    (AiwynClient, Aiwyn),
    (SearchableCollection, blocking.BlockingSearchableCollection),
    (Pager, blocking.BlockingRead),
    (Pull, blocking.BlockingRead),
    (Changes, blocking.BlockingChanges),
    (EventSubscriptions, blocking.BlockingEventSubscriptions),
    (RecordTypes, blocking.BlockingRecordTypes),
    (Records, blocking.BlockingRecords),
)


def public(kind: type[Any]) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")} - INTERNAL


@pytest.mark.parametrize(("kind", "twin"), PAIRS)
def test_every_member_has_a_blocking_form(kind: type[Any], twin: type[Any]) -> None:
    assert {RENAMED.get(name, name) for name in public(kind)} <= public(twin)


@pytest.mark.parametrize(("kind", "twin"), PAIRS)
def test_methods_have_the_same_arguments(kind: type[Any], twin: type[Any]) -> None:
    for name in public(kind) & public(twin):
        method = inspect.getattr_static(kind, name)
        if inspect.isfunction(method):
            of_async, of_blocking = (inspect.signature(getattr(each, name)) for each in (kind, twin))
            shapes = [
                [(each.name, each.kind, each.default) for each in signature.parameters.values()]
                for signature in (of_async, of_blocking)
            ]
            assert shapes[0] == shapes[1], name
            assert not inspect.iscoroutinefunction(getattr(twin, name)), name


def test_signatures_and_documentation_are_shown(aiwyn: Aiwyn) -> None:
    shown = inspect.signature(aiwyn.invoices.list)
    assert {"client_id", "status", "sort_order"} <= set(shown.parameters)
    assert "PENDING, POSTED" in (aiwyn.invoices.list.__doc__ or "")
    assert list(inspect.signature(aiwyn.export).parameters)[:2] == ["rows", "to"]
    assert aiwyn.export.__doc__ == export.__doc__
