"""Wrong input, over all commands: one line that names the culprit and what to do, and the right exit code."""

import os
import pty
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import click
import pytest

from tests.golden.cli_help import names
from windrow.errors import WindrowError
from windrow_cli.complaints import INTERRUPTED, READER_GONE, complain
from windrow_cli.main import run, windrow

COMMAND = (sys.executable, "-m", "windrow_cli")
ROOT = Path(__file__).parents[2]
WRONG = [
    ("qury", 2, "no command 'windrow qury'", "did you mean query?"),
    ("sim", 2, "no command 'windrow sim'", "did you mean simulate?"),
    ("--frobnicate", 2, "no option --frobnicate", "see: windrow --help"),
    ("demo --sensors 0", 2, "--sensors: 0 is not in the range", "see: windrow demo --help"),
    ("up --port http", 2, "--port: 'http' is not", "see: windrow up --help"),
    ("down now", 2, "unexpected extra argument (now)", "see: windrow down --help"),
    ("status --format yaml", 2, "--format cannot be 'yaml'", "one of: table, json"),
    ("status --target azure", 2, "no target 'azure'", "one of: embedded, localstack, aws"),
    ("status --target", 2, "--target requires an argument", "give it one"),
    ("config --format toml", 2, "--format cannot be 'toml'", "one of: table, json"),
    ("deploy --mode fan-out", 2, "--mode cannot be 'fan-out'", "did you mean fanout?"),
    ("destroy --stage", 2, "--stage requires an argument", "give it one"),
    (
        "policy",
        2,
        "windrow policy needs KIND",
        "one of: deploy, deploy-audit, ",
    ),
    ("policy deployer", 2, "no kind 'deployer'", "did you mean deploy or"),
    ("drift --regoin eu-west-1", 2, "no option --regoin", "did you mean --region?"),
    ("package --architecture arm", 2, "--architecture cannot be 'arm'", "did you mean arm64?"),
    ("simulate --malformed 2", 2, "--malformed: 2.0 is not in the range", "see: windrow simulate --help"),
    ("simulate --wire jsonl", 2, "--wire cannot be 'jsonl'", "did you mean json?"),
    ("ingest", 2, "windrow ingest needs FILE", "see: windrow ingest --help"),
    ("ingest no-such-file.csv", 2, "no-such-file.csv is no file", "name files"),
    ("payloads check no-such.toml", 2, "'no-such.toml' does not exist", "see: windrow payloads check --help"),
    ("tick --at noon", 2, "--at 'noon' is not a time", "write 2026"),
    ("query", 2, "no question", "or one of fleet, sensors"),
    ("query fleeet", 2, "no preset 'fleeet'", "did you mean fleet?"),
    ("query sensor", 2, "needs a sensor id", "windrow query sensor site-03"),
    ("query fleet --form csv", 2, "no option --form", "did you mean --format?"),
    ("query fleet --from -1h --to -2h", 2, "the range is reversed", "exchange"),
    ("query --sql SELEC", 2, "not a SELECT", "SELECT"),
    ("query fleet", 1, "the embedded stack is not running", "run: windrow up"),
    ("query fleet --target localstack --profile me", 2, "--profile is for --target aws", "leave it out"),
    ("query fleet --target aws --profile nobody", 2, "no AWS profile 'nobody'", "list-profiles"),
    ("query fleet --region eu-west-1", 2, "always in us-east-1", "leave out --region"),
    ("verify --from then", 2, "no option --from", "see: windrow verify --help"),
    ("audit --format xml", 2, "--format cannot be 'xml'", "one of: table, json"),
    ("dashboard --port 0x50", 2, "--port: '0x50' is not", "see: windrow dashboard --help"),
    ("cost --sensors -1", 2, "--sensors: -1 is not in the range", "see: windrow cost --help"),
    ("replay --from never", 2, "--from 'never' is not a time", "write 2026"),
    ("quarantine lst", 2, "no command 'windrow quarantine lst'", "did you mean list?"),
    ("quarantine list --reason to_late", 2, "no reason 'to_late'", "did you mean too_late?"),
    ("redrive --reason laet", 2, "no reason 'laet'", "one of: "),
    ("rules chek", 2, "no command 'windrow rules chek'", "did you mean check?"),
]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An empty folder; nothing is chosen by the environment, and no embedded stack runs."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "WINDROW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("WINDROW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.mark.slow
@pytest.mark.parametrize(("line", "code", "culprit", "advice"), WRONG, ids=[line for line, *_ in WRONG])
def test_a_wrong_line_is_one_line(
    capsys: pytest.CaptureFixture[str], line: str, code: int, culprit: str, advice: str
) -> None:
    """The culprit comes first, then what to do; nothing is printed as a result."""
    assert run(line.split()) == code
    said, complaint = capsys.readouterr()
    assert said == ""
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1
    assert 0 < complaint.index(culprit) < complaint.index(advice)


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_every_command_refuses_an_option_that_it_does_not_have(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Also the commands that the table above may not know yet."""
    assert run([name, "--zzz"]) == 2
    assert capsys.readouterr().err == f"error: windrow {name} has no option --zzz; see: windrow {name} --help\n"


def test_the_table_goes_over_all_kinds_of_commands() -> None:
    """Thirty lines or more, of twenty commands or more; the test above takes the rest."""
    assert len(WRONG) >= 30
    assert len({line.split()[0] for line, *_ in WRONG} & set(names())) >= 20


def test_every_choice_says_what_may_be_meant() -> None:
    """No option or argument has words of click's own, which suggest nothing."""
    context = click.Context(windrow)
    commands = [command for name in names() if (command := windrow.get_command(context, name)) is not None]
    for command in commands:
        commands += command.commands.values() if isinstance(command, click.Group) else []
    plain = [(one.name, param.name) for one in commands for param in one.params if type(param.type) is click.Choice]
    assert plain == []


def test_what_an_error_names_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """Names come from files and from AWS: line feeds become blanks, other control characters are spelled out."""
    assert complain(WindrowError("bad\nname \x1b[2J\x9b", hint="mend\tit")) == 1
    assert capsys.readouterr().err == "error: bad name \\x1b[2J\\x9b; mend it\n"


def test_another_exception_is_not_swallowed() -> None:
    """A mistake of ours is shown with its traceback."""
    with pytest.raises(ZeroDivisionError):
        complain(ZeroDivisionError())


def ended(*arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *arguments], text=True, check=False, timeout=60, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("--help",), ("cost",), ("cost", "--format", "json")])
def test_a_full_disk_is_told_and_is_no_success(arguments: tuple[str, ...]) -> None:
    """Whether the output is written at once or when the process ends."""
    with Path("/dev/full").open("w") as full:
        told = ended(*arguments, stdout=full)
    assert told.returncode == 1
    assert "error: cannot write: No space left on device" in told.stderr
    assert "Traceback" not in told.stderr
    assert "Exception ignored" not in told.stderr


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("--help",), ("cost",), ("cost", "--format", "json")])
def test_a_reader_that_has_gone_is_no_problem_found(arguments: tuple[str, ...]) -> None:
    """As a shell reports a program that SIGPIPE ends; nothing is said to nobody."""
    reads, writes = os.pipe()
    os.close(reads)
    told = ended(*arguments, stdout=writes)
    os.close(writes)
    assert told.returncode == READER_GONE
    assert "rror" not in told.stderr
    assert "Exception" not in told.stderr


