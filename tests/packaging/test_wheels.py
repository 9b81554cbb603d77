"""The lock's lines for a platform, and the imports that packaging follows."""

from pathlib import Path

import pytest

from infra.closure import closure_of
from infra.wheels import Platform, requirements
from windrow.errors import WindrowError

LOCK = """\
# by hand
alpha==1.0 ; python_full_version < '3.12' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via -r functions.in
alpha==2.0 ; python_full_version >= '3.12' \\
    --hash=sha256:cc
beta==3 ; platform_machine == 'aarch64' \\
    --hash=sha256:dd
gamma==4 ; sys_platform == 'win32' \\
    --hash=sha256:ee
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A small lock."""
    path = tmp_path / "functions.txt"
    path.write_text(LOCK)
    return path


def test_markers_are_judged_for_the_function_not_for_this_machine(lock: Path):
    """Python, machine and system are those of the platform; the markers are gone, the hashes stay."""
    assert requirements(Platform(python="3.13", architecture="arm64"), lock=lock) == (
        "alpha==2.0 --hash=sha256:cc",
        "beta==3 --hash=sha256:dd",
    )
    assert requirements(Platform(python="3.11", architecture="x86_64"), lock=lock) == (
        "alpha==1.0 --hash=sha256:aa --hash=sha256:bb",
    )


def test_a_line_without_a_version_is_refused(lock: Path):
    """An unpinned requirement would make another zip every day."""
    lock.write_text("alpha>=1.0\n")
    with pytest.raises(WindrowError, match=r"pins no version: 'alpha>=1\.0'"):
        requirements(Platform(), lock=lock)


def test_tags_stop_at_what_amazon_linux_has():
    """A wheel for a newer glibc than Lambda's would not load there."""
    tags = Platform(architecture="arm64").tags
    assert tags[0] == "manylinux_2_34_aarch64"
    assert "manylinux_2_17_aarch64" in tags
    assert not [tag for tag in tags if "x86_64" in tag]


def test_imports_are_followed_through_our_modules(tmp_path: Path):
    """Parents, names that are modules, imports inside functions; what is for type checkers alone is left out.

    Other people's packages beside ours, as in an installation, are named and not followed.
    """
    sources = {
        "ours/__init__.py": "",
        "ours/handler.py": "import json\nfrom ours import inner\nimport other.part\n",
        "ours/inner.py": "def f():\n    from ours.lazy import g\n    return g\n",
        "ours/lazy.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import typed_only\ng = 1\n",
        "ours/stranger.py": "import nobody\n",
        "other/part.py": "import not_followed\n",
    }
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    closure = closure_of("ours.handler", sources=tmp_path, packages=frozenset({"ours"}))
    assert set(closure.files) == {"ours/__init__.py", "ours/handler.py", "ours/inner.py", "ours/lazy.py"}
    assert closure.third_party == {"other"}


def test_services_are_those_that_a_client_is_made_for(tmp_path: Path):
    """The first argument of `client`, where it is spelled out."""
    (tmp_path / "handler.py").write_text(
        "from windrow.aws.clients import client\ns3 = client('s3', place)\nx = client(name, p)\n"
    )
    assert closure_of("handler", sources=tmp_path, packages=frozenset({"handler"})).services == {"s3"}
