"""Files in the forms that loggers, clouds and gateways write: each gives exactly its readings, or is asked about."""

import io
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from producers.files.names import names_another_quantity
from producers.files.opening import find_files, opened_files
from producers.files.options import FileOptions
from producers.files.recording import FileRecording
from windrow.errors import UsageError
from windrow.timestamps import parse_rfc3339_ms

CASES = Path(__file__).parents[1] / "golden" / "files"
PAYLOADS = CASES.parent / "payloads"
Row = tuple[str, int, int, int]


def read(path: Path, **said: Any) -> tuple[dict[str, list[Row]], list[tuple[int, str]]]:
    """The readings of each quantity as (id, time, sequence, thousandths), and the rows left out with their reasons."""
    options = FileOptions(**said)
    found: dict[str, list[Row]] = defaultdict(list)
    left_out: list[tuple[int, str]] = []
    names = find_files([str(path)])
    with opened_files(names, file_format=options.file_format, encoding=options.encoding, stdin=io.BytesIO()) as files:
        for file in files:
            for batch in FileRecording(file, options).batches():
                for one in batch.found:
                    found[one.quantity] += [
                        (each.sensor_id, each.event_time_ms, each.sequence, each.value_milli) for each in one.readings
                    ]
                left_out += [(one.row, str(one.reason)) for one in batch.left_out]
    return found, sorted(left_out)


def ms(text: str) -> int:
    return parse_rfc3339_ms(text)


def test_naive_times_and_no_sensor_are_asked_about_at_once() -> None:
    """Both options are named in one message, and what the file holds."""
    with pytest.raises(UsageError, match=r"--zone.*--sensor-id") as refused:
        read(CASES / "naive_fahrenheit_no_id.csv")
    assert "timestamp=2026-11-20 10:00:00" in refused.value.hint


def test_naive_fahrenheit_in_a_zone() -> None:
    """New York is five hours behind in November; 69.76 °F is 20.978 °C."""
    found, left_out = read(CASES / "naive_fahrenheit_no_id.csv", zone="America/New_York", sensor_id="roof", unit="F")
    assert len(found["temperature"]) == 48
    assert found["temperature"][0] == ("roof", ms("2026-11-20T15:00:00Z"), 0, 20_978)
    assert left_out == []


def test_times_may_end_in_utc_and_fields_have_numbers() -> None:
    """What a channel's export has: two quantities, an id for all, the entry as sequence."""
    found, left_out = read(
        CASES / "utc_suffix_fields.csv",
        sensor_id="channel-9",
        value_columns=(("temperature", "field1"), ("humidity", "field2")),
        sequence_column="entry_id",
    )
    assert (len(found["temperature"]), len(found["humidity"]), left_out) == (30, 30, [])
    assert found["temperature"][1] == ("channel-9", ms("2026-11-20T10:00:55Z"), 2, 21_230)
    assert found["humidity"][1] == ("channel-9", ms("2026-11-20T10:00:55Z"), 2, 41_000)


def test_a_column_that_says_nothing_is_asked_about() -> None:
    """`field1` may be anything."""
    with pytest.raises(UsageError, match="--temperature-column"):
        read(CASES / "utc_suffix_fields.csv", sensor_id="x")


def test_a_row_of_unavailable_and_empty_cells_is_missing() -> None:
    """Semicolons are found, and the ids are texts."""
    found, left_out = read(CASES / "semicolon_naive_unavailable.csv", zone="UTC")
    assert found["temperature"] == [
        ("17", ms("2026-03-01T00:01:00Z"), 0, 14_300),
        ("17", ms("2026-03-01T00:03:30Z"), 0, 15_000),
    ]
    assert [row[3] for row in found["humidity"]] == [52_800, 60_000]
    assert left_out == [(3, "missing_value")]


