"""An extension of griffe, which cannot evaluate ``__all__``: the names of the stub are public."""

from __future__ import annotations

from typing import Any

import griffe

__all__ = ["PublicNames"]


class PublicNames(griffe.Extension):
    """Without it, `griffe check` compares nothing that is defined in a private module."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Set the exports of the package from its imports of itself."""
        names = [name for name, member in pkg.members.items() if member.is_alias]
        pkg.exports = [name for name in names if pkg[name].target_path.startswith(f"{pkg.path}.")]
