"""The project's checks: `nox` runs tests, lint and types.

`nox -s docs` builds the documentation site, and `nox -s bench` measures.
`nox -s lowest` tests the lowest versions of the dependencies.
`nox -s build smoke sbom` builds a release, tries it and lists what it runs with.
"""

import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["tests", "lint", "types"]
# Interpreters that are not installed are skipped; the log of CI shows which ones ran.
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.11", "3.12", "3.13"]
GRIFFE_CHECK = ["griffe", "check", "aiwyn_async", "--search", ".", "--extensions", "tools/public_names.py"]
# What depends most on the versions of the dependencies; all tests would take four times as long.
LOWEST = ["decoding", "http", "pagination", "pull", "export", "values", "cli", "test_package.py"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    session.install("uv")
    session.run("uv", "pip", "install", "--resolution", "lowest-direct", "-e", ".[test]")
    session.run("pytest", *(session.posargs or [f"tests/{name}" for name in LOWEST]))


@nox.session(python=PYTHONS[0])
def build(session: nox.Session) -> None:
    session.install("build>=1.6", "twine>=7", "check-wheel-contents>=0.6.3", "pyroma>=5.0")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    files = [str(path) for path in sorted(Path("dist").iterdir())]
    session.run("twine", "check", "--strict", *files)
    session.run("check-wheel-contents", "dist")
    session.run("pyroma", "--min", "10", ".")


@nox.session(python=PYTHONS, requires=["build"])
@nox.parametrize("file", ["*.whl", "*.tar.gz"], ids=["wheel", "sdist"])
def smoke(session: nox.Session, file: str) -> None:
    (path,) = Path("dist").glob(file)
    session.install(f"aiwyn-async[all] @ {path.absolute().as_uri()}")
    session.run("python", "-I", "tools/smoke.py")


@nox.session(python=PYTHONS[0], requires=["build"])
def sbom(session: nox.Session) -> None:
    session.install("cyclonedx-bom>=7.5")
    (wheel,) = Path("dist").glob("*.whl")
    clean = Path(session.create_tmp(), "clean")  # contains the wheel and its dependencies alone
    session.run("python", "-m", "venv", "--clear", "--without-pip", str(clean))
    session.run("python", "-m", "pip", "--python", str(clean), "install", str(wheel))
    python = str(clean / "bin/python")
    session.run("cyclonedx-py", "environment", python, "--mc-type", "library", "-o", "sbom.cdx.json")


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    session.install("-e", ".[lint]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")
    # Compares the public names with the latest tag; it passes while there is none.
    session.run(*GRIFFE_CHECK)


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
