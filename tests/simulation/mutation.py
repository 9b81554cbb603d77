"""How a deliberate break is applied to the product: by edits of source text, in place, for as long as a context lasts.

The module is compiled anew with the edit, and the code of its functions is exchanged, so that everybody who has
imported one of them runs the broken one.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

Scenario = Callable[[], list[str]]
"""Runs a named scenario and says what is wrong at its end."""


@dataclass(frozen=True, slots=True)
class Edit:
    """The one place in `module` that reads `old` reads `new`."""

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A break, and the scenario that finds it, where the swarm takes too long."""

    name: str
    edits: tuple[Edit, ...]
    scenario: Scenario | None = None


def mutant(name: str, module: str, old: str, new: str, scenario: Scenario | None = None) -> Mutant:
    """A mutant of one edit."""
    return Mutant(name, (Edit(module, old, new),), scenario)


@contextmanager
def applied(broken: Mutant) -> Iterator[None]:
    """The product with this break."""
    with ExitStack() as stack:
        for module in dict.fromkeys(edit.module for edit in broken.edits):
            edits = [edit for edit in broken.edits if edit.module == module]
            stack.enter_context(_edited(import_module(module), edits))
        yield


@contextmanager
def _edited(module: ModuleType, edits: list[Edit]) -> Iterator[None]:
    assert module.__file__ is not None
    source = Path(module.__file__).read_text()
    for edit in edits:
        places = source.count(edit.old)
        assert places == 1, f"{edit.module} has {places} places that read {edit.old!r}"
        source = source.replace(edit.old, edit.new)
    codes = dict(_codes_of(compile(source, module.__file__, "exec", dont_inherit=True)))
    exchanged: list[tuple[FunctionType, CodeType]] = []
    try:
        for function in _functions_of(module):
            code = codes.get(function.__qualname__)
            if code is not None and code != function.__code__:
                exchanged.append((function, function.__code__))
                function.__code__ = code
        assert exchanged, f"{module.__name__}: no function has changed"
        yield
    finally:
        for function, code in exchanged:
            function.__code__ = code


def _codes_of(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    """The code of each function of a module and of its classes, by qualified name."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant.co_qualname, constant
            if not constant.co_flags & inspect.CO_OPTIMIZED:  # a class body
                yield from _codes_of(constant)


def _functions_of(module: ModuleType) -> Iterator[FunctionType]:
    for value in vars(module).values():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        for candidate in vars(value).values() if isinstance(value, type) else (value,):
            function = _function_behind(candidate)
            if function is not None and function.__code__.co_filename == module.__file__:
                yield function


def _function_behind(value: Any) -> FunctionType | None:
    if isinstance(value, property):
        value = value.fget
    elif isinstance(value, functools.cached_property):
        value = value.func
    elif isinstance(value, classmethod | staticmethod):
        value = value.__func__
    value = inspect.unwrap(value) if callable(value) else value
    return value if isinstance(value, FunctionType) else None
