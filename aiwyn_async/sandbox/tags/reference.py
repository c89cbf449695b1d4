"""Tags of which the documents show a name and no operation: everything here is our inference.

Each is one line: its name, what its rows are called, and whose ids it holds.
"""

from collections.abc import Callable, Mapping, Sequence

from aiwyn_async.sandbox.declare import Column, Ids, Kind, Resource, Seed
from aiwyn_async.sandbox.sql import EPOCH_2019, MICRO, pick, some_time
from aiwyn_async.sandbox.tags.words import CREATED_AT, ID, SERVICES, UPDATED_AT

__all__ = ["DEPARTMENTS", "INDUSTRIES", "JOB_TEMPLATES", "OFFICES", "SERVICE_LINES", "reference"]

_TINY = 200
"""No reference table is larger, except those that mirror another tag."""
_TITLES = ("Corporate", "Individual", "Partnership", "Trust", "Not-for-profit")


def _singular(name: str) -> str:
    return f"{name[:-3]}y" if name.endswith("ies") else name[:-1]


def reference(
    name: str,
    names: Sequence[str] = _TITLES,
    *,
    first: int = 1,
    of: Resource | None = None,
    foreign: Mapping[str, tuple[Resource, str]] | None = None,
    mirrors: bool = False,
) -> Resource:
    """Declare a tag of rows `{id, name, active, createdAt, updatedAt}` and foreign ids.

    Args:
        name: The tag, in the plural.
        names: What its rows are called.
        first: The lowest id.
        of: The tag its rows belong to; row n belongs to that tag's row n.
        foreign: SQL column by wire name: the tag whose ids it holds, and the column of `of` it is read from,
            or "" to take any.
        mirrors: Whether rows have the id and the name of the row they belong to, one for each of them.
    """
    ids = of.seed.ids if mirrors and of is not None else Ids(first)
    wanted = foreign or {}
    links = "".join(
        f", {f'p.{source}' if source else target.nearest('s4')} AS {_snake(wire)}"
        for wire, (target, source) in wanted.items()
    )
    called = (
        "p.name" if mirrors else f"{pick('n', names)} || CASE WHEN n < {len(names)} THEN '' ELSE ' ' || n END"
    )
    joined = "" if of is None else f"JOIN {of.name} AS p ON p.id = {of.nearest('n')}"
    made = f"""
SELECT {ids.sql("n")} AS id, {called} AS name, n % 11 < 10 AS active, {EPOCH_2019 * MICRO} AS created_at_us,
  {some_time("s5")} AS updated_at_us{links}
FROM rows {joined}"""  # noqa: S608
    return Resource(
        name=name,
        list_path=f"/gql/v1/{name}",
        get_path=f"/gql/v1/{_singular(name)}/{{id}}",
        items_key=name,
        columns=(
            ID,
            Column("name", "name", Kind.TEXT),
            Column("active", "active", Kind.BOOLEAN),
            CREATED_AT,
            UPDATED_AT,
            *(Column(wire, _snake(wire), Kind.INTEGER) for wire in wanted),
        ),
        default_order=(("name", "asc"), ("id", "asc")),
        seed=Seed(ids=ids, size=_size(names, of, mirrors=mirrors), steps={"made": made}),
    )


def _size(names: Sequence[str], of: Resource | None, *, mirrors: bool) -> Callable[[Mapping[str, int]], int]:
    if of is None:
        return lambda _: len(names)
    owner, most = of.name, None if mirrors else _TINY
    return lambda sizes: sizes[owner] if most is None else min(sizes[owner], most)


def _snake(wire: str) -> str:
    return "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in wire)


DEPARTMENTS = reference("departments", ("Audit", "Tax", "Advisory", "Administration"))
OFFICES = reference("offices", ("New York", "Chicago", "Austin"), first=11)
INDUSTRIES = reference("industries", ("Manufacturing", "Retail", "Healthcare", "Technology"), first=101)
SERVICE_LINES = reference("service_lines", SERVICES, first=301)
JOB_TEMPLATES = reference(
    "job_templates", SERVICES, first=501, foreign={"serviceLineId": (SERVICE_LINES, "")}
)
