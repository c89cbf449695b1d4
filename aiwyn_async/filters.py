"""``F`` writes the ``where`` and ``orderBy`` of a search, and refuses what cannot be meant.

    where = F.status.in_("POSTED", "CLOSED") & (F.due_date >= date(2024, 1, 1))
    order_by = [F.created_at.desc(), F.id.asc()]

The wire's form is Hasura's. Aiwyn documents ``_and _or _not _eq _neq _gt _gte _lt _lte _in _nin _like
_ilike _regex _is_null`` (for staff search neither ``_like`` nor ``_regex`` nor ``_is_null``). Inferred from
Hasura, and so perhaps refused by the server: ``_nlike _nilike _iregex`` and the orders that place nulls.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from math import isfinite
from numbers import Integral, Real
from typing import Final, Literal, NoReturn, TypeAlias, cast, final, get_args
from uuid import UUID

from aiwyn_async.errors import ConfigurationError

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
    "instant_text",
    "key_between",
    "keyset_after",
    "order_columns",
    "to_order_by",
    "to_where",
    "utc_text",
    "wire_value",
]

Scalar: TypeAlias = bool | int | float | Decimal | str
JSON: TypeAlias = "Scalar | list[JSON] | dict[str, JSON] | None"
"""What goes on the wire. Decimals stay Decimals: encode with msgspec's ``decimal_format="number"``."""
Value: TypeAlias = str | int | float | Decimal | date | UUID | Enum
"""What a column is compared with; bool is an int and datetime a date."""
Direction: TypeAlias = Literal[
    "asc", "desc", "asc_nulls_first", "asc_nulls_last", "desc_nulls_first", "desc_nulls_last"
]
Where: TypeAlias = "Condition | Mapping[str, object] | None"
OrderBy: TypeAlias = "Order | Mapping[str, object] | Sequence[Order | Mapping[str, object]] | None"

MAX_DEPTH: Final = 64
"""Objects inside objects in a ``where``; what is deeper is a loop or an attack."""
# Digits before or after the point: written out, a Decimal("1E+999999") would be a megabyte.
_MAX_DIGITS: Final = 100
_CONTROLS: Final = {"Cc", "Cs"}

_PATTERNS: Final = ("_like", "_nlike", "_ilike", "_nilike", "_regex", "_iregex")
_LIKE_PATTERNS: Final = ("_like", "_nlike", "_ilike", "_nilike")
_LIKE_SPECIAL: Final = re.compile(r"[\\%_]")
_LISTS: Final = ("_in", "_nin")
_COMPARISONS: Final = ("_eq", "_neq", "_gt", "_gte", "_lt", "_lte", *_LISTS, *_PATTERNS, "_is_null")
_OPERATORS: Final = ("_and", "_or", "_not", *_COMPARISONS)
_DIRECTIONS: Final[dict[str, Direction]] = {direction: direction for direction in get_args(Direction)}


class _NoColumnError(ConfigurationError, AttributeError):
    """Also an AttributeError, so that ``hasattr``, ``copy`` and notebooks hear a plain no."""


