"""The footer of a Parquet file, for row groups that are to stand elsewhere.

It is a Thrift struct in the compact protocol, which tells where in the file each column chunk lies
(https://github.com/apache/parquet-format, parquet.thrift). No library at hand changes that: pyarrow reads
and joins footers, but has chunks stay where they were written. So what tells a place is rewritten here, and
every other byte is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

__all__ = ["MAGIC", "file_of", "footer_of", "moved"]

MAGIC: Final = b"PAR1"
"""What a file begins and ends with."""
LENGTH: Final = 4
"""Bytes that tell a footer's length."""

# By their numbers in parquet.thrift, the fields that lead to what changes.
Fields = Mapping[int, "Fields | Callable[[int], int]"]

_BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 3, 7, 8, 9, 10, 11, 12
_TRUE_AND_FALSE: Final = (1, 2)
_INTEGERS: Final = (4, 5, 6)


def footer_of(content: bytes) -> tuple[int, bytes]:
    """Where the footer of a Parquet file begins, and its bytes."""
    end = len(content) - LENGTH - len(MAGIC)
    begin = end - int.from_bytes(content[end : end + LENGTH], "little")
    return begin, content[begin:end]


def file_of(footer: bytes) -> bytes:
    """A file of nothing but a footer."""
    return MAGIC + footer + len(footer).to_bytes(LENGTH, "little") + MAGIC


def moved(footer: bytes, *, by: int, ordinal: int) -> bytes:
    """The footer of a file with one row group, which has another place.

    Args:
        footer: its bytes.
        by: bytes that all chunks lie further from the beginning.
        ordinal: number of the row group in its new file.
    """

    def place(offset: int) -> int:
        return offset + by if offset else 0  # 0 is for none

    def number(_: int) -> int:
        return ordinal

    meta_data: Fields = {9: place, 10: place, 11: place, 14: place}  # pages, dictionary, bloom filter
    column: Fields = {2: place, 3: meta_data, 4: place, 6: place}  # itself, offset index, column index
    row_group: Fields = {1: column, 5: place, 7: number}
    return _Rewriting(footer).of_struct({4: row_group})


class _Rewriting:
    """One pass over a struct in the compact protocol."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0
        self._copied = 0
        self._pieces: list[bytes] = []

    def of_struct(self, fields: Fields) -> bytes:
        """The struct with other integers at these fields, in lists too."""
        self._struct(fields)
        return b"".join((*self._pieces, self._content[self._copied :]))

    def _struct(self, fields: Fields) -> None:
        number = 0
        while head := self._byte():
            kind, step = head & 0xF, head >> 4
            number = number + step if step else _signed(self._varint())
            if kind not in _TRUE_AND_FALSE:  # which the head holds
                self._value(kind, fields.get(number, {}))

    def _value(self, kind: int, wanted: Fields | Callable[[int], int]) -> None:
        if kind in _INTEGERS:
            begin, found = self._at, self._varint()
            if callable(wanted):
                self._pieces += (self._content[self._copied : begin], _as_varint(wanted(_signed(found))))
                self._copied = self._at
        elif kind == _BINARY:
            length = self._varint()
            self._at += length
        elif kind == _STRUCT:
            self._struct({} if callable(wanted) else wanted)
        elif kind in {_LIST, _SET}:
            head = self._byte()
            length = head >> 4
            for _ in range(self._varint() if length == 0xF else length):
                self._element(head & 0xF, wanted)
        elif kind == _MAP:
            length = self._varint()
            kinds = self._byte() if length else 0
            for _ in range(length):
                self._element(kinds >> 4, {})
                self._element(kinds & 0xF, {})
        else:
            self._at += {_BYTE: 1, _DOUBLE: 8}[kind]

    def _element(self, kind: int, wanted: Fields | Callable[[int], int]) -> None:
        """Of a list or a map, where a truth value takes a byte."""
        self._value(_BYTE if kind in _TRUE_AND_FALSE else kind, wanted)

    def _byte(self) -> int:
        self._at += 1
        return self._content[self._at - 1]

    def _varint(self) -> int:
        """Seven bits a byte, the lowest first; the eighth tells that more come."""
        found = shift = 0
        while (byte := self._byte()) & 0x80:
            found |= (byte & 0x7F) << shift
            shift += 7
        return found | byte << shift


def _signed(found: int) -> int:
    """From zigzag: 0, -1, 1, -2, ..."""
    return found >> 1 ^ -(found & 1)


def _as_varint(value: int) -> bytes:
    rest = value << 1 if value >= 0 else ~(value << 1)
    found = bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    found.append(rest)
    return bytes(found)
