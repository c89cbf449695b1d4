"""An async-first Python SDK for the Aiwyn API.

A read is complete, or it says exactly what is missing.

Names are imported on first use: ``import aiwyn_async`` loads neither aiohttp nor an extra.

PYTEST_DONT_REWRITE: pytest rewrites the asserts of packages with a plugin, and this one has no asserts.
"""

import re
from importlib import import_module
from pathlib import Path

# The stub is the one table of public names and their modules.
_STUB = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
_MODULES: dict[str, str] = {
    name: module for module, name in re.findall(r"^from (\S+) import (\w+) as", _STUB, re.MULTILINE)
}

__all__ = sorted(_MODULES)  # noqa: PLE0605  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
