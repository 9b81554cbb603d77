"""The distribution windrow-producer, installed by pip as on a gateway, sends readings without the rest of windrow."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra import embedded
from infra.closure import closure_of
from windrow.aws.clients import Place, client
from windrow.wire.json.strict import parse_reading
from windrow.wire.kpl import deaggregate

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "distributions" / "producer"
PROJECT = tomllib.loads((SOURCE / "pyproject.toml").read_text())["project"]
WHOLE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PIP_SECONDS_MAX = 600
NO_INDEX = "from versions: none"
BYTES_MAX = 82_000_000  # the byte code that pip compiles is a fifth more, and all together under 100 MB
STREAM = "windrow-gateway"
# Which distribution a top-level module comes from; None for the standard library of a later Python.
DISTRIBUTIONS = {
    "arro3": {"arro3-core", "arro3-io"},
    "backports": {"backports-zstd"},
    "botocore": {"botocore"},
    "compression": set(),
    "nanoarrow": {"nanoarrow"},
    "numpy": {"numpy"},
    "urllib3": {"urllib3"},
}
# Puts single readings and a batch with a spool while nothing answers, and again with another process' spool to send.
GATEWAY = """
import sys
from windrow import Producer, Reading, Readings, WindrowError

endpoint_url, spool, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
producer = Producer.to_stream("windrow-gateway", endpoint_url=endpoint_url, spool=spool)
numbers = range(first, first + count)
producer.put("alone", 21.4, event_time=1_795_176_000_000 + first)
producer.put_readings(Readings.of(Reading(f"dach-\\u00fc-{n}", 1_795_176_000_000 + n, n, 20_000 + n) for n in numbers))
print(producer.flush())
producer.close()
"""
pytestmark = pytest.mark.xdist_group("installed")


@pytest.fixture(scope="session")
def producer_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution, built from this tree."""
    folder = tmp_path_factory.mktemp("producer-wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=SOURCE, check=True, capture_output=True, timeout=120)
    [built] = folder.glob("*.whl")
    return built


@dataclass(frozen=True)
class Gateway:
    """An environment with nothing but the wheel and what pip chose for it, and an empty folder to work in."""

    python: Path
    folder: Path

    def __call__(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run its Python; it must end with `code`."""
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        ended = subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            env=kept | keys | {"HOME": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PIP_SECONDS_MAX,
        )
        assert ended.returncode == code, f"{arguments}: {ended.stdout}\n{ended.stderr}"
        return ended

    def install(self, *what: str) -> None:
        """Install by pip; skips where it reaches no index."""
        command = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", *what]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PIP_SECONDS_MAX)
        if NO_INDEX in ended.stderr:
            pytest.skip(f"pip reaches no index here: {ended.stderr.splitlines()[-1]}")
        assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="session")
def gateway(producer_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    """The wheel in a new environment."""
    folder = tmp_path_factory.mktemp("gateway")
    venv.create(folder / "venv", with_pip=True)
    (folder / "work").mkdir()
    made = Gateway(folder / "venv" / "bin" / "python", folder / "work")
    made.install(str(producer_wheel))
    return made


@pytest.fixture(scope="module")
def kinesis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place with an empty stream of two shards."""
    home = tmp_path_factory.mktemp("kinesis")
    embedded.up(home, port=0)
    place = embedded.place(home)
    client("kinesis", place).create_stream(StreamName=STREAM, ShardCount=2)
    client("kinesis", place).get_waiter("stream_exists").wait(StreamName=STREAM, WaiterConfig={"Delay": 1})
    yield place
    embedded.down(home)


@pytest.mark.slow
def test_a_gateway_sends_what_it_kept_while_nothing_answered(gateway: Gateway, kinesis: Place) -> None:
    """Single readings and batches, on disk over the end of a process, without the libraries of blocks."""
    spool, nowhere = str(gateway.folder / "spool"), "http://127.0.0.1:9"

    assert gateway("-c", GATEWAY, nowhere, spool, "0", "300").stdout == "False\n"
    assert gateway("-c", GATEWAY, str(kinesis.endpoint_url), spool, "300", "200").stdout == "True\n"

    found = {(one.sensor_id, one.sequence): one.value_milli for one in map(parse_reading, payloads(kinesis))}
    assert found == {("alone", 0): 21_400} | {(f"dach-\u00fc-{n}", n): 20_000 + n for n in range(500)}


@pytest.mark.slow
def test_what_is_not_there_is_said(gateway: Gateway) -> None:
    """Blocks without their libraries, and a name of the other distribution."""
    blocks = "from windrow import Producer; Producer.to_stream('s', wire='blocks')"
    assert (
        "pip install 'windrow-producer[blocks]'"
        in gateway(
            "-c",
            f"from windrow import WindrowError\ntry:\n    {blocks}\nexcept WindrowError as error: print(error.hint)",
        ).stdout
    )
    said = gateway("-c", "from windrow import connect", code=1).stderr.splitlines()[-1]
    assert said == (
        "ImportError: windrow.connect is in the distribution windrow, and only windrow-producer is installed here"
    )


@pytest.mark.slow
def test_it_is_small(gateway: Gateway) -> None:
    """All that pip installed, numpy too, but pip itself and byte code."""
    folder = Path(gateway("-c", "import windrow; print(windrow.__file__)").stdout.strip()).parents[1]
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    counted = [
        path for path in files if not path.relative_to(folder).parts[0].startswith(("pip", "setuptools", "pkg_"))
    ]

    assert {"numpy", "botocore", "windrow"} <= {path.relative_to(folder).parts[0] for path in counted}
    assert sum(path.stat().st_size for path in counted) < BYTES_MAX


@pytest.mark.slow
def test_both_distributions_refuse_to_work_together(producer_wheel: Path, tmp_path: Path) -> None:
    """As a program and as the command: their files have overwritten each other."""
    venv.create(tmp_path / "both")
    both = Gateway(tmp_path / "both" / "bin" / "python", tmp_path)
    own = Path(both("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
    (own / "libraries.pth").write_text(sysconfig.get_path("purelib"))  # what they require, from the tests' environment
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    for wheel in (producer_wheel, *tmp_path.glob("windrow-*.whl")):
        zipfile.ZipFile(wheel).extractall(own)  # what pip does with a wheel of modules alone

    for program in (
        "from windrow import Producer; Producer.to_stream('s')",
        "from windrow_cli.main import main; main()",
    ):
        said = both("-c", program, code=1).stderr
        assert "windrow and windrow-producer are both installed" in said


def test_it_has_what_the_producer_imports_and_the_licence(producer_wheel: Path) -> None:
    """Every module as it is in the tree; no other stage, no command; what type checkers read."""
    archive = zipfile.ZipFile(producer_wheel)
    names = {name for name in archive.namelist() if ".dist-info/" not in name}
    reached = closure_of("producers", sources=ROOT).files

    assert names == reached.keys() | {"windrow/__init__.pyi", "windrow/py.typed", "producers/py.typed"}
    assert all(archive.read(name) == body for name, body in reached.items())
    assert archive.read("windrow_producer-0.1.0.dist-info/extra_metadata/LICENSE") == (ROOT / "LICENSE").read_bytes()


def test_its_requirements_are_those_of_its_modules() -> None:
    """What is imported is required, or in the extra; what is required is imported."""
    # What the producer never comes to: LocalStack's clients, and the reading of others' aggregates.
    imported = closure_of("producers", sources=ROOT).third_party - {"localstack_client", "google"}
    needed = set().union(*(DISTRIBUTIONS[module] for module in imported))
    required = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["blocks"]]

    assert {canonicalize_name(Requirement(line).name) for line in required} == needed


def test_its_bounds_are_those_of_windrow() -> None:
    """The same lines in both projects, and the same version; botocore as the lock has it, which boto3 brings there."""
    lock = (ROOT / "requirements" / "windrow.txt").read_text()
    [botocore] = re.findall(r"^botocore==(\S+)", lock, re.MULTILINE)

    assert PROJECT["version"] == WHOLE["version"]
    assert PROJECT["requires-python"] == WHOLE["requires-python"]
    for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["blocks"]]:
        assert line in WHOLE["dependencies"] or line == f"botocore>={botocore}", line


def payloads(kinesis: Place) -> Iterator[bytes]:
    """Every payload in the stream."""
    api = client("kinesis", kinesis)
    for shard in api.list_shards(StreamName=STREAM)["Shards"]:
        start = api.get_shard_iterator(StreamName=STREAM, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
            "ShardIterator"
        ]
        for record in api.get_records(ShardIterator=start)["Records"]:
            user_records = deaggregate(record["Data"])
            yield from [record["Data"]] if user_records is None else [one.payload for one in user_records]
