"""``F``: columns as attributes, which build conditions and orders."""

import re
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal, NoReturn, cast, final

from aiwyn_async._core.checks import check_flag
from aiwyn_async.errors import ConfigurationError
from aiwyn_async.filters._conditions import DIRECTIONS, Condition, Order, Path, format_path, nest
from aiwyn_async.filters._validation import check_where, compare
from aiwyn_async.filters._values import (
    Scalar,
    Value,
    check_column_name,
    describe,
    encode_scalar,
    to_camel_case,
    to_snake_case,
)

_LIKE_SPECIAL: Final = re.compile(r"[\\%_]")


@final
class Fields:
    """The type of ``F``: every attribute is a column, in snake_case.

    Add an underscore to a keyword of Python: ``F.from_`` is ``from`` on the wire.

    Example:
        >>> F.due_date, F.client.name, F["pms_invoice_number"]
        (F.dueDate, F.client.name, F['pms_invoice_number'])
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> "Column":
        """Return a column by its Python name: ``due_date`` is ``dueDate`` on the wire."""
        return Column((to_camel_case(name, "F"),))

    def __getitem__(self, name: str) -> "Column":
        """Return a column by its exact wire name, for the few in snake_case."""
        return Column((check_column_name(name, "F"),))


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Column:
    """A column, or a relation whose columns are its attributes: ``F.client.name``.

    Compare it (``== != > >= < <=``) or call a method to build a ``Condition``. As in SQL, a null column
    meets only ``is_null()``: not even ``!=`` and ``not_in()`` match it. Use brackets for a related column
    with the name of a method: ``F.client["like"]``.

    Values are str, int, float, bool, Decimal, date, datetime, UUID or an Enum of these. A naive datetime is
    sent without a zone. None, NaN, infinity and all other types raise ``ConfigurationError``.
    """

    _path: Path

    def __getattr__(self, name: str) -> "Column":
        """Return a column of this relation by its Python name."""
        return Column((*self._path, to_camel_case(name, repr(self))))

    def __getitem__(self, name: str) -> "Column":
        """Return a column of this relation by its exact wire name."""
        return Column((*self._path, check_column_name(name, repr(self))))

    # Comparing two columns does not return a bool, so no set or dict could look one up.
    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride]

    # Narrower than object's, and not a bool, which is the purpose of the builder.
    def __eq__(self, value: Value) -> "Condition":  # type: ignore[override]
        return compare(self._path, "_eq", value)

    def __ne__(self, value: Value) -> "Condition":  # type: ignore[override]
        return compare(self._path, "_neq", value)

    def __gt__(self, value: Value) -> "Condition":
        return compare(self._path, "_gt", value)

    def __ge__(self, value: Value) -> "Condition":
        return compare(self._path, "_gte", value)

    def __lt__(self, value: Value) -> "Condition":
        return compare(self._path, "_lt", value)

    def __le__(self, value: Value) -> "Condition":
        return compare(self._path, "_lte", value)

    if not TYPE_CHECKING:  # type checkers refuse these operators by themselves

        def _refuse_join(self, _other: object) -> NoReturn:
            raise TypeError(
                f"{self!r} is not a condition; put each comparison in parentheses: (F.x > 1) & (F.y == 2)"
            )

        __and__ = __rand__ = __or__ = __ror__ = _refuse_join

    def in_(self, *values: Value | Iterable[Value]) -> "Condition":
        """Match any of the values, passed one by one or as one list, set or generator.

        A single str is one value, not its letters. At least one value is required.
        """
        return compare(self._path, "_in", _encode_values(values, f"{self!r}.in_"))

    def not_in(self, *values: Value | Iterable[Value]) -> "Condition":
        """Match none of the values, which are passed as to ``in_``."""
        return compare(self._path, "_nin", _encode_values(values, f"{self!r}.not_in"))

    def like(self, pattern: str) -> "Condition":
        """Match a pattern with ``%`` for any text and ``_`` for any letter."""
        return compare(self._path, "_like", pattern)

    def not_like(self, pattern: str) -> "Condition":
        """Match what ``like`` does not. Inferred from Hasura, undocumented."""
        return compare(self._path, "_nlike", pattern)

    def ilike(self, pattern: str) -> "Condition":
        """Match a pattern as ``like`` does, ignoring case."""
        return compare(self._path, "_ilike", pattern)

    def not_ilike(self, pattern: str) -> "Condition":
        """Match what ``ilike`` does not. Inferred from Hasura, undocumented."""
        return compare(self._path, "_nilike", pattern)

    def regex(self, pattern: str) -> "Condition":
        """Match a POSIX regular expression anywhere in the text."""
        return compare(self._path, "_regex", pattern)

    def iregex(self, pattern: str) -> "Condition":
        """Match as ``regex`` does, ignoring case. Inferred from Hasura, undocumented."""
        return compare(self._path, "_iregex", pattern)

    def contains(self, text: str, *, ignore_case: bool = False) -> "Condition":
        """Match text that contains this one; ``% _`` and backslashes are literal."""
        return self._like_literal("%", text, "%", "contains", ignore_case=ignore_case)

    def startswith(self, text: str, *, ignore_case: bool = False) -> "Condition":
        """Match text that starts with this one, literal as in ``contains``."""
        return self._like_literal("", text, "%", "startswith", ignore_case=ignore_case)

    def endswith(self, text: str, *, ignore_case: bool = False) -> "Condition":
        """Match text that ends with this one, literal as in ``contains``."""
        return self._like_literal("%", text, "", "endswith", ignore_case=ignore_case)

    def _like_literal(
        self, before: str, text: str, after: str, method: str, *, ignore_case: bool
    ) -> "Condition":
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"{self!r}.{method}: expected a str, got {describe(text)}")
        pattern = before + _LIKE_SPECIAL.sub(r"\\\g<0>", text) + after
        return compare(self._path, "_ilike" if check_flag("ignore_case", ignore_case) else "_like", pattern)

    def between(self, low: Value, high: Value) -> "Condition":
        """Match values from ``low`` to ``high``, both included."""
        return (self >= low) & (self <= high)

    def __call__(self, *_: object, **__: object) -> NoReturn:
        """Raise a TypeError that suggests a method: a misspelt one is a column."""
        name = to_snake_case(self._path[-1])
        import difflib  # noqa: PLC0415 (loaded only if needed)

        matches = difflib.get_close_matches(name, _METHODS, n=1, cutoff=0.5)
        hint = f"did you mean {matches[0]}()?" if matches else f"the methods are {', '.join(_METHODS)}"
        raise TypeError(f"{self!r} is a column and cannot be called; {hint}")

    def is_null(self, null: bool = True, /) -> "Condition":  # noqa: FBT002 - is_null(False) reads well
        """Match rows whose column is null, or with False those whose column is not."""
        return compare(self._path, "_is_null", null)

    def has(self, condition: "Condition") -> "Condition":
        """Match rows with a related row that meets the whole condition.

        ``F.lines.has((F.kind == "TAX") & (F.amount > 5))`` requires one line that meets both, while two lines
        can meet ``(F.lines.kind == "TAX") & (F.lines.amount > 5)``.
        """
        return Condition(nest(self._path, check_where(condition, f"{self!r}.has", 1)))

    def asc(self, *, nulls: Literal["first", "last"] | None = None) -> "Order":
        """Order ascending, nulls last. ``nulls=`` is inferred from Hasura, undocumented."""
        return _build_order(self._path, "asc", nulls)

    def desc(self, *, nulls: Literal["first", "last"] | None = None) -> "Order":
        """Order descending, nulls first. ``nulls=`` is inferred from Hasura, undocumented."""
        return _build_order(self._path, "desc", nulls)

    def __repr__(self) -> str:
        return format_path(self._path)


_METHODS: Final = tuple(
    name for name, member in vars(Column).items() if not name.startswith("_") and callable(member)
)

F: Final = Fields()
"""Builds every filter and order: ``F.total_amount > 100``, ``F.id.desc()``."""


def _build_order(path: Path, base: Literal["asc", "desc"], nulls: object) -> Order:
    suffix = "" if nulls is None else f"_nulls_{nulls}" if isinstance(nulls, str) else "?"
    direction = DIRECTIONS.get(base + suffix)
    if direction is None:
        raise ConfigurationError(f'nulls must be "first" or "last", got {describe(nulls)}')
    return Order(path, direction)


def _encode_values(values: tuple[object, ...], at: str) -> list[Scalar]:
    items = values[0] if len(values) == 1 else values
    # An array of zero dimensions has __iter__, which raises.
    is_single = (
        isinstance(items, (Column, str, bytes, bytearray, dict)) or getattr(items, "shape", None) == ()
    )
    if is_single or not isinstance(items, Iterable):
        items = values
    encoded = [
        encode_scalar(item, f"{at}[{index}]") for index, item in enumerate(cast("Iterable[object]", items))
    ]
    if isinstance(items, AbstractSet):
        # Equal queries need equal bytes: a checkpoint is bound to their hash.
        encoded.sort(key=lambda item: (type(item).__name__, item))
    return encoded
