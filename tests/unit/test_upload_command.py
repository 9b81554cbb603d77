"""`windrow upload`: what it would write, what it says of receipts, and what it refuses."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from tests.simulation.simulated_s3 import S3State, SimulatedStore
from tests.uploading import BUCKET
from windrow.errors import UsageError, WindrowError
from windrow.lake.receipt import Receipt, key_of_receipt
from windrow.lake.uploads import UPLOAD_BYTES_MAX, location_of
from windrow.reading import Reason
from windrow.stage import Stage
from windrow.window import Window
from windrow_cli.main import windrow
from windrow_operations.uploading import content_type_of, plan_uploads, upload_file, wait_for_receipts


class UploadsOnce:
    """A bucket that takes each key once, and the receipts of what is in it, after some looks."""

    def __init__(self, *, looks_before_receipt: int = 0, **receipt: Any) -> None:
        self.stored: dict[str, bytes] = {}
        self.state = S3State()
        self.lake = SimulatedStore(self.state.apply, "lake")
        self.uploads_bucket = BUCKET
        self.upload_client = self
        self._receipt = receipt
        self._looks = looks_before_receipt

    def put_once(self, key: str, body: bytes, *, content_type: str) -> str | None:  # noqa: ARG002 - the protocol's argument
        if key in self.stored:
            return None
        self.stored[key] = body
        self._key, self._size = key, len(body)
        if not self._looks:
            self.write_receipt()
        return "v1"

    def write_receipt(self) -> None:
        fields = {"form": "lines", "readings": 1, "duplicates": 0, "rejected": {}, "windows": (Window(0),)}
        receipt = Receipt(
            bucket=BUCKET,
            key=self._key,
            version="v1",
            written_ms=0,
            size_bytes=self._size,
            **fields | self._receipt,  # type: ignore[arg-type]
        )
        self.lake.put(receipt.lake_key, receipt.to_json())

    def sleep(self, _: float) -> None:
        self._looks -= 1
        if self._looks == 0:
            self.write_receipt()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "readings.jsonl"
    path.write_bytes(b"{}\n")
    return path


def run(monkeypatch: pytest.MonkeyPatch, stage: UploadsOnce, *arguments: str) -> Result:
    monkeypatch.setattr("windrow_cli.upload.open_stage", lambda _: stage)
    return CliRunner().invoke(windrow, ["upload", *arguments])


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.csv", "text/csv"),
        ("a.CSV.gz", "text/csv"),
        ("a.tsv.zst", "text/csv"),
        ("a.jsonl", "application/x-ndjson"),
        ("a.json", "application/json"),
        ("a.parquet", "application/vnd.apache.parquet"),
        ("a.arrow", "application/vnd.apache.arrow.stream"),
        ("a.log", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_the_content_type_follows_from_the_name(name: str, content_type: str) -> None:
    """Without what says how it is packed, which the stage sees by itself."""
    assert content_type_of(Path(name)) == content_type


def test_a_key_follows_from_the_content(file: Path, tmp_path: Path) -> None:
    """The same file has the same key, another content another."""
    (first,), (again,) = plan_uploads([file], name="g"), plan_uploads([file], name="g")
    other = tmp_path / "more" / file.name
    other.parent.mkdir()
    other.write_bytes(b"[]\n")

    assert first == again
    assert first.key.startswith("uploads/g/")
    assert first.key.endswith("-readings.jsonl")
    assert plan_uploads([other], name="g")[0].key != first.key


def test_a_file_that_changes_while_it_is_read_is_refused(file: Path) -> None:
    """Its checksum was told before."""
    (planned,) = plan_uploads([file], name="g")
    file.write_bytes(b"{}\n{}\n")

    with pytest.raises(UsageError, match="has changed"):
        upload_file(cast("Stage", UploadsOnce()), planned)


def test_files_that_cannot_be_uploaded_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of them is sent."""
    empty, huge = tmp_path / "empty.csv", tmp_path / "huge.csv"
    empty.touch()
    with huge.open("wb") as opened:
        opened.truncate(UPLOAD_BYTES_MAX + 1)
    stage = UploadsOnce()

    for arguments, message in (
        ([str(empty)], "is empty"),
        ([str(huge)], "at most 67,108,864"),
        ([str(tmp_path / "none.csv")], "is no file"),
        (["--name", "a/b", str(huge)], "is no name"),
    ):
        result = run(monkeypatch, stage, *arguments)
        assert isinstance(result.exception, UsageError), arguments
        assert message in str(result.exception)
    assert stage.stored == {}


