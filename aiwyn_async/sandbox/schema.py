"""What the sandbox serves, as data: a `Resource` per tag of the API.

A tag is added by declaring its columns, paths and envelope here and its rows in `seed.py`; the handlers, the
`where` compiler, the oracle, the faults and the drift read these declarations and know no tag by name.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

__all__ = [
    "CLIENTS",
    "INVOICES",
    "RESOURCES",
    "Column",
    "Filter",
    "Kind",
    "Nested",
    "PageMeans",
    "Relation",
    "Resource",
]


class Kind(StrEnum):
    """How a value looks on the wire and how it is kept in SQL."""

    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"
    DECIMAL = "decimal"
    """A JSON number with `scale` decimals, kept as an integer of that scale (money: cents)."""
    INSTANT = "instant"
    """An ISO string, kept as UTC epoch microseconds. A value without a zone is taken as UTC."""


class PageMeans(StrEnum):
    """What the documents say the request's `page` counts."""

    NUMBER = "number"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a row that `where` and `orderBy` can name.

    Args:
        wire: The name in `where` and `orderBy`.
        sql: The SQL column.
        kind: The type, see `Kind`.
        nullable: Whether rows may hold null.
        scale: Decimals of a `Kind.DECIMAL`.
        row_key: The name in the row, where it differs from `wire` (engagement rows are snake_case).
    """

    wire: str
    sql: str
    kind: Kind
    nullable: bool = False
    scale: int = 2
    row_key: str | None = None

    @property
    def key(self) -> str:
        """The field's name in a row."""
        return self.row_key or self.wire


@dataclass(frozen=True, slots=True)
class Relation:
    """A row of another resource, found by its id: `{"client": {"name": {"_eq": ...}}}`."""

    wire: str
    resource: str
    local: Column


@dataclass(frozen=True, slots=True)
class Nested:
    """An array inside the row. A condition on it holds when some element meets it, as in Hasura."""

    wire: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """A field of the list request: `{wire: value}` stands for `{column: {operator: value}}`."""

    wire: str
    column: str
    operator: str
    allowed: frozenset[str] | None = None


@dataclass(frozen=True)
class Resource:
    """One tag: its paths, envelope, columns and page rules."""

    name: str
    list_path: str | None
    search_path: str | None
    get_path: str
    items_key: str
    count_path: tuple[str, ...]
    columns: tuple[Column, ...]
    relations: tuple[Relation, ...] = ()
    nested: tuple[Nested, ...] = ()
    filters: tuple[Filter, ...] = ()
    page_means: PageMeans = PageMeans.NUMBER
    list_page_size: int = 25
    search_page_size: int = 1
    page_size_keys: tuple[str, ...] = ("pageSize",)
    default_order: tuple[tuple[str, str], ...] = ()
    """SQL column and direction of the list, which need not be columns the wire can name."""
    sort_order_key: str | None = None
    """The list request's field that turns `default_order` round."""
    hidden: tuple[str, ...] = field(default=())
    """SQL columns that no row shows."""

    @cached_property
    def by_wire(self) -> dict[str, Column]:
        """Columns by the name `where` uses."""
        return {column.wire: column for column in self.columns}

    @cached_property
    def by_key(self) -> dict[str, Column]:
        """Columns by the name rows use."""
        return {column.key: column for column in self.columns}

    @property
    def bodies(self) -> str:
        """The SQL table of ready JSON rows, apart from the columns so that a scan of these stays small."""
        return f"{self.name}_body"


_INT, _TEXT, _DEC, _AT, _BOOL = Kind.INTEGER, Kind.TEXT, Kind.DECIMAL, Kind.INSTANT, Kind.BOOLEAN

_CLIENT_ID = Column("clientId", "client_id", _INT)

INVOICES = Resource(
    name="invoices",
    list_path="/gql/v1/invoices",
    search_path="/gql/v1/invoices/search",
    get_path="/gql/v1/invoice/{id}",
    items_key="deid_invoice",
    count_path=("deid_invoice_aggregate", "aggregate", "count"),
    columns=(
        Column("id", "id", _INT),
        Column("invoiceNumber", "invoice_number", _TEXT),
        Column("reference", "reference", _TEXT, nullable=True),
        Column("description", "description", _TEXT),
        Column("status", "status", _TEXT),
        Column("paymentStatus", "payment_status", _TEXT),
        _CLIENT_ID,
        Column("clientName", "client_name", _TEXT),
        Column("clientEmail", "client_email", _TEXT, nullable=True),
        Column("projectId", "project_id", _INT, nullable=True),
        Column("projectName", "project_name", _TEXT, nullable=True),
        Column("issueDate", "issue_date_us", _AT),
        Column("dueDate", "due_date_us", _AT),
        Column("subtotal", "subtotal_cents", _DEC),
        Column("taxAmount", "tax_cents", _DEC),
        Column("totalAmount", "total_cents", _DEC),
        Column("currency", "currency", _TEXT),
        Column("paidAmount", "paid_cents", _DEC),
        Column("outstandingAmount", "outstanding_cents", _DEC),
        Column("notes", "notes", _TEXT, nullable=True),
        Column("createdAt", "created_at_us", _AT),
        Column("updatedAt", "updated_at_us", _AT),
    ),
    relations=(Relation("client", "clients", _CLIENT_ID),),
    nested=(
        Nested(
            "lineItems",
            (
                Column("id", "id", _INT),
                Column("description", "description", _TEXT),
                Column("quantity", "quantity", _DEC),
                Column("unitPrice", "unitPrice", _DEC),
                Column("amount", "amount", _DEC),
                Column("taxRate", "taxRate", _DEC, scale=4),
            ),
        ),
        Nested(
            "payments",
            (
                Column("id", "id", _INT),
                Column("amount", "amount", _DEC),
                Column("paymentDate", "paymentDate", _AT),
                Column("paymentMethod", "paymentMethod", _TEXT),
                Column("status", "status", _TEXT),
            ),
        ),
    ),
    filters=(
        Filter("clientId", "clientId", "_eq"),
        Filter(
            "status",
            "status",
            "_eq",
            frozenset({"PENDING", "POSTED", "PAID", "OVERDUE", "CANCELLED", "DRAFT"}),
        ),
        # The documents sort by creation and do not say which date these bound: createdAt, both ends included.
        Filter("startDate", "createdAt", "_gte"),
        Filter("endDate", "createdAt", "_lte"),
    ),
    default_order=(("created_at_us", "desc"),),
    sort_order_key="sortOrder",
)

CLIENTS = Resource(
    name="clients",
    list_path="/gql/v1/clients",
    search_path="/gql/v1/clients/search",
    get_path="/gql/v1/client/{id}",
    items_key="clients",
    count_path=("total", "aggregate", "count"),
    columns=(
        Column("id", "id", _INT),
        Column("pmsRef", "pms_ref", _TEXT),
        Column("clientRef", "client_ref", _TEXT),
        Column("name", "name", _TEXT),
        Column("clientKey", "client_key", _TEXT),
        Column("active", "active", _BOOL),
        Column("partnerStaffId", "partner_staff_id", _INT, nullable=True),
    ),
    page_means=PageMeans.SKIP,
    list_page_size=50,
    search_page_size=50,
    default_order=(("name", "asc"), ("created_at_us", "desc")),
    hidden=("created_at_us",),
)

RESOURCES: dict[str, Resource] = {resource.name: resource for resource in (INVOICES, CLIENTS)}
