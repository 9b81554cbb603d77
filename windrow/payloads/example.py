"""An example payload: where its values are, and how each is read from the payloads that have its layout."""

from collections.abc import Iterable, Iterator

from windrow.payloads.paths import Step
from windrow.wire.json.layout import NUMBER, VALUES_MAX, ignored
from windrow.wire.json.leaves import Leaf, leaves, with_whole_arrays
from windrow.wire.json.mapped import MappedNumber
from windrow.wire.json.parts import LayoutPart, Literal
from windrow.wire.json.shape import ValueSpan

Steps = tuple[Step, ...]


class UnusualError(ValueError):
    """Something in the contract or the example that no part reads."""


class Example:
    """The leaves of a payload by their paths. What is given no part is skipped, and may vary."""

    def __init__(self, text: str) -> None:
        """Take a sound payload, with one character for each byte."""
        self._text = text
        self._parts: dict[Steps, ValueSpan | None] = {}
        self._asked: set[Steps] = set()
        self.leaves = {leaf.path: leaf for leaf in leaves(text)}

    def text_of(self, leaf: Leaf) -> str:
        """Return how a leaf is written."""
        return self._text[leaf.start : leaf.end]

    def number(self, leaf: Leaf) -> Leaf:
        """Return a leaf that is a number; UnusualError if it is none, or has an exponent."""
        if not NUMBER.fullmatch(self.text_of(leaf)):
            raise UnusualError("a value that is no plain number")
        return leaf

    def ask(self, paths: Iterable[Steps]) -> None:
        """Note that somebody looks at these paths, whether there is anything or not."""
        self._asked.update(paths)

    def keep(self, steps: Steps) -> None:
        """Have a leaf be as it is in the example; UnusualError if it is read."""
        if self._parts.get(steps) is not None:
            raise UnusualError("a value that both varies and decides")
        self._parts[steps] = None

    def give(self, steps: Steps, span: ValueSpan) -> None:
        """Have a leaf be read so; UnusualError if it is for something else too."""
        if steps in self._parts:
            raise UnusualError("one value for two purposes")
        self._parts[steps] = span

    def parts(self) -> tuple[LayoutPart, ...]:
        """Return literals and values in turn, a literal first and last."""
        parts: list[LayoutPart] = []
        last_end = 0
        spans = list(self._spans())
        if len(spans) > VALUES_MAX:
            raise UnusualError("so many values that columns do not pay")
        for span in spans:
            parts += [Literal(self._text[last_end : span.start].encode("latin-1")), span.part]
            last_end = span.end
        return (*parts, Literal(self._text[last_end:].encode("latin-1")))

    def _spans(self) -> Iterator[ValueSpan]:
        """Yield where values vary, ascending, and how each is read."""
        for leaf in with_whole_arrays(self._text, self.leaves.values(), asked=self._asked):
            span = self._parts[leaf.path] if leaf.path in self._parts else ignored(self.text_of(leaf), leaf.start)
            if span is not None:
                yield span


def span_of(part: LayoutPart, leaf: Leaf) -> ValueSpan:
    """Return where a part reads; UnusualError if its numbers leave no room in 64 bits."""
    if isinstance(part, MappedNumber) and not part.is_small:
        raise UnusualError("coefficients that leave no room in 64 bits")
    return ValueSpan(part, leaf.start, leaf.end)