@pytest.mark.slow
def test_an_unusable_home_is_named(nowhere: pytest.MonkeyPatch) -> None:
    """With the variable that moves it."""
    nowhere.delenv("WINDROW_HOME")
    nowhere.setenv("HOME", "/dev/null")
    told = ended("up")
    assert told.returncode == 1
    hint = "set WINDROW_HOME to a folder that you can write to"
    assert told.stderr == f"error: cannot use /dev/null/.windrow: Not a directory; {hint}\n"
    nowhere.setenv("WINDROW_HOME", "~nobody-of-this-name/windrow")
    told = ended("up")
    assert told.returncode == 1
    assert told.stderr.count("\n") == 1
    assert hint in told.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("click", "query fleet"),
        ("windrow_cli.main", "query fleet"),
        ("duckdb", "query fleet"),
        ("numpy", "simulate --sensors 3"),
    ],
)
def test_ctrl_c_while_modules_are_imported_shows_no_traceback(module: str, line: str) -> None:
    """Python tells when it has imported one; Ctrl-C comes right after: in the first tenths of a second."""
    command = [sys.executable, "-X", "importtime", "-m", "windrow_cli", *line.split()]
    # Whoever runs the tests in the background may have Ctrl-C ignored, which a child inherits.
    hears = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=hears) as process:  # noqa: PLW1509
        assert process.stderr is not None
        for said in process.stderr:
            if said.split("|")[-1].strip() == module or said.split("|")[-1].strip().startswith(f"{module}."):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert process.returncode in (INTERRUPTED, -signal.SIGINT)
    assert "Traceback" not in rest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_a_terminal_shows_colour_unless_told_otherwise(
    nowhere: pytest.MonkeyPatch, variables: dict[str, str], *, is_coloured: bool
) -> None:
    """NO_COLOR as no-color.org has it."""
    nowhere.setenv("TERM", "xterm-256color")
    nowhere.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        nowhere.setenv(name, value)
    ours, theirs = pty.openpty()
    with subprocess.Popen([*COMMAND, "qury"], stderr=theirs) as process:
        os.close(theirs)
        seen = os.read(ours, 4096).decode()
    os.close(ours)
    assert process.returncode == 2
    assert ("\x1b[" in seen) == is_coloured
    assert "did you mean query?" in seen