@final
class Fields:
    """The type of ``F``: every attribute is a column, in snake_case; ``F.from_`` is the wire's ``from``.

    Example:
        >>> F.due_date, F.client.name, F["pms_invoice_number"]
        (F.dueDate, F.client.name, F['pms_invoice_number'])
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> "Column":
        """Give the column of a Python name, spelled the wire's way: ``due_date`` is ``dueDate``."""
        return Column((_camel(name, "F"),))

    def __getitem__(self, name: str) -> "Column":
        """Give the column of a wire name as it is, for the few that are snake_case on the wire."""
        return Column((_name(name, "F"),))


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Column:
    """A column, or a relation whose columns are its attributes: ``F.client.name``.

    Compare it (``== != > >= < <=``) or call a method to get a `Condition`. As in SQL, a null column meets
    none of them but ``is_null()``, not even ``!=`` and ``not_in()``. A related column that is called like a
    method here is reached with brackets: ``F.client["like"]``.

    Values are str, int, float, bool, Decimal, date, datetime, UUID or an Enum of these. A naive datetime goes
    out without a zone. None, NaN, infinity and everything else raise `ConfigurationError`.
    """

    _path: tuple[str, ...]

    def __getattr__(self, name: str) -> "Column":
        """Give a column of this relation by its Python name."""
        return Column((*self._path, _camel(name, repr(self))))

    def __getitem__(self, name: str) -> "Column":
        """Give a column of this relation by its wire name."""
        return Column((*self._path, _name(name, repr(self))))

    # Equal columns make a condition, not a truth, so no set or dict could look one up.
    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

    # Narrower than object's, and no bool: that is what the builder is for.
    def __eq__(self, value: Value) -> "Condition":  # type: ignore[override]
        return _condition(self._path, "_eq", value)

    def __ne__(self, value: Value) -> "Condition":  # type: ignore[override]
        return _condition(self._path, "_neq", value)

    def __gt__(self, value: Value) -> "Condition":
        return _condition(self._path, "_gt", value)

    def __ge__(self, value: Value) -> "Condition":
        return _condition(self._path, "_gte", value)

    def __lt__(self, value: Value) -> "Condition":
        return _condition(self._path, "_lt", value)

    def __le__(self, value: Value) -> "Condition":
        return _condition(self._path, "_lte", value)

    def in_(self, *values: Value | Iterable[Value]) -> "Condition":
        """Match any of the values, given one by one or as one list, tuple, set or generator.

        A lone str is one value, not its letters. No value at all raises `ConfigurationError`.
        """
        return _condition(self._path, "_in", _listed(values, f"{self!r}.in_"))

    def not_in(self, *values: Value | Iterable[Value]) -> "Condition":
        """Match none of the values; they are given as to `in_`."""
        return _condition(self._path, "_nin", _listed(values, f"{self!r}.not_in"))

    def like(self, pattern: str) -> "Condition":
        """Match a pattern with ``%`` for any text and ``_`` for any letter."""
        return _condition(self._path, "_like", pattern)

    def not_like(self, pattern: str) -> "Condition":
        """Match what `like` does not. Inferred from Hasura, not documented by Aiwyn."""
        return _condition(self._path, "_nlike", pattern)

    def ilike(self, pattern: str) -> "Condition":
        """Match as `like` does, upper and lower case alike."""
        return _condition(self._path, "_ilike", pattern)

    def not_ilike(self, pattern: str) -> "Condition":
        """Match what `ilike` does not. Inferred from Hasura, not documented by Aiwyn."""
        return _condition(self._path, "_nilike", pattern)

    def regex(self, pattern: str) -> "Condition":
        """Match a POSIX regular expression anywhere in the text."""
        return _condition(self._path, "_regex", pattern)

    def iregex(self, pattern: str) -> "Condition":
        """Match as `regex` does, whatever the case. Inferred from Hasura, not documented by Aiwyn."""
        return _condition(self._path, "_iregex", pattern)

    def contains(self, text: str, *, ignore_case: bool = False) -> "Condition":
        """Match text that contains this one; ``% _`` and backslashes in it stand for themselves."""
        return self._literal("%", text, "%", "contains", ignore_case=ignore_case)

    def startswith(self, text: str, *, ignore_case: bool = False) -> "Condition":
        """Match text that starts with this one, taken literally as by `contains`."""
        return self._literal("", text, "%", "startswith", ignore_case=ignore_case)

    def endswith(self, text: str, *, ignore_case: bool = False) -> "Condition":
        """Match text that ends with this one, taken literally as by `contains`."""
        return self._literal("%", text, "", "endswith", ignore_case=ignore_case)

    def _literal(self, before: str, text: str, after: str, method: str, *, ignore_case: bool) -> "Condition":
        at = f"{self!r}.{method}"
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"{at}: {_shown(text)} is not text; use a str")
        pattern = before + _LIKE_SPECIAL.sub(r"\\\g<0>", text) + after
        return _condition(self._path, "_ilike" if ignore_case else "_like", pattern)

    def between(self, low: Value, high: Value) -> "Condition":
        """Match values from ``low`` to ``high``, both included."""
        return (self >= low) & (self <= high)

    def __call__(self, *_: object, **__: object) -> NoReturn:
        """Refuse the call of a misspelt method, which is a column like any other name."""
        name = self._path[-1]
        near = difflib.get_close_matches(_snake(name), _METHODS, n=1, cutoff=0.5)
        meant = f"; did you mean {near[0]}()?" if near else f"; its methods are {', '.join(_METHODS)}"
        raise TypeError(f"{self!r} is a column and cannot be called{meant}")

    def is_null(self, null: bool = True, /) -> "Condition":  # noqa: FBT002 - is_null(False) is how it is said
        """Match rows where the column is null, or with False those where it is not."""
        return _condition(self._path, "_is_null", null)

    def has(self, condition: "Condition") -> "Condition":
        """Match rows with a related row that meets the whole condition.

        ``F.lines.has((F.kind == "TAX") & (F.amount > 5))`` asks for one line that is both, where
        ``(F.lines.kind == "TAX") & (F.lines.amount > 5)`` is content with two.
        """
        return Condition(_nested(self._path, _boolean(condition, f"{self!r}.has", 1)))

    def asc(self, *, nulls: Literal["first", "last"] | None = None) -> "Order":
        """Order upwards; nulls come last unless told. ``nulls=`` is Hasura's, not documented by Aiwyn."""
        return _ordered(self._path, "asc", nulls)

    def desc(self, *, nulls: Literal["first", "last"] | None = None) -> "Order":
        """Order downwards; nulls come first unless told. ``nulls=`` is Hasura's, not documented by Aiwyn."""
        return _ordered(self._path, "desc", nulls)

    def __repr__(self) -> str:
        return _spelled(self._path)


