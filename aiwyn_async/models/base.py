"""What all models share: frozen Structs in camelCase on the wire, every field but the key optional."""

from __future__ import annotations

import msgspec

__all__ = ["Id", "Model"]

Id = int | str
"""A key: every one seen in the documentation is an integer; strings are taken as they come."""


class Model(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """Base of all rows and objects.

    Unknown fields of the wire are ignored here and kept in ``page.raw_items()``. ``gc=False`` is safe:
    frozen structs of scalars and tuples cannot form a cycle.
    """
