"""Conditions and orders select what PostgreSQL selects: the real API is Hasura over it.

The module needs a server (on Debian, ``apt-get install postgresql``); one half needs the locale
``en_US.UTF-8``.
``AIWYN_POSTGRES_CASES=5000`` compares more conditions than the default, and a quarter as many orders.

Known differences, which the generator avoids:

- Postgres rejects a LIKE pattern that ends in its escape character only if the comparison reaches the end.
- Postgres rejects a regular expression only if it is evaluated for some row; the sandbox always does.
- Under ``en_US``, glibc has a special rule for punctuation between a digit and a letter.
"""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import pytest

from aiwyn_async.sandbox._data.collation import Collation
from aiwyn_async.sandbox._data.errors import BadRequestError
from aiwyn_async.sandbox._data.order_by import compile_order
from aiwyn_async.sandbox._declarations.declarations import Resource
from aiwyn_async.sandbox._declarations.schema import RESOURCES
from postgres_cases import LOCALES, NAMES, Firm, order, tree
from postgres_server import Postgres, binaries, has_locale, literal, running
from postgres_sql import sql_order, sql_where

PROGRAMS = binaries()

pytestmark = pytest.mark.skipif(PROGRAMS is None, reason="no PostgreSQL server is installed")

CASES = int(os.environ.get("AIWYN_POSTGRES_CASES", "400"))


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    assert PROGRAMS is not None
    with running(PROGRAMS) as server:
        yield server


@pytest.fixture(scope="module", params=list(LOCALES))
def firm(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Firm]:
    collation: Collation = request.param
    if not has_locale(LOCALES[collation]):
        pytest.skip(f"the locale {LOCALES[collation]} is not installed")
    made = Firm(postgres, collation)
    yield made
    made.store.close()


def selected(firm: Firm, resource: Resource, where: Any) -> str | None:
    try:
        ids = firm.store.select(resource, where, ()).page(0, 10_000)
    except BadRequestError:
        return None
    return ",".join(map(str, ids))


def regexes(where: Any) -> Iterator[str]:
    """The regular expressions in a tree."""
    if isinstance(where, list):
        for item in cast("list[object]", where):
            yield from regexes(item)
    elif isinstance(where, dict):
        for name, value in cast("dict[str, Any]", where).items():
            if name in {"_regex", "_iregex"}:
                yield value
            else:
                yield from regexes(value)


def has_broken_regex(firm: Firm, where: Any) -> bool:
    """Whether Postgres rejects some regular expression of a tree."""
    statements = [f"SELECT 'a' ~ {literal(pattern)}" for pattern in regexes(where)]
    return None in firm.postgres.results(firm.database, statements)


def test_conditions_select_as_postgres(firm: Firm) -> None:
    differences: list[Any] = []
    seen: Counter[str] = Counter()
    for start in range(0, CASES, 500):
        batch = [
            (resource, tree(firm, resource))
            for _ in range(min(500, CASES - start))
            for resource in [RESOURCES[firm.random.choice(NAMES)]]
        ]
        ids = "SELECT string_agg(t.id::text, ',' ORDER BY t.id) FROM"
        statements = [
            f"{ids} {resource.name} t WHERE {sql_where(resource, where)}" for resource, where in batch
        ]
        for (resource, where), expected in zip(
            batch, firm.postgres.results(firm.database, statements), strict=True
        ):
            got = selected(firm, resource, where)
            seen["rejected" if expected is None else "none" if not expected else "some"] += 1
            # Postgres rejects a pattern when it evaluates a row, the sandbox when it reads the request.
            if got != expected and not (got is None and has_broken_regex(firm, where)):
                differences.append((resource.name, where, expected, got))
    assert not differences, (len(differences), differences[:5])
    assert min(seen["some"], seen["none"]) > CASES // 10, seen
    assert seen["rejected"] > 0, seen


def test_orders_sort_as_postgres(firm: Firm) -> None:
    differences: list[Any] = []
    batch = [
        (resource, order(firm, resource))
        for _ in range(CASES // 4)
        for resource in [RESOURCES[firm.random.choice(NAMES)]]
    ]
    statements: list[str] = []
    for resource, terms in batch:
        sorted_by = ", ".join(" ".join(sql_order(resource, term)) for term in terms)
        statements.append(f"SELECT string_agg(t.id::text, ',' ORDER BY {sorted_by}) FROM {resource.name} t")
    for (resource, terms), expected in zip(
        batch, firm.postgres.results(firm.database, statements), strict=True
    ):
        terms_of = compile_order(resource, terms, firm.collation)
        got = ",".join(map(str, firm.store.select(resource, {}, terms_of).page(0, 10_000)))
        if got != expected:
            differences.append((resource.name, terms))
    assert not differences, (len(differences), differences[:5])