_METHODS: Final = tuple(
    name for name, member in vars(Column).items() if not name.startswith("_") and callable(member)
)


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Condition:
    """What a row must meet. Joined with ``&`` and ``|``, turned round with ``~``; `F` makes them.

    Example:
        >>> ((F.status == "POSTED") & ~F.due_date.is_null()).to_dict()
        {'_and': [{'status': {'_eq': 'POSTED'}}, {'_not': {'dueDate': {'_is_null': True}}}]}
    """

    _tree: dict[str, JSON]

    def __and__(self, other: "Condition") -> "Condition":
        return self._joined("_and", other)

    def __or__(self, other: "Condition") -> "Condition":
        return self._joined("_or", other)

    def __invert__(self) -> "Condition":
        return Condition({"_not": self._tree})

    def __bool__(self) -> bool:
        raise TypeError(
            "a Condition is neither true nor false here: join conditions with & | ~ instead of and/or/not,"
            " each comparison in parentheses, and write a range as (F.x >= 1) & (F.x < 9)"
        )

    def __repr__(self) -> str:
        return f"Condition({self._tree!r})"

    def to_dict(self) -> dict[str, JSON]:
        """Give the ``where`` object as a new dict; raises `ConfigurationError` if over 64 objects deep."""
        return _boolean(self._tree, "where", 1)

    def _joined(self, operator: str, other: "Condition") -> "Condition":
        # Not all code is typed, and NotImplemented is what makes Python name both sides.
        if not isinstance(other, Condition):  # pyright: ignore[reportUnnecessaryIsInstance]
            return NotImplemented
        theirs = other._operands(operator)  # noqa: SLF001 - its own kind
        return Condition({operator: [*self._operands(operator), *theirs]})

    def _operands(self, operator: str) -> list[JSON]:
        """Open a chain of the same operator, so that ``a & b & c`` is one list of three."""
        inner = self._tree.get(operator)
        return inner if isinstance(inner, list) else [self._tree]


@final
@dataclass(frozen=True, slots=True)
class Order:
    """One column to order by: the path of wire names to it, and the direction."""

    path: tuple[str, ...]
    direction: Direction

    def to_dict(self) -> dict[str, JSON]:
        """Give the one-key object, such as ``{"client": {"name": "asc"}}``."""
        return _nested(self.path, self.direction)


F: Final = Fields()
"""Where every filter and order begins: ``F.total_amount > 100``, ``F.created_at.desc()``."""


