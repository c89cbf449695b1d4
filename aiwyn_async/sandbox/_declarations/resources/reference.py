"""Resources documented by name only: everything here is inferred."""

from collections.abc import Callable, Mapping, Sequence

from aiwyn_async.sandbox._declarations.declarations import Column, IdSequence, Kind, Resource, Seed
from aiwyn_async.sandbox._declarations.fields import CREATED_AT, ID, UPDATED_AT, snake_case
from aiwyn_async.sandbox._declarations.sample_text import SERVICES
from aiwyn_async.sandbox._declarations.sql import EPOCH_2019, MICRO, RANDOM_INSTANT, pick

_MAX_ROWS = 200
"""The largest reference table, except those that mirror another resource."""
_TITLES = ("Corporate", "Individual", "Partnership", "Trust", "Not-for-profit")


def _singular(name: str) -> str:
    return f"{name[:-3]}y" if name.endswith("ies") else name[:-1]


def reference_resource(
    name: str,
    names: Sequence[str] = _TITLES,
    *,
    first: int = 1,
    of: Resource | None = None,
    foreign: Mapping[str, tuple[Resource, str]] | None = None,
    mirrors: bool = False,
) -> Resource:
    """Declare rows ``{id, name, active, createdAt, updatedAt}`` with foreign ids.

    Args:
        name: The name, in the plural.
        names: The names of its rows.
        first: The lowest id.
        of: The resource whose rows own these; row n owns row n.
        foreign: By wire name, the resource whose ids the column holds, and the column of ``of`` that it is
            read from, or "" for any.
        mirrors: Create one row per row of ``of``, with its id and name.
    """
    ids = of.seed.ids if mirrors and of is not None else IdSequence(first)
    foreign = foreign or {}
    numbered = f"{pick('n', names)} || CASE WHEN n < {len(names)} THEN '' ELSE ' ' || n END"
    made = _select(ids, "p.name" if mirrors else numbered, of, foreign)
    return Resource(
        name=name,
        paths={"list": f"/gql/v1/{name}", "get": f"/gql/v1/{_singular(name)}/{{id}}"},
        items_key=name,
        columns=(
            ID,
            Column("name", "name", Kind.TEXT),
            Column("active", "active", Kind.BOOLEAN),
            CREATED_AT,
            UPDATED_AT,
            *(Column(wire, snake_case(wire), Kind.INTEGER) for wire in foreign),
        ),
        default_order=(("name", "asc"), ("id", "asc")),
        seed=Seed(ids=ids, size=_size(names, of, mirrors=mirrors), steps={"made": made}),
    )


def _select(
    ids: IdSequence, row_name: str, of: Resource | None, foreign: Mapping[str, tuple[Resource, str]]
) -> str:
    links = "".join(
        f", {f'p.{source}' if source else target.nearest_id('s4')} AS {snake_case(wire)}"
        for wire, (target, source) in foreign.items()
    )
    joined = "" if of is None else f"JOIN {of.name} AS p ON p.id = {of.nearest_id('n')}"
    return f"""
SELECT {ids.sql("n")} AS id, {row_name} AS name, n % 11 < 10 AS active, {EPOCH_2019 * MICRO} AS created_at_us,
  {RANDOM_INSTANT} AS updated_at_us{links}
FROM rows {joined}"""  # noqa: S608


def _size(names: Sequence[str], of: Resource | None, *, mirrors: bool) -> Callable[[Mapping[str, int]], int]:
    if of is None:
        return lambda _: len(names)
    owner = of.name
    return lambda sizes: sizes[owner] if mirrors else min(sizes[owner], _MAX_ROWS)


DEPARTMENTS = reference_resource("departments", ("Audit", "Tax", "Advisory", "Administration"))
OFFICES = reference_resource("offices", ("New York", "Chicago", "Austin"), first=11)
INDUSTRIES = reference_resource(
    "industries", ("Manufacturing", "Retail", "Healthcare", "Technology"), first=101
)
SERVICE_LINES = reference_resource("service_lines", SERVICES, first=301)
JOB_TEMPLATES = reference_resource(
    "job_templates", SERVICES, first=501, foreign={"serviceLineId": (SERVICE_LINES, "")}
)
