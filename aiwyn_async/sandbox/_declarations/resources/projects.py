# ruff: noqa: S608, E501 - SQL from constants, one expression to a line
"""The projects of the engagements.

A project is a job: other resources call its id ``jobId``.
"""

from collections.abc import Mapping

import msgspec

from aiwyn_async.sandbox._declarations.declarations import (
    Column,
    IdSequence,
    Kind,
    Reader,
    Relation,
    Resource,
    Row,
    Seed,
)
from aiwyn_async.sandbox._declarations.fields import (
    CLIENT_ID,
    CLIENT_NAME,
    CREATED_AT,
    CURRENCY,
    ID,
    UPDATED_AT,
    optional_id,
    team_members,
    zulu_text,
)
from aiwyn_async.sandbox._declarations.resources.engagements import ENGAGEMENTS
from aiwyn_async.sandbox._declarations.resources.staff import IDS as STAFF_IDS
from aiwyn_async.sandbox._declarations.resources.staff import manager_id
from aiwyn_async.sandbox._declarations.sample_text import SERVICES
from aiwyn_async.sandbox._declarations.sql import DAY, MICRO, pick

_IDS = IdSequence(67001, gap=(4, 3))
_STATUSES = ("IN_PROGRESS", "COMPLETED", "PLANNING", "ON_HOLD")
_PHASES = ("EXECUTION", "CLOSED", "PLANNING", "EXECUTION")
_ENGAGEMENT = Column("engagementId", "engagement_id", Kind.INTEGER)
_MANAGER = Column("managerStaffId", "manager_staff_id", Kind.INTEGER)
_SENIOR = Column("seniorStaffId", "senior_staff_id", Kind.INTEGER)

_SIZED = f"""
SELECT rows.*, e.id AS engagement_id, e.name AS engagement_name, e.client_id, e.client_name, s0 % 4 AS quarter,
  e.start_date_us AS year_us, e.start_date_us + s0 % 4 * 91 * {DAY * MICRO} AS start_us
FROM rows JOIN engagements AS e ON e.id = {ENGAGEMENTS.nearest_id("n")}"""
_MADE = f"""
SELECT {_IDS.sql("n")} AS id, printf('Q%d %s', quarter + 1, {pick("s1", SERVICES)}) AS name,
  printf('%s, part %d', engagement_name, n / max(:engagements, 1) + 1) AS description,
  {pick("s2", _STATUSES)} AS status, {pick("s2", _PHASES)} AS phase, client_id, client_name,
  engagement_id, engagement_name, start_us AS start_date_us, start_us + {(91 * DAY - 1) * MICRO} AS end_date_us,
  (10 + s3 % 90) * 25000 AS budget_cents, 'USD' AS currency, (10 + s3 % 90) * 250 * (s4 % 120) AS actual_cents,
  {manager_id("s5")} AS manager_staff_id, {STAFF_IDS.sql("s4 % :staff")} AS senior_staff_id,
  start_us - s5 % 30 * {DAY * MICRO} AS created_at_us, start_us + s5 % {90 * DAY} * {MICRO} AS updated_at_us
FROM sized"""


def _detail(reader: Reader, row_id: int, row: Row) -> Mapping[str, object]:
    ((first, last),) = reader.query("SELECT start_date_us, end_date_us FROM projects WHERE id = ?", (row_id,))
    done = msgspec.json.decode(row["status"], type=str) == "COMPLETED"
    steps = ("Planning Phase Complete", "Fieldwork Complete", "Report Delivered")
    milestones = [
        {
            "id": number,
            "name": step,
            "dueDate": zulu_text(first + (last - first) * number // len(steps)),
            "status": "COMPLETED" if done or number == 1 else "PENDING",
        }
        for number, step in enumerate(steps, 1)
    ]
    manager, senior = optional_id(row, "managerStaffId"), optional_id(row, "seniorStaffId")
    people = team_members(reader, ((manager, "SENIOR_MANAGER", "0.4"), (senior, "SENIOR_AUDITOR", "0.8")))
    own = {"managerStaffId", "seniorStaffId", "createdAt", "updatedAt"}
    shown = {key: value for key, value in row.items() if key not in own}
    return {**shown, "teamMembers": people, "milestones": milestones}


PROJECTS = Resource(
    name="projects",
    paths={"list": "/gql/v1/projects", "get": "/gql/v1/project/{id}"},
    items_key="projects",
    columns=(
        ID,
        Column("name", "name", Kind.TEXT),
        Column("description", "description", Kind.TEXT),
        Column("status", "status", Kind.TEXT),
        Column("phase", "phase", Kind.TEXT),
        CLIENT_ID,
        CLIENT_NAME,
        _ENGAGEMENT,
        Column("engagementName", "engagement_name", Kind.TEXT),
        Column("startDate", "start_date_us", Kind.INSTANT),
        Column("endDate", "end_date_us", Kind.INSTANT),
        Column("budget", "budget_cents", Kind.DECIMAL),
        CURRENCY,
        Column("actualCost", "actual_cents", Kind.DECIMAL),
        _MANAGER,
        _SENIOR,
        CREATED_AT,
        UPDATED_AT,
    ),
    relations=(Relation("client", "clients", CLIENT_ID), Relation("engagement", "engagements", _ENGAGEMENT)),
    default_order=(("updated_at_us", "desc"),),
    detail=_detail,
    indexes=("engagement_id", "updated_at_us"),
    seed=Seed(
        ids=_IDS,
        size=lambda sizes: max(sizes["engagements"], min(2 * sizes["engagements"], 10_000)),
        min_rows=1,
        steps={"sized": _SIZED, "made": _MADE},
    ),
)
