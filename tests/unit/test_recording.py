"""Recordings: every form means the same readings, exactly, and rows that are none are named."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from producers import recording
from producers.recording import ColumnNames, FileFormat, Recording, TimeUnit, format_of
from producers.survey import shift_times, survey_arrivals, survey_rows
from windrow.errors import UsageError
from windrow.reading import Reading, Readings

NOON_MS = 1_795_176_000_000
ROOF = Reading("roof", NOON_MS, 0, 21_437)


def read(path: Path, columns: ColumnNames | None = None) -> tuple[list[Reading], list[tuple[int, str]]]:
    batches = list(Recording(path, format_of(path), columns or ColumnNames()).batches())
    return [one for batch in batches for one in batch.readings], [
        (bad.number, bad.why.split(":")[0]) for batch in batches for bad in batch.bad
    ]


def text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_json_lines_are_payloads(tmp_path: Path) -> None:
    """As the stream takes them; blank and broken lines are named by number."""
    lines = [
        f'{{"sensor_id":"roof","event_time":{NOON_MS},"temperature":21.437}}',
        "",
        "nonsense",
        '{"sensor_id":"roof","event_time":"2026-11-20T12:00:00Z","temperature":70.587,"unit":"F","sequence":4}',
    ]
    found, bad = read(text(tmp_path / "r.jsonl", "\r\n".join(lines)))
    assert found == [ROOF, Reading("roof", NOON_MS, 4, 21_437)]
    assert bad == [(2, "not_json"), (3, "not_json")]


def test_csv_columns_may_have_any_names(tmp_path: Path) -> None:
    """Also with quotes, a byte order mark, more columns, units and sequences by row."""
    path = text(
        tmp_path / "r.csv",
        "\ufeffwhen,name,note,value,u,n\n"
        f'{NOON_MS},roof,"a, b",21.437,C,0\n'
        '2026-11-20T13:00:00+01:00,"ce""llar",,294.587,K,7\n',
    )
    columns = ColumnNames(sensor="name", time="when", temperature="value", unit="u", sequence="n")
    assert read(path, columns) == ([ROOF, Reading('ce"llar', NOON_MS, 7, 21_437)], [])


@pytest.mark.parametrize(
    ("unit", "spelled"),
    [
        ("s", "1795176000"),
        ("s", "1795176000.0009"),
        ("ms", str(NOON_MS)),
        ("us", f"{NOON_MS}999"),
        ("ns", f"{NOON_MS}999999"),
    ],
)
def test_a_number_is_a_time_in_its_unit_floored(tmp_path: Path, unit: str, spelled: str) -> None:
    """To the millisecond, exactly."""
    path = text(tmp_path / "r.csv", f"sensor_id,event_time,temperature\nroof,{spelled},21.437\n")
    assert read(path, ColumnNames(time_unit=TimeUnit(unit))) == ([ROOF], [])


@pytest.mark.parametrize(
    ("spelled", "milli_c"), [("+21.4", 21_400), (".5", 500), ("-.5", -500), (" 3. ", 3_000), ("1e1", 10_000)]
)
def test_numbers_may_be_spelled_as_csv_files_do(tmp_path: Path, spelled: str, milli_c: int) -> None:
    """Though JSON would not."""
    path = text(tmp_path / "r.csv", f"sensor_id,event_time,temperature\nroof,{NOON_MS},{spelled}\n")
    assert [one.temperature_milli_c for one in read(path)[0]] == [milli_c]


@pytest.mark.parametrize("control", ["\x1f", "\x7f", "\u0080", "\u009f"])
@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.parquet"])
def test_a_row_whose_id_has_a_control_character_is_told(tmp_path: Path, name: str, control: str) -> None:
    """By its number and the character; its neighbours count."""
    ids = ["roof", f"a{control}b", "roof"]
    if name == "r.parquet":
        path = parquet(tmp_path / name, sensor_id=ids, event_time=[NOON_MS] * 3, temperature=[21.437] * 3)
    elif name == "r.csv":
        rows = "".join(f"{one},{NOON_MS},21.437\n" for one in ids)
        path = text(tmp_path / name, f"sensor_id,event_time,temperature\n{rows}")
    else:
        fields = {"event_time": NOON_MS, "temperature": 21.437}
        path = text(tmp_path / name, "".join(json.dumps({"sensor_id": one} | fields) + "\n" for one in ids))

    (batch,) = Recording(path, format_of(path), ColumnNames()).batches()

    assert list(batch.readings) == [ROOF, ROOF]
    assert [(bad.number, bad.why) for bad in batch.bad] == [
        (2, f"sensor_id: control character U+{ord(control):04X} at character 1")
    ]


@pytest.mark.parametrize("spelled", ["", "NaN", "inf", "warm", "1,5", "0x10"])
def test_what_is_no_number_is_a_bad_row(tmp_path: Path, spelled: str) -> None:
    """It is named, and its neighbours count."""
    rows = f'roof,{NOON_MS},1\nroof,{NOON_MS},"{spelled}"\nroof,{NOON_MS},2\n'
    found, bad = read(text(tmp_path / "r.csv", f"sensor_id,event_time,temperature\n{rows}"))
    assert len(found) == 2
    assert bad == [(2, "temperature")]


def test_parquet_is_read_exactly(tmp_path: Path) -> None:
    """A float is the shortest decimal that means it; an instant with a zone is itself; NULL is a bad row."""
    instants = pa.array([NOON_MS * 1_000 + 999, NOON_MS * 1_000, None], pa.timestamp("us", "Asia/Kathmandu"))
    path = parquet(
        tmp_path / "r.parquet", sensor_id=["roof", "cellar", "x"], event_time=instants, temperature=[21.437, 0.1, 1]
    )
    assert read(path) == ([ROOF, Reading("cellar", NOON_MS, 0, 100)], [(3, "event_time")])


def test_parquet_times_may_be_numbers(tmp_path: Path) -> None:
    """In the unit that is said."""
    path = parquet(
        tmp_path / "r.parquet", sensor_id=["roof"], event_time=[NOON_MS // 1000], temperature=[pa.scalar(21.437)]
    )
    assert read(path, ColumnNames(time_unit=TimeUnit.S)) == ([ROOF], [])


def test_parquet_times_without_a_zone_are_refused(tmp_path: Path) -> None:
    """Nobody could say when they were."""
    instants = pa.array([NOON_MS], pa.timestamp("ms"))
    path = parquet(tmp_path / "r.parquet", sensor_id=["roof"], event_time=instants, temperature=[1.0])
    with pytest.raises(UsageError, match="no time zone"):
        read(path)


def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    """In either form with columns."""
    for path in (text(tmp_path / "r.csv", "a,b\n1,2\n"), parquet(tmp_path / "r.parquet", a=[1], b=[2])):
        with pytest.raises(UsageError, match="no column 'sensor_id'; it has: a, b"):
            read(path)


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    """In one line."""
    with pytest.raises(UsageError, match="cannot be read as Parquet"):
        read(text(tmp_path / "r.parquet", "no"))


def test_the_extension_gives_the_format() -> None:
    """In any case of letters; without one the format must be named."""
    assert format_of(Path("a.NDJSON")) is FileFormat.JSONL
    with pytest.raises(UsageError, match="not that of a known format"):
        format_of(Path("readings"))


def test_a_survey_counts_before_anything_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings, bad rows, extent, and what would be quarantined when it arrives now."""
    monkeypatch.setattr(recording, "BATCH_ROWS", 2)
    offsets_ms = [-10_000, -9_999, 0, 300_000, 300_001]
    rows = "".join(f"roof,{NOON_MS + offset},1\n" for offset in offsets_ms) + "roof,never,1\n"
    whole = Recording(
        text(tmp_path / "r.csv", f"sensor_id,event_time,temperature\n{rows}"), FileFormat.CSV, ColumnNames()
    )
    extent = survey_rows(whole.batches())
    survey = survey_arrivals(extent, whole.batches(), shift_ms=0, now_ms=NOON_MS, horizon_ms=9_999)
    assert (survey.readings, survey.bad, survey.too_late, survey.too_early) == (5, 1, 1, 1)
    assert (survey.first_ms, survey.last_ms) == (NOON_MS - 10_000, NOON_MS + 300_001)
    assert survey.first_bad[0].number == 6
    shifted = survey_arrivals(extent, whole.batches(), shift_ms=-300_001, now_ms=NOON_MS, horizon_ms=9_999)
    assert (shifted.last_ms, shifted.too_early, shifted.too_late) == (NOON_MS, 0, 3)


def test_moved_readings_keep_everything_but_their_time() -> None:
    """Identity shifts with them."""
    assert list(shift_times(Readings.of([ROOF]), -5)) == [Reading("roof", NOON_MS - 5, 0, 21_437)]
