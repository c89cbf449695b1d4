"""What a tag must fulfil before it is released."""

from __future__ import annotations

import pytest

from tools.release import release_notes

CHANGELOG = """# Changelog

## [0.2.0] - 2026-12-01

### Added

- Something.

## [0.1.0] - unreleased

- Older.
"""


def test_notes_are_the_section_of_the_version() -> None:
    assert release_notes("v0.2.0", "0.2.0", CHANGELOG, "us@project.org") == "### Added\n\n- Something."


@pytest.mark.parametrize(
    ("tag", "version", "address", "message"),
    [
        ("v0.2.1", "0.2.0", "us@project.org", "the tag is v0.2.1 and the version 0.2.0"),
        ("v0.1.0", "0.1.0", "us@project.org", "version 0.1.0 has no date"),
        ("v0.3.0", "0.3.0", "us@project.org", "version 0.3.0 has no date"),
        ("v0.2.0", "0.2.0", "us@project.example", "nobody reads us@project.example"),
    ],
)
def test_tag_that_cannot_be_released_is_refused(tag: str, version: str, address: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        release_notes(tag, version, CHANGELOG, address)