def test_it_tells_what_became_of_a_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings and windows; and the second time that it was uploaded before."""
    stage = UploadsOnce(readings=1_234, duplicates=2)

    result = run(monkeypatch, stage, str(file))
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{file}: 1,234 readings in 1 windows, 2 duplicates\n"

    assert run(monkeypatch, stage, str(file)).stdout == f"{file}: was uploaded before\n"


def test_what_does_not_count_is_a_problem(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal, and rejected payloads; the exit code is that of a problem found."""
    rejected = UploadsOnce(readings=5, rejected={Reason.TOO_LATE: 3})
    result = run(monkeypatch, rejected, str(file))
    assert "3 rejected: too_late" in result.stdout
    assert isinstance(result.exception, WindrowError)
    assert not isinstance(result.exception, UsageError)

    refused = UploadsOnce(readings=0, rejected={Reason.UPLOAD_UNREADABLE: 1}, refusal="of no known form")
    result = run(monkeypatch, refused, "--format", "json", str(file))
    assert json.loads(result.stdout)["receipt"]["refusal"] == "of no known form"
    assert isinstance(result.exception, WindrowError)


def test_it_waits_for_receipts_and_says_if_none_comes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it is told to."""
    stage = UploadsOnce(looks_before_receipt=3)
    (planned,) = plan_uploads([file], name="g")
    uploaded = upload_file(cast("Stage", stage), planned)
    assert key_of_receipt(location_of(BUCKET, planned.key, "v1")) not in stage.state.buckets.get("lake", {})

    found = wait_for_receipts(
        cast("Stage", stage), [uploaded], seconds_max=60, clock=iter(range(100)).__next__, sleep=stage.sleep
    )
    assert found.keys() == {file}

    never = UploadsOnce(looks_before_receipt=1_000)
    found = wait_for_receipts(
        cast("Stage", never),
        [upload_file(cast("Stage", never), planned)],
        seconds_max=5,
        clock=iter(range(100)).__next__,
        sleep=never.sleep,
    )
    assert found == {}
    result = run(monkeypatch, UploadsOnce(looks_before_receipt=9), "--wait", "0", str(file))
    assert (result.exit_code, result.stdout) == (0, f"{file}: uploaded\n")


def test_a_dry_run_asks_nobody(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the stage nor the bucket."""
    monkeypatch.setattr("windrow_cli.upload.open_stage", lambda _: pytest.fail("asked"))

    result = CliRunner().invoke(windrow, ["upload", "--dry-run", str(file)])

    assert result.exit_code == 0
    assert result.stdout.startswith(f"{file}: 3 bytes, application/x-ndjson, as uploads/files/")


def test_a_stage_without_uploads_says_how_to_get_them(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that adds them."""
    bare = Stage(
        place=cast("Any", SimpleNamespace()),
        name="dev",
        stream_name="windrow-dev",
        lake_bucket="lake",
        results_bucket="results",
        lateness_horizon_hours=1,
        stream_retention_hours=24,
    )
    monkeypatch.setattr("windrow_cli.upload.open_stage", lambda _: bare)

    result = CliRunner().invoke(windrow, ["upload", str(file)])

    assert isinstance(result.exception, WindrowError)
    assert "has no uploads" in str(result.exception)
    assert "Uploads=bucket" in str(result.exception.hint)


@pytest.mark.parametrize("options", [["--sensors", "site-7/"], ["--sign", "--sensors", ""]])
def test_prefixes_are_for_requests_of_others_and_say_something(tmp_path: Path, options: list[str]) -> None:
    """An upload of one's own would not be held to them; an empty one would hold nobody."""
    file = tmp_path / "a.csv"
    file.write_bytes(b"x")

    result = CliRunner().invoke(windrow, ["upload", *options, str(file)])

    assert isinstance(result.exception, UsageError)
