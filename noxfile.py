"""The project's checks: `nox` runs tests, lint and types.

`nox -s docs` builds the documentation site, `nox -s bench` measures.
"""

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["tests", "lint", "types"]
# Interpreters that are not installed are skipped; the log of CI shows which ones ran.
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
    # Compares the public names with the latest tag; it passes while there is none.
    session.run("griffe", "check", "aiwyn_async", "--search", ".")


@nox.session(python=PYTHONS[0])
def types(session: nox.Session) -> None:
    session.install("-e", ".[types]", "nox")
    session.run("mypy")
    session.run("pyright")
    session.run("pyright", "--verifytypes", "aiwyn_async", "--ignoreexternal")


@nox.session(name="docs-examples", python=PYTHONS[0])
def docs_examples(session: nox.Session) -> None:
    session.install("-e", ".[test]")
    session.run("pytest", "tests/test_docs.py", *session.posargs)


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    session.install("-e", ".[docs]")
    session.run("python", "-m", "tools.docs")


@nox.session(python=PYTHONS[0])
def bench(session: nox.Session) -> None:
    session.install("-e", ".[all]", "duckdb>=2.0", "trustme>=1.2.1", "uvloop>=0.22; sys_platform != 'win32'")
    session.run("python", "-m", "benchmarks", *session.posargs)
