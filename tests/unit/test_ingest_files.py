"""`windrow ingest` of files as people have them: what it shows, when it asks, and when it refuses."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import click
import click.testing
import pytest

from tests.property.contract_wire import FLAT
from tests.unit.test_ingest_command import DAY_MS, NOW_MS, aws, csv_of, run, sent  # noqa: F401 - a fixture
from tests.unit.test_simulate_command import STAGE
from windrow.errors import UsageError, WindrowError
from windrow.lake.layout import PARTIALS
from windrow.lake.s3 import S3Store
from windrow.payloads.load import stored_form
from windrow.payloads.stored import store_contract
from windrow.quantities import Quantity
from windrow.reading import Reading, Readings
from windrow.rows.partial import partials_of
from windrow.rows.rollup import roll
from windrow.timestamps import format_rfc3339, parse_rfc3339_ms
from windrow_cli import ingest as command

CASES = Path(__file__).parents[1] / "golden" / "files"


def told(result: click.testing.Result) -> str:
    return " ".join(result.stderr.split())


@pytest.fixture
def no_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no stage, and asking for one fails; it is noon."""

    def refuse(_name: str) -> None:
        raise AssertionError("a dry run needs no stage")

    monkeypatch.setattr(command, "open_stage", refuse)
    monkeypatch.setattr(command, "clock_ms", lambda: NOW_MS)


def at_noon(path: Path, header: str, *rows: str) -> Path:
    """A file of rows in which NOW is noon."""
    lines = [row.replace("NOW", format_rfc3339(NOW_MS)) for row in rows]
    path.write_text("\n".join([header, *lines, ""]))
    return path


def test_a_dry_run_shows_what_it_understood(no_stage: None, tmp_path: Path) -> None:
    """The columns, what of that is a guess, and what the file holds; without any stage."""
    path = at_noon(tmp_path / "r.csv", "device,ts,temp_f,note", "roof,NOW,70.5,x", "roof,NOW,warm,y")
    result = run(str(path), "--dry-run", "--format", "json")
    assert result.exception is None
    shown = told(result)
    for part in (
        "sensor: device",
        "time: ts, iso8601",
        "temperature: temp_f, f",
        "guessed: the sensor's id is 'device' (--sensor-column)",
        "value: 1 row 2: 'warm' is not a number: roof,",
        ",warm,y",
        "first 2026-11-20T12:00:00.000Z, last 2026-11-20T12:00:00.000Z",
    ):
        assert part in shown, part
    report = json.loads(result.stdout)
    assert (report["rows"], report["readings"], report["left_out"]) == (2, 1, {"value": 1})


@pytest.mark.slow
def test_what_was_guessed_needs_a_yes(aws: Any, tmp_path: Path) -> None:  # noqa: F811 - the fixture
    """Where nobody can answer; a file in the standard form needs none."""
    path = at_noon(tmp_path / "r.csv", "device,ts,temp", "roof,NOW,21.437")
    with pytest.raises(UsageError, match="with what was guessed above"):
        raise run(str(path)).exception or AssertionError("it was sent")
    assert sent(aws) == []
    assert run(str(path), "--yes").exception is None
    assert sent(aws) == [Reading("roof", NOW_MS, 0, 21_437)]
    said = ("--sensor-column", "device", "--time-column", "ts", "--temperature-column", "temp")
    assert run(str(path), *said).exception is None


@pytest.mark.slow
def test_on_a_terminal_it_always_asks(aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811 - the fixture
    """And sends nothing without a yes."""
    monkeypatch.setattr(command, "is_terminal", lambda: True)
    monkeypatch.setattr("windrow_cli.console.is_terminal", lambda: True)
    path = csv_of(tmp_path, [-1])
    assert isinstance(run(str(path), text="n\n").exception, click.Abort)
    assert sent(aws) == []
    assert run(str(path), text="y\n").exception is None
    assert len(sent(aws)) == 1


def test_equal_times_are_told_before_anything_is_sent(no_stage: None) -> None:
    """Four, two and two readings share a minute; the first four have different values."""
    shown = told(run(str(CASES / "minute_resolution.csv"), "--dry-run", "--backfill"))
    assert "8 of 8 readings share sensor, time and sequence with another, 4 of them with different values" in shown
    assert "hall/in at 2026-11-27T09:29:00.000Z: 4 readings, 3 values" in shown
    assert "hall/out at 2026-11-27T09:29:00.000Z: 2 readings, one value" in shown
    assert "3 of them will count, of different values the greatest; --number-equal-times keeps all" in shown


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "readings", "mean", "least"),
    [((), 1, 31, 31), (("--number-equal-times",), 4, 29.75, 29)],
)
def test_equal_times_may_be_numbered(
    aws: Any,  # noqa: F811 - the fixture
    monkeypatch: pytest.MonkeyPatch,
    option: tuple[str, ...],
    readings: int,
    mean: float,
    least: int,
) -> None:
    """By order of appearance, the same at every run; without it one value of each time counts."""
    monkeypatch.setattr(command, "clock_ms", lambda: parse_rfc3339_ms("2026-11-27T10:00:00Z"))
    for _ in range(2):
        assert run(str(CASES / "minute_resolution.csv"), *option).exception is None
    first, *_ = partials_of(Readings.of(sent(aws)))
    row = roll(first)
    assert row.sensor_ids.to_list()[0] == "hall/in"
    assert (row.readings[0], row.sum_milli[0] / row.readings[0] / 1000, row.min_milli[0] / 1000) == (
        readings,
        mean,
        least,
    )
    assert len({(one.sensor_id, one.event_time_ms, one.sequence) for one in sent(aws)}) == (8 if option else 3)


