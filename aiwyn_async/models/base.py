"""The base of all models: frozen, camelCase, all fields but the key optional."""

from __future__ import annotations

import msgspec

__all__ = ["Id", "Model"]

Id = int | str
"""A key. All keys in the documentation are integers; strings are accepted and stay strings."""


class Model(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """Base of all rows and objects.

    Unknown fields are ignored here and available in ``page.raw_items()``. ``gc=False`` is safe: frozen
    Structs of scalars and tuples cannot form a reference cycle.
    """
