"""Bytecode of a package: it is that of its sources, the same every time, and only of the functions' own Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra import package
from infra.bytecode import Compiler, find_compiler
from infra.package import FUNCTIONS, SOURCES
from infra.wheels import Platform
from windrow.errors import WindrowError

HERE = Platform(python=f"{sys.version_info.major}.{sys.version_info.minor}")
TAG = sys.implementation.cache_tag
ONE = b"""
NAMES = {"north", "south", "east"}
def greet(name="north"):
    return f"hello {name}" if name in NAMES else None
"""
SOURCES_OF_TWO = {
    "yard/__init__.py": b"",
    "yard/one.py": ONE,
    "two.py": b"from yard.one import greet\nWORD = greet()\n",
}


def compiler() -> Compiler:
    """A new one, that has compiled nothing yet."""
    found = find_compiler(HERE)
    assert found is not None
    return found


def installed(folder: Path, files: dict[str, bytes]) -> None:
    for name, body in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)


def imported(folder: Path) -> tuple[str, str]:
    """What `two` says in a process that writes no bytecode, and what Python told about its files."""
    program = f"import sys; sys.path.insert(0, {str(folder)!r}); import two; print(two.WORD)"
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-v", "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return run.stdout.strip(), run.stderr


@pytest.mark.slow
def test_a_package_is_imported_from_its_bytecode(tmp_path: Path) -> None:
    """Wherever it is unpacked, and whatever the times of its files."""
    installed(tmp_path, {**SOURCES_OF_TWO, **compiler().compile(SOURCES_OF_TWO)})
    for path in tmp_path.rglob("*.py"):
        os.utime(path, (1_000_000_000, 1_000_000_000))

    word, told = imported(tmp_path)

    assert word == "hello north"
    for name in ("yard/__pycache__/__init__", "yard/__pycache__/one", "__pycache__/two"):
        assert f"# code object from '{tmp_path}/{name}.{TAG}.pyc'" in told


@pytest.mark.slow
def test_bytecode_of_another_source_is_not_used(tmp_path: Path) -> None:
    """It names the hash of its source, and Python checks it."""
    installed(tmp_path, {**SOURCES_OF_TWO, **compiler().compile(SOURCES_OF_TWO)})
    (tmp_path / "yard" / "one.py").write_bytes(ONE.replace(b"hello", b"howdy"))

    assert imported(tmp_path)[0] == "howdy north"


@pytest.mark.slow
def test_bytecode_depends_on_nothing_but_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on what was compiled before it, on the order, on the seed of hashes or on the folder."""
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    monkeypatch.chdir("/")
    real = {name: (SOURCES / name).read_bytes() for name in ("infra/package.py", "windrow/reading.py")}
    once = compiler().compile({**SOURCES_OF_TWO, **real})
    monkeypatch.setenv("PYTHONHASHSEED", "2")
    other = compiler()

    alone = {}
    for name, body in reversed({**SOURCES_OF_TWO, **real}.items()):
        alone |= other.compile({name: body})

    assert alone == once
    assert len(once) == 5


@pytest.mark.slow
def test_what_does_not_compile_has_no_bytecode() -> None:
    """Its import fails, or nobody imports it; the others are compiled."""
    sources = {"broken.py": b"def (", "nul.py": b"a\0b", "strange.py": b"# coding: klingon\n", "two.py": b"WORD = 1\n"}

    assert list(compiler().compile(sources)) == [f"__pycache__/two.{TAG}.pyc"]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put_python(path: Path, *says: str, then: str = "exit 0") -> None:
    """A `python9.9` that answers the probe."""
    script = path / "python9.9"
    answers = "\n".join(f"echo '{line}'" for line in says)
    script.write_text(f'#!/bin/sh\ncase "$2" in -c) {answers}\n;; *) {then} ;; esac\n')
    script.chmod(0o755)


@pytest.mark.parametrize(
    "says",
    [
        (),
        ("no such version is installed",),
        ('["cpython", [9, 8, 1, "final"], "cpython-98"]',),
        ('["pypy", [9, 9, 1, "final"], "pypy-99"]',),
        ('["cpython", [9, 9, 0, "candidate"], "cpython-99"]',),
    ],
)
def test_another_python_compiles_nothing(path: Path, says: tuple[str, ...]) -> None:
    """Nor a shim with nothing behind it, nor a candidate for a release, whose bytecode may be another."""
    put_python(path, *says)

    assert find_compiler(Platform(python="9.9")) is None


def test_a_python_of_the_functions_version_compiles(path: Path) -> None:
    """The one on the PATH, of any patch."""
    put_python(path, '["cpython", [9, 9, 7, "final"], "cpython-99"]')

    assert find_compiler(Platform(python="9.9")) == Compiler(
        executable=str(path / "python9.9"), version="9.9.7", tag="cpython-99"
    )


def test_an_interpreter_that_fails_is_named(path: Path) -> None:
    """A package that silently lacks its bytecode would be slow for reasons nobody sees."""
    put_python(path, '["cpython", [9, 9, 7, "final"], "cpython-99"]', then="echo Illegal instruction >&2; exit 4")
    broken = find_compiler(Platform(python="9.9"))
    assert broken is not None

    with pytest.raises(WindrowError, match=r"python9\.9 cannot compile the functions' modules: Illegal instruction"):
        broken.compile(SOURCES_OF_TWO)


@pytest.mark.slow
def test_the_digest_leaves_bytecode_out_and_the_key_says_that_there_is_some() -> None:
    """So any machine tells the same digest, and a stage without bytecode gets it from who can make it."""
    consumer = FUNCTIONS[0]
    plain, compiled = package.build(consumer), package.build(consumer, compiler=compiler())

    assert compiled.sha256 == plain.sha256
    assert compiled.key == plain.key.replace(".zip", f"-compiled-{HERE.python}.zip")
    assert compiled.unzipped_bytes == plain.unzipped_bytes + compiled.parts[package.BYTECODE] > plain.unzipped_bytes
    assert not compiled.is_complete
    assert package.build(consumer, compiler=compiler()).body == compiled.body