def test_numbering_and_sequences_exclude_each_other(no_stage: None, tmp_path: Path) -> None:
    """The sequences that a file has are not overwritten."""
    path = at_noon(tmp_path / "r.csv", "sensor_id,event_time,temperature,sequence", "roof,NOW,1,1")
    assert isinstance(run(str(path), "--dry-run", "--number-equal-times").exception, UsageError)


@pytest.mark.slow
def test_values_that_look_like_none_are_asked_about(no_stage: None, aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811 - the fixture
    """-200 and 9999 far from 20.5: a yes is needed, though nothing was guessed."""
    monkeypatch.setattr(command, "open_stage", lambda _name: STAGE)
    result = run(str(CASES / "sentinels.csv"))
    assert "-200 °C (1 times) is far from all other values" in told(result)
    assert "9999 °C (1 times) is far from all other values" in told(result)
    assert isinstance(result.exception, UsageError)
    assert sent(aws) == []


def test_a_value_that_looks_like_none_is_shown_as_the_file_has_it(no_stage: None, tmp_path: Path) -> None:
    """In °F, if the file is, because --missing takes that."""
    rows = ("a,NOW,70", "b,NOW,71", "c,NOW,6999")
    path = str(at_noon(tmp_path / "r.csv", "sensor_id,event_time,temp_f", *rows))
    assert "6999 °F, which is 3870.556 °C (1 times) is far from all other values" in told(run(path, "--dry-run"))
    without = told(run(path, "--dry-run", "--missing", "6999"))
    assert "2 of temperature" in without
    assert "far from all" not in without


def test_a_sentinel_among_its_like_is_a_value(no_stage: None, tmp_path: Path) -> None:
    """85 °C between 80 and 90 is nothing to ask about."""
    path = at_noon(tmp_path / "r.csv", "sensor_id,event_time,temperature", "a,NOW,80", "b,NOW,85", "c,NOW,90")
    assert "far from all other" not in told(run(str(path), "--dry-run"))


@pytest.mark.parametrize(
    ("header", "row", "options", "cause"),
    [
        ("sensor_id,event_time,temperature", "a,1795176000,1", ("--time-unit", "ms"), "these look like seconds"),
        ("sensor_id,event_time,temperature", "a,1795176000000000,1", ("--time-unit", "ms"), "microseconds"),
        ("sensor_id,event_time,temperature", "a,2026-01-01T00:00:00Z,1", (), "--backfill, or --retime now"),
        ("sensor_id,event_time,temperature", "a,2031-01-01T00:00:00Z,1", (), "all lie in the future"),
        ("sensor_id,event_time,temperature", "a,NOW,warm", ("--temperature-column", "temperature"), "--decimal-comma"),
        ("sensor_id,event_time,temperature", "a,NOW,900", ("--max", "100"), "out of range"),
        ("sensor_id,event_time,temperature", "a,NOW,", ("--temperature-column", "temperature"), "no row has a value"),
        ("sensor_id,event_time,temperature", "a,NOW,21", ("--where", "sensor_id=b*"), "no row matches"),
    ],
)
def test_a_file_without_anything_good_is_a_problem(
    no_stage: None, tmp_path: Path, header: str, row: str, options: tuple[str, ...], cause: str
) -> None:
    """Exit code 1, and the likely cause."""
    error = run(str(at_noon(tmp_path / "r.csv", header, row)), *options, "--dry-run").exception
    assert isinstance(error, WindrowError)
    assert (error.exit_code, "nothing is sent" in error.message) == (1, True)
    assert cause in error.hint


def test_all_rows_of_another_width_are_counted(no_stage: None, tmp_path: Path) -> None:
    """Though only the first are shown; 250 of 251 rows."""
    rows = ["a,NOW,1", *(f"a,NOW,1,{n}" for n in range(250))]
    result = run(
        str(at_noon(tmp_path / "r.csv", "sensor_id,event_time,temperature", *rows)), "--dry-run", "--format", "json"
    )
    report = json.loads(result.stdout)
    assert (report["rows"], report["readings"], report["left_out"]) == (251, 1, {"unreadable": 250})
    assert "unreadable: 250 line 3: 4 fields, and the header has 3: a," in told(result)


@pytest.mark.slow
def test_nothing_good_sends_nothing(aws: Any, tmp_path: Path) -> None:  # noqa: F811 - the fixture
    """Also with a yes."""
    path = at_noon(tmp_path / "r.csv", "sensor_id,event_time,temperature", "a,1795176000,1")
    assert isinstance(run(str(path), "--time-unit", "ms", "--yes").exception, WindrowError)
    assert sent(aws) == []


@pytest.mark.slow
def test_a_move_says_how_to_repeat_it(aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811 - the fixture
    """An hour later the printed option gives the same readings again."""
    path = csv_of(tmp_path, [-30 * DAY_MS, -30 * DAY_MS + 500])
    repeat = re.search(r"--retime (\S+)", told(run(str(path), "--retime", "now")))
    assert repeat
    monkeypatch.setattr(command, "clock_ms", lambda: NOW_MS + 3_600_000)
    assert run(str(path), "--retime", repeat[1]).exception is None
    assert {one.event_time_ms for one in sent(aws)} == {NOW_MS - 500, NOW_MS}
    assert len(sent(aws)) == 4


@pytest.mark.slow
def test_several_files_are_one_recording(aws: Any, tmp_path: Path) -> None:  # noqa: F811 - the fixture
    """Each with its own columns and the id of its name; rows left out are told with their file."""
    at_noon(tmp_path / "north.csv", "ts,temp", "NOW,1", "never,2")
    at_noon(tmp_path / "south.csv", "time;celsius_1;t", "NOW;9;3")
    result = run(str(tmp_path), "--sensor-id", "{file}", "--yes")
    assert result.exception is None
    assert sorted(sent(aws), key=lambda one: one.sensor_id) == [
        Reading("north", NOW_MS, 0, 1_000),
        Reading("south", NOW_MS, 0, 3_000),
    ]
    assert "north.csv, row 2: 'never'" in told(result)


@pytest.mark.slow
def test_a_backfill_shows_how_far_it_is(aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811 - the fixture
    """Window by window."""
    path = csv_of(tmp_path, [-hour * 3_600_000 for hour in range(1, 30)])
    reached: list[tuple[int, int]] = []
    original = command.progress_bar

    def watched(*arguments: Any, **named: Any) -> Any:
        context = original(*arguments, **named)
        bar = context.__enter__()
        monkeypatch.setattr(bar, "reached", lambda done, *, total: reached.append((done, total)))
        return _Entered(bar)

    monkeypatch.setattr(command, "progress_bar", watched)
    assert run(str(path), "--backfill").exception is None
    assert reached == [(done, 29) for done in range(1, 30)]
    assert len(list(S3Store(boto3.client("s3", region_name="eu-central-1"), "lake").list_objects(PARTIALS))) == 29


class _Entered:
    """A context that is entered already."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __enter__(self) -> Any:
        return self._value

    def __exit__(self, *_: object) -> None:
        return None


@pytest.mark.slow
@pytest.mark.parametrize("wire", ["json", "blocks"])
def test_every_quantity_of_a_file_is_sent_as_its_own_series(aws: Any, tmp_path: Path, wire: str) -> None:  # noqa: F811 - the fixture
    """With the values of each in its unit; only what is far off within one quantity is suspect."""
    rows = ("a,NOW,21,77.5,1013", "a,NOW,22,5,999", "b,NOW,9999,50,1000")
    path = at_noon(tmp_path / "r.csv", "sensor_id,event_time,temp_c,humidity,pressure_hpa", *rows)
    result = run(str(path), "--yes", "--wire", wire, "--format", "json")
    assert json.loads(result.stdout)["readings"] == 9
    for line in ("temperature from 21 to 22 °C", "humidity from 5 to 77.5 %", "9999 °C (1 times) is far from"):
        assert line in told(result)
    assert len(sent(aws)) == 9
    assert set(sent(aws)) >= {
        Reading("a", NOW_MS, 0, 22_000),
        Reading("a", NOW_MS, 0, 77_500, Quantity("humidity", "%")),
        Reading("b", NOW_MS, 0, 1_000_000, Quantity("pressure", "hPa")),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kinds", "is_block_sent"), [("", False), ("[[payload]]\nuse = 'windrow'\n", False), (FLAT, True)]
)
def test_a_stage_with_a_contract_gets_what_it_reads(
    aws: Any,  # noqa: F811 - the fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    kinds: str,
    is_block_sent: bool,
) -> None:
    """The default form where it is read, blocks where it is not; its own contract reads files, if it has one."""
    lake = S3Store(boto3.client("s3", region_name=STAGE.place.region), "lake")
    stage = replace(STAGE, payload_contract=store_contract(lake, stored_form(kinds)) if kinds else "")
    monkeypatch.setattr(command, "open_stage", lambda _stage: stage)
    result = run(str(csv_of(tmp_path, [-1])), "--yes")
    assert ("sent as blocks" in told(result)) == is_block_sent
    assert sent(aws) == [Reading("roof", NOW_MS - 1, 0, 20_000)]
    file = tmp_path / "r.jsonl"
    file.write_text(json.dumps({"id": "a", "at": NOW_MS, "t": 5}))
    read = run(str(file), "--payloads", "stage", "--yes")
    if not kinds:
        assert isinstance(read.exception, UsageError)
        assert "no payload contract" in read.exception.message
    elif is_block_sent:
        assert sent(aws)[1:] == [Reading("a", NOW_MS, 0, 5_000)]
