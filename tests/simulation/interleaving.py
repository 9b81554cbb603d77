"""All schedules of several programs over one simulated S3, each exactly once, without threads.

A program is a function of `perform`. It is deterministic, so what it does next follows from the answers it
got so far, and it can be taken one operation further by running it anew over those answers and suspending it at the
first request without one. A node of the schedule graph is (contents of S3, answers of each program); two schedules that
lead to the same node have the same future, so visiting every node once covers every schedule. And
as every node is visited, so is every crash: a program that dies before or after a request is one that is
never scheduled again.

    S3  ──┬─ A: LIST ──┬─ A: PUT ─ ...
          │            └─ B: LIST ─ ...
          └─ B: LIST ─── A: LIST ─ ...      (same node as A: LIST, B: LIST; visited once)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.simulation.simulated_s3 import Answer, Operation, Perform, S3State

Program = Callable[[Perform], object]


class _Suspended(BaseException):
    def __init__(self, operation: Operation) -> None:
        super().__init__()
        self.operation = operation


@dataclass(frozen=True, slots=True)
class Finished:
    """The program returned `value`."""

    value: object


class History:
    """The answers a program got so far, as a node of a tree; what it does next is computed once for each node."""

    def __init__(self, program: Program, answers: tuple[Answer, ...] = ()) -> None:
        """Begin with the `answers` given."""
        self._program = program
        self._answers = answers
        self._children: dict[Answer, History] = {}
        self._next: Operation | Finished | None = None

    def next(self) -> Operation | Finished:
        """The request that the program makes after these answers, or what it returned."""
        if self._next is None:
            self._next = self._run()
        return self._next

    def then(self, answer: Answer) -> "History":
        """The history one answer longer."""
        if answer not in self._children:
            self._children[answer] = History(self._program, (*self._answers, answer))
        return self._children[answer]

    def _run(self) -> Operation | Finished:
        answers = iter(self._answers)

        def replay(operation: Operation) -> Answer:
            for answer in answers:
                return answer
            raise _Suspended(operation)

        try:
            return Finished(self._program(replay))
        except _Suspended as suspended:
            return suspended.operation


@dataclass(frozen=True, slots=True)
class Node:
    """A point that some schedule reaches: S3 as it is there, and each program's history by name."""

    state: S3State
    histories: tuple[tuple[str, History], ...]
    trace: tuple[tuple[str, Operation], ...]

    @property
    def results(self) -> dict[str, object]:
        """What the programs that have finished returned."""
        steps = {name: history.next() for name, history in self.histories}
        return {name: step.value for name, step in steps.items() if isinstance(step, Finished)}

    def successors(self) -> Iterator["Node"]:
        """The nodes one operation further, one for each program that has not finished."""
        for position, (name, history) in enumerate(self.histories):
            step = history.next()
            if isinstance(step, Finished):
                continue
            state = self.state.copy()
            advanced = (name, history.then(state.apply(step)))
            histories = (*self.histories[:position], advanced, *self.histories[position + 1 :])
            yield Node(state, histories, (*self.trace, (name, step)))


def every_node(
    state: S3State, programs: dict[str, Program], *, nodes_max: int
) -> Iterator[tuple[Node, tuple[Node, ...]]]:
    """Every node that any schedule of `programs` from `state` reaches, each once, with its successors.

    AssertionError beyond `nodes_max`.
    """
    first = Node(state, tuple((name, History(program)) for name, program in programs.items()), ())
    seen = {_identity(first)}
    frontier = [first]
    while frontier:
        node = frontier.pop()
        successors = tuple(node.successors())
        yield node, successors
        for successor in successors:
            identity = _identity(successor)
            if identity not in seen:
                seen.add(identity)
                frontier.append(successor)
        assert len(seen) <= nodes_max, f"more than {nodes_max} nodes"


def _identity(node: Node) -> tuple[object, ...]:
    writes = node.state.writes if node.state.is_kms else 0
    return (node.state.fingerprint(), writes, *(id(history) for _, history in node.histories))
