"""One of the two distributions is installed, and each says so where the other is meant."""

from pathlib import Path

import pytest

import windrow
from windrow import installation
from windrow.errors import WindrowError
from windrow_cli import main as command


def installed(folder: Path, *names: str) -> Path:
    """A folder of packages with the metadata of these distributions."""
    for name in names:
        (folder / f"{name}-0.1.0.dist-info").mkdir()
    return folder


@pytest.mark.parametrize("names", [["windrow"], ["windrow_producer"], ["windrow_producer", "numpy", "windrows"], []])
def test_one_of_them_is_fine(tmp_path: Path, names: list[str]) -> None:
    """Whatever else is installed, and in a checkout, where the folder of the modules has no metadata."""
    installation.refuse_both(installed(tmp_path, *names))
    installation.refuse_both()


def test_modules_that_are_in_no_folder_are_fine(tmp_path: Path) -> None:
    """A program that was frozen into one file, or runs from a zip: its place cannot be listed."""
    (tmp_path / "gateway.pyz").write_bytes(b"PK")
    installation.refuse_both(tmp_path / "gateway.pyz")
    installation.refuse_both(tmp_path / "_MEI" / "base_library.zip")


def test_both_are_refused(tmp_path: Path) -> None:
    """In one line that names both, and how to get out of it."""
    with pytest.raises(WindrowError, match=r"windrow and windrow-producer are both installed in .*overwrite") as caught:
        installation.refuse_both(installed(tmp_path, "windrow", "numpy", "windrow_producer"))
    assert caught.value.hint.endswith("pip uninstall windrow windrow-producer")


@pytest.mark.slow
def test_the_command_and_programs_ask_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All three ways in."""
    folder = installed(tmp_path, "windrow", "windrow_producer")
    monkeypatch.setattr(installation, "__file__", str(folder / "windrow" / "installation.py"))
    for way in (lambda: windrow.Producer.to_stream("s"), lambda: windrow.connect("dev")):
        with pytest.raises(WindrowError, match="both installed"):
            way()
    monkeypatch.setattr("sys.argv", ["windrow", "--version"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1


def test_a_name_of_the_whole_is_missed_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ImportError that names the distribution; one within the home of a name stays as it is."""
    monkeypatch.setitem(windrow._HOMES, "connect", "absent_operations.connecting")
    with pytest.raises(ImportError, match=r"windrow\.connect is in the distribution windrow, and only"):
        _ = windrow.connect
    monkeypatch.setitem(windrow._HOMES, "connect", "analytics.absent")
    with pytest.raises(ModuleNotFoundError, match=r"analytics\.absent"):
        _ = windrow.connect