def to_where(where: Where, *, allow_unknown_operators: bool = False) -> dict[str, JSON] | None:
    """Check a condition or a raw ``where`` object and give it as a new dict, fit for the wire.

    A raw object may hold conditions, and any value `F` takes: ``{"dueDate": {"_gte": date.today()}}``.

    Args:
        where: A `Condition`, a dict such as ``{"status": {"_eq": "PAID"}}``, or None for no filter.
        allow_unknown_operators: Send operators that are not known here as they are: ``{"tags": {"_contains":
            ["a"]}}``. Their operands may be any JSON; the names and operands of known ones are still checked.

    Raises `ConfigurationError`, naming the place: an unknown operator, an operand of the wrong kind, an empty
    list of values, None where a value belongs, a key that is empty or has control characters, too much depth.
    """
    if where is None:
        return None
    return _boolean(where, "where", 1, allow_unknown=allow_unknown_operators)


def to_order_by(order_by: OrderBy) -> list[dict[str, JSON]]:
    """Check what to order by and give it as a new list of one-key objects; None gives an empty list.

    Args:
        order_by: ``F.id.asc()``, ``{"id": "asc"}``, or a list of such, the first column first.

    Raises `ConfigurationError` for an unknown direction, an object of several keys, a column named twice.
    """
    return [order.to_dict() for order in _orders(order_by)]


def order_columns(order_by: OrderBy) -> list[tuple[tuple[str, ...], Direction]]:
    """Give the path and the direction of each column, checked as by `to_order_by`.

    Example:
        >>> order_columns([{"client": {"name": "asc"}}, F.id.desc()])
        [(('client', 'name'), 'asc'), (('id',), 'desc')]
    """
    return [(order.path, order.direction) for order in _orders(order_by)]


def keyset_after(
    order: Sequence[tuple[tuple[str, ...], Direction]],
    values: Sequence[object],
    ties: Condition | None = None,
) -> dict[str, JSON]:
    """Give the ``where`` of all rows that come after the row with these values.

    Nulls stand where Postgres puts them (last in asc, first in desc) unless the direction says otherwise. The
    values must be as exact as the server's: a time cut to milliseconds no longer equals the row it came from.

    Args:
        order: As `order_columns` gives it. The last column must be unique and never null; an order over an
            aggregate has no such condition.
        values: The row's value for each column of the order, None for null.
        ties: Which of the rows that equal all these values come after; then no column needs to be unique.

    Raises `ConfigurationError` when the two do not match or the last value is None.

    Example:
        >>> keyset_after([(("id",), "asc")], [42])
        {'id': {'_gt': 42}}
    """
    if (not order and ties is None) or len(order) != len(values):
        raise ConfigurationError(
            f"values: {len(values)} given for {len(order)} columns of order; give one for each"
        )
    if ties is None:
        if values[-1] is None:
            raise ConfigurationError(
                "values: the last is None; order by a key that is unique and never null last"
            )
        path, direction = order[-1]
        ties = _condition(path, _beyond(direction), values[-1])
        order, values = order[:-1], values[:-1]
    after = ties
    for (path, direction), value in zip(reversed(order), reversed(values), strict=True):
        after = _after_column(path, direction, value, ties=after)
    return after.to_dict()


def key_between(key: str, after: object, until: object) -> list[dict[str, JSON]]:
    """Give the conditions of rows with keys above ``after`` up to ``until``; None is no bound.

    Example:
        >>> key_between("id", 7, 9)
        [{'id': {'_gt': 7}}, {'id': {'_lte': 9}}]
    """
    bounds = (("_gt", after), ("_lte", until))
    return [_condition((key,), operator, bound).to_dict() for operator, bound in bounds if bound is not None]


def _after_column(
    path: tuple[str, ...], direction: Direction, value: object, *, ties: Condition
) -> Condition:
    beyond = _beyond(direction)
    nulls_first = direction == "desc" or direction.endswith("nulls_first")
    # Written with _not because a related row that does not exist has no column to be null, yet sorts as one.
    has_value = _condition(path, "_is_null", operand=False)
    is_null = ~has_value if len(path) > 1 else _condition(path, "_is_null", operand=True)
    if value is None:
        tied = is_null & ties
        return has_value | tied if nulls_first else tied
    further = _condition(path, beyond, value)
    tied = _condition(path, "_eq", value) & ties
    return further | tied if nulls_first else further | is_null | tied


def _beyond(direction: Direction) -> str:
    if direction not in _DIRECTIONS:
        raise ConfigurationError(f"order: {_shown(direction)} is no direction; use {', '.join(_DIRECTIONS)}")
    return "_lt" if direction.startswith("desc") else "_gt"


