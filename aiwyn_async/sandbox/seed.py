# ruff: noqa: S608, E501 - SQL from constants, one expression to a line
"""The seeded firm: rows made inside SQLite, from a seed, in integer cents.

Each row's randomness is a set of Lehmer streams carried along a recursive CTE. The state of a stream at row n is
`start * multiplier**n mod 2**31-1`, so a row depends on (seed, n) alone and not on how the work is cut in chunks.
What ties out is computed once and printed: lines make the subtotal, subtotal and tax the total, payments the paid
amount. No float takes part.
"""

import hashlib
import sqlite3
from collections.abc import Callable

from .schema import RESOURCES, Kind, Resource

__all__ = [
    "CHUNK_ROWS",
    "SCHEMA_VERSION",
    "client_count",
    "create_indexes",
    "create_tables",
    "generate",
    "row_ids",
]

SCHEMA_VERSION = 1
CHUNK_ROWS = 20_000

_PRIME = 2**31 - 1
_MULTIPLIERS = (48271, 69621, 16807, 39373, 62089911, 742938285)
_FIRST_CLIENT_ID = 2101
_FIRST_INVOICE_ID = 40001
_EPOCH_2019 = 1_546_300_800
_SPAN_SECONDS = 6 * 365 * 86_400
"""Six years of business, 2019 to the end of 2024, whatever the number of invoices."""
_AS_OF = _EPOCH_2019 + _SPAN_SECONDS
"""The firm's today: what is due before it may be overdue."""

_SERVICES = (
    "Financial statement audit",
    "Tax compliance services",
    "Quarterly bookkeeping",
    "Payroll services",
    "Advisory services, restructuring",
    "Sales and use tax return",
    "Internal controls review",
    "Valuation services",
    "R&D credit study",
    "Estate planning",
    "Forensic review \u2013 phase 2",
    "CFO services, monthly",
)
_METHODS = ("CREDIT_CARD", "ACH", "CHECK", "WIRE")
_SURNAMES = (
    "Fahey",
    "Acme",
    "M\u00fcller",
    "O'Neil",
    "Garc\u00eda",
    "Blue Ridge",
    "Northgate",
    "Sj\u00f6berg",
    "Tanaka",
    "Harbor",
    "Lindqvist",
    "Okafor",
    "Prairie",
    "Summit",
    "Delacroix",
    "Kowalski",
    "100% Organic",
    "Under_score",
    'The "Right" Way',
)
_TRADES = (
    "Corporation",
    "Holdings LLC",
    "Dental Group",
    "Construction Inc.",
    "& Sons",
    "Foods",
    "Logistics",
    "Family Trust",
    "Software GmbH",
    "Properties LP",
    "Brewing Co.",
)
_RATES = ("0.0000", "0.0600", "0.0825", "0.1000")

_SQL_TYPES = {
    Kind.INTEGER: "INTEGER",
    Kind.TEXT: "TEXT",
    Kind.BOOLEAN: "INTEGER",
    Kind.DECIMAL: "INTEGER",
    Kind.INSTANT: "INTEGER",
}
_INDEXES = {"invoices": ("created_at_us", "updated_at_us"), "clients": ("name",)}


