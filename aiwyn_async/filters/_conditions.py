"""Conditions and orders: the JSON that the builder makes, joined and nested."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast, final, get_args

from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters._values import JSON

Path: TypeAlias = tuple[str, ...]
Direction: TypeAlias = Literal[
    "asc", "desc", "asc_nulls_first", "asc_nulls_last", "desc_nulls_first", "desc_nulls_last"
]
Where: TypeAlias = "Condition | Mapping[str, object] | None"
OrderBy: TypeAlias = "Order | Mapping[str, object] | Sequence[Order | Mapping[str, object]] | None"

DIRECTIONS: Final[dict[str, Direction]] = {direction: direction for direction in get_args(Direction)}
MAX_DEPTH: Final = 64
"""Nested objects in a ``where``; a deeper one is a loop or an attack."""


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Condition:
    """A condition on rows, built with ``F``.

    Join conditions with ``&`` and ``|``, and negate them with ``~``.

    Example:
        >>> ((F.status == "POSTED") & ~F.due_date.is_null()).to_dict()
        {'_and': [{'status': {'_eq': 'POSTED'}}, {'_not': {'dueDate': {'_is_null': True}}}]}
    """

    _tree: dict[str, JSON]

    def __and__(self, other: "Condition") -> "Condition":
        return self._join("_and", other)

    def __or__(self, other: "Condition") -> "Condition":
        return self._join("_or", other)

    def __invert__(self) -> "Condition":
        return Condition({"_not": self._tree})

    def __bool__(self) -> bool:
        raise TypeError(
            "a Condition has no truth value; join conditions with & | ~ instead of and/or/not,"
            " put each comparison in parentheses, and write a range as (F.x >= 1) & (F.x < 9)"
        )

    def __repr__(self) -> str:
        return f"Condition({self._tree!r})"

    def to_dict(self) -> dict[str, JSON]:
        """Return the ``where`` object as a new dict.

        Raises:
            ConfigurationError: The condition is nested more than 64 objects deep.
        """
        return cast("dict[str, JSON]", _copy(self._tree, 1))

    def _join(self, operator: str, other: "Condition") -> "Condition":
        # For untyped code: NotImplemented makes Python name both types in its error.
        if not isinstance(other, Condition):  # pyright: ignore[reportUnnecessaryIsInstance]
            return NotImplemented
        others = other._operands(operator)  # noqa: SLF001 - the same class
        return Condition({operator: [*self._operands(operator), *others]})

    def _operands(self, operator: str) -> list[JSON]:
        """Return the operands of the same operator: ``a & b & c`` is one list of three."""
        inner = self._tree.get(operator)
        return inner if isinstance(inner, list) else [self._tree]


@final
@dataclass(frozen=True, slots=True)
class Order:
    """One column to order by: its path of wire names, and the direction."""

    path: Path
    direction: Direction

    def to_dict(self) -> dict[str, JSON]:
        """Return the one-key object, such as ``{"client": {"name": "asc"}}``."""
        return nest(self.path, self.direction)


def nest(path: Path, inner: JSON) -> dict[str, JSON]:
    """Return ``{"client": {"name": inner}}`` for the path ``("client", "name")``."""
    for name in reversed(path):
        inner = {name: inner}
    return cast("dict[str, JSON]", inner)


@functools.lru_cache(maxsize=1024)
def format_path(path: Path) -> str:
    """Return the expression that builds a path: ``F.client['pms_id']``."""
    plain = (name.isidentifier() and "_" not in name for name in path)
    return "F" + "".join(f".{name}" if dot else f"[{name!r}]" for name, dot in zip(path, plain, strict=True))


def check_depth(depth: int, at: str) -> None:
    """Raise if objects are nested more than 64 deep."""
    if depth > MAX_DEPTH:
        raise ConfigurationError(f"{at}: nested more than {MAX_DEPTH} objects deep; flatten it")


def _copy(tree: JSON, depth: int) -> JSON:
    if isinstance(tree, list):
        return [_copy(item, depth) for item in tree]
    if not isinstance(tree, dict):
        return tree
    check_depth(depth, "where")
    return {key: _copy(inner, depth + 1) for key, inner in tree.items()}