def _condition(path: tuple[str, ...], operator: str, operand: object) -> Condition:
    return Condition(_nested(path, {operator: _operand(operator, operand, f"{_spelled(path)}.{operator}")}))


def _spelled(path: tuple[str, ...]) -> str:
    """Give the Python that makes this path; what snake_case would change goes in brackets."""
    plain = (name.isidentifier() and "_" not in name for name in path)
    return "F" + "".join(f".{name}" if dot else f"[{name!r}]" for name, dot in zip(path, plain, strict=True))


def _nested(path: tuple[str, ...], inner: JSON) -> dict[str, JSON]:
    for name in reversed(path):
        inner = {name: inner}
    return cast("dict[str, JSON]", inner)


def _ordered(path: tuple[str, ...], base: Literal["asc", "desc"], nulls: str | None) -> Order:
    direction = _DIRECTIONS.get(base if nulls is None else f"{base}_nulls_{nulls}")
    if direction is None:
        raise ConfigurationError(f'nulls: {_shown(nulls)} is no place for nulls; use "first" or "last"')
    return Order(path, direction)


def _orders(order_by: OrderBy) -> list[Order]:
    if order_by is None:
        return []
    given: Sequence[object] = order_by if isinstance(order_by, (list, tuple)) else [order_by]
    orders = [_order(one, f"order_by[{index}]") for index, one in enumerate(given)]
    seen: set[tuple[str, ...]] = set()
    for order in orders:
        if order.path in seen:
            raise ConfigurationError(f"order_by: {'.'.join(order.path)} stands in it twice; keep the first")
        seen.add(order.path)
    return orders


def _order(given: object, at: str) -> Order:
    path: list[str] = []
    inner = given.to_dict() if isinstance(given, Order) else given
    while isinstance(inner, Mapping):
        entries = list(cast("Mapping[object, object]", inner).items())
        if len(entries) != 1:
            raise ConfigurationError(
                f"{at}: an object of {len(entries)} keys; give a list of one-key objects"
            )
        path.append(_name(entries[0][0], at))
        if len(path) > MAX_DEPTH:
            raise ConfigurationError(f"{at}: more than {MAX_DEPTH} objects deep; order by a nearer column")
        inner = entries[0][1]
    direction = _DIRECTIONS.get(inner) if path and isinstance(inner, str) else None
    if direction is None:
        raise ConfigurationError(
            f'{at}: {_shown(inner)} is no order; use F.id.asc(), F.id.desc() or {{"id": "asc"}}'
        )
    return Order(tuple(path), direction)


def _boolean(node: object, at: str, depth: int, *, allow_unknown: bool = False) -> dict[str, JSON]:
    """Copy an object of columns, relations and ``_and _or _not``."""
    entries = _entries(node, at, depth, allow_unknown=allow_unknown)
    return {
        key: _clause(key, inner, f"{at}.{key}", depth, allow_unknown=allow_unknown) for key, inner in entries
    }


def _clause(key: str, inner: object, at: str, depth: int, *, allow_unknown: bool) -> JSON:
    if key in {"_and", "_or"}:
        return [
            _boolean(one, f"{at}[{index}]", depth + 1, allow_unknown=allow_unknown)
            for index, one in enumerate(_list(inner, at))
        ]
    if key == "_not":
        return _boolean(inner, at, depth + 1, allow_unknown=allow_unknown)
    if key.startswith("_") and key not in _OPERATORS:
        return _wire_value(inner, at, depth + 1)
    if key in _COMPARISONS:
        raise ConfigurationError(f'{at}: stands outside a column; write {{"column": {{"{key}": ...}}}}')
    entries = _entries(inner, at, depth + 1, allow_unknown=allow_unknown)
    compared = [_is_comparison(inner_key) for inner_key, _ in entries]
    if not any(compared):
        return _boolean(inner, at, depth + 1, allow_unknown=allow_unknown)
    if not all(compared):
        raise ConfigurationError(
            f"{at}: compares a column and names others inside it; split it in two under _and"
        )
    return {operator: _operand(operator, operand, f"{at}.{operator}") for operator, operand in entries}


def _is_comparison(key: str) -> bool:
    return key in _COMPARISONS or (key.startswith("_") and key not in _OPERATORS)


