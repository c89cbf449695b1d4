"""An async-first Python SDK for the Aiwyn API.

A read is complete, or it says exactly what is missing.

Names are imported on first use: ``import aiwyn_async`` loads neither aiohttp nor an extra.

PYTEST_DONT_REWRITE: pytest rewrites the asserts of packages with a plugin, and this one has no asserts.
"""

from importlib import import_module

# The stub is the one table of public names and their modules: "from MODULE import NAME as NAME".
# Neither pathlib nor re reads it: both take as long to load as all else here.
with open(f"{__file__.rpartition('.')[0]}.pyi", encoding="utf-8") as _stub:  # noqa: PTH123
    _MODULES: dict[str, str] = {
        words[3]: words[1] for line in _stub if len(words := line.split()) > 4 and words[0] == "from"
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
