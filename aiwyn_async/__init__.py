"""An async-first Python SDK for the Aiwyn API: a pull is complete, or it says exactly what is missing.

Names are imported when they are first used: ``import aiwyn_async`` loads neither aiohttp nor an extra.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from aiwyn_async._version import __version__

if TYPE_CHECKING:
    from aiwyn_async._changes.bookmarks import FileState as FileState
    from aiwyn_async._changes.changes import Changes as Changes
    from aiwyn_async._changes.reconcile import KeyDifference as KeyDifference
    from aiwyn_async._decoding.envelope import BadRow as BadRow
    from aiwyn_async._decoding.lazy import deferred as deferred
    from aiwyn_async._decoding.plain_types import settled as settled
    from aiwyn_async._http.transport import inflate_with_isal as inflate_with_isal
    from aiwyn_async._pagination.page import Checkpoint as Checkpoint
    from aiwyn_async._pagination.page import Page as Page
    from aiwyn_async._pagination.pager import Pager as Pager
    from aiwyn_async._pagination.report import WalkReport as WalkReport
    from aiwyn_async._pull.progress import Progress as Progress
    from aiwyn_async._pull.pull import Pull as Pull
    from aiwyn_async._pull.report import PullReport as PullReport
    from aiwyn_async._resources.collection import Found as Found
    from aiwyn_async.arrow._stream import ArrowStream as ArrowStream
    from aiwyn_async.client import AiwynClient as AiwynClient
    from aiwyn_async.config import DEMO_URL as DEMO_URL
    from aiwyn_async.config import STAGING_URL as STAGING_URL
    from aiwyn_async.config import Config as Config
    from aiwyn_async.config import Secret as Secret
    from aiwyn_async.errors import AiwynError as AiwynError
    from aiwyn_async.errors import ApiError as ApiError
    from aiwyn_async.errors import AuthenticationError as AuthenticationError
    from aiwyn_async.errors import CheckpointError as CheckpointError
    from aiwyn_async.errors import ClientClosedError as ClientClosedError
    from aiwyn_async.errors import ConfigurationError as ConfigurationError
    from aiwyn_async.errors import ConflictError as ConflictError
    from aiwyn_async.errors import ConnectionFailed as ConnectionFailed
    from aiwyn_async.errors import DeadlineExceeded as DeadlineExceeded
    from aiwyn_async.errors import DecodeFailed as DecodeFailed
    from aiwyn_async.errors import ExportError as ExportError
    from aiwyn_async.errors import IncompleteError as IncompleteError
    from aiwyn_async.errors import InferredEndpointWarning as InferredEndpointWarning
    from aiwyn_async.errors import InvalidRequestError as InvalidRequestError
    from aiwyn_async.errors import LoopMismatchError as LoopMismatchError
    from aiwyn_async.errors import NotFoundError as NotFoundError
    from aiwyn_async.errors import PaginationError as PaginationError
    from aiwyn_async.errors import PaginationLoopError as PaginationLoopError
    from aiwyn_async.errors import PartialWriteError as PartialWriteError
    from aiwyn_async.errors import PermissionDeniedError as PermissionDeniedError
    from aiwyn_async.errors import ProtocolError as ProtocolError
    from aiwyn_async.errors import RateLimitError as RateLimitError
    from aiwyn_async.errors import RedirectRefusedError as RedirectRefusedError
    from aiwyn_async.errors import RequestError as RequestError
    from aiwyn_async.errors import ResponseMismatchError as ResponseMismatchError
    from aiwyn_async.errors import ResponseTooLargeError as ResponseTooLargeError
    from aiwyn_async.errors import ServerError as ServerError
    from aiwyn_async.errors import StatusError as StatusError
    from aiwyn_async.errors import StorageWarning as StorageWarning
    from aiwyn_async.errors import TokenExchangeError as TokenExchangeError
    from aiwyn_async.errors import WebhookVerificationError as WebhookVerificationError
    from aiwyn_async.filters import F as F
    from aiwyn_async.models.invoices import Invoice as Invoice
    from aiwyn_async.models.invoices import InvoiceDetail as InvoiceDetail
    from aiwyn_async.models.invoices import InvoiceSearchRow as InvoiceSearchRow
    from aiwyn_async.tuning import prime_allocator as prime_allocator

_HOMES = {
    "tuning": ("prime_allocator",),
    "arrow._stream": ("ArrowStream",),
    "client": ("AiwynClient",),
    "config": ("DEMO_URL", "STAGING_URL", "Config", "Secret"),
    "errors": (
        "AiwynError",
        "ApiError",
        "AuthenticationError",
        "CheckpointError",
        "ClientClosedError",
        "ConfigurationError",
        "ConflictError",
        "ConnectionFailed",
        "DeadlineExceeded",
        "DecodeFailed",
        "ExportError",
        "IncompleteError",
        "InferredEndpointWarning",
        "InvalidRequestError",
        "LoopMismatchError",
        "NotFoundError",
        "PaginationError",
        "PaginationLoopError",
        "PartialWriteError",
        "PermissionDeniedError",
        "ProtocolError",
        "RateLimitError",
        "RedirectRefusedError",
        "RequestError",
        "ResponseMismatchError",
        "ResponseTooLargeError",
        "ServerError",
        "StatusError",
        "StorageWarning",
        "TokenExchangeError",
        "WebhookVerificationError",
    ),
    "filters": ("F",),
    "_decoding.lazy": ("deferred",),
    "_decoding.plain_types": ("settled",),
    "_decoding.envelope": ("BadRow",),
    "models.invoices": ("Invoice", "InvoiceDetail", "InvoiceSearchRow"),
    "_pagination.page": ("Checkpoint", "Page"),
    "_pagination.pager": ("Pager",),
    "_pagination.report": ("WalkReport",),
    "_changes.changes": ("Changes",),
    "_pull.progress": ("Progress",),
    "_pull.pull": ("Pull",),
    "_changes.reconcile": ("KeyDifference",),
    "_pull.report": ("PullReport",),
    "_changes.bookmarks": ("FileState",),
    "_resources.collection": ("Found",),
    "_http.transport": ("inflate_with_isal",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

# A test holds this against what type checkers see above.
__all__ = ["__version__", *sorted(_HOME_OF)]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
