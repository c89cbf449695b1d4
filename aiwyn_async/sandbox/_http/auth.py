"""Bearer tokens as documented: HS256 JWTs with Hasura's claims."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Any

import msgspec

_TENANT = "aiwynsb"


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


class Tokens:
    """Issues and checks tokens, valid for ``lifetime`` seconds of a clock."""

    def __init__(self, lifetime: float, clock: Callable[[], float]) -> None:
        self.lifetime = lifetime
        self._clock = clock
        self._secret = secrets.token_bytes(32)

    def __repr__(self) -> str:
        return f"<Tokens lifetime={self.lifetime:g}s>"

    def issue(self) -> str:
        issued = self._clock()
        claims = {
            "https://hasura.io/jwt/claims": {
                "x-hasura-allowed-roles": [f"{_TENANT}_API_ADMIN", f"{_TENANT}_API_USER"],
                "x-hasura-default-role": f"{_TENANT}_API_ADMIN",
            },
            "staffId": 420,
            "tenant": _TENANT,
            "roles": ["SUPER_ADMIN", f"{_TENANT}_API_ADMIN"],
            "email": "api@firm.example",
            "authKeyId": 11,
            # Tokens issued in the same second differ.
            "jti": secrets.token_hex(8),
            "iat": issued,
            "exp": issued + self.lifetime,
        }
        head = _encode(msgspec.json.encode({"alg": "HS256", "typ": "JWT"}))
        signed = head + b"." + _encode(msgspec.json.encode(claims))
        return (signed + b"." + self._signature(signed)).decode()

    def accepts(self, token: str) -> bool:
        """Whether the token was issued here and has not expired."""
        signed, _, signature = token.encode("utf-8", "replace").rpartition(b".")
        if not hmac.compare_digest(signature, self._signature(signed)):
            return False
        claims = msgspec.json.decode(_decode(signed.partition(b".")[2]), type=dict[str, Any])
        expiry: float | None = claims["exp"]  # null for infinity
        return expiry is not None and self._clock() < expiry

    def revoke_all(self) -> None:
        """Reject every token issued so far, by replacing the secret."""
        self._secret = secrets.token_bytes(32)

    def _signature(self, signed: bytes) -> bytes:
        return _encode(hmac.digest(self._secret, signed, hashlib.sha256))
