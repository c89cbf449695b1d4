"""The base of all models: frozen, camelCase, all fields but the key optional."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec

__all__ = ["Id", "Model"]

Id = int | str
"""A key. All keys in the documentation are integers; strings are accepted and stay strings."""

NOT_MONEY: Final[dict[str, Any]] = {"is_money": False}
# A quantity, a fraction or a price per unit, which ``round_money`` does not round to cents.
Measure = Annotated[Decimal, msgspec.Meta(extra=NOT_MONEY)]


class Model(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """Base of all rows and objects.

    Unknown fields are ignored here and available in ``page.raw_items()``. ``gc=False`` is safe: frozen
    Structs of scalars and tuples cannot form a reference cycle.
    """
