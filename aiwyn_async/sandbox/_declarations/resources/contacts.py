# ruff: noqa: S608 - SQL from constants
"""The contacts of the clients, by default two each; the first is the primary one."""

from collections.abc import Mapping

from aiwyn_async.sandbox._declarations.declarations import (
    Column,
    IdSequence,
    Kind,
    PageStyle,
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
    ID,
    UPDATED_AT,
    address,
)
from aiwyn_async.sandbox._declarations.resources.clients import CLIENTS
from aiwyn_async.sandbox._declarations.sample_text import FIRST_NAMES, LAST_NAMES
from aiwyn_async.sandbox._declarations.sql import RANDOM_INSTANT, pick

_IDS = IdSequence(20001, gap=(5, 2))
_TITLES = ("Chief Financial Officer", "Controller", "Owner", "Bookkeeper", "VP Finance")
_UNITS = ("Finance", "Accounting", "Operations", "Executive")

_MADE = f"""
SELECT {_IDS.sql("n")} AS id, {pick("s0", FIRST_NAMES)} AS first_name, {pick("s1", LAST_NAMES)} AS last_name,
  printf('contact%d@client.example', {_IDS.sql("n")}) AS email, printf('+1-555-%04d', s2 % 10000) AS phone,
  CASE WHEN s3 % 4 = 0 THEN NULL ELSE printf('+1-555-%04d', s3 % 10000) END AS mobile,
  {pick("s2", _TITLES)} AS title, {pick("s3", _UNITS)} AS department,
  CASE WHEN s4 % 15 THEN 'ACTIVE' ELSE 'INACTIVE' END AS status, 'CLIENT_CONTACT' AS type,
  c.id AS client_id, c.name AS client_name, n < :clients AS is_primary_contact,
  CASE WHEN s4 % 3 THEN NULL ELSE printf('Prefers mornings; met in %d.', 2019 + s4 % 6) END AS notes,
  {RANDOM_INSTANT} AS created_at_us, {RANDOM_INSTANT} + s4 % 864000 * 1000000 AS updated_at_us
FROM rows JOIN clients AS c ON c.id = {CLIENTS.nearest_id("n")}"""


def _detail(_reader: Reader, row_id: int, row: Row) -> Mapping[str, object]:
    fields = dict(row)
    last = {key: fields.pop(key) for key in ("notes", "createdAt", "updatedAt")}
    preferences = {
        "preferredMethod": ("EMAIL", "PHONE")[row_id % 2],
        "emailFrequency": ("WEEKLY", "MONTHLY", "NEVER")[row_id % 3],
        "newsletterSubscription": row_id % 3 < 2,
        "marketingEmails": row_id % 5 == 0,
    }
    return {**fields, "address": address(row_id), "communicationPreferences": preferences, **last}


CONTACTS = Resource(
    name="contacts",
    paths={"list": "/gql/v1/contacts", "get": "/gql/v1/contact/{id}"},
    confirmed=frozenset({"list", "get"}),
    items_key="contacts",
    columns=(
        ID,
        Column("firstName", "first_name", Kind.TEXT),
        Column("lastName", "last_name", Kind.TEXT),
        Column("email", "email", Kind.TEXT),
        Column("phone", "phone", Kind.TEXT),
        Column("mobile", "mobile", Kind.TEXT, nullable=True),
        Column("title", "title", Kind.TEXT),
        Column("department", "department", Kind.TEXT),
        Column("status", "status", Kind.TEXT),
        Column("type", "type", Kind.TEXT),
        CLIENT_ID,
        CLIENT_NAME,
        Column("isPrimaryContact", "is_primary_contact", Kind.BOOLEAN),
        Column("notes", "notes", Kind.TEXT, nullable=True),
        CREATED_AT,
        UPDATED_AT,
    ),
    relations=(Relation("client", "clients", CLIENT_ID),),
    page_style=PageStyle.OFFSET,
    list_page_size=50,
    default_order=(("last_name", "asc"), ("first_name", "asc")),
    detail=_detail,
    indexes=("client_id",),
    seed=Seed(
        ids=_IDS,
        size=lambda sizes: max(sizes["clients"], min(2 * sizes["clients"], 5000)),
        steps={"made": _MADE},
    ),
)
