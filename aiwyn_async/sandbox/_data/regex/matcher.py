"""A nondeterministic automaton with cached sets of states (Thompson).

It does not backtrack, so ``(a+)+$`` costs no more than ``a+$``. With lookaround or back references nothing is
cached, and a limit of steps bounds the time.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiwyn_async.sandbox._data.regex.captures import CaptureSearch
from aiwyn_async.sandbox._data.regex.program import (
    Program,
    RegexTooComplexError,
    Step,
    Work,
    is_boundary,
    neighbour_kind,
)
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
_MAX_CACHED = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """The instructions that wait for a character after a character of some kind."""

    waiting: frozenset[int]
    before: str
    moves: dict[str, "_State"] = field(default_factory=dict[str, "_State"])


_END_OF_TEXT = ("",)
_MATCHED = _State(frozenset(), "")
_FAILED = _State(frozenset(), "")


class Regex:
    """A compiled pattern.

    Args:
        node: The tree of the pattern.
        ignore_case: Back references match in either case.
    """

    def __init__(self, node: Node, *, ignore_case: bool) -> None:
        self._ignore_case = ignore_case
        self._steps: list[Step] = []
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
            RegexTooComplexError: The search takes too many steps.
        """
        if self._has_references:
            program = Program(
                self._steps, self._start, self._end, self._groups, self._ignore_case, self._passes
            )
            return CaptureSearch(program, text).search()
        state = self._state(frozenset(), "")
        work = Work(text)
        for at, after in enumerate(itertools.chain(text, _END_OF_TEXT)):
            following = state.moves.get(after)
            if following is None:
                following = self._move(state, after, at, work)
                if self._is_cacheable:
                    state.moves[after] = following
            if following is _MATCHED:
                return True
            state = following
        return False

    # Compiling, from the end to the start

    def _emit(self, act: object, *following: int) -> tuple[int]:
        if len(self._steps) >= _MAX_PROGRAM:
            raise RegexTooComplexError
        self._steps.append(Step(act, list(following)))  # type: ignore[arg-type]
        return (len(self._steps) - 1,)

    def _compile(self, node: Node, then: int) -> int:
        """Compile a node before instruction ``then``, and return its first instruction."""
        match node:
            case Char() | Boundary():
                (first,) = self._emit(node, then)
            case BackReference() | GroupIsSet():
                # A group that is repeated {0} times has no instructions.
                self._groups = max(self._groups, node.number)
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

    def _move(self, state: _State, after: str, at: int, work: Work) -> _State:
        """Return the state after a character; ``after`` is empty at the end of the text."""
        reached = self._closure({self._start, *state.waiting}, state.before, after, at, work)
        if self._end in reached:
            return _MATCHED
        return self._advance(reached, after) if after else _FAILED

    def _advance(self, reached: set[int], after: str) -> _State:
        waiting = frozenset(
            step.next[0]
            for step in map(self._steps.__getitem__, reached)
            if isinstance(step.act, Char) and step.act.test(after)
        )
        return self._state(waiting, neighbour_kind(after))

    def _closure(self, waiting: set[int], before: str, after: str, at: int, work: Work) -> set[int]:
        """Return the instructions that can be reached without a character."""
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

    def _passes(self, step: Step, before: str, after: str, at: int, work: Work) -> bool:
        match step.act:
            case None:
                return True
            case Boundary(kind):
                return is_boundary(kind, before, neighbour_kind(after))
            case (Regex() as inner, Look() as look):
                return inner.matches_at(look, at, work) is look.positive
            case (int(), int()):
                return True
            case _:
                return False

    def matches_at(self, look: Look, at: int, work: Work) -> bool:
        """Whether the pattern matches from a position of the text on, or up to it."""
        if look.ahead:
            return self._matches_from(at, work)
        key = id(self)
        if key not in work.ends:
            work.ends[key] = set(self._ends(work))
        return at in work.ends[key]

    def _matches_from(self, at: int, work: Work) -> bool:
        text = work.text
        waiting = {self._start}
        before = neighbour_kind(text[at - 1 : at]) if at else ""
        while waiting:
            after = text[at : at + 1]
            reached = self._closure(waiting, before, after, at, work)
            if self._end in reached:
                return True
            state = self._advance(reached, after) if after else _FAILED
            waiting, before, at = set(state.waiting), state.before, at + 1
        return False

    def _ends(self, work: Work) -> Iterator[int]:
        """Yield the positions at which matches end."""
        waiting, before = set[int](), ""
        for at in range(len(work.text) + 1):
            after = work.text[at : at + 1]
            reached = self._closure(waiting | {self._start}, before, after, at, work)
            if self._end in reached:
                yield at
            state = self._advance(reached, after) if after else _FAILED
            waiting, before = set(state.waiting), state.before
