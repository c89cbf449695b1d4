"""A private PostgreSQL server: unprivileged, in a temporary directory, on a Unix socket."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Postgres", "binaries", "has_locale", "literal", "running"]

_INSTALLED = Path("/usr/lib/postgresql")
_MARK = "@result"


def binaries() -> Path | None:
    """Return the directory of ``initdb`` and ``psql`` of the newest installed server, or None."""
    versions = sorted(_INSTALLED.glob("*/bin/initdb"), key=lambda path: int(path.parents[1].name))
    if not versions and (result := shutil.which("initdb")) is not None:
        versions = [Path(result).resolve()]
    return versions[-1].parent if versions and (versions[-1].parent / "psql").exists() else None


def has_locale(name: str) -> bool:
    """Whether the machine has a locale of this name."""
    listed = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout
    return name.lower().replace("-", "") in listed.lower().replace("-", "").split()


def literal(text: str) -> str:
    """Return a text as a SQL literal."""
    return (
        "U&'"
        + "".join(f"\\+{ord(char):06x}" if char in "'\\" or not " " <= char <= "~" else char for char in text)
        + "'"
    )


@dataclass(frozen=True)
class Postgres:
    """A running server, which listens on a socket in ``directory``."""

    programs: Path
    directory: Path

    def run(self, database: str, script: str) -> str:
        """Run a script in one go, and return what it prints. A statement that fails does not end it."""
        command = [
            str(self.programs / "psql"),
            "-X",
            "-A",
            "-t",
            "-q",
            "-h",
            str(self.directory),
            "-U",
            "postgres",
        ]
        done = subprocess.run(
            [*command, "-d", database], input=script, capture_output=True, text=True, check=True, timeout=50
        )
        return done.stdout

    def results(self, database: str, statements: Sequence[str]) -> list[str | None]:
        """Return the line that each statement prints, or None if the server rejects it."""
        script = "\n".join(f"\\echo {_MARK}\n{statement};" for statement in statements)
        printed = self.run(database, script).split(f"{_MARK}\n")[1:]
        return [text.removesuffix("\n") if text else None for text in printed]


def _unprivileged() -> str | None:
    """Another user if this one is root, as whom the server does not start."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


@contextlib.contextmanager
def running(programs: Path) -> Generator[Postgres]:
    """Start a server in UTF-8 with the locale C.UTF-8, and stop it."""
    user = _unprivileged()
    directory = Path(tempfile.mkdtemp(prefix="aiwyn-pg-"))
    if user is not None:
        shutil.chown(directory, user)
    data = directory / "data"

    def call(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(data), *arguments]
        output = directory / f"{program}.log"
        with output.open("ab") as log:
            subprocess.run(
                command,
                user=user,
                cwd=directory,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                check=True,
                timeout=50,
            )

    options = f"-c listen_addresses='' -c unix_socket_directories={directory} -c fsync=off -c timezone=UTC"
    try:
        call("initdb", "-U", "postgres", "--no-sync", "--locale=C.UTF-8", "-E", "UTF8", "-A", "trust")
        call("pg_ctl", "-w", "-o", options, "-l", str(directory / "server.log"), "start")
        try:
            yield Postgres(programs, directory)
        finally:
            call("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