def test_a_loggers_title_line_zone_and_unit() -> None:
    """The header says the zone and the unit; twelve hours and the missing value are understood."""
    found, left_out = read(CASES / "logger_title_line.csv", sensor_id="K7", missing=("-888.88",))
    assert [(row[1], row[3]) for row in found["temperature"]] == [
        (ms("2026-09-23T15:00:00Z"), 23_100),
        (ms("2026-09-23T17:02:00Z"), 23_117),
    ]
    assert left_out == [(2, "missing_value")]


def test_epochs_with_exponents_are_read_exactly() -> None:
    """Every 3.8 s, whatever the binary float that wrote them."""
    found, left_out = read(CASES / "epoch_exponent_quoted.csv")
    assert (len(found["temperature"]), len(found["humidity"]), left_out) == (20, 20, [])
    assert [row[1] for row in found["temperature"]] == [1_795_168_800_000 + 3_800 * n for n in range(20)]
    assert len({row[0] for row in found["temperature"]}) == 3


def test_a_wide_file_is_one_series_per_column() -> None:
    """Columns of one number are of one sensor; what is no quantity (`lights`) is left."""
    found, left_out = read(CASES / "wide_two_rooms.csv", zone="UTC", sensor_id="house")
    series = {(quantity, row[0]) for quantity, rows in found.items() for row in rows}
    assert series == {(quantity, f"house/{n}") for quantity in ("temperature", "humidity") for n in (1, 2)}
    assert (len(found["temperature"]), len(found["humidity"]), left_out) == (48, 48, [])
    assert ("house/2", ms("2026-11-20T10:10:00Z"), 0, 19_490) in found["temperature"]
    assert ("house/2", ms("2026-11-20T10:10:00Z"), 0, 45_250) in found["humidity"]


def test_units_may_be_words() -> None:
    """Row by row; an empty one is the usual unit."""
    found, left_out = read(CASES / "units_in_words.csv")
    assert [row[3] for row in found["temperature"]] == [20_500, 21_111, 21_111, 20_000]
    assert left_out == []


def test_missing_values_and_bounds() -> None:
    """Each row that is left out has its reason."""
    found, left_out = read(CASES / "sentinels.csv", missing=("-999",), minimum="-50", maximum="60")
    assert [row[3] for row in found["temperature"]] == [20_500]
    assert left_out == [
        (2, "missing_value"),
        (3, "value_range"),
        (4, "value_range"),
        (5, "missing_value"),
        (6, "missing_value"),
    ]


def test_without_bounds_only_the_impossible_is_refused() -> None:
    """-999 °C is below absolute zero; -200 and 9999 are asked about by the command."""
    found, left_out = read(CASES / "sentinels.csv")
    assert [row[3] for row in found["temperature"]] == [20_500, -200_000, 9_999_000]
    assert left_out == [(2, "value_range"), (5, "missing_value"), (6, "missing_value")]


def test_what_means_none_never_counts_though_it_could_be_a_value() -> None:
    """-200 and 9999 lie within what a sensor may measure; said to mean none, they are told as missing."""
    found, left_out = read(CASES / "sentinels.csv", missing=("-999", "-200", "9999.0"))
    assert [row[3] for row in found["temperature"]] == [20_500]
    assert left_out == [(row, "missing_value") for row in range(2, 7)]


def test_a_compressed_file() -> None:
    """By its first bytes, not by its name."""
    found, left_out = read(CASES / "plain.csv.gz")
    assert (len(found["temperature"]), left_out) == (40, [])
    assert found["temperature"][0] == ("a", ms("2026-11-20T10:00:00Z"), 0, 20_730)


def test_minutes_are_all_there() -> None:
    """Readings that share their time are told later, not lost here."""
    found, _ = read(CASES / "minute_resolution.csv")
    assert [row[3] for row in found["temperature"]] == [31_000, 29_000, 30_000, 29_000, 41_000, 41_000, 29_000, 29_000]


def test_a_json_object_with_a_number_as_id() -> None:
    """Its digits are the id."""
    found, _ = read(PAYLOADS / "numeric_id_payload.jsonl")
    assert found["temperature"] == [("42", 1_795_168_800_123, 0, 71_320)]


