"""``Condition``: joined, copied, pickled, and without a truth value."""

import copy
import operator
import pickle
from collections.abc import Callable
from decimal import Decimal
from functools import reduce
from typing import cast

import pytest

from aiwyn_async.filters import JSON, Condition, F, to_where
from filter_helpers import untyped


def test_chains_of_one_operator_are_flat() -> None:
    a, b, c = F.a == 1, F.b == 2, F.c == 3
    leaves = [{"a": {"_eq": 1}}, {"b": {"_eq": 2}}, {"c": {"_eq": 3}}]
    assert (a & b & c).to_dict() == (a & (b & c)).to_dict() == {"_and": leaves}
    assert (a | b | c).to_dict() == (a | (b | c)).to_dict() == {"_or": leaves}
    assert (a & b | c).to_dict() == {"_or": [{"_and": leaves[:2]}, leaves[2]]}
    assert (~a & b).to_dict() == {"_and": [{"_not": leaves[0]}, leaves[1]]}


def test_long_chain_is_flat() -> None:
    chain = reduce(operator.or_, [F.id == number for number in range(1000)])
    assert len(cast("list[JSON]", chain.to_dict()["_or"])) == 1000


def test_to_dict_and_to_where_copy_their_input() -> None:
    condition = F.a.in_(1, 2) & (F.b == 1)
    cast("list[JSON]", condition.to_dict()["_and"]).clear()
    assert condition.to_dict() == {"_and": [{"a": {"_in": [1, 2]}}, {"b": {"_eq": 1}}]}
    raw = {"a": {"_in": [1, 2]}}
    checked = to_where(raw)
    raw["a"]["_in"].append(3)
    assert checked == {"a": {"_in": [1, 2]}}


@pytest.mark.parametrize(
    "use",
    [
        lambda: (F.a == 1) and (F.b == 2),
        lambda: (F.a == 1) or (F.b == 2),
        lambda: not F.a.is_null(),
        lambda: 1 < F.a < 5,
        lambda: bool(F.a == 1),
    ],
)
def test_condition_has_no_truth_value(use: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"& \| ~"):
        use()


@pytest.mark.parametrize(
    "use",
    [
        lambda: F.a > 1 & untyped(F.b) == 2,
        lambda: untyped(F.a) & (F.b == 2),
        lambda: F.a.is_null() | untyped(F.b),
        lambda: F.a == "x" | untyped(F.b) == "y",
    ],
)
def test_comparison_without_parentheses_names_them(use: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"^F\.[ab] is not a condition; put each comparison in parentheses"):
        use()


@pytest.mark.parametrize(
    "use",
    [
        lambda: (F.a == 1) & untyped(F.b),
        lambda: (F.a == 1) | untyped({"b": {"_eq": 1}}),
        lambda: untyped(1) & untyped(F.b) == 2,
        lambda: {untyped(F.a)},
    ],
)
def test_forgotten_parentheses_and_hashing_raise_type_error(use: Callable[[], object]) -> None:
    with pytest.raises(TypeError):
        use()


def test_objects_are_immutable() -> None:
    for thing in (F, F.a, F.a == 1, F.a.asc()):
        with pytest.raises((AttributeError, TypeError)):
            untyped(thing).name = "x"


def test_repr_shows_the_expression() -> None:
    assert repr(F.client.due_date) == "F.client.dueDate"
    assert repr(F["pms_invoice_number"]) == "F['pms_invoice_number']"
    assert repr((F.a == "x") & F.b.is_null()) == (
        "Condition({'_and': [{'a': {'_eq': 'x'}}, {'b': {'_is_null': True}}]})"
    )


def test_objects_can_be_copied_and_pickled() -> None:
    condition = (F.client.name == "x") & (F.a > Decimal(1))
    for duplicate in (copy.deepcopy(condition), cast("Condition", pickle.loads(pickle.dumps(condition)))):
        assert duplicate.to_dict() == condition.to_dict()
    assert (
        repr(pickle.loads(pickle.dumps(F.client.name))) == repr(copy.copy(F.client.name)) == "F.client.name"
    )
    assert pickle.loads(pickle.dumps(F.a.asc())) == F.a.asc()
    assert repr(copy.copy(F).a) == "F.a"
