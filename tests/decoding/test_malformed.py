"""Split pages that are not JSON by their brackets and strings."""

from __future__ import annotations

import pytest

from aiwyn_async._decoding.malformed import split_rows, without_rows


@pytest.mark.parametrize(
    "rows",
    [
        [b'"a"', b'{"id":\x01}', b"NaN"],
        [b'{"id":1}', b'"]"', b'"a,b"'],
        [b'{"id":[1,2}', b'{"id":2}'],
        [b'{"id":1}}', b'{"id":2}'],
        [b'{"id":"]","x":[{"y":","}]}', b""],
        [b""] * 3,
        [b'{"id":1}'],
        [],
    ],
)
def test_page_is_split_into_its_rows_and_the_rest(rows: list[bytes]) -> None:
    body = b'{"data":{"total":3,"rows":[' + b" , ".join(rows) + b']},"x":[1]}'
    assert split_rows(body, ("data", "rows")) == (rows, b'{"data":{"total":3,"rows":[]},"x":[1]}')
    assert without_rows(body) == b'{"data":{"total":3,"rows":[]},"x":[]}'


@pytest.mark.parametrize(
    "body",
    [b'{"rows":[{"id":1},', b'{"other":[{"id":1}]}', b'{"data":{"rows":[1]}}', b'{"rows":{"rows":[1]}}'],
)
def test_page_without_a_complete_list_of_rows_is_not_split(body: bytes) -> None:
    assert split_rows(body, ("rows",)) is None


@pytest.mark.parametrize("text", [b"[" * 65_536, b'{"a":[' * 10_000, b'{"rows":[1,[2,' + b"[" * 65_536])
def test_document_whose_list_has_no_end_is_searched_once(text: bytes) -> None:
    assert without_rows(text).startswith(text[:1])
