"""Paths and headers of requests to a sandbox."""

LIST, SEARCH = "/gql/v1/invoices", "/gql/v1/invoices/search"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
