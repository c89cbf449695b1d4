"""Sample texts that several resources share."""

# fmt: off
SERVICES = (
    "Financial statement audit", "Tax compliance services", "Quarterly bookkeeping", "Payroll services",
    "Advisory services, restructuring", "Sales and use tax return", "Internal controls review",
    "Valuation services", "R&D credit study", "Estate planning", "Forensic review \u2013 phase 2",
    "CFO services, monthly",
)
PAYMENT_METHODS = (
    "CREDIT_CARD", "ACH", "CHECK", "WIRE", "DEBIT_CARD", "BANK_TRANSFER", "PAYPAL", "APPLE_PAY",
    "GOOGLE_PAY",
)
CARD_TYPES = ("VISA", "MASTERCARD", "AMEX")
SURNAMES = (
    "Fahey", "Acme", "M\u00fcller", "O'Neil", "Garc\u00eda", "Blue Ridge", "Northgate", "Sj\u00f6berg",
    "Tanaka", "Harbor", "Lindqvist", "Okafor", "Prairie", "Summit", "Delacroix", "Kowalski",
    "100% Organic", "Under_score", 'The "Right" Way',
)
TRADES = (
    "Corporation", "Holdings LLC", "Dental Group", "Construction Inc.", "& Sons", "Foods", "Logistics",
    "Family Trust", "Software GmbH", "Properties LP", "Brewing Co.",
)
FIRST_NAMES = (
    "John", "Holley", "Jane", "Ana", "Bj\u00f6rn", "Chidi", "Mei", "Priya", "Se\u00e1n", "Tom\u00e1s",
    "Wanda", "Yusuf", "Zo\u00eb",
)
LAST_NAMES = (
    "Smith", "Abbott", "Doe", "D'Angelo", "Garc\u00eda-L\u00f3pez", "Haddad", "Ivanova", "Kim", "Lindgren",
    "Nakamura", "Oyelaran", "van der Berg",
)
STREETS = ("Business Ave", "Finance Blvd", "Harbor St", "Ledger Ln")
CITIES = (
    ("New York", "NY", "100"), ("Chicago", "IL", "606"), ("Austin", "TX", "787"),
    ("Portland", "OR", "972"),
)
# fmt: on
