"""A nondeterministic automaton with cached sets of states (Thompson).

It does not backtrack, so ``(a+)+$`` costs no more than ``a+$``. With lookaround or back references nothing is
cached, and a limit of steps bounds the time.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from aiwyn_async.sandbox._data.characters import fold, is_word
from aiwyn_async.sandbox._data.regex.tree import (
    Alternatives,
    BackReference,
    Boundary,
    Char,
    Group,
    GroupIsSet,
    Look,
    Node,
    Repeat,
    Sequence,
)

_MAX_PROGRAM = 2_000
_MAX_STEPS = 300_000
_MAX_CACHED = 1_000

_Thread = tuple[int, tuple[int, ...], int]
"""An instruction, the bounds of the groups, and the number of characters matched of a back reference.

Without back references, no bounds are recorded.
"""
_Act = Char | Boundary | BackReference | GroupIsSet | tuple["Regex", Look] | tuple[int, int] | None
"""What an instruction does; two integers are a group and its bound."""


class RegexTooComplexError(Exception):
    """The program of a pattern, or its search in one text, exceeds its limit."""

    def __init__(self) -> None:
        super().__init__("regular expression is too complex")


@dataclass(slots=True)
class _Step:
    """An instruction and its successors."""

    act: _Act
    next: list[int]


@dataclass(slots=True)
class _Work:
    """A search in one text: its remaining steps, and the cached ends of lookbehinds.

    Back references are found in ``folded``.
    """

    text: str
    folded: str
    remaining: int = _MAX_STEPS
    ends: dict[int, set[int]] = field(default_factory=dict[int, set[int]])

    def spend(self) -> None:
        self.remaining -= 1
        if self.remaining < 0:
            raise RegexTooComplexError

    def kind_at(self, at: int) -> str:
        """Return the kind of a character: a word character, a newline, another, or none beyond the text."""
        if not 0 <= at < len(self.text):
            return ""
        char = self.text[at]
        return "w" if is_word(char) else "\n" if char == "\n" else "."

    def captured(self, group: int, bounds: tuple[int, ...]) -> str | None:
        start, stop = bounds[2 * group - 2 : 2 * group]
        return None if start < 0 or stop < start else self.folded[start:stop]


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """The threads that wait for a character, and the states that follow each."""

    waiting: frozenset[_Thread]
    moves: dict[str, "_State"] = field(default_factory=dict[str, "_State"])


_END_OF_TEXT = ("",)
_MATCHED = _State(frozenset())
_FAILED = _State(frozenset())


class Regex:
    """A compiled pattern; ``ignore_case`` is for its back references."""

    def __init__(self, node: Node, *, ignore_case: bool) -> None:
        self._ignore_case = ignore_case
        self._steps: list[_Step] = []
        self._groups = 0
        self._has_references = False
        self._is_cacheable = True
        self._end = self._emit(None)
        start = self._compile(node, self._end)
        bounds = (-1,) * (2 * self._groups) if self._has_references else ()
        self._start: _Thread = start, bounds, 0
        self._states: dict[tuple[frozenset[_Thread], str], _State] = {}

    def __repr__(self) -> str:
        return f"<Regex of {len(self._steps)} steps>"

    def search(self, text: str) -> bool:
        """Whether the pattern matches anywhere; may raise RegexTooComplexError."""
        if not self._is_cacheable:
            work = _Work(text, fold(text) if self._ignore_case else text)
            return next(self._ends(work), None) is not None
        state = self._state(frozenset(), "")
        work = _Work(text, text)
        for at, after in enumerate(itertools.chain(text, _END_OF_TEXT)):
            following = state.moves.get(after)
            if following is None:
                following = state.moves[after] = self._move(state, at, work)
            if following is _MATCHED:
                return True
            state = following
        return False

    # Compiling, from the end to the start

    def _emit(self, act: _Act, *following: int) -> int:
        if len(self._steps) >= _MAX_PROGRAM:
            raise RegexTooComplexError
        self._steps.append(_Step(act, list(following)))
        return len(self._steps) - 1

    def _compile(self, node: Node, then: int) -> int:
        """Compile a node before instruction ``then``, and return its first instruction."""
        match node:
            case Char() | Boundary():
                first = self._emit(node, then)
            case BackReference() | GroupIsSet():
                # A group that is repeated {0} times has no instructions.
                self._groups = max(self._groups, node.number)
                self._has_references, self._is_cacheable = True, False
                first = self._emit(node, then)
            case Look():
                self._is_cacheable = False
                first = self._emit((Regex(node.node, ignore_case=self._ignore_case), node), then)
            case Group():
                self._groups = max(self._groups, node.number)
                closing = self._emit((node.number, 1), then)
                first = self._emit((node.number, 0), self._compile(node.node, closing))
            case Sequence():
                first = then
                for part in reversed(node.nodes):
                    first = self._compile(part, first)
            case Alternatives():
                first = self._emit(None, *(self._compile(part, then) for part in node.nodes))
            case Repeat():
                first = self._repeat(node, then)
        return first

    def _repeat(self, node: Repeat, then: int) -> int:
        first = then
        if node.high is None:
            first = self._emit(None, then)
            self._steps[first].next.insert(0, self._compile(node.node, first))
        else:
            for _ in range(node.high - node.low):
                first = self._emit(None, self._compile(node.node, first), then)
        for _ in range(node.low):
            first = self._compile(node.node, first)
        return first

    # Matching

    def _state(self, waiting: frozenset[_Thread], before: str) -> _State:
        if len(self._states) >= _MAX_CACHED:
            self._states.clear()
        return self._states.setdefault((waiting, before), _State(waiting))

    def _move(self, state: _State, at: int, work: _Work) -> _State:
        """Return the state after the character at a position, or at the end of the text."""
        reached = self._closure({self._start, *state.waiting}, at, work)
        if self._is_match(reached):
            return _MATCHED
        if at == len(work.text):
            return _FAILED
        return self._state(frozenset(self._advance(reached, at, work)), work.kind_at(at))

    def _closure(self, waiting: Iterable[_Thread], at: int, work: _Work) -> set[_Thread]:
        """Return the threads that can be reached without a character."""
        reached: set[_Thread] = set()
        pending = list(waiting)
        while pending:
            thread = pending.pop()
            if thread in reached:
                continue
            reached.add(thread)
            work.spend()
            number, bounds, _ = thread
            step = self._steps[number]
            if isinstance(step.act, Char):  # by far the most
                continue
            if (passed := _pass(step.act, bounds, at, work)) is not None:
                pending += [(following, passed, 0) for following in step.next]
        return reached

    def _is_match(self, reached: set[_Thread]) -> bool:
        return any(number == self._end for number, _, _ in reached)

    def _advance(self, reached: Iterable[_Thread], at: int, work: _Work) -> Iterator[_Thread]:
        """Yield the threads after the character at a position."""
        char = work.text[at]
        for number, bounds, matched in reached:
            step = self._steps[number]
            if isinstance(step.act, Char):
                if step.act.test(char):
                    yield step.next[0], bounds, 0
            elif isinstance(step.act, BackReference):
                captured = work.captured(step.act.number, bounds)
                if captured and captured[matched] == work.folded[at]:
                    is_last = matched + 1 == len(captured)
                    yield (step.next[0], bounds, 0) if is_last else (number, bounds, matched + 1)

    def matches_at(self, look: Look, at: int, work: _Work) -> bool:
        """Whether the pattern matches from a position of the text on, or up to it."""
        if look.ahead:
            return next(self._ends(work, at, is_anchored=True), None) is not None
        key = id(self)
        if key not in work.ends:
            work.ends[key] = set(self._ends(work))
        return at in work.ends[key]

    def _ends(self, work: _Work, start: int = 0, *, is_anchored: bool = False) -> Iterator[int]:
        """Yield the positions at which matches end that begin after ``start``, or at it if anchored."""
        waiting = {self._start}
        for at in range(start, len(work.text) + 1):
            reached = self._closure(waiting, at, work)
            if self._is_match(reached):
                yield at
            if at == len(work.text):
                return
            waiting = set(self._advance(reached, at, work))
            if not is_anchored:
                waiting.add(self._start)
            elif not waiting:
                return


def _pass(act: _Act, bounds: tuple[int, ...], at: int, work: _Work) -> tuple[int, ...] | None:
    """Return the bounds after an instruction that reads no character, or None if it does not succeed."""
    match act:
        case None:
            passes = True
        case Boundary(kind):
            passes = _is_boundary(kind, work.kind_at(at - 1), work.kind_at(at))
        case (Regex() as inner, Look() as look):
            passes = inner.matches_at(look, at, work) is look.positive
        case (int() as group, int() as side):
            index = 2 * (group - 1) + side
            return (*bounds[:index], at, *bounds[index + 1 :]) if bounds else bounds
        case BackReference(group):
            passes = work.captured(group, bounds) == ""
        case GroupIsSet(group):
            passes = work.captured(group, bounds) is not None
        case _:
            passes = False
    return bounds if passes else None


def _is_boundary(kind: str, before: str, after: str) -> bool:
    """Whether a boundary lies between two neighbours, each as its kind."""
    starts, ends = before != "w" and after == "w", before == "w" and after != "w"
    return {
        "^": not before,
        "A": not before,
        "^^": before in {"", "\n"},
        "$": not after,
        "Z": not after,
        "$$": after in {"", "\n"},
        "m": starts,
        "M": ends,
        "y": starts or ends,
        "Y": not (starts or ends),
    }[kind]
