"""A switch for processes that do nothing but pull: keep the memory of a page for the next one."""

from __future__ import annotations

__all__ = ["prime_allocator"]

LARGEST_THRESHOLD = 31 * 1024 * 1024


def prime_allocator() -> None:
    """Have glibc keep what is freed, instead of giving every page's megabyte back and taking it anew.

    Call it once, before a bulk read. It holds for the whole process, and up to 62 MB of free memory may stay
    with it, so it is no default of a library; the command line calls it. Where the C library is another one,
    nothing changes.

    glibc raises its thresholds for mmap and trim to the size of a large block that is freed, up to 32 MiB:
    mallopt(3), M_MMAP_THRESHOLD.
    """
    bytes(LARGEST_THRESHOLD)
