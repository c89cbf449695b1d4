"""The staff of the firm.

A fifth each are partners and managers, who own engagements and projects.
"""

from aiwyn_async.sandbox._declarations.declarations import (
    Column,
    Filter,
    IdSequence,
    Kind,
    Relation,
    Resource,
    Seed,
)
from aiwyn_async.sandbox._declarations.fields import CREATED_AT, ID, UPDATED_AT
from aiwyn_async.sandbox._declarations.resources.reference import DEPARTMENTS, OFFICES
from aiwyn_async.sandbox._declarations.sample_text import FIRST_NAMES, LAST_NAMES
from aiwyn_async.sandbox._declarations.sql import EPOCH_2019, MICRO, RANDOM_INSTANT, pick

IDS = IdSequence(41, gap=(4, 3))
_ROLES = ("PARTNER", "MANAGER", "SENIOR", "STAFF", "STAFF")
"""Roles by row number, in turn."""
_DEPARTMENT = Column("deptId", "dept_id", Kind.INTEGER)
_OFFICE = Column("officeId", "office_id", Kind.INTEGER)
_MANAGER = Column("managerStaffId", "manager_staff_id", Kind.INTEGER, nullable=True)


def partner_id(number: str) -> str:
    """Return the SQL of a partner's id for any number."""
    return IDS.sql(f"5 * (({number}) % ((:staff + 4) / 5))")


def manager_id(number: str) -> str:
    """Return the SQL of a manager's id for any number."""
    return IDS.sql(f"5 * (({number}) % ((:staff + 3) / 5)) + 1")


def staff_name(staff_id: str) -> str:
    """Return the SQL of a staff member's full name."""
    return f"(SELECT first_name || ' ' || last_name FROM staff WHERE id = {staff_id})"  # noqa: S608


_MADE = f"""
SELECT {IDS.sql("n")} AS id, CAST(2200 + n * 3 AS TEXT) AS pms_ref,
  {pick("s0", FIRST_NAMES)} AS first_name, {pick("s1", LAST_NAMES)} AS last_name,
  printf('staff%d@firm.example', {IDS.sql("n")}) AS email, s2 % 12 > 0 OR n % 5 < 2 AS active,
  {pick("n", _ROLES)} AS type, {DEPARTMENTS.seed.ids.sql("s3 % :departments")} AS dept_id,
  {OFFICES.seed.ids.sql("s4 % :offices")} AS office_id,
  CASE WHEN n % 5 = 0 THEN NULL WHEN n % 5 = 1 THEN {partner_id("n / 5")} ELSE {manager_id("n / 5")} END AS manager_staff_id,
  {EPOCH_2019 * MICRO} - (s5 % 86400000) * {MICRO} AS created_at_us, {RANDOM_INSTANT} AS updated_at_us
FROM rows"""  # noqa: S608, E501

STAFF = Resource(
    name="staff",
    paths={"list": "/gql/v1/staff", "search": "/gql/v1/staff/search", "get": "/gql/v1/staff/{id}"},
    confirmed=frozenset({"search"}),
    items_key="staff",
    columns=(
        ID,
        Column("pmsRef", "pms_ref", Kind.TEXT),
        Column("firstName", "first_name", Kind.TEXT),
        Column("lastName", "last_name", Kind.TEXT),
        Column("email", "email", Kind.TEXT),
        Column("active", "active", Kind.BOOLEAN),
        # The documented row ends above.
        Column("type", "type", Kind.TEXT),
        _DEPARTMENT,
        _OFFICE,
        _MANAGER,
        CREATED_AT,
        UPDATED_AT,
    ),
    relations=(
        Relation("department", "departments", _DEPARTMENT),
        Relation("office", "offices", _OFFICE),
        Relation("manager", "staff", _MANAGER),
    ),
    # The documentation mentions these filters; the names are inferred.
    filters=(
        Filter("firstName", "firstName", "_ilike"),
        Filter("lastName", "lastName", "_ilike"),
        Filter("deptId", "deptId"),
        Filter("active", "active"),
        Filter("type", "type"),
    ),
    page_size_keys=("limit", "pageSize"),
    default_order=(("last_name", "asc"), ("first_name", "asc")),
    seed=Seed(
        ids=IDS,
        size=lambda sizes: max(10, min(sizes["invoices"] // 100, 500)),
        min_rows=5,
        steps={"made": _MADE},
    ),
)