def test_nested_json_is_read_by_paths() -> None:
    """Epoch seconds with a fraction are rounded to the millisecond."""
    found, left_out = read(PAYLOADS / "nested_payload.jsonl")
    assert (len(found["temperature"]), len(found["humidity"]), left_out) == (12, 12, [])
    assert found["temperature"][0] == ("6e:81:00:00:00:01", 1_795_168_800_292, 0, 21_410)


def test_telegrafs_json() -> None:
    """Values in `fields`, ids in `tags`."""
    found, _ = read(PAYLOADS / "telegraf_payload.jsonl")
    assert (len(found["temperature"]), len(found["humidity"])) == (12, 12)
    assert {row[0] for row in found["temperature"]} == {"gh-00", "gh-01", "gh-02"}


def test_an_uplink() -> None:
    """Nanoseconds are cut to milliseconds, and a key with a space disturbs nobody."""
    found, _ = read(PAYLOADS / "uplink_payload.jsonl")
    assert len(found["temperature"]) == 8
    assert found["temperature"][0] == ("node-0", ms("2026-11-20T10:00:14.742Z"), 0, 20_860)


def test_a_sequence_is_an_integer_or_a_reason(tmp_path: Path) -> None:
    """1.0 is one, as programs write it; 1.5 is not cut to one."""
    path = tmp_path / "sequences.csv"
    rows = ["a,2026-11-20T10:00:00Z,1,20.5", "a,2026-11-20T10:00:10Z,2.0,20.5", "a,2026-11-20T10:00:20Z,1.5,20.5"]
    path.write_text("\n".join(["sensor_id,event_time,sequence,temperature", *rows, ""]))
    found, left_out = read(path)
    assert [row[2] for row in found["temperature"]] == [1, 2]
    assert left_out == [(3, "sequence")]


def test_a_row_for_each_value_says_of_what_it_is() -> None:
    """The quantity is in one column and the unit in another; a name that is not known is a quantity of its own."""
    found, left_out = read(CASES / "row_for_each_value.csv")
    at = ms("2026-11-01T08:00:00Z")
    assert {name: sorted(rows) for name, rows in found.items()} == {
        "temperature": [("north", at, 0, 9_000), ("south", at, 0, 9_500)],
        "humidity": [("north", at, 0, 81_000), ("south", at, 0, 79_500)],
        "pm2_5": [("north", at, 0, 6_100)],
        "pressure": [("north", at, 0, 101_325_000)],
    }
    assert left_out == []


def test_an_annotated_query_result_has_its_own_time_and_fields() -> None:
    """`_start` and `_stop` are those of the question; the header of a second table is no reading."""
    found, left_out = read(CASES / "annotated_query_result.csv")
    assert found == {
        "temperature": [
            ("Kitchen", ms("2026-11-01T08:00:00Z"), 0, 21_100),
            ("Kitchen", ms("2026-11-01T08:05:00Z"), 0, 21_300),
        ],
        "humidity": [("Kitchen", ms("2026-11-01T08:00:00Z"), 0, 45_100)],
        "co": [("Kitchen", ms("2026-11-01T08:00:00Z"), 0, 3_000)],
    }
    assert [reason for _, reason in left_out] == ["event_time"]


def test_tables_of_different_columns_are_not_read_as_one(tmp_path: Path) -> None:
    """Rows of the second would be read by the first one's names."""
    text = (CASES / "annotated_query_result.csv").read_text()
    second = text.rindex("_field,_measurement,room")
    file = tmp_path / "tables.csv"
    file.write_text(text[:second] + "room,_measurement,_field" + text[second + len("_field,_measurement,room") :])
    with pytest.raises(UsageError, match="line 12 begins another, ',result,table,_start"):
        read(file)


