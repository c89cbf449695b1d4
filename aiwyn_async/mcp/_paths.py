"""The folder that exports are limited to."""

from __future__ import annotations

from pathlib import Path

from aiwyn_async._core.files import disk_errors
from aiwyn_async.errors import ConfigurationError, ExportError


class ExportFolder:
    """A folder, and the targets inside it.

    Other processes of the user are trusted not to replace a folder by a link while an export runs.

    Raises:
        ConfigurationError: it is not an existing folder.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            self._folder = Path(folder).resolve(strict=True)
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigurationError(f"cannot use export_folder {folder}: {reason}; create it") from None
        if not self._folder.is_dir():
            raise ConfigurationError(f"export_folder {folder} is not a folder; name a folder")

    def target(self, path: str) -> str:
        """Return the absolute path of a target, with its slash at the end if it has one.

        Raises:
            ExportError: the path is absolute, a URL, climbs, is hidden, too long, or leads over a link.
        """
        names = path.removesuffix("/").split("/")
        if not path.isprintable() or any(letter in path for letter in '\\:*?"<>|'):
            raise ExportError(f"path {path!r} has characters that a path must not have; {_EXAMPLES}")
        if any(not name or name.startswith(".") or name != name.strip() for name in names):
            raise ExportError(
                f"path {path!r} must be relative, without hidden, . and .. segments; {_EXAMPLES}"
            )
        target = self._folder
        with disk_errors(Path(path), error=ExportError):  # such as a name that is too long
            for name in names:
                target /= name
                self._refuse_link(target, path)
                if not target.exists():
                    break  # nothing in it exists either
            target = self._folder.joinpath(*names)
            if target.is_dir():
                for inner in target.rglob("*"):
                    self._refuse_link(inner, path)
            elif target.exists() and not target.is_file():
                raise ExportError(f"{path} is not a regular file; use another path")
        if not path.endswith("/") and not target.parent.is_dir():
            parent = "/".join(names[:-1])
            raise ExportError(f"the export folder has no folder {parent}; use a path without it")
        return f"{target}{'/' if path.endswith('/') else ''}"

    def _refuse_link(self, target: Path, path: str) -> None:
        if target.is_symlink() or target.resolve() != target:  # a junction of Windows is not a symlink
            name = target.relative_to(self._folder).as_posix()
            raise ExportError(f"cannot write to {path}: {name} is a symbolic link; use another path")


_EXAMPLES = "use a path in the export folder, such as invoices.parquet or invoices/"
