"""Paths into a payload, in JMESPath: the part of it that finds values and cannot fail.

Fields, quoted fields, indexes, filters by equality, projections, `||` and raw literals. A path that begins with `$.`
starts at the whole payload, any other one at the element that is read. Numbers are compared as they are written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

_ALLOWED = {
    "field", "subexpression", "index", "index_expression", "identity", "current", "literal", "projection",
    "filter_projection", "value_projection", "comparator", "flatten", "slice", "or_expression", "and_expression",
    "not_expression", "pipe",
}  # fmt: skip
_COMPARATORS = {"eq", "ne"}
ROOT = "$."

Step = str | int
Finder = Callable[[object], object]


@dataclass(frozen=True)
class Path:
    """A compiled path; `text` is how it is written."""

    text: str

    def __post_init__(self) -> None:
        """Raise ValueError if it is not a path, or could fail."""
        try:
            tree = jmespath.compile(self._relative).parsed
        except JMESPathError as error:
            raise ValueError(f"{self.text!r} is not a path: {str(error).splitlines()[0]}") from error
        _check(tree, self.text)

    @property
    def is_from_root(self) -> bool:
        """Whether it starts at the whole payload."""
        return self.text.startswith(ROOT)

    @cached_property
    def steps(self) -> tuple[Step, ...] | None:
        """The fields and indexes of a plain path; None of any other one."""
        return _steps(jmespath.compile(self._relative).parsed)

    @cached_property
    def choices(self) -> tuple[tuple[Step, ...], ...] | None:
        """The plain paths of which the first with a value counts (`a.b || c`); None of any other path."""
        return _choices(jmespath.compile(self._relative).parsed)

    def find(self, element: object, root: object) -> object:
        """Return the value at this path, None where there is none."""
        return self._finder(root if self.is_from_root else element)

    @property
    def _relative(self) -> str:
        return self.text.removeprefix(ROOT)

    @cached_property
    def _finder(self) -> Finder:
        steps = self.steps
        if steps is None:
            found: Finder = jmespath.compile(self._relative).search
            return found
        return lambda value: _walk(value, steps)


def _walk(value: object, steps: tuple[Step, ...]) -> object:
    for step in steps:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif isinstance(value, list) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def _check(tree: dict[str, Any], text: str) -> None:
    kind = tree["type"]
    if kind not in _ALLOWED or (kind == "comparator" and tree["value"] not in _COMPARATORS):
        raise ValueError(f"{text!r}: {kind.replace('_', ' ')} is not used here; a path only finds values")
    if kind == "slice" and tree["children"][2] == 0:
        raise ValueError(f"{text!r}: the step of a slice is not 0")
    for child in tree["children"]:
        if isinstance(child, dict):
            _check(child, text)


def _choices(tree: dict[str, Any]) -> tuple[tuple[Step, ...], ...] | None:
    if tree["type"] != "or_expression":
        steps = _steps(tree)
        return None if steps is None else (steps,)
    parts = [_choices(child) for child in tree["children"]]
    return None if None in parts else tuple(steps for part in parts if part for steps in part)


def _steps(tree: dict[str, Any]) -> tuple[Step, ...] | None:
    match tree["type"]:
        case "field" | "index":
            return (tree["value"],)
        case "subexpression" | "index_expression":
            parts = [_steps(child) for child in tree["children"]]
            return None if None in parts else tuple(step for part in parts if part for step in part)
        case _:
            return None