def test_what_was_asked_for_is_not_when_it_was_measured(tmp_path: Path) -> None:
    """A time that is the same in all rows is taken only if there is no other."""
    file = tmp_path / "query.csv"
    file.write_text(
        "sensor_id,from,observed,temperature\n"
        "a,2026-11-01 00:00:00Z,2026-11-01 08:00:00Z,1\n"
        "a,2026-11-01 00:00:00Z,2026-11-01 08:05:00Z,2\n"
    )
    found, _ = read(file)
    assert [at for _, at, _, _ in found["temperature"]] == [ms("2026-11-01T08:00:00Z"), ms("2026-11-01T08:05:00Z")]


def test_states_of_other_quantities_are_no_temperatures() -> None:
    """Ids say that the column holds humidity and charge too, so nobody guesses; a filter leaves the temperatures."""
    with pytest.raises(UsageError, match=r"kitchen_humidity.*--where 'entity_id=\*temperature\*'"):
        read(CASES / "states_of_a_house.csv")
    found, left_out = read(CASES / "states_of_a_house.csv", filters=(("entity_id", "*temperature*"),))
    at = ms("2026-11-01T08:00:00.123Z")
    assert (dict(found), left_out) == (
        {"temperature": [("sensor.kitchen_temperature", at, 0, 21_500)]},
        [(4, "missing_value")],
    )


def test_cells_may_name_their_unit() -> None:
    """As dashboards export them; a unit of something else is told, not taken for the number's."""
    found, left_out = read(
        CASES / "values_with_units.csv",
        zone="UTC",
        sensor_id="x",
        value_columns=(("temperature", "Cold room temperature"), ("humidity", "Door humidity")),
    )
    assert [milli for *_, milli in found["temperature"]] == [4_200, 4_400]
    assert [milli for *_, milli in found["humidity"]] == [45_100, 45_200]
    assert left_out == [(3, "unit")]


def test_a_unit_that_cannot_be_is_not_guessed() -> None:
    """3,000 V are millivolts, or Volts of something else: the column is not read until somebody says its unit."""
    found, _ = read(CASES / "millivolts.jsonl")
    assert set(found) == {"temperature"}
    found, _ = read(CASES / "millivolts.jsonl", value_columns=(("voltage[mV]", "voltage"),))
    assert [milli for *_, milli in found["voltage"]] == [3_000_000, 2_995_000]


def test_a_few_values_that_cannot_be_do_not_hide_a_column(tmp_path: Path) -> None:
    """What loggers write for no value, or a number that nobody computes with: most of the column says what it is."""
    file = tmp_path / "some.csv"
    file.write_text(
        "sensor_id,event_time,humidity\n"
        "a,2026-11-28T00:00:00Z,-999\na,2026-11-28T00:01:00Z,41\na,2026-11-28T00:02:00Z,1e99999\n"
        "a,2026-11-28T00:03:00Z,42\n"
    )
    found, left_out = read(file, missing=("-999",))
    assert [milli for *_, milli in found["humidity"]] == [41_000, 42_000]
    assert left_out == [(1, "missing_value"), (3, "value")]


def test_a_unit_that_cannot_be_is_asked_for_where_a_row_has_one_value(tmp_path: Path) -> None:
    """Nothing says whether 101325 are Pa."""
    file = tmp_path / "long.csv"
    file.write_text("sensor_id,event_time,metric,value\na,2026-11-01T08:00:00Z,pressure,101325\n")
    with pytest.raises(UsageError, match="101325 is no pressure in hPa: --unit-column"):
        read(file)


def test_a_row_whose_quantity_has_no_name_is_left_out(tmp_path: Path) -> None:
    """Also if the column was named, and what it is called nobody would guess."""
    file = tmp_path / "long.csv"
    file.write_text(
        "sensor_id,event_time,what,much\n"
        "a,2026-11-01T08:00:00Z,temp_inside,1\na,2026-11-01T08:00:00Z,,2\na,2026-11-01T08:00:00Z,3D,3\n"
    )
    found, left_out = read(file, quantity_column="what", value_columns=(("", "much"),))
    assert found == {"temperature": [("a/inside", ms("2026-11-01T08:00:00Z"), 0, 1_000)]}
    assert left_out == [(2, "quantity"), (3, "quantity")]
    with pytest.raises(UsageError, match="--value-column NAME"):
        read(file, quantity_column="what")


