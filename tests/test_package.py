"""The exports of the package, and the modules that it does not load."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import aiwyn_async
from aiwyn_async import errors

EXTRAS = {
    "aiohttp",
    "backoff",
    "anyio",
    "pyarrow",
    "duckdb",
    "cyclopts",
    "rich",
    "uvloop",
    "dlt",
    "opentelemetry",
}


ON_USE = {"ast", "difflib", "html", "tomllib"}
"""Modules of the standard library that only some calls need."""


def loaded_after(statement: str) -> set[str]:
    code = (
        f"import json, sys\nbefore = {{*sys.modules}}\n{statement}\n"
        "print(json.dumps([name.partition('.')[0] for name in set(sys.modules) - before]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True
    )
    return set(json.loads(done.stdout))


def test_importing_the_package_loads_neither_aiohttp_nor_an_extra() -> None:
    assert not EXTRAS & loaded_after("import aiwyn_async")


def test_importing_the_package_loads_hardly_a_module() -> None:
    # pathlib and re would double the time; site may have loaded them, as for a .pth file.
    assert loaded_after("import aiwyn_async") <= {"aiwyn_async", "importlib", "warnings"}


def test_client_loads_no_module_that_only_some_calls_need(tmp_path: Path) -> None:
    statement = (
        "import os, asyncio, aiohttp, msgspec\n"  # these load some of the same modules
        f"os.environ['AIWYN_CONFIG'] = {str(tmp_path / 'none.toml')!r}\n"
        "before = {*sys.modules}\nfrom aiwyn_async import AiwynClient\n"
        "AiwynClient(base_url='http://127.0.0.1:1', api_key='k').invoices.list(limit=1)"
    )
    assert not (ON_USE | {"anyio"}) & loaded_after(statement)


def test_filters_and_errors_load_neither_aiohttp_nor_an_extra() -> None:
    assert not EXTRAS & loaded_after("from aiwyn_async import AiwynError, F, Invoice")


def test_client_loads_no_extra() -> None:
    assert not (EXTRAS - {"aiohttp", "backoff", "anyio"}) & loaded_after(
        "from aiwyn_async import AiwynClient, ArrowStream; import aiwyn_async.dlt, aiwyn_async.otel"
    )


def test_blocking_client_and_exports_load_no_extra() -> None:
    assert not (EXTRAS - {"aiohttp", "backoff", "anyio"}) & loaded_after(
        "from aiwyn_async import Aiwyn; import aiwyn_async.export, aiwyn_async.notebook"
    )


@pytest.mark.parametrize("name", aiwyn_async.__all__)
def test_every_exported_name_can_be_imported(name: str) -> None:
    assert getattr(aiwyn_async, name) is not None


def test_every_error_and_warning_is_exported() -> None:
    classes = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    own = {kind.__name__ for kind in classes if kind.__module__ == errors.__name__}
    assert own <= set(aiwyn_async.__all__)


def test_type_checkers_see_exactly_the_names_that_can_be_imported() -> None:
    stub = ast.parse(Path(aiwyn_async.__file__).with_suffix(".pyi").read_text())
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    assert {alias.asname for node in imports for alias in node.names} == set(aiwyn_async.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        getattr(aiwyn_async, "nonsense")  # noqa: B009 (a type checker would refuse it)


def test_badges_are_what_the_package_declares() -> None:
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    classifiers: list[str] = project["classifiers"]
    versions = [name.rpartition(" ")[2] for name in classifiers if "Python :: 3." in name]
    badges = re.findall(
        r"!\[(.+)\]\(https://img\.shields\.io/badge/(\S+)\)", (root / "README.md").read_text()
    )
    assert badges == [
        (f"Python {versions[0]} to {versions[-1]}", f"python-{'%20%7C%20'.join(versions)}-blue"),
        ("typed, strict", "types-strict-blue"),  # as .ci/run checks it
        (f"{project['license']} licence", f"licence-{project['license']}-blue"),
    ]
    assert "Typing :: Typed" in classifiers
    assert (root / "aiwyn_async/py.typed").exists()


def test_star_import_of_the_models_binds_no_module() -> None:
    names: dict[str, object] = {}
    exec("from aiwyn_async.models import *", names)
    assert "Invoice" in names
    assert not [name for name, value in names.items() if inspect.ismodule(value)]