def _entries(node: object, at: str, depth: int, *, allow_unknown: bool) -> list[tuple[str, object]]:
    if depth > MAX_DEPTH:
        raise ConfigurationError(f"where: more than {MAX_DEPTH} objects deep; join conditions in one list")
    if isinstance(node, Condition):
        node = node.to_dict()
    if not isinstance(node, Mapping):
        raise ConfigurationError(
            f'{at}: {_shown(node)} is no condition; use F.id == 1 or {{"id": {{"_eq": 1}}}}'
        )
    entries = cast("Mapping[object, object]", node).items()
    return [(_clause_key(key, at, allow_unknown=allow_unknown), inner) for key, inner in entries]


def _operand(operator: str, operand: object, at: str) -> JSON:
    if operator not in _COMPARISONS:
        return _wire_value(operand, at, 1)
    if operator in _LISTS:
        values = _list(operand, at)
        if not values:
            raise ConfigurationError(f"{at}: no values; leave the condition out, or do not ask")
        return [_scalar(one, f"{at}[{index}]") for index, one in enumerate(values)]
    if operator == "_is_null" and not isinstance(operand, bool):
        raise ConfigurationError(f"{at}: {_shown(operand)} is no bool; use True or False")
    if operator in _PATTERNS and not isinstance(operand, str):
        raise ConfigurationError(f"{at}: {_shown(operand)} is no pattern; use a str")
    if operator in _LIKE_PATTERNS and isinstance(operand, str) and _ends_in_lone_backslash(operand):
        raise ConfigurationError(
            f"{at}: the pattern ends in a lone backslash, which escapes nothing; write two, or use contains()"
        )
    return _scalar(operand, at)


def _ends_in_lone_backslash(pattern: str) -> bool:
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1


def _listed(values: tuple[object, ...], at: str) -> list[Scalar]:
    sole = values[0] if len(values) == 1 else values
    # An array of no dimension has the methods of an iterable, and cannot be iterated over.
    is_sole_value = isinstance(sole, (str, bytes, bytearray, dict)) or getattr(sole, "shape", None) == ()
    if is_sole_value or not isinstance(sole, Iterable):
        sole = values
    encoded = [_scalar(one, f"{at}[{index}]") for index, one in enumerate(cast("Iterable[object]", sole))]
    if isinstance(sole, AbstractSet):
        # The same question must give the same bytes: a checkpoint is bound to their hash.
        encoded.sort(key=lambda one: (type(one).__name__, one))
    return encoded


def _scalar(value: object, at: str) -> Scalar:  # noqa: C901 - one case per kind of value
    encoded: Scalar
    match value:
        case Enum():
            encoded = _scalar(value.value, at)
        case bool():
            encoded = value
        case str():
            encoded = _text(value, at)
        case int() | float() | Decimal():
            encoded = _number(value, at)
        case datetime():
            encoded = instant_text(value, at)
        case date():
            encoded = value.isoformat()
        case Integral() if not _is_array(value):
            encoded = _number(int(value), at)
        case Real() if not _is_array(value):
            encoded = _number(float(value), at)
        case UUID():
            encoded = str(value)
        case None:
            raise ConfigurationError(f'{at}: None is no value; use is_null() or {{"_is_null": true}}')
        case Column():
            raise ConfigurationError(f"{at}: a column cannot be compared with a column; give a value")
        case _:
            raise ConfigurationError(
                f"{at}: {_shown(value)} is no value; use str, number, bool, date, datetime, UUID or Enum"
            )
    return encoded


def wire_value(value: object, at: str) -> JSON:
    """Return any value of a body in the types of JSON, as `to_where` does with operands.

    Raises `ConfigurationError`, naming the place: NaN, ``NaT``, an array, or what else has no JSON.
    """
    return _wire_value(value, at, 1)


