"""A record that one thread writes while another reads it."""

from collections import deque
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


class Log(deque[T]):
    """A deque that can be iterated over while a thread appends to it: the iteration ends before."""

    def __iter__(self) -> Iterator[T]:
        # The copy is one step of the interpreter; a Python loop is not.
        return iter([*super().__iter__()])
