"""Use ISA-L temporarily, then zlib again."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Generator
from typing import Any, cast

import aiohttp

from aiwyn_async.tuning import inflate_with_isal


@contextlib.contextmanager
def isal() -> Generator[None]:
    inflate_with_isal()
    try:
        yield
    finally:
        aiohttp.set_zlib_backend(cast("Any", zlib))
