"""Exports are written to the export folder alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aiwyn_async import ConfigurationError
from aiwyn_async.mcp._paths import ExportFolder
from aiwyn_async.sandbox import Sandbox
from mcp_session import Call


@pytest.mark.parametrize(
    "path",
    [
        "../x.csv",
        "a/../../x.csv",
        "a/../x.csv",
        "./x.csv",
        "..",
        "../",
        ".",
        "/",
        "",
        "/tmp/x.csv",
        "//tmp/x.csv",
        "a//x.csv",
        "C:\\x.csv",
        "C:x.csv",
        "..\\x.csv",
        "\\\\host\\share\\x.csv",
        "s3://bucket/invoices/",
        "file:///tmp/invoices/",
        "memory://invoices/",
        ".x.csv.partial/x.csv",
        ".x.csv",
        "a/.git/x.csv",
        "x\0.csv",
        "x\n.csv",
        "x.csv ",
        " /x.csv",
        "invoices//",
        "\u202ex.csv",
    ],
)
async def test_path_that_is_not_plainly_in_the_folder_is_refused(
    call: Call, box: Sandbox, folder: Path, path: str
) -> None:
    before = sorted(folder.parent.rglob("*"))
    assert "use a path in the export folder" in await call.refused("export", resource="invoices", path=path)
    assert not box.requests
    assert sorted(folder.parent.rglob("*")) == before


@pytest.mark.parametrize("path", ["x" * 300 + ".csv", "x" * 300 + "/", "x/" * 5000])
async def test_path_that_is_too_long_is_refused(call: Call, box: Sandbox, path: str) -> None:
    assert "File name too long" in await call.refused("export", resource="invoices", path=path)
    assert not box.requests


@pytest.mark.parametrize("target", ["outside.csv", "inside.csv", "nothing.csv"])
async def test_link_as_a_target_is_refused(call: Call, box: Sandbox, folder: Path, target: str) -> None:
    (folder.parent / "outside.csv").write_text("outside")
    (folder / "inside.csv").write_text("inside")
    where = folder.parent if target == "outside.csv" else folder
    (folder / "x.csv").symlink_to(where / target)
    for options in ({}, {"force": True}, {"resume": True}):
        text = await call.refused("export", resource="invoices", path="x.csv", **options)
        assert "x.csv is a symbolic link; use another path" in text
    assert (folder.parent / "outside.csv").read_text() == "outside"
    assert not box.requests


@pytest.mark.parametrize("path", ["link/x.csv", "link/", "link", "link/set/", "a/link/x.csv"])
async def test_path_over_a_linked_folder_is_refused(
    call: Call, box: Sandbox, folder: Path, path: str
) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (folder / "a").mkdir()
    (folder / "a/link").symlink_to(outside, target_is_directory=True)
    (folder / "link").symlink_to(outside, target_is_directory=True)
    assert "link is a symbolic link" in await call.refused("export", resource="invoices", path=path)
    assert not list(outside.iterdir())
    assert not box.requests


async def test_link_inside_a_dataset_is_refused(call: Call, folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    await call("export", resource="invoices", path="set/")
    (folder / "set/more").symlink_to(outside, target_is_directory=True)
    text = await call.refused("export", resource="invoices", path="set/", force=True)
    assert "set/more is a symbolic link" in text
    assert not list(outside.iterdir())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
async def test_special_file_is_refused(call: Call, folder: Path) -> None:
    os.mkfifo(folder / "x.csv")
    assert "not a regular file" in await call.refused("export", resource="invoices", path="x.csv", force=True)


async def test_files_and_datasets_are_written_and_replaced_with_force(call: Call, folder: Path) -> None:
    (folder / "day").mkdir()
    for path in ("x.jsonl", "x.csv", "x.parquet", "x.duckdb", "day/x.jsonl", "set/", "day/set/"):
        result = await call("export", resource="invoices", path=path, columns=["id"])
        assert (result["rows"], result["complete"]) == (400, True)
        assert Path(result["path"]) == folder / path
        assert "pass force: true to replace it" in await call.refused(
            "export", resource="invoices", path=path, columns=["id"]
        )
        assert (await call("export", resource="invoices", path=path, columns=["id"], force=True))[
            "rows"
        ] == 400
    text = await call.refused("export", resource="invoices", path="week/x.csv")
    assert text == "the export folder has no folder week; use a path without it"


async def test_interrupted_export_is_resumed(call: Call, box: Sandbox, folder: Path) -> None:
    box.faults.add("invoices.search", every=1, status=403, when="before")
    await call.refused("export", resource="invoices", path="x.jsonl")
    box.faults.clear()
    result = await call("export", resource="invoices", path="x.jsonl", resume=True)
    assert result["rows"] == len((folder / "x.jsonl").read_text().splitlines()) == 400


def test_export_folder_may_be_a_link_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    assert ExportFolder(tmp_path / "link").target("set/") == f"{tmp_path / 'real' / 'set'}/"


def test_export_folder_must_exist(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("nothing", "file", "loop", "a\0b"):
        with pytest.raises(ConfigurationError, match="export_folder"):
            ExportFolder(tmp_path / name)