def _wire_value(value: object, at: str, depth: int) -> JSON:
    if depth > MAX_DEPTH:
        raise ConfigurationError(f"{at}: more than {MAX_DEPTH} objects deep")
    if value is None:
        return None
    if isinstance(value, Condition):
        return value.to_dict()
    if isinstance(value, Mapping):
        inner = cast("Mapping[object, object]", value)
        return {_key(key, at): _wire_value(one, f"{at}.{key}", depth + 1) for key, one in inner.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        several = cast("Iterable[object]", value)
        return [_wire_value(one, f"{at}[{index}]", depth + 1) for index, one in enumerate(several)]
    return _scalar(value, at)


def _text(value: str, at: str) -> str:
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ConfigurationError(f"{at}: half a surrogate pair is no UTF-8; decode the text again")
    return str.__str__(value)


def _number(value: float | Decimal, at: str) -> int | float | Decimal:
    if isinstance(value, int):
        # Python's own limit on digits is far above; what no column holds is a mistake.
        if abs(value) >= 10**_MAX_DIGITS:
            raise ConfigurationError(f"{at}: an int of more than {_MAX_DIGITS} digits; give a smaller one")
        return int(value)
    finite = value.is_finite() if isinstance(value, Decimal) else isfinite(value)
    if not finite:
        raise ConfigurationError(f"{at}: NaN and infinity have no JSON; give a finite number")
    if isinstance(value, float):
        return float(value)
    exponent = cast("int", value.as_tuple().exponent)
    if max(abs(exponent), abs(value.adjusted())) > _MAX_DIGITS:
        raise ConfigurationError(f"{at}: a Decimal beyond 1E±{_MAX_DIGITS}; round it")
    return Decimal(format(value, "f"))


def _is_array(value: object) -> bool:
    return bool(getattr(value, "shape", ()))


def instant_text(value: datetime, at: str) -> str:
    """Write an aware datetime in UTC, as columns without a zone drop offsets; a naive one as it is."""
    if value != value:  # noqa: PLR0124 - pandas.NaT is a datetime, and as unequal to itself as NaN
        raise ConfigurationError(f"{at}: not a time (NaT); leave it out, or pass a datetime")
    try:
        if value.utcoffset() is None:
            return value.isoformat()
        return value.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
    except (OverflowError, ValueError):
        raise ConfigurationError(f"{at}: the instant is outside the years 1 to 9999 in UTC") from None


def utc_text(text: str, at: str) -> str:
    """Return ISO 8601 text with an offset in UTC with ``Z``; any other text as it is.

    Raises:
        ValueError: it is not ISO 8601 text.
        ConfigurationError: the instant is outside the years 1 to 9999 in UTC.
    """
    instant = datetime.fromisoformat(text)
    return instant_text(instant, at) if instant.utcoffset() else text


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def _camel(name: str, at: str) -> str:
    first, *others = _name(name, at).split("_")
    return first + "".join(other[:1].upper() + other[1:] for other in others)


def _name(name: object, at: str) -> str:
    key = _key(name, at)
    if key.startswith("_"):
        raise _NoColumnError(f"{at}: {_shown(name)} is no column; a leading underscore marks an operator")
    return key


def _clause_key(given: object, at: str, *, allow_unknown: bool) -> str:
    key = _key(given, at)
    if key.startswith("_") and key not in _OPERATORS and not allow_unknown:
        raise ConfigurationError(
            f"{at}: unknown operator {_shown(key)}; use one of {', '.join(_OPERATORS)}, "
            "or pass allow_unknown_operators=True"
        )
    return key


def _key(key: object, at: str) -> str:
    if not isinstance(key, str):
        raise ConfigurationError(f"{at}: a key of type {type(key).__name__}; use a str")
    if not key or not (key.isprintable() or _CONTROLS.isdisjoint(map(unicodedata.category, key))):
        raise ConfigurationError(f"{at}: {_shown(key)} is empty or has control characters; use a plain name")
    return str.__str__(key)


def _list(given: object, at: str) -> list[object]:
    if not isinstance(given, list):
        raise ConfigurationError(f"{at}: {_shown(given)} is no list; use [...]")
    return cast("list[object]", given)


def _shown(given: object) -> str:
    """Name a wrong argument without its contents, unless it is the short text someone mistyped."""
    if isinstance(given, str):
        return repr(given if len(given) <= 40 else given[:40] + "...")
    if given is None:
        return "None"
    kind: type[object] = type(given)
    # "a bool is no value" would not help somebody whose value is a numpy.bool.
    return f"a {'numpy.' if kind.__module__ == 'numpy' else ''}{kind.__name__}"
