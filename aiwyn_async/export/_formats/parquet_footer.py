"""Rewrite offsets in a Parquet footer, so that its row groups can be copied.

The footer is a Thrift struct in the compact protocol (https://github.com/apache/parquet-format,
parquet.thrift). pyarrow reads and joins footers, but cannot change the offsets of column chunks. Every other
byte is copied.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Final

MAGIC: Final = b"PAR1"
"""The first and last bytes of a file."""
LENGTH: Final = 4
"""Bytes of the footer's length."""

# By their numbers in parquet.thrift, the fields that change, or contain one that does.
Fields = Mapping[int, "Fields | Callable[[int], int]"]

_BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 3, 7, 8, 9, 10, 11, 12
_TRUE_AND_FALSE: Final = (1, 2)
_INTEGERS: Final = (4, 5, 6)


def split_footer(content: bytes) -> tuple[int, bytes]:
    """Return the offset of the footer of a Parquet file, and its bytes."""
    end = len(content) - LENGTH - len(MAGIC)
    begin = end - int.from_bytes(content[end : end + LENGTH], "little")
    return begin, content[begin:end]


def footer_file(footer: bytes) -> bytes:
    """Return a file that has only a footer."""
    return MAGIC + footer + len(footer).to_bytes(LENGTH, "little") + MAGIC


def move_footer(footer: bytes, *, offset: int, ordinal: int) -> bytes:
    """Return the footer of a file, moved to another offset.

    Args:
        footer: its bytes.
        offset: bytes by which all chunks move.
        ordinal: number of the first row group in its new file.
    """

    def move(position: int) -> int:
        return position + offset if position else 0  # 0 means none

    def renumber(_: int) -> int:
        return next(ordinals)

    ordinals = itertools.count(ordinal)
    meta_data: Fields = {9: move, 10: move, 11: move, 14: move}  # pages, dictionary, bloom filter
    column: Fields = {2: move, 3: meta_data, 4: move, 6: move}  # itself, offset index, column index
    row_group: Fields = {1: column, 5: move, 7: renumber}
    return _StructRewriter(footer).rewrite({4: row_group})


class _StructRewriter:
    """Rewrites integers of a struct in the compact protocol, in one pass."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0
        self._copied = 0
        self._pieces: list[bytes] = []

    def rewrite(self, fields: Fields) -> bytes:
        """Return the struct with these fields rewritten, also in lists."""
        self._struct(fields)
        return b"".join((*self._pieces, self._content[self._copied :]))

    def _struct(self, fields: Fields) -> None:
        number = 0
        while head := self._byte():
            kind, step = head & 0xF, head >> 4
            number = number + step if step else _from_zigzag(self._varint())
            if kind not in _TRUE_AND_FALSE:  # its value is in the head
                self._value(kind, fields.get(number, {}))

    def _value(self, kind: int, rewrites: Fields | Callable[[int], int]) -> None:
        if kind in _INTEGERS:
            begin, value = self._position, self._varint()
            if callable(rewrites):
                self._pieces += (
                    self._content[self._copied : begin],
                    _to_varint(rewrites(_from_zigzag(value))),
                )
                self._copied = self._position
        elif kind == _BINARY:
            length = self._varint()
            self._position += length
        elif kind == _STRUCT:
            self._struct({} if callable(rewrites) else rewrites)
        elif kind in {_LIST, _SET}:
            head = self._byte()
            length = head >> 4
            for _ in range(self._varint() if length == 0xF else length):
                self._element(head & 0xF, rewrites)
        elif kind == _MAP:
            length = self._varint()
            kinds = self._byte() if length else 0
            for _ in range(length):
                self._element(kinds >> 4, {})
                self._element(kinds & 0xF, {})
        else:
            self._position += {_BYTE: 1, _DOUBLE: 8}[kind]

    def _element(self, kind: int, rewrites: Fields | Callable[[int], int]) -> None:
        """Rewrite an element of a list or a map, where a boolean takes a byte."""
        self._value(_BYTE if kind in _TRUE_AND_FALSE else kind, rewrites)

    def _byte(self) -> int:
        self._position += 1
        return self._content[self._position - 1]

    def _varint(self) -> int:
        """Read seven bits per byte, lowest first; the eighth bit means that more follow."""
        value = shift = 0
        while (byte := self._byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
        return value | byte << shift


def _from_zigzag(value: int) -> int:
    """Decode 0, 1, 2, 3 ... as 0, -1, 1, -2 ..."""
    return value >> 1 ^ -(value & 1)


def _to_varint(value: int) -> bytes:
    rest = value << 1 if value >= 0 else ~(value << 1)
    content = bytearray()
    while rest > 0x7F:
        content.append(rest & 0x7F | 0x80)
        rest >>= 7
    content.append(rest)
    return bytes(content)
