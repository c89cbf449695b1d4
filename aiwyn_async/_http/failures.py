"""From the exceptions of aiohttp to the kind and text of a failure."""

from __future__ import annotations

import errno
import re
import ssl
from collections.abc import Sequence
from typing import Final

import aiohttp
from aiohttp import http_exceptions
from yarl import URL

from aiwyn_async._http.error_mapping import PROXY_CREDENTIALS
from aiwyn_async._http.messages import FailureKind

OUT_OF_SOCKETS: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
OUT_OF_SOCKETS_TEXT: Final = (
    "no file descriptor or memory left for a connection; raise the limit (ulimit -n) or lower max_concurrency"
)
PROXY_AUTHENTICATION_REQUIRED: Final = 407
# Alerts by which a server ends the handshake; TLS 1.3 delivers them with the first read.
_ALERT: Final = re.compile(r"\[SSL: \w*ALERT_(\w+)\]")
# The text of aiohttp for an encoding whose library is not installed, which it reports like invalid HTTP.
_NO_DECODER: Final = re.compile(r"decode content-encoding: .*\((\w+)\)")
# Its texts for a head beyond its limits.
_LONG_HEAD: Final = re.compile(r"Got more than (\d+) bytes|Too many headers")
_HANDSHAKE_ALERTS: Final = {
    *("BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "CERTIFICATE_REQUIRED", "CERTIFICATE_REVOKED"),
    *("CERTIFICATE_UNKNOWN", "NO_CERTIFICATE", "UNKNOWN_CA", "UNSUPPORTED_CERTIFICATE"),
    *("ACCESS_DENIED", "DECRYPT_ERROR", "HANDSHAKE_FAILURE", "INSUFFICIENT_SECURITY"),
}
# Most specific first: in aiohttp, DNS failures are connector failures, and those are connection errors.
_KINDS: Final[Sequence[tuple[type[Exception], FailureKind, str]]] = (
    (aiohttp.ServerFingerprintMismatch, FailureKind.TLS, "TLS failed"),
    (aiohttp.ClientConnectorDNSError, FailureKind.DNS, "could not resolve"),
    (aiohttp.ClientConnectorError, FailureKind.CONNECT, "could not connect to"),
    (aiohttp.ClientHttpProxyError, FailureKind.CONNECT, "the proxy refused to connect"),
    (
        aiohttp.ConnectionTimeoutError,
        FailureKind.CONNECT_TIMEOUT,
        "no connection within connect_timeout={:g} s",
    ),
    (aiohttp.SocketTimeoutError, FailureKind.READ_TIMEOUT, "the server was silent for read_timeout={:g} s"),
    (
        aiohttp.ServerDisconnectedError,
        FailureKind.DISCONNECTED,
        "the server closed the connection before responding",
    ),
    (aiohttp.ClientPayloadError, FailureKind.TRUNCATED, "the body was truncated"),
    (aiohttp.ClientResponseError, FailureKind.PROTOCOL, "the response is not valid HTTP"),
    (TimeoutError, FailureKind.ATTEMPT_TIMEOUT, "no complete response within attempt_timeout={:g} s"),
    (aiohttp.ClientConnectionError, FailureKind.DISCONNECTED, "the connection broke"),
    (aiohttp.ClientError, FailureKind.PROTOCOL, "the response is not valid HTTP"),
    (OSError, FailureKind.DISCONNECTED, "the connection broke"),
    # aiohttp raises other exceptions for responses that it does not expect.
    (Exception, FailureKind.PROTOCOL, "the response cannot be parsed"),
)


def classify_error(error: Exception) -> tuple[FailureKind, str]:
    os_error = getattr(error, "os_error", None)
    alert = _ALERT.search(str(os_error or error))
    if alert is not None and alert[1] in _HANDSHAKE_ALERTS:
        return FailureKind.TLS, _alert_text(alert[1])
    if isinstance(os_error, ssl.SSLError) or isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return FailureKind.TLS, _tls_text(error)
    if isinstance(error, aiohttp.ClientResponseError) and (named := _named_by_aiohttp(error.message)):
        return named
    # That of a body received with its head is reported like invalid HTTP.
    if _is_undecodable(error):
        return FailureKind.ENCODING, "the body cannot be decoded by its Content-Encoding"
    if is_out_of_sockets(error):
        return FailureKind.CONNECT, OUT_OF_SOCKETS_TEXT
    # The last entry matches every error.
    kind, text = next(
        (kind, text)
        for cls, kind, text in _KINDS
        if isinstance(error, cls)  # pyright: ignore[reportUnnecessaryIsInstance]
    )
    if isinstance(error, aiohttp.ClientConnectorError):
        text = f"{text} {error.host}:{error.port}"
        if reason := error.os_error.strerror or _reason_without_number(error.os_error):
            text = f"{text}: {reason}"
    elif isinstance(error, aiohttp.ClientHttpProxyError):
        text = f"{text}: status {error.status}"
        if error.status == PROXY_AUTHENTICATION_REQUIRED:
            text = f"{text}; {PROXY_CREDENTIALS}"
    return kind, text


def _named_by_aiohttp(message: str) -> tuple[FailureKind, str] | None:
    """Return kind and text of what only the text of an error distinguishes from invalid HTTP."""
    if encoding := _NO_DECODER.search(message):
        text = f"the response has a Content-Encoding that was not requested: {encoding[1]}"
        return FailureKind.UNKNOWN_ENCODING, text
    if head := _LONG_HEAD.match(message):
        text = f"a header of the response is longer than {head[1]} bytes" if head[1] else "too many headers"
        return FailureKind.PROTOCOL, f"{text}; a proxy or gateway in between may add them"
    return None


def _reason_without_number(error: OSError) -> str:
    # asyncio raises these without an error number if the peer closes the connection in the handshake.
    return "the connection was closed during the TLS handshake" if isinstance(error, ConnectionError) else ""


def _is_undecodable(error: BaseException | None) -> bool:
    return error is not None and (
        isinstance(error, http_exceptions.ContentEncodingError) or _is_undecodable(error.__cause__)
    )


def is_out_of_sockets(error: Exception) -> bool:
    # After connecting, the same numbers may mean that a request was sent.
    return isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno in OUT_OF_SOCKETS


def attribute_to_proxy(proxy: URL, error: Exception, kind: FailureKind, text: str) -> tuple[FailureKind, str]:
    """Return kind and text of a failed connect, naming a proxy that caused it."""
    named = f"the proxy {proxy.host}:{proxy.port}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return kind, text
    if isinstance(error, aiohttp.ClientConnectorError):
        if (error.host, error.port) != (proxy.raw_host, proxy.port):
            return kind, f"{text} (through {named})"
        if kind is FailureKind.TLS:
            return kind, f"{named}: {text}"
        reason = error.os_error.strerror or _reason_without_number(error.os_error)
        if kind is FailureKind.DNS:
            reason = "its host name could not be resolved"
        return kind, f"could not connect to {named}: {reason or 'failed'}"
    if kind is FailureKind.CONNECT_TIMEOUT:
        return kind, f"{text} through {named}"
    # The proxy did not open a tunnel, so the request was not sent.
    return FailureKind.CONNECT, f"{named} closed the connection or did not respond as a proxy does"


def _alert_text(alert: str) -> str:
    if alert in {"CERTIFICATE_REQUIRED", "NO_CERTIFICATE"}:
        return (
            "the server requires a client certificate; pass an ssl_context= "
            "into which load_cert_chain() loaded one"
        )
    reason = alert.lower().replace("_", " ")
    return f"the server refused the TLS handshake ({reason}); does it require another client certificate?"


def _tls_text(error: Exception) -> str:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"invalid server certificate: {cause.verify_message}; "
            "for a private CA, pass an ssl_context= that trusts it"
        )
    reason = getattr(cause, "reason", None) or "handshake failed"
    return f"TLS failed: {reason}; does the server speak https at this host and port?"
