"""The import closure of a handler: our modules that it can reach, and the third-party modules that these import.

Found in the source without running it. Imports inside functions count; those under ``if TYPE_CHECKING`` do not.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

OUR_PACKAGES = frozenset(
    {"analytics", "dispatcher", "infra", "processors", "producers", "windrow", "windrow_cli", "windrow_operations"}
)
"""What the distribution installs. Once installed, its packages share a folder with everybody else's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """What a handler can reach.

    files: our modules and the JSON files of their names, path with slashes -> content; third_party: top-level modules,
    without the standard library; services: arguments of ``windrow.aws.clients.client``, such as ``s3``.
    """

    files: dict[str, bytes]
    third_party: frozenset[str]
    services: frozenset[str]


def closure_of(module: str, *, sources: Path, packages: frozenset[str] = OUR_PACKAGES) -> Closure:
    """Return what ``module`` can import of ``packages`` in the folder ``sources``, at once or when its functions run.

    Whatever else lies in ``sources`` is third-party. ``files`` is empty if there is no such module.
    """
    files: dict[str, bytes] = {}
    third_party: set[str] = set()
    services: set[str] = set()
    waiting = _and_parents(module)
    seen: set[str] = set()
    while waiting:
        if (reached := waiting.pop()) in seen:
            continue
        seen.add(reached)
        path = _file_of(reached, sources)
        if path is None or (name := path.relative_to(sources).as_posix()) in files:
            continue
        files[name] = path.read_bytes()
        beside = path.with_suffix(".json")  # what a module reads is in a file of its name
        if beside.is_file():
            files[beside.relative_to(sources).as_posix()] = beside.read_bytes()
        imports, called = _named_in(files[name], name)
        services.update(called)
        for imported in imports:
            top = imported.partition(".")[0]
            if top in packages and _file_of(top, sources) is not None:
                waiting += _and_parents(imported)
            elif top not in sys.stdlib_module_names:
                third_party.add(top)
    return Closure(files=files, third_party=frozenset(third_party), services=frozenset(services))


@lru_cache(maxsize=1024)
def _named_in(source: bytes, name: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the imports of a module and the services of its clients; the functions share most of their modules."""
    tree = ast.parse(source, filename=name)
    return tuple(_imports(tree)), frozenset(_services(tree))


def _imports(tree: ast.AST) -> Iterator[str]:
    """Yield dotted names; ``from a import b`` gives ``a`` and ``a.b``, which need not be a module."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not isinstance(node, ast.expr) and not _is_for_type_checkers(node):
            yield from _imports(node)


def _is_for_type_checkers(node: ast.AST) -> bool:
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
            return True
        case _:
            return False


def _services(tree: ast.AST) -> Iterator[str]:
    """Yield the first argument of each call of ``client``, if it is a literal."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="client"), args=[ast.Constant(value=str(service)), *_]):
                yield service
            case _:
                pass


def _and_parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def _file_of(module: str, sources: Path) -> Path | None:
    """Return the file of one of our modules or packages; None if there is none."""
    base = sources.joinpath(*module.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None
