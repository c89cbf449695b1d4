"""The project's checks: `nox` runs tests, lint and types; `nox -s bench` measures."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["tests", "lint", "types"]
# An interpreter that is not installed is passed over; CI tells which ran.
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.11", "3.12", "3.13"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    session.install("-e", ".[lint]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session(python=PYTHONS[0])
def types(session: nox.Session) -> None:
    session.install("-e", ".[types]", "nox")
    session.run("mypy")
    session.run("pyright")


@nox.session(name="docs-examples", python=PYTHONS[0])
def docs_examples(session: nox.Session) -> None:
    session.install("-e", ".[test]")
    session.run("pytest", "tests/test_readme.py", *session.posargs)


@nox.session(python=PYTHONS[0])
def bench(session: nox.Session) -> None:
    session.install("-e", ".[all]", "duckdb>=2.0", "trustme>=1.2.1", "uvloop>=0.22; sys_platform != 'win32'")
    session.run("python", "-m", "benchmarks", *session.posargs)
