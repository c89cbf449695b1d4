"""Build and check the ``where`` and ``order_by`` of a search.

    where = F.status.in_("POSTED", "CLOSED") & (F.due_date >= date(2024, 1, 1))
    order_by = [F.created_at.desc(), F.id.asc()]

The format on the wire is Hasura's. Aiwyn documents ``_and _or _not _eq _neq _gt _gte _lt _lte _in _nin _like
_ilike _regex _is_null`` (but not ``_like``, ``_regex`` and ``_is_null`` for staff search). The server may
reject ``_nlike _nilike _iregex`` and orders with ``nulls=``, which are inferred from Hasura.
"""

from aiwyn_async.filters._builder import Column, F, Fields
from aiwyn_async.filters._conditions import Condition, Direction, Order, OrderBy, Where
from aiwyn_async.filters._validation import to_order_by, to_where
from aiwyn_async.filters._values import JSON, Value

__all__ = [
    "JSON",
    "Column",
    "Condition",
    "Direction",
    "F",
    "Fields",
    "Order",
    "OrderBy",
    "Value",
    "Where",
    "to_order_by",
    "to_where",
]
