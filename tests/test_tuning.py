"""Allocation of pages of a megabyte, in a separate process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from aiwyn_async.tuning import prime_allocator

if {primed}:
    prime_allocator()
for turn in range(120):
    if turn == 20:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    pages = [bytes([65]) * 1_000_000 for _ in range(4)]
    del pages
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is a setting of glibc's")
def test_primed_allocator_causes_no_page_faults_for_the_next_page() -> None:
    # A cluster of Dask sets MALLOC_TRIM_THRESHOLD_ in its process, which fixes the thresholds of glibc.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    faults = {
        primed: int(
            subprocess.run(
                [sys.executable, "-c", PROGRAM.format(primed=primed)],
                capture_output=True,
                check=True,
                env=env,
            ).stdout
        )
        for primed in (False, True)
    }
    assert faults[True] * 10 < faults[False]
