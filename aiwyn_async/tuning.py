"""Process-wide switches for bulk reads. Off by default; the command line turns both on."""

from __future__ import annotations

from typing import Any, Final, cast

from aiwyn_async._core.checks import needs_extra

__all__ = ["inflate_with_isal", "prime_allocator"]

MAX_THRESHOLD: Final = 31 * 1024 * 1024


def prime_allocator() -> None:
    """Make glibc reuse the memory of pages, instead of returning each megabyte to the kernel.

    Call it once, before a bulk read. It applies to the whole process, which may hold up to 62 MB of free
    memory afterwards. It has no effect with another C library, or if the environment fixes the thresholds, as
    the ``MALLOC_TRIM_THRESHOLD_`` that Dask sets for its workers does.

    glibc raises its thresholds for mmap and trim to the size of a large block that is freed, up to 32 MiB:
    mallopt(3), M_MMAP_THRESHOLD.
    """
    bytes(MAX_THRESHOLD)


def inflate_with_isal() -> None:
    """Make aiohttp decompress gzip and deflate with Intel's ISA-L. Needs the extra ``speed``.

    Call it once, before the first request. It applies to all of aiohttp in this process, servers included.
    A body of less than ten bytes that is not gzip although it claims to be is read as empty, not refused.

    Raises:
        ConfigurationError: isal is not installed.
    """
    with needs_extra("isal is not installed", "speed"):
        from isal import isal_zlib  # noqa: PLC0415 (an extra)
    import aiohttp  # noqa: PLC0415 (prime_allocator() does not need it)

    aiohttp.set_zlib_backend(cast("Any", isal_zlib))  # its stubs declare less than it has