def client_count(invoices: int) -> int:
    """How many clients a firm with so many invoices has, unless told otherwise."""
    return max(8, min(invoices // 40, 20_000))


def create_tables(connection: sqlite3.Connection) -> None:
    """Create the tables of every declared resource and the table of facts about the firm."""
    connection.execute(
        "CREATE TABLE sandbox_meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID"
    )
    for resource in RESOURCES.values():
        columns = [
            f"{column.sql} {_SQL_TYPES[column.kind]}" for column in resource.columns if column.sql != "id"
        ]
        columns += [f"{name} INTEGER" for name in resource.hidden]
        connection.execute(f"CREATE TABLE {resource.name} (id INTEGER PRIMARY KEY, {', '.join(columns)})")
        connection.execute(f"CREATE TABLE {resource.bodies} (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")


def create_indexes(connection: sqlite3.Connection) -> None:
    """Create the indexes, which is cheaper once the rows are there."""
    for table, columns in _INDEXES.items():
        for column in columns:
            connection.execute(f"CREATE INDEX {table}_{column} ON {table} ({column})")


def _pick(expression: str, values: tuple[str, ...]) -> str:
    """A SQL CASE that turns an integer into one of a few texts."""
    quoted = ["'" + value.replace("'", "''") + "'" for value in values]
    arms = " ".join(f"WHEN {number} THEN {text}" for number, text in enumerate(quoted))
    return f"CASE ({expression}) % {len(values)} {arms} END"


def _json_texts(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(value.replace("\\", "\\\\").replace('"', '\\"') for value in values)


def _streams(seed: int, salt: str, first: int) -> dict[str, int]:
    """The state of each Lehmer stream at row `first`."""
    states: dict[str, int] = {}
    for number, multiplier in enumerate(_MULTIPLIERS):
        digest = hashlib.sha256(f"{salt}:{seed}:{number}".encode()).digest()
        start = int.from_bytes(digest[:8], "big") % (_PRIME - 1) + 1
        states[f"s{number}"] = start * pow(multiplier, first, _PRIME) % _PRIME
    return states


_STEPS = ", ".join(f"s{number} * {multiplier} % {_PRIME}" for number, multiplier in enumerate(_MULTIPLIERS))
_NAMES = ", ".join(f"s{number}" for number in range(len(_MULTIPLIERS)))
_ROWS = f"""
  rows(n, {_NAMES}) AS (
    SELECT :first, {", ".join(f":s{number}" for number in range(len(_MULTIPLIERS)))}
    UNION ALL SELECT n + 1, {_STEPS} FROM rows WHERE n + 1 < :stop)"""


def row_ids(resource: Resource, first: int, stop: int) -> list[int]:
    """The ids of rows `first` to `stop`: ascending, with gaps."""
    if resource.name == "clients":
        return [_FIRST_CLIENT_ID + n + n // 3 * 4 for n in range(first, stop)]
    return [_FIRST_INVOICE_ID + n * 11 // 8 + n // 97 * 13 for n in range(first, stop)]


def _client_id(number: str) -> str:
    return f"({_FIRST_CLIENT_ID} + ({number}) + ({number}) / 3 * 4)"


def _at(seconds: str) -> str:
    """The two arguments of `%sT%s`; strftime takes several times as long as date and time together."""
    return f"date({seconds}, 'unixepoch'), time({seconds}, 'unixepoch')"


def _money(cents: str) -> str:
    return f"{cents} / 100, {cents} % 100"


_ONCE = "LIMIT -1 OFFSET 0"
"""Keeps SQLite from merging a step into the next, which would compute a value again at each of its uses."""

_CLIENT_SQL = f"""
INSERT INTO temp.clients_stage (id, pms_ref, client_ref, name, client_key, active, partner_staff_id, created_at_us, body)
WITH RECURSIVE {_ROWS},
  made AS (
    SELECT {_client_id("n")} AS id, CAST(1000 + n * 3 AS TEXT) AS pms_ref, CAST(41000 + n * 7 AS TEXT) AS client_ref,
      {_pick("s0", _SURNAMES)} || ' ' || {_pick("s1", _TRADES)} AS name,
      printf('%012d %s', 41000 + n * 7, char(97 + s2 % 26)) AS client_key,
      s3 % 10 > 0 AS active, CASE WHEN s4 % 12 = 0 THEN NULL ELSE 40 + s4 % 37 END AS partner_staff_id,
      ({_EPOCH_2019} + s5 % {_SPAN_SECONDS}) * 1000000 AS created_at_us
    FROM rows {_ONCE})
SELECT id, pms_ref, client_ref, name, client_key, active, partner_staff_id, created_at_us,
  printf('{{"id":%d,"pmsRef":"%s","clientRef":"%s","name":%s,"clientKey":"%s","active":%s,"partnerStaffId":%s}}',
    id, pms_ref, client_ref, json_quote(name), client_key, CASE active WHEN 1 THEN 'true' ELSE 'false' END,
    coalesce(partner_staff_id, 'null'))
FROM made"""


_QUARTERS, _PRICE = "(4 + {0} % 157)", "(90 + {0} * 7 % 32 * 10)"
"""A line's quarter hours and its whole dollars an hour, from its kind: their product is a quarter of the amount."""
_LINE_KINDS = 4096
_LINES_SQL = f"""
INSERT INTO temp.sandbox_lines
WITH RECURSIVE kinds(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM kinds WHERE k + 1 < {_LINE_KINDS}),
  made AS (SELECT k, {_QUARTERS.format("k")} AS q, {_PRICE.format("k")} AS p FROM kinds {_ONCE})
SELECT k, printf('"description":"%s","quantity":%d.%02d,"unitPrice":%d.00,"amount":%d.%02d,"taxRate":',
  {_pick("k", _json_texts(_SERVICES))}, q / 4, q % 4 * 25, p, q * p * 25 / 100, q * p * 25 % 100)
FROM made"""


def _amount(stream: str) -> str:
    kind = f"({stream} % {_LINE_KINDS})"
    return f"{_QUARTERS.format(kind)} * {_PRICE.format(kind)} * 25"


def _line(number: int) -> str:
    """The JSON of one line; lines after the first bring their comma, or nothing at all."""
    if number == 1:
        return """'{"id":1,' || l1.text || rate || '}'"""
    return f"""CASE WHEN lines < {number} THEN '' ELSE ',{{"id":{number},' || l{number}.text || rate || '}}' END"""


def _payment(number: int) -> str:
    comma = "" if number == 1 else ","
    when = "(created + (updated - created) / 2)" if number == 1 else "updated"
    text = f"""printf('{comma}{{"id":%d,"amount":%d.%02d,"paymentDate":"%sT%sZ","paymentMethod":"%s","status":"CONFIRMED"}}',
      id * 3 + {number}, {_money(f"pay{number}")}, {_at(when)}, {_pick(f"s4 / {number * 11}", _METHODS)})"""
    return f"CASE WHEN payments < {number} THEN '' ELSE {text} END"


def _invoice_sql() -> str:
    return f"""
INSERT INTO temp.invoices_stage (id, invoice_number, reference, description, status, payment_status, client_id, client_name,
  client_email, project_id, project_name, issue_date_us, due_date_us, subtotal_cents, tax_cents, total_cents,
  currency, paid_cents, outstanding_cents, notes, created_at_us, updated_at_us, body)
WITH RECURSIVE {_ROWS},
  sized AS (
    SELECT n, s1, s2, s3, s4, {_FIRST_INVOICE_ID} + n * 11 / 8 + n / 97 * 13 AS id, {_client_id("s0 % :clients")} AS client_id,
      1 + s5 % 3 AS lines, s5 / 3 % 4 AS tax, s5 / 12 % 100 AS dice, s4 / 3 % 80 + 10 AS percent, s0,
      {_amount("s1")} AS a1, {_amount("s2")} AS a2, {_amount("s3")} AS a3,
      -- Invoices are posted in runs of three that share one instant, so an order by createdAt has ties.
      {_EPOCH_2019} + n / 3 * 3 * :step_us / 1000000 AS created
    FROM rows {_ONCE}),
  priced AS (
    SELECT *, a1 + CASE WHEN lines > 1 THEN a2 ELSE 0 END + CASE WHEN lines > 2 THEN a3 ELSE 0 END AS subtotal,
      date(created, 'unixepoch') AS day, CASE tax WHEN 0 THEN 0 WHEN 1 THEN 600 WHEN 2 THEN 825 ELSE 1000 END AS rate_bp, {_pick("tax", _RATES)} AS rate,
      created - created % 86400 AS issued, created - created % 86400 + 31 * 86400 - 1 AS due,
      created + 60 + s4 % 3888000 AS updated,
      CASE WHEN dice < 64 THEN 1 + s3 % 2 ELSE 0 END AS payments
    FROM sized {_ONCE}),
  paid AS (
    SELECT *, (subtotal * rate_bp + 5000) / 10000 AS tax_cents, subtotal + (subtotal * rate_bp + 5000) / 10000 AS total,
      CASE WHEN dice < 52 THEN subtotal + (subtotal * rate_bp + 5000) / 10000
           WHEN dice < 64 THEN (subtotal + (subtotal * rate_bp + 5000) / 10000) * percent / 100 ELSE 0 END AS paid,
      CASE WHEN dice < 52 THEN 'PAID' WHEN dice < 55 THEN 'CLOSED' WHEN dice < 59 THEN 'POSTED'
           WHEN dice < 64 THEN CASE WHEN due < {_AS_OF} THEN 'OVERDUE' ELSE 'POSTED' END
           WHEN dice < 69 THEN 'DRAFT' WHEN dice < 73 THEN 'CANCELLED' WHEN dice < 79 THEN 'PENDING'
           WHEN dice < 81 THEN 'CLOSED' WHEN dice < 93 THEN 'POSTED'
           ELSE CASE WHEN due < {_AS_OF} THEN 'OVERDUE' ELSE 'POSTED' END END AS status
    FROM priced {_ONCE}),
  worded AS (
    SELECT paid.*, CASE WHEN payments = 2 THEN paid * 6 / 10 ELSE paid END AS pay1, paid - paid * 6 / 10 AS pay2,
      CASE WHEN status = 'PAID' THEN 'PAID' WHEN status = 'OVERDUE' THEN 'OVERDUE'
           WHEN paid > 0 THEN 'PARTIALLY_PAID' ELSE 'UNPAID' END AS payment_status,
      printf('INV-%.4s-%06d', day, n + 1) AS invoice_number,
      CASE WHEN s1 % 9 = 0 THEN NULL ELSE printf('Q%d-%s-%d', 1 + s1 % 4, {_pick("s2 / 5", ("AUDIT", "TAX", "ADVISORY"))},
        s2 % 9000 + 1000) END AS reference,
      printf('Professional services rendered: %s, work through %s', {_pick("s1 / 7", _SERVICES)},
        day) AS description,
      clients.name AS client_name,
      CASE WHEN client_id % 11 = 0 THEN NULL ELSE printf('billing+%d@client.example', client_id) END AS client_email,
      CASE WHEN s3 % 8 = 0 THEN NULL ELSE 67000 + s3 / 8 % 5000 END AS project_id,
      CASE WHEN s3 % 8 = 0 THEN NULL ELSE printf('%s %.4s', {_pick("s3 / 64", _SERVICES)}, day) END
        AS project_name,
      CASE WHEN s2 % 3 = 0 THEN NULL ELSE printf('Payable within 30 days. Please quote %d with your remittance.', n + 1) END
        AS notes
    FROM paid JOIN clients ON clients.id = paid.client_id {_ONCE})
SELECT id, invoice_number, reference, description, status, payment_status, client_id, client_name, client_email,
  project_id, project_name, issued * 1000000, due * 1000000, subtotal, tax_cents, total, 'USD', paid, total - paid,
  notes, created * 1000000, updated * 1000000 + s3 % 1000000,
  printf('{{"id":%d,"invoiceNumber":"%s","reference":%s,"description":"%s","status":"%s","paymentStatus":"%s",'
    || '"clientId":%d,"clientName":%s,"clientEmail":%s,"projectId":%s,"projectName":%s,"issueDate":"%sT00:00:00","dueDate":"%sT23:59:59+00:00",'
    || '"subtotal":%d.%02d,"taxAmount":%d.%02d,"totalAmount":%d.%02d,"currency":"USD","paidAmount":%d.%02d,'
    || '"outstandingAmount":%d.%02d,"lineItems":[%s%s%s],"payments":[%s%s],"notes":%s,"createdAt":"%sT%sZ","updatedAt":"%sT%s.%06d+00:00"}}',
    id, invoice_number, json_quote(reference), description, status, payment_status,
    client_id, json_quote(client_name), json_quote(client_email), coalesce(project_id, 'null'), json_quote(project_name),
    day, date(due, 'unixepoch'),
    {_money("subtotal")}, {_money("tax_cents")}, {_money("total")}, {_money("paid")}, {_money("(total - paid)")},
    {_line(1)}, {_line(2)}, {_line(3)}, {_payment(1)}, {_payment(2)},
    json_quote(notes), day, time(created, 'unixepoch'), {_at("updated")}, s3 % 1000000)
FROM worded CROSS JOIN temp.sandbox_lines AS l1 ON l1.k = s1 % {_LINE_KINDS}
  CROSS JOIN temp.sandbox_lines AS l2 ON l2.k = s2 % {_LINE_KINDS}
  CROSS JOIN temp.sandbox_lines AS l3 ON l3.k = s3 % {_LINE_KINDS}"""


_SQL: dict[str, str] = {"clients": _CLIENT_SQL, "invoices": _invoice_sql()}


def _columns(resource: Resource) -> str:
    return ", ".join([*(column.sql for column in resource.columns), *resource.hidden])


def _create_lines(connection: sqlite3.Connection) -> None:
    """A few thousand kinds of line, worded once: an invoice takes up to three of them."""
    if connection.execute("SELECT 1 FROM sqlite_temp_master WHERE name = 'sandbox_lines'").fetchone() is None:
        connection.execute("CREATE TEMP TABLE sandbox_lines (k INTEGER PRIMARY KEY, text TEXT NOT NULL)")
        connection.execute(_LINES_SQL)


def generate(
    connection: sqlite3.Connection,
    resource: Resource,
    *,
    seed: int,
    first: int,
    stop: int,
    clients: int,
    firm_size: int,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Make rows `first` to `stop` (0-based, exclusive) of a resource.

    Args:
        connection: The store.
        resource: Which rows.
        seed: Two firms of one seed and size are equal byte for byte.
        first: The first row's number.
        stop: One past the last row's number.
        clients: How many clients there are to bill.
        firm_size: Invoices at the start; they fill six years.
        cancelled: Asked before each chunk; true ends the work early.
    """
    columns, stage = _columns(resource), f"temp.{resource.name}_stage"
    connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {resource.name}_stage ({columns}, body)")
    _create_lines(connection)
    for start in range(first, stop, CHUNK_ROWS):
        if cancelled():
            return
        arguments = {
            "first": start,
            "stop": min(start + CHUNK_ROWS, stop),
            "clients": clients,
            "step_us": _SPAN_SECONDS * 1_000_000 // max(firm_size, 1),
            **_streams(seed, resource.name, start),
        }
        connection.execute(_SQL[resource.name], arguments)
        # Two plain copies take half the time of a trigger that fills both tables row by row.
        connection.execute(f"INSERT INTO {resource.name} ({columns}) SELECT {columns} FROM {stage}")
        connection.execute(f"INSERT INTO {resource.bodies} SELECT id, body FROM {stage}")
        connection.execute(f"DELETE FROM {stage}")
