"""The machine and the packages of a report."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("aiohttp", "msgspec", "anyio", "pyarrow", "duckdb", "uvloop", "yarl")


def describe() -> dict[str, str]:
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {installed}" for name in PACKAGES if (installed := _version(name))),
    }


def processor(root: Path = Path("/")) -> str:
    """Return the key of a processor: model, L2 cache per core if known, number of cores.

    Virtual machines often have a model name without a model, hence the cache and the cores.
    """
    l2 = _l2_cache(root / "sys/devices/system/cpu/cpu0/cache")
    facts = (_model(root / "proc/cpuinfo"), l2 and f"{l2} of L2 per core", f"{os.cpu_count()} cores")
    return ", ".join(filter(None, facts))


def _model(cpuinfo: Path) -> str:
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown processor")


def _l2_cache(caches: Path) -> str | None:
    for cache in caches.glob("index*"):
        if (cache / "level").read_text().strip() == "2":
            size = int((cache / "size").read_text().strip().removesuffix("K"))
            return f"{size / 1024:g} MB" if size >= 1024 else f"{size} KB"
    return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
