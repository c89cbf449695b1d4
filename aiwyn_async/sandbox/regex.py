"""Postgres' `~` and `~*`: whether a pattern is found in a text, in time that grows with the text alone.

A pattern is compiled to a nondeterministic automaton (Thompson), and the sets of its states that a text meets
are cached. There is no backtracking, so `(a+)+$` costs no more than `a+$`. With lookaround or back references
nothing is cached, and a budget of steps bounds the time.
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from .characters import fold, is_word
from .regex_syntax import (
    Alternatives,
    BackReference,
    Boundary,
    Char,
    Group,
    Look,
    Node,
    RegexSyntaxError,
    Repeat,
    Sequence,
    parse,
)

__all__ = ["Regex", "RegexSyntaxError", "RegexTooComplexError", "compiled"]

_MAX_PROGRAM = 2_000
_MAX_STEPS = 300_000
_MAX_CACHED = 1_000


class RegexTooComplexError(Exception):
    """The program of a pattern, or its work on one text, exceeds the bounds."""

    def __init__(self) -> None:
        super().__init__("regular expression is too complex")


@dataclass(slots=True)
class _Step:
    """One instruction: what it does, and the instructions that may follow."""

    act: Char | Boundary | BackReference | tuple["Regex", Look] | tuple[int, int] | None
    next: list[int] = field(default_factory=list[int])


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """A set of instructions that wait for a character, after a character of some kind."""

    waiting: frozenset[int]
    before: str
    moves: dict[str, "_State"] = field(default_factory=dict[str, "_State"])


_END_OF_TEXT = ("",)
_FOUND = _State(frozenset(), "")
_MISSED = _State(frozenset(), "")


class Regex:
    """A compiled pattern.

    Args:
        node: Its tree.
        ignore_case: How back references compare.
    """

    def __init__(self, node: Node, *, ignore_case: bool) -> None:
        self._ignore_case = ignore_case
        self._steps: list[_Step] = []
        self._groups = 0
        self._has_references = False
        self._is_cacheable = True
        (self._end,) = self._emit(None)
        self._start = self._compile(node, self._end)
        self._states: dict[tuple[frozenset[int], str], _State] = {}

    def __repr__(self) -> str:
        return f"<Regex of {len(self._steps)} steps>"

    def search(self, text: str) -> bool:
        """Whether the pattern matches anywhere in the text.

        Raises:
            RegexTooComplexError: It takes too many steps.
        """
        if self._has_references:
            return _Captures(self, text).search()
        state = self._state(frozenset(), "")
        work = _Work(text)
        for at, after in enumerate(itertools.chain(text, _END_OF_TEXT)):
            following = state.moves.get(after)
            if following is None:
                following = self._move(state, after, at, work)
                if self._is_cacheable:
                    state.moves[after] = following
            if following is _FOUND:
                return True
            state = following
        return False

    # Compiling, from the end to the start

    def _emit(self, act: object, *following: int) -> tuple[int]:
        if len(self._steps) >= _MAX_PROGRAM:
            raise RegexTooComplexError
        self._steps.append(_Step(act, list(following)))  # type: ignore[arg-type]
        return (len(self._steps) - 1,)

    def _compile(self, node: Node, then: int) -> int:
        """Compile a node that is followed by instruction `then`, and return its first instruction."""
        match node:
            case Char() | Boundary():
                (first,) = self._emit(node, then)
            case BackReference():
                self._has_references, self._is_cacheable = True, False
                (first,) = self._emit(node, then)
            case Look():
                self._is_cacheable = False
                inner = Regex(node.node, ignore_case=self._ignore_case)
                (first,) = self._emit((inner, node), then)
            case Group():
                self._groups = max(self._groups, node.number)
                (closing,) = self._emit((node.number, 1), then)
                (first,) = self._emit((node.number, 0), self._compile(node.node, closing))
            case Sequence():
                first = then
                for part in reversed(node.nodes):
                    first = self._compile(part, first)
            case Alternatives():
                (first,) = self._emit(None, *(self._compile(part, then) for part in node.nodes))
            case Repeat():
                first = self._repeat(node, then)
        return first

    def _repeat(self, node: Repeat, then: int) -> int:
        first = then
        if node.high is None:
            (loop,) = self._emit(None, then)
            self._steps[loop].next.insert(0, self._compile(node.node, loop))
            first = loop
        else:
            for _ in range(node.high - node.low):
                (first,) = self._emit(None, self._compile(node.node, first), then)
        for _ in range(node.low):
            first = self._compile(node.node, first)
        return first

    # Matching

    def _state(self, waiting: frozenset[int], before: str) -> _State:
        if not self._is_cacheable:
            return _State(waiting, before)
        if len(self._states) >= _MAX_CACHED:
            self._states.clear()
        return self._states.setdefault((waiting, before), _State(waiting, before))

    def _move(self, state: _State, after: str, at: int, work: "_Work") -> _State:
        """The state after one more character; `after` is empty at the end of the text."""
        reached = self.closure({self._start, *state.waiting}, state.before, after, at, work)
        if self._end in reached:
            return _FOUND
        return self._advanced(reached, after) if after else _MISSED

    def _advanced(self, reached: set[int], after: str) -> _State:
        waiting = frozenset(
            step.next[0]
            for step in map(self._steps.__getitem__, reached)
            if isinstance(step.act, Char) and step.act.test(after)
        )
        return self._state(waiting, _kind(after))

    def closure(self, waiting: set[int], before: str, after: str, at: int, work: "_Work") -> set[int]:
        """The instructions that can be reached without a character."""
        reached: set[int] = set()
        pending = list(waiting)
        while pending:
            number = pending.pop()
            if number in reached:
                continue
            reached.add(number)
            work.spend()
            step = self._steps[number]
            if self._passes(step, before, after, at, work):
                pending += step.next
        return reached

    def _passes(self, step: _Step, before: str, after: str, at: int, work: "_Work") -> bool:
        match step.act:
            case None:
                return True
            case Boundary(kind):
                return holds(kind, before, _kind(after))
            case (Regex() as inner, Look() as look):
                return inner.look(look, at, work) is look.wanted
            case (int(), int()):
                return True
            case _:
                return False

    def look(self, look: Look, at: int, work: "_Work") -> bool:
        """Whether the pattern matches from a place in the text on, or up to it."""
        if look.ahead:
            return self._matches_from(at, work)
        key = id(self)
        if key not in work.ends:
            work.ends[key] = set(self._ends(work))
        return at in work.ends[key]

    def _matches_from(self, at: int, work: "_Work") -> bool:
        text = work.text
        waiting = {self._start}
        before = _kind(text[at - 1 : at]) if at else ""
        while waiting:
            after = text[at : at + 1]
            reached = self.closure(waiting, before, after, at, work)
            if self._end in reached:
                return True
            state = self._advanced(reached, after) if after else _MISSED
            waiting, before, at = set(state.waiting), state.before, at + 1
        return False

    def _ends(self, work: "_Work") -> Iterator[int]:
        """The places where a match ends that starts anywhere before."""
        waiting, before = set[int](), ""
        for at in range(len(work.text) + 1):
            after = work.text[at : at + 1]
            reached = self.closure(waiting | {self._start}, before, after, at, work)
            if self._end in reached:
                yield at
            state = self._advanced(reached, after) if after else _MISSED
            waiting, before = set(state.waiting), state.before

    # What a search with captures reads

    @property
    def program(self) -> tuple[list[_Step], int, int, int, bool]:
        """Instructions, first, last, number of groups, and whether case is ignored."""
        return self._steps, self._start, self._end, self._groups, self._ignore_case

    def passes(self, step: _Step, before: str, after: str, at: int, work: "_Work") -> bool:
        """Whether an instruction that takes no character lets a search go on."""
        return self._passes(step, before, after, at, work)


@dataclass(slots=True)
class _Work:
    """What one search has spent, and where lookbehinds hold."""

    text: str
    left: int = _MAX_STEPS
    ends: dict[int, set[int]] = field(default_factory=dict[int, set[int]])

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise RegexTooComplexError


_Thread = tuple[int, tuple[int, ...], int]
"""An instruction, the bounds of the groups, and how much of a back reference was matched."""


class _Captures:
    """A search that keeps what groups have matched, for back references."""

    def __init__(self, regex: Regex, text: str) -> None:
        self._regex = regex
        self._steps, self._start, self._end, groups, ignore_case = regex.program
        self._text = text
        self._compared = fold(text) if ignore_case else text
        self._work = _Work(text)
        self._none = (-1,) * (2 * groups)

    def search(self) -> bool:
        threads: set[_Thread] = set()
        for at in range(len(self._text) + 1):
            threads.add((self._start, self._none, 0))
            reached = self._closure(threads, at)
            if any(number == self._end for number, _, _ in reached):
                return True
            threads = {moved for thread in reached if (moved := self._advance(thread, at)) is not None}
        return False

    def _closure(self, threads: set[_Thread], at: int) -> set[_Thread]:
        before, after = _kind(self._text[at - 1 : at]) if at else "", self._text[at : at + 1]
        reached: set[_Thread] = set()
        pending = list(threads)
        while pending:
            thread = pending.pop()
            if thread in reached:
                continue
            reached.add(thread)
            self._work.spend()
            number, bounds, _ = thread
            step = self._steps[number]
            if isinstance(step.act, BackReference):
                if self._referred(step.act, bounds) == "":
                    pending.append((step.next[0], bounds, 0))
            elif self._regex.passes(step, before, after, at, self._work):
                match step.act:
                    case (int() as group, int() as side):
                        place = 2 * (group - 1) + side
                        bounds = (*bounds[:place], at, *bounds[place + 1 :])
                    case _:
                        pass
                pending += [(following, bounds, 0) for following in step.next]
        return reached

    def _referred(self, reference: BackReference, bounds: tuple[int, ...]) -> str | None:
        start, stop = bounds[2 * reference.number - 2 : 2 * reference.number]
        return None if start < 0 or stop < start else self._compared[start:stop]

    def _advance(self, thread: _Thread, at: int) -> _Thread | None:
        number, bounds, matched = thread
        step = self._steps[number]
        if at == len(self._text):
            return None
        if isinstance(step.act, Char):
            return (step.next[0], bounds, 0) if step.act.test(self._text[at]) else None
        if not isinstance(step.act, BackReference):
            return None
        wanted = self._referred(step.act, bounds)
        if not wanted or wanted[matched] != self._compared[at]:
            return None
        if matched + 1 == len(wanted):
            return step.next[0], bounds, 0
        return number, bounds, matched + 1


def _kind(char: str) -> str:
    """What matters of a neighbour: none, a newline, a word's character, or another."""
    if not char:
        return ""
    return "w" if is_word(char) else "\n" if char == "\n" else "."


def holds(kind: str, before: str, after: str) -> bool:
    """Whether a boundary lies between two neighbours, each as `_kind` has it."""
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


@functools.lru_cache(maxsize=256)
def compiled(pattern: str, *, ignore_case: bool = False) -> Regex:
    """Compile a pattern, or return the one compiled before.

    Raises:
        RegexSyntaxError: Postgres refuses it.
        RegexTooComplexError: It is too long once its repetitions are written out.
    """
    node, options = parse(pattern, ignore_case=ignore_case)
    return Regex(node, ignore_case=options.ignore_case)
