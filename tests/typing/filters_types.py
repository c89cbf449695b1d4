"""The types of expressions with ``F``. Only type-checked, never run."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import assert_type

from aiwyn_async.filters import JSON, Column, Condition, Direction, F, Order, to_order_by, to_where
from aiwyn_async.filters._keyset import keyset_after
from aiwyn_async.filters._validation import order_columns

assert_type(F.due_date, Column)
assert_type(F["pms_invoice_number"], Column)
assert_type(F.client.name, Column)
assert_type(F.status == "POSTED", Condition)
assert_type(F.status != "POSTED", Condition)
assert_type(F.total_amount > Decimal(5), Condition)
assert_type(F.created_at <= datetime(2024, 1, 1, tzinfo=UTC), Condition)
assert_type(F.status.in_("A"), Condition)
assert_type(F.status.in_(["A", "B"]), Condition)
assert_type(F.id.not_in(n for n in range(3)), Condition)
assert_type(F.paid_at.is_null(False), Condition)  # noqa: FBT003 - as documented
assert_type(F.lines.has(F.kind.like("T%")), Condition)
assert_type(~F.a.is_null() & (F.due_date >= date.min) | (F.b == 1), Condition)
assert_type(F.id.desc(nulls="last"), Order)

assert_type(to_where(F.a == 1), dict[str, JSON] | None)
to_where({"status": {"_in": ["A"]}, "_and": [F.a == 1]})
raw = {"status": {"_eq": "A"}}
to_where(raw)
assert_type(to_order_by([F.a.asc(), {"id": "asc"}]), list[dict[str, JSON]])
assert_type(to_order_by(F.a.asc()), list[dict[str, JSON]])
to_order_by([{"a": "asc"}])
assert_type(order_columns({"id": "asc"}), list[tuple[tuple[str, ...], Direction]])
keyset_after(order_columns(F.id.asc()), [42])

# Each line must be an error: mypy reports an unused ignore as one (warn_unused_ignores).
F.a == F.b  # type: ignore[operator]  # noqa: B015
(F.a == 1) & F.b  # type: ignore[operator]
F.a.like(5)  # type: ignore[arg-type]
F.a.asc(nulls="middle")  # type: ignore[arg-type]
to_where(F.a)  # type: ignore[arg-type]
to_order_by(F.a)  # type: ignore[arg-type]