@pytest.mark.parametrize(
    "column", ["[°C]", "(°F)", "air_temperature", "Ambient temp", "Relative humidity (%)", "Air pressure (hPa)"]
)
def test_a_column_is_known_by_its_words_or_its_unit(tmp_path: Path, column: str) -> None:
    """As sensors' apps call them."""
    file = tmp_path / "app.csv"
    file.write_text(f"sensor_id;event_time;{column};other\na;2026-11-01T08:00:00Z;41;x\n")
    with opened_files([str(file)], file_format=None, encoding=None, stdin=io.BytesIO()) as files:
        roles = FileRecording(files[0], FileOptions()).roles
    assert roles.value_columns == (column,)


@pytest.mark.parametrize(
    ("sensor_id", "is_other"),
    [
        ("sensor.kitchen_humidity", True),
        ("garage-battery", True),
        ("co2/hall", True),
        ("sensor.kitchen_temperature", False),
        ("humidity-room/temp", False),
        ("press-3", False),
        ("battery-room-1", False),
        ("humboldt", False),
        ("28-00000a1b2c", False),
    ],
)
def test_an_id_may_say_that_it_is_of_another_quantity(sensor_id: str, *, is_other: bool) -> None:
    """By whole words, as rooms and machines are called after what is in them."""
    assert names_another_quantity(sensor_id) == is_other


def test_an_index_without_a_name_is_the_time(tmp_path: Path) -> None:
    """As pandas writes a pivoted table: the column's type tells that it holds times."""
    file = tmp_path / "wide.parquet"
    times = pd.date_range("2026-11-28", periods=2, freq="min", tz="Europe/Berlin")
    pd.DataFrame({"hall": [20.5, 21], "roof": [1, 2]}, index=times).to_parquet(file)
    found, _ = read(file, value_columns=(("temperature", "hall"), ("temperature", "roof")))
    first, second = ms("2026-11-27T23:00:00Z"), ms("2026-11-27T23:01:00Z")
    assert sorted(found["temperature"]) == [
        ("wide/hall", first, 0, 20_500),
        ("wide/hall", second, 0, 21_000),
        ("wide/roof", first, 0, 1_000),
        ("wide/roof", second, 0, 2_000),
    ]


def test_rows_whose_unit_is_empty_are_not_taken_for_the_usual_one(tmp_path: Path) -> None:
    """Pascals without their name are no hPa, though other rows of the same column name theirs."""
    names = "sensor_id,event_time,parameter,value,unit\n"
    path = tmp_path / "named.csv"
    named, unnamed = (f"a,2026-11-01T08:00:0{at}Z,pressure,101325,{unit}\n" for at, unit in enumerate(("Pa", "")))
    path.write_text(names + named + unnamed)
    with pytest.raises(UsageError, match=r"101325 is no pressure in hPa, and its 'unit' is empty: --where 'unit=\?\*'"):
        read(path)
    found, _ = read(path, filters=(("unit", "?*"),))
    assert [row[3] for row in found["pressure"]] == [101_325_000]
    path.write_text(names + named + unnamed.replace("101325", "1013.25"))
    assert len(read(path)[0]["pressure"]) == 2


def test_a_column_of_units_says_what_a_column_of_values_is_in(tmp_path: Path) -> None:
    """Where it has a word; a value without one is judged by the usual unit, and the column is not read."""
    path = tmp_path / "r.csv"
    header, said, unsaid = "sensor_id,event_time,pressure,unit\n", ",101325,Pa\n", ",101325,\n"
    rows = [f"a,2026-11-01T08:00:0{at}Z" for at in range(3)]
    path.write_text(header + rows[0] + said + rows[1] + said)
    assert [row[3] for row in read(path)[0]["pressure"]] == [1_013_250, 1_013_250]
    path.write_text(header + rows[0] + said + rows[1] + unsaid)
    with pytest.raises(UsageError, match=r"'pressure' is not read, as 101325 is no pressure in hPa"):
        read(path)
