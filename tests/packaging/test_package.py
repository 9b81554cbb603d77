"""The functions' zips: the same bytes every time, nothing too much, and a handler that can be imported from them."""

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from infra import package
from infra.package import FUNCTIONS, SOURCES, Function
from windrow.errors import WindrowError

by_name = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
# Imports the handler with the unpacked zip first on the path and says where each module of ours came from.
IMPORT = """
import importlib, json, sys
folder, module, name = sys.argv[1:]
sys.path.insert(0, folder)
assert callable(getattr(importlib.import_module(module), name))
ours = ("windrow", "processors", "dispatcher", "producers", "analytics", "infra")
print(json.dumps({n: m.__file__ for n, m in sys.modules.items() if n.split(".")[0] in ours}))
"""


@by_name
def test_zip_is_the_same_from_another_folder_at_another_time(function: Function, tmp_path):
    """Neither the folder, the files' times and modes nor the order on disk reaches the bytes."""
    for name in reversed(function.packages):
        shutil.copytree(SOURCES / name, tmp_path / name, copy_function=shutil.copyfile)
    for path in tmp_path.rglob("*.py"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o600)
    assert package.build(function, sources=tmp_path).body == package.build(function).body


@by_name
def test_zip_knows_no_time_and_no_owner(function: Function):
    """Every entry has the same date, mode and system, and is stored as it is: another zlib would compress otherwise."""
    facts = {
        (one.date_time, one.external_attr >> 16, one.create_system, one.compress_type)
        for one in entries(function).infolist()
    }
    assert facts == {((1980, 1, 1, 0, 0, 0), 0o100644, 3, zipfile.ZIP_STORED)}


@by_name
def test_zip_holds_our_own_modules_of_the_function_alone(function: Function):
    """No command, no other stage, no compiled leftovers."""
    names = entries(function).namelist()
    assert names == sorted(names)
    assert all(name.endswith(".py") for name in names)
    assert {name.split("/")[0] for name in names} == set(function.packages)
    assert not [name for name in names if name.startswith("windrow/cli/")]


@by_name
def test_handler_imports_from_the_zip(function: Function, tmp_path):
    """In an empty folder, every module of ours that the handler loads comes from the zip."""
    entries(function).extractall(tmp_path / "code")
    module, _, name = function.handler.rpartition(".")
    answer = subprocess.run(
        [sys.executable, "-P", "-c", IMPORT, str(tmp_path / "code"), module, name],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": "us-east-1", "POWERTOOLS_SERVICE_NAME": "test"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stderr
    loaded = json.loads(answer.stdout)
    assert module in loaded
    assert not [place for place in loaded.values() if not place.startswith(str(tmp_path))]


def test_changed_source_changes_the_key(tmp_path):
    """The key names the content, so a changed function is uploaded and deployed, and an unchanged one is not."""
    function = FUNCTIONS[0]
    for name in function.packages:
        shutil.copytree(SOURCES / name, tmp_path / name)
    before = package.build(function, sources=tmp_path)
    (tmp_path / "windrow" / "errors.py").open("a").write("# changed\n")
    after = package.build(function, sources=tmp_path)
    assert before.key != after.key


def test_missing_handler_is_named(tmp_path):
    """A package without its handler's module is refused here, not by Lambda at the first event."""
    (tmp_path / "windrow").mkdir()
    with pytest.raises(WindrowError, match=r"the consumer function has no handler: .*consumer_handler\.py is missing"):
        package.build(FUNCTIONS[0], sources=tmp_path)


def test_wheels_go_beside_our_modules():
    """Files of dependencies are put into the zip as they are."""
    built = package.build(FUNCTIONS[0], wheels={"numpy/__init__.py": b"x = 1\n"})
    with zipfile.ZipFile(io.BytesIO(built.body)) as archive:
        assert archive.read("numpy/__init__.py") == b"x = 1\n"


def entries(function: Function) -> zipfile.ZipFile:
    """The function's zip, opened."""
    return zipfile.ZipFile(io.BytesIO(package.build(function).body))
