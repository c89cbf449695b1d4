"""Words and columns several tags share."""

from aiwyn_async.sandbox.declare import Column, Kind

__all__ = [
    "CARD_TYPES",
    "CITIES",
    "CLIENT_ID",
    "CLIENT_NAME",
    "CREATED_AT",
    "CURRENCY",
    "FIRST_NAMES",
    "ID",
    "LAST_NAMES",
    "PAYMENT_METHODS",
    "SERVICES",
    "STREETS",
    "SURNAMES",
    "TRADES",
    "UPDATED_AT",
]

ID = Column("id", "id", Kind.INTEGER)
CLIENT_ID = Column("clientId", "client_id", Kind.INTEGER)
CLIENT_NAME = Column("clientName", "client_name", Kind.TEXT)
CURRENCY = Column("currency", "currency", Kind.TEXT)
CREATED_AT = Column("createdAt", "created_at_us", Kind.INSTANT)
UPDATED_AT = Column("updatedAt", "updated_at_us", Kind.INSTANT)

SERVICES = (
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
PAYMENT_METHODS = (
    "CREDIT_CARD",
    "ACH",
    "CHECK",
    "WIRE",
    "DEBIT_CARD",
    "BANK_TRANSFER",
    "PAYPAL",
    "APPLE_PAY",
    "GOOGLE_PAY",
)
CARD_TYPES = ("VISA", "MASTERCARD", "AMEX")
SURNAMES = (
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
TRADES = (
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
FIRST_NAMES = (
    "John",
    "Holley",
    "Jane",
    "Ana",
    "Bj\u00f6rn",
    "Chidi",
    "Mei",
    "Priya",
    "Se\u00e1n",
    "Tom\u00e1s",
    "Wanda",
    "Yusuf",
    "Zo\u00eb",
)
LAST_NAMES = (
    "Smith",
    "Abbott",
    "Doe",
    "D'Angelo",
    "Garc\u00eda-L\u00f3pez",
    "Haddad",
    "Ivanova",
    "Kim",
    "Lindgren",
    "Nakamura",
    "Oyelaran",
    "van der Berg",
)
STREETS = ("Business Ave", "Finance Blvd", "Harbor St", "Ledger Ln")
CITIES = (
    ("New York", "NY", "100"),
    ("Chicago", "IL", "606"),
    ("Austin", "TX", "787"),
    ("Portland", "OR", "972"),
)
