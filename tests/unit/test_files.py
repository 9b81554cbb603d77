"""Files of readings: what is sniffed, what can be said, and what is told about rows that are none."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from producers.files.opening import find_files, opened_files
from producers.files.options import FileFormat, FileOptions
from producers.files.recording import FileRecording
from tests.unit.test_file_cases import Row, ms, read
from windrow.errors import UsageError, WindrowError
from windrow.reading import Reason
from windrow.wire.json.strict import parse_readings

HEADER = "sensor_id,event_time,temperature\n"
LINE = "roof,2026-11-20T12:00:00Z,21.437\n"
NOON_MS = 1_795_176_000_000
ROOF: Row = ("roof", NOON_MS, 0, 21_437)


def written(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding))
    return path


def told(path: Path, **said: Any) -> list[str]:
    """What is said about rows that cannot be read at all."""
    options = FileOptions(**said)
    with opened_files([str(path)], file_format=None, encoding=None, stdin=io.BytesIO()) as (file,):
        recording = FileRecording(file, options)
        list(recording.batches())
        return [f"{one.where}: {one.why}: {one.text}" for one in recording.unreadable]


def guesses(path: Path, **said: Any) -> str:
    with opened_files([str(path)], file_format=None, encoding=None, stdin=io.BytesIO()) as (file,):
        recording = FileRecording(file, FileOptions(**said))
        return "\n".join([*recording.roles.guesses, *recording.remarks])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
def test_the_encoding_is_found(tmp_path: Path, encoding: str) -> None:
    """Also where only an id is not ASCII."""
    path = written(tmp_path / "r.csv", HEADER + LINE.replace("roof", "Küche"), encoding)
    assert read(path)[0]["temperature"] == [("Küche", *ROOF[1:])]


def test_an_encoding_that_is_taken_is_told(tmp_path: Path) -> None:
    """UTF-8 says that it is; Windows-1252 cannot."""
    path = written(tmp_path / "r.csv", HEADER + LINE.replace("roof", "Küche"), "cp1252")
    assert "Windows-1252" in guesses(path)
    assert guesses(written(tmp_path / "u.csv", HEADER + LINE.replace("roof", "Küche"))) == ""


def test_an_encoding_may_be_said(tmp_path: Path) -> None:
    """One that nobody could guess."""
    path = written(tmp_path / "r.csv", HEADER + LINE.replace("roof", "Ж"), "koi8-r")
    assert read(path, encoding="koi8-r")[0]["temperature"][0][0] == "Ж"
    with pytest.raises(UsageError, match="no encoding is called 'klingon'"):
        read(path, encoding="klingon")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    """Whatever stands in quotes."""
    text = (HEADER.replace("\n", ",note\n") + LINE.replace("\n", ',"a, b; c | d"\n')).replace(",", delimiter)
    text = text.replace(f"a{delimiter} b", "a, b")
    assert read(written(tmp_path / "r.csv", text))[0]["temperature"] == [ROOF]


def test_the_delimiter_may_be_said(tmp_path: Path) -> None:
    """Any single character."""
    path = written(tmp_path / "r.csv", (HEADER + LINE).replace(",", "^"))
    assert read(path, delimiter="^")[0]["temperature"] == [ROOF]


def test_a_decimal_comma_is_found_and_told(tmp_path: Path) -> None:
    """Where the fields are separated by something else; thousands are not guessed."""
    text = (HEADER + LINE + LINE.replace("21.437", "1.021,5")).replace(",", ";").replace("21.437", "21,437")
    path = written(tmp_path / "r.csv", text.replace("1.021;5", "1.021,5"))
    found, left_out = read(path)
    assert found["temperature"] == [ROOF]
    assert left_out == [(2, "value")]
    assert "decimal comma" in guesses(path)


def test_title_and_comment_lines_are_skipped(tmp_path: Path) -> None:
    """Comments wherever they are; the title is told."""
    path = written(tmp_path / "r.csv", "# exported\nMy sensors\n\n" + HEADER + "# here it begins\n" + LINE + "\n\n")
    found, left_out = read(path)
    assert (found["temperature"], left_out) == ([ROOF], [])
    assert "lines before the header are skipped" in guesses(path)


def test_lines_before_the_header_may_be_said(tmp_path: Path) -> None:
    """When a title has as many fields as the table."""
    path = written(tmp_path / "r.csv", "a,b,c\n" + HEADER + LINE)
    assert read(path, skipped_lines=1)[0]["temperature"] == [ROOF]


def test_a_header_with_stray_spaces(tmp_path: Path) -> None:
    """And fields with spaces."""
    path = written(tmp_path / "r.csv", " sensor_id ,event_time , temperature\n" + LINE.replace(",", " , "))
    assert read(path)[0]["temperature"] == [ROOF]


def test_rows_of_another_width_are_told_with_both_counts(tmp_path: Path) -> None:
    """With their own text; their neighbours count."""
    path = written(tmp_path / "r.csv", HEADER + LINE + "roof,2026-11-20T12:00:00Z,21,5\n" + "roof,1\n" + LINE)
    assert len(read(path)[0]["temperature"]) == 2
    assert told(path) == [
        "line 3: 4 fields, and the header has 3: roof,2026-11-20T12:00:00Z,21,5",
        "line 4: 2 fields, and the header has 3: roof,1",
    ]


def test_a_decimal_comma_between_commas_is_told(tmp_path: Path) -> None:
    """All rows then have one field more than the header, which is still found; quotes are the remedy."""
    path = written(tmp_path / "r.csv", HEADER + LINE.replace("21.437", "21,437") * 3)
    with pytest.raises(WindrowError, match=r"none of 3 rows can be read.*line 2: 4 fields, and the header has 3"):
        read(path)
    assert read(written(path, HEADER + LINE.replace("21.437", '"21,437"')), has_decimal_comma=True)[0][
        "temperature"
    ] == [ROOF]


@pytest.mark.parametrize(("name", "text"), [("r.csv", HEADER), ("r.jsonl", "nonsense\n"), ("r.json", "[]")])
def test_a_file_without_rows_is_a_problem(tmp_path: Path, name: str, text: str) -> None:
    """Exit code 1, as for any file without anything good."""
    with pytest.raises(WindrowError, match="nothing is sent") as refused:
        read(written(tmp_path / name, text))
    assert refused.value.exit_code == 1


@pytest.mark.parametrize(
    ("below", "milli"),
    [
        ("-,UTC,degC\n", 21_437),
        (",,°F\n", -5_868),
        ("text,yyyy-mm-dd hh:mm,[deg F]\n", -5_868),
        ("-,UTC,(0.1 °C)\n", 2_144),
        (",TS,Deg F\n,,Avg\n", -5_868),
        ("\n# taken in May\n,TS,Deg F\n\n,,Avg\n", -5_868),
    ],
)
def test_units_below_the_names_count(tmp_path: Path, below: str, milli: int) -> None:
    """As a loggers' own line, with another one below it or not; it is told, and rows are counted after it."""
    bad = "roof,never,1\n"
    path = written(tmp_path / "r.csv", HEADER + below + LINE + bad)
    found, left_out = read(path)
    assert (found["temperature"], left_out) == ([("roof", NOON_MS, 0, milli)], [(2, "event_time")])
    assert "the line below the names says their units" in guesses(path)
    assert read(path, unit="K")[0]["temperature"][0][3] == -251_713
    surplus = written(tmp_path / "s.csv", HEADER + below + LINE + LINE.replace("\n", ",1\n"))
    last = len(surplus.read_text().splitlines())
    assert told(surplus) == [f"line {last}: 4 fields, and the header has 3: roof,2026-11-20T12:00:00Z,21.437,1"]


def test_words_below_the_names_are_no_units(tmp_path: Path) -> None:
    """A row of values without any number but its time is one, whatever its texts."""
    text = "event_time,sensor_id,temperature\nNov 20 2026 12:00,C,NaN\nNov 20 2026 12:01,C,21\n"
    found, left_out = read(written(tmp_path / "r.csv", text), zone="UTC")
    assert (found["temperature"], left_out) == ([("C", NOON_MS + 60_000, 0, 21_000)], [(1, "missing_value")])


def test_units_below_the_names_say_the_zone_of_times(tmp_path: Path) -> None:
    """As a header does; --zone counts instead, which is told."""
    path = written(tmp_path / "r.csv", HEADER + "-,UTC,degC\n" + LINE.replace("T12:00:00Z", " 12:00:00"))
    assert read(path)[0]["temperature"] == [ROOF]
    moved = read(path, zone="Europe/Berlin")[0]["temperature"]
    assert moved == [("roof", NOON_MS - 3_600_000, 0, 21_437)]
    assert "'event_time' says UTC, but --zone counts" in guesses(path, zone="Europe/Berlin")


TOA5 = """"TOA5","Station 1","CR1000X","12345","CR1000X.Std.03.02","CPU:met.CR1X","51234","Table1"
"TIMESTAMP","RECORD","BattV_Avg","AirT_Avg","RH","BP_mbar","WS_ms","Note"
"TS","RN","Volts","Deg F","%","mbar","meters/second",""
"","","Avg","Avg","Smp","Smp","Avg","Smp"
"2026-11-20 12:00:00",0,12.95,70.7,88.2,1003.1,2.31,""
"2026-11-20 12:10:00",1,12.93,"NAN",88.5,1003.0,2.02,""
"""


def test_a_table_of_a_data_logger(tmp_path: Path) -> None:
    """Its name, the columns, their units and what they are of, then the rows; whatever the file ends with."""
    found, left_out = read(written(tmp_path / "Table1.dat", TOA5), zone="UTC", sensor_id="mast")
    assert found["temperature"] == [("mast", NOON_MS, 0, 21_500)]
    assert [row[3] for row in found["humidity"]] == [88_200, 88_500]
    assert left_out == []


def test_lines_of_a_title_may_have_numbers_and_several_fields(tmp_path: Path) -> None:
    """The names are in the widest line without numbers before the first row that is as wide as most."""
    title = "sep=;\nDevice;SHT40 Gadget\nSerial;0A:1B\nInterval;10 s\n"
    table = "Timestamp;Temperature [°C];Humidity [%]\n20.11.2026 12:00:00;21,5;45,1\n20.11.2026 12:00:10;21,6;---\n"
    found, left_out = read(written(tmp_path / "r.csv", title + table + table[-32:]), zone="UTC", sensor_id="a")
    assert [row[3] for row in found["temperature"]] == [21_500, 21_600, 21_600]
    assert ([row[3] for row in found["humidity"]], left_out) == ([45_100], [])


def test_only_the_first_row_may_have_all_fields(tmp_path: Path) -> None:
    """As of loggers that write their serial number once; a row with still fewer fields may be cut within a value."""
    rows = "20/11/2026 12:00:00,21.0,45,0100\n20/11/2026 12:05:00,21.5,46\n20/11/2026 12:10:00,21.6,47\r\n"
    path = written(tmp_path / "r.csv", f"Time,Celsius(°C),Humidity(%rh),Serial Number\n{rows}20/11/2026 12:15:00,2\n")
    found, _ = read(path, zone="UTC", sensor_id="a")
    assert [row[3] for row in found["temperature"]] == [21_000, 21_500, 21_600]
    assert [row[3] for row in found["humidity"]] == [45_000, 46_000, 47_000]
    assert told(path, zone="UTC", sensor_id="a") == ["line 5: 2 fields, and the header has 4: 20/11/2026 12:15:00,2"]


def test_a_file_without_a_header_is_refused(tmp_path: Path) -> None:
    """Numbers are no names."""
    with pytest.raises(UsageError, match="line 1, has numbers where the names"):
        read(written(tmp_path / "r.csv", "1,1795176000000,21.4\n1,1795176001000,21.5\n"))


@pytest.mark.parametrize(
    ("header", "time"),
    [
        ("date,time", "2026-11-20,12:00:00"),
        ("Fecha,Hora", "20/11/2026,12:00"),
        ("Date,Clock", "20.11.2026,12:00"),
        ("day,hour", "2026-11-20,12:00"),
    ],
)
def test_date_and_time_may_stand_in_two_columns(tmp_path: Path, header: str, time: str) -> None:
    """Under the names that people give them."""
    path = written(tmp_path / "r.csv", f"sensor_id,{header},temperature\nroof,{time},21.437\n")
    assert read(path, zone="UTC")[0]["temperature"] == [ROOF]


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-20T12:00:00Z",
        "2026-11-20 13:00:00+01:00",
        "2026-11-20T130000+0100",
        "2026-11-20 12:00:00 UTC",
        "2026-11-20 12:00:00 GMT",
        "2026-11-20 12:00",
        "2026-11-20 12:00:00.000999",
        "11/20/2026 12:00",
        "20/11/2026 12:00:00",
        "20.11.2026 12:00",
        "11/20/26 12:00:00 PM",
        "2026/11/20 12:00",
        "20 Nov 2026 12:00:00",
        "20-Nov-2026 12:00",
        "1795176000",
        "1795176000.0004",
        "1795176000000",
        "1795176000000000",
        "1795176000000000499",
        "1.795176E9",
    ],
)
def test_times_have_many_forms(tmp_path: Path, time: str) -> None:
    """All are found from the texts themselves; a zone where they have none."""
    path = written(tmp_path / "r.csv", f'sensor_id,event_time,temperature\nroof,"{time}",21.437\n')
    assert read(path, zone="UTC") == ({"temperature": [ROOF]}, [])


@pytest.mark.slow
@pytest.mark.parametrize("time", ["2026112012", "202611201200", "20261120120000"])
def test_digits_may_be_a_date_and_a_clock(tmp_path: Path, time: str) -> None:
    """In a zone that must be said; 2026112012 is no second of the year 2034."""
    path = written(tmp_path / "r.csv", HEADER + LINE.replace("2026-11-20T12:00:00Z", time))
    with pytest.raises(UsageError, match="name no time zone"):
        read(path)
    assert read(path, zone="UTC")[0]["temperature"] == [ROOF]
    epoch = written(tmp_path / "e.csv", HEADER + LINE.replace("2026-11-20T12:00:00Z", "2035997612"))
    assert read(epoch)[0]["temperature"][0][1] == 2_035_997_612_000, "there is no month 99"


@pytest.mark.parametrize("name", ["dateutc", "time_utc", "Timestamp UTC", "Date (UTC)", "utc"])
def test_a_column_of_times_may_be_called_utc(tmp_path: Path, name: str) -> None:
    """Nothing needs to be said then; --zone counts instead, which is told."""
    text = (HEADER + LINE).replace("event_time", name).replace("T12:00:00Z", " 12:00:00")
    path = written(tmp_path / "r.csv", text)
    assert read(path)[0]["temperature"] == [ROOF]
    assert "says UTC, but --zone counts" in guesses(path, zone="America/New_York")
    assert "--zone counts" not in guesses(path, zone="UTC")


def test_a_zone_may_be_named_in_a_header(tmp_path: Path) -> None:
    """By its place; what looks like one may be a date and a time."""
    path = written(
        tmp_path / "r.csv", (HEADER + LINE).replace("event_time", "Timestamp (Europe/Berlin)").replace("Z", "")
    )
    assert read(path)[0]["temperature"] == [("roof", NOON_MS - 3_600_000, 0, 21_437)]
    with pytest.raises(UsageError, match="name no time zone"):
        read(written(path, (HEADER + LINE).replace("event_time", "Date/Time").replace("Z", "")))


def test_day_and_month_that_may_be_exchanged_are_asked_about(tmp_path: Path) -> None:
    """Never guessed, and one row that says more settles it for all."""
    path = written(tmp_path / "r.csv", f"{HEADER}roof,03/04/2026 12:00,1\n")
    with pytest.raises(UsageError, match=r"may be %m/%d/%Y %H:%M or %d/%m/%Y %H:%M: --time-format"):
        read(path, zone="UTC")
    written(path, f"{HEADER}roof,03/04/2026 12:00,1\nroof,13/04/2026 12:00,1\n")
    assert read(path, zone="UTC")[0]["temperature"][0][1] == ms("2026-04-03T12:00:00Z")
    written(path, f"{HEADER}roof,03/04/2026 12:00,1\n")
    found, _ = read(path, zone="UTC", time_format="%m/%d/%Y %H:%M")
    assert found["temperature"][0][1] == ms("2026-03-04T12:00:00Z")


def test_an_hour_that_comes_twice_is_told_and_not_guessed(tmp_path: Path) -> None:
    """Berlin's clocks showed 02:30 twice on 26 October 2025 and never on 30 March."""
    rows = ["2025-10-26 01:59:59", "2025-10-26 02:30:00", "2025-10-26 03:00:00", "2025-03-30 02:30:00"]
    path = written(tmp_path / "r.csv", HEADER + "".join(f"roof,{one},1\n" for one in rows))
    found, left_out = read(path, zone="Europe/Berlin")
    assert [row[1] for row in found["temperature"]] == [ms("2025-10-25T23:59:59Z"), ms("2025-10-26T02:00:00Z")]
    assert left_out == [(2, "event_time"), (4, "event_time")]


def test_a_zone_that_there_is_not(tmp_path: Path) -> None:
    """Is told with what there is."""
    with pytest.raises(UsageError, match="--zone: no time zone is called 'Mars/Base'"):
        read(written(tmp_path / "r.csv", HEADER + LINE), zone="Mars/Base")


def test_a_constant_id_may_come_from_the_files_name(tmp_path: Path) -> None:
    """Without its endings; the folder's name too."""
    (tmp_path / "attic").mkdir()
    path = written(tmp_path / "attic" / "north.csv", "event_time,temperature\n2026-11-20T12:00:00Z,21.437\n")
    packed = tmp_path / "attic" / "south.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    ids = [read(one, sensor_id="{folder}/{file}")[0]["temperature"][0][0] for one in (path, packed)]
    assert ids == ["attic/north", "attic/south"]


def test_a_column_that_numbers_the_rows_is_no_sensor(tmp_path: Path) -> None:
    """`id` with a new value in every row."""
    rows = "".join(f"{n},2026-11-20T12:00:{n:02}Z,1\n" for n in range(9))
    path = written(tmp_path / "r.csv", f"id,event_time,temperature\n{rows}")
    with pytest.raises(UsageError, match="nothing names the sensor"):
        read(path)
    assert len(read(path, sensor_column="id")[0]["temperature"]) == 9


def test_rows_may_be_chosen_by_a_pattern(tmp_path: Path) -> None:
    """All patterns must match."""
    path = written(tmp_path / "r.csv", HEADER + LINE + LINE.replace("roof", "cellar") + LINE.replace("roof", "rooster"))
    assert [row[0] for row in read(path, filters=(("sensor_id", "roo*"),))[0]["temperature"]] == ["roof", "rooster"]
    both = (("sensor_id", "roo*"), ("sensor_id", "*er"))
    assert [row[0] for row in read(path, filters=both)[0]["temperature"]] == ["rooster"]


@pytest.mark.parametrize(
    ("column", "said", "milli"),
    [
        ("temp_f", {}, -6_353),
        ("temperature (°F)", {}, -6_353),
        ("Temp, °F (S/N: 1)", {}, -6_353),
        ("temp [K]", {}, -252_585),
        ("tempf", {}, -6_353),
        ("TempF", {}, -6_353),
        ("temp1f", {}, -6_353),
        ("Temp_F_Avg", {}, -6_353),
        ("AirTF_Avg", {}, -6_353),
        ("T_F", {}, -6_353),
        ("tempinf", {}, -6_353),
        ("Temperature °F", {}, -6_353),
        ("Temp [deg F]", {}, -6_353),
        ("tC", {}, 20_565),
        ("temp_stuff", {}, 20_565),
        ("T (0.1 °C)", {}, 2_056),
        ("Temperature (1/10 degC)", {}, 2_056),
        ("temp [0.01 °F]", {}, -17_664),
        ("temperature", {"unit": "kelvin"}, -252_585),
        ("temperature", {}, 20_565),
    ],
)
def test_the_unit_is_in_the_columns_name_or_said(tmp_path: Path, column: str, said: dict[str, str], milli: int) -> None:
    """In words, as a sign or as a suffix."""
    path = written(tmp_path / "r.csv", f'sensor_id,event_time,"{column}"\nroof,2026-11-20T12:00:00Z,20.565\n')
    assert [row[3] for row in read(path, **said)[0]["temperature"]] == [milli]


def test_temperatures_that_are_warm_for_air_are_asked_about(tmp_path: Path) -> None:
    """Where nobody says the unit, as 72 is a room's in °F; one of several may be an oven's."""
    path = written(tmp_path / "r.csv", HEADER + LINE.replace("21.437", "72") * 3)
    asked = "most values of 'temperature' are above 60, in C: are they in F"
    assert asked in guesses(path)
    assert asked not in guesses(path, unit="F")
    assert asked not in guesses(path, value_columns=(("temperature[C]", "temperature"),))
    assert asked in guesses(path, value_columns=(("temperature", "temperature"),))
    assert asked not in guesses(written(path, HEADER + LINE * 2 + LINE.replace("21.437", "72") * 2))
    assert "above 60" not in guesses(
        written(path, (HEADER + LINE.replace("21.437", "72")).replace("temperature", "t_c"))
    )


def test_a_column_of_values_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Numbers with marks between thousands are none, and what is named like a quantity is missed."""
    text = HEADER.replace("\n", ",pressure,note\n") + LINE.replace("\n", ',"1,013.2",room 7\n')
    path = written(tmp_path / "r.csv", text)
    with opened_files([str(path)], file_format=None, encoding=None, stdin=io.BytesIO()) as (file,):
        assert FileRecording(file, FileOptions()).roles.unread == ("pressure",)


@pytest.mark.parametrize("header", ["temp_c,temp_f", "temp_f,temp_c", "Temp (°F),Temp (°C)", "tF,tC"])
def test_what_two_columns_say_in_two_units_is_read_once(tmp_path: Path, header: str) -> None:
    """In °C, whichever comes first; two probes are two sensors still."""
    cells = ["20.5" if "c" in name.lower().removeprefix("temp") else "68.9" for name in header.split(",")]
    path = written(tmp_path / "r.csv", f"sensor_id,event_time,{header}\nroof,2026-11-20T12:00:00Z,{','.join(cells)}\n")
    assert read(path)[0]["temperature"] == [("roof", NOON_MS, 0, 20_500)]
    assert "says the same in another unit" in guesses(path)
    path = written(path, "sensor_id,event_time,temp1c,temp2f\nroof,2026-11-20T12:00:00Z,20.5,68\n")
    assert read(path)[0]["temperature"] == [("roof/1", NOON_MS, 0, 20_500), ("roof/2", NOON_MS, 0, 20_000)]


@pytest.mark.parametrize("spelled", ["", "NaN", "n/a", "-", "null", "Unavailable"])
def test_what_says_that_there_is_no_value_is_missing(tmp_path: Path, spelled: str) -> None:
    """Told as such, and not as a bad number."""
    assert read(
        written(tmp_path / "r.csv", f"{HEADER}{LINE}roof,1,{spelled}\n".replace("roof,1", "roof,2026-11-20T12:00:01Z"))
    )[1] == [(2, "missing_value")]


@pytest.mark.parametrize("spelled", ["warm", "inf", "0x10", "1 5", "12..5", "--3"])
def test_what_is_no_number_is_told(tmp_path: Path, spelled: str) -> None:
    """And its neighbours count."""
    found, left_out = read(written(tmp_path / "r.csv", f"{HEADER}{LINE}roof,2026-11-20T12:00:01Z,{spelled}\n"))
    assert (found["temperature"], left_out) == ([ROOF], [(2, "value")])


@pytest.mark.parametrize(
    ("spelled", "milli"),
    [
        ("+21.4", 21_400),
        (".5", 500),
        ("-.5", -500),
        ("3.", 3_000),
        ("\N{MINUS SIGN}3.5", -3_500),
        ("1e1", 10_000),
        ("21.4375", 21_438),
        ("0.0005", 0),
        ("0.0015", 2),
    ],
)
def test_numbers_are_exact_decimals_in_any_spelling(tmp_path: Path, spelled: str, milli: int) -> None:
    """Rounded once, half to even."""
    assert (
        read(written(tmp_path / "r.csv", f"{HEADER}roof,2026-11-20T12:00:00Z,{spelled}\n"))[0]["temperature"][0][3]
        == milli
    )


def test_a_bad_id_and_a_bad_sequence_are_told(tmp_path: Path) -> None:
    """Each by its row."""
    times = "2026-11-20T12:00:00Z,1"
    rows = f"roof,{times},7\n{'x' * 129},{times},7\nroof,{times},-7\n,{times},0\n"
    found, left_out = read(written(tmp_path / "r.csv", f"sensor_id,event_time,temperature,sequence\n{rows}"))
    assert found["temperature"] == [("roof", NOON_MS, 7, 1_000)]
    assert left_out == [(2, "sensor_id"), (3, "sequence"), (4, "sensor_id")]


def test_several_temperature_columns_with_a_sensor_column(tmp_path: Path) -> None:
    """The label of the column goes with the id."""
    path = written(tmp_path / "r.csv", "sensor_id,event_time,temp_in,temp_out\nhut,2026-11-20T12:00:00Z,21.437,3\n")
    assert [(row[0], row[3]) for row in read(path)[0]["temperature"]] == [("hut/in", 21_437), ("hut/out", 3_000)]


def test_an_empty_cell_of_a_wide_file_is_no_row_left_out(tmp_path: Path) -> None:
    """As long as another column of its row has a value; a bad one is told with its column."""
    path = written(
        tmp_path / "r.csv",
        "event_time,t1,t2\n2026-11-20T12:00:00Z,,3\n2026-11-20T12:01:00Z,warm,4\n2026-11-20T12:02:00Z,1,\n",
    )
    found, left_out = read(path, sensor_id="hut")
    assert [(row[0], row[3]) for row in found["temperature"]] == [
        ("hut/1", 1_000),
        ("hut/2", 3_000),
        ("hut/2", 4_000),
    ]
    assert left_out == [(2, "value")]


@pytest.mark.slow
def test_parquet_is_read_exactly(tmp_path: Path) -> None:
    """A float is the shortest decimal that means it; an instant with a zone is itself; NULL is a row left out."""
    instants = pa.array([NOON_MS * 1_000 + 999, NOON_MS * 1_000, None], pa.timestamp("us", "Asia/Kathmandu"))
    columns = {"sensor_id": ["roof", "cellar", "x"], "event_time": instants, "temperature": [21.437, 0.1, 1.0]}
    pq.write_table(pa.table(columns), tmp_path / "r.parquet")
    found, left_out = read(tmp_path / "r.parquet")
    assert found["temperature"] == [ROOF, ("cellar", NOON_MS, 0, 100)]
    assert left_out == [(3, "event_time")]


def test_parquet_times_without_a_zone_are_asked_about(tmp_path: Path) -> None:
    """As those of CSV are, and read in the zone that is said."""
    instants = pa.array([NOON_MS + 3_600_000], pa.timestamp("ms"))
    pq.write_table(
        pa.table({"sensor_id": ["roof"], "event_time": instants, "temperature": [21.437]}), tmp_path / "r.parquet"
    )
    with pytest.raises(UsageError, match="--zone"):
        read(tmp_path / "r.parquet")
    assert read(tmp_path / "r.parquet", zone="+01:00")[0]["temperature"] == [ROOF]


def test_json_may_be_lines_or_an_array(tmp_path: Path) -> None:
    """Whatever the file is called; a broken line is told with its text."""
    objects = [{"sensor_id": "roof", "event_time": NOON_MS, "temperature": 21.437}] * 2
    lines = written(tmp_path / "lines.json", "\n".join([*map(json.dumps, objects), "nonsense", ""]))
    array = written(tmp_path / "array.json", json.dumps(objects, indent=1))
    assert read(lines) == read(array) == ({"temperature": [ROOF, ROOF]}, [])
    assert told(lines)[0].startswith("row 3: Expecting value")
    assert told(lines)[0].endswith(": nonsense")


@pytest.mark.parametrize("bad", [False, True])
def test_payloads_of_the_stream_are_read_as_there(tmp_path: Path, bad: bool) -> None:
    """By the fast reader; beside a bad row by their columns, with the same readings."""
    lines = [
        json.dumps({"sensor_id": f"s{n}", "event_time": NOON_MS + n, "temperature": n / 8, "unit": "F", "sequence": n})
        for n in range(100)
    ]
    path = written(tmp_path / "r.jsonl", "\n".join([*lines, *(["{}"] if bad else []), ""]))
    expected = [
        (one.sensor_id, one.event_time_ms, one.sequence, one.value_milli)
        for one in parse_readings([line.encode() for line in lines]).readings
    ]
    found, left_out = read(path)
    assert sorted(found["temperature"]) == sorted(expected)
    assert len(left_out) == bad


@pytest.mark.parametrize("control", ["\x1f", "\n", "\x7f", "\u0080"])
@pytest.mark.parametrize("name", ["r.csv", "r.jsonl", "r.parquet"])
def test_a_row_whose_id_has_a_control_character_is_told(tmp_path: Path, name: str, control: str) -> None:
    """In every form; its neighbours count."""
    ids = ["roof", f"a{control}b", "roof"]
    if name == "r.parquet":
        columns = {"sensor_id": ids, "event_time": [NOON_MS] * 3, "temperature": [21.437] * 3}
        pq.write_table(pa.table(columns), tmp_path / name)
    elif name == "r.csv":
        written(tmp_path / name, HEADER + "".join(f'"{one}",{NOON_MS},21.437\n' for one in ids))
    else:
        fields = {"event_time": NOON_MS, "temperature": 21.437}
        written(tmp_path / name, "".join(json.dumps({"sensor_id": one} | fields) + "\n" for one in ids))
    assert read(tmp_path / name) == ({"temperature": [ROOF, ROOF]}, [(2, "sensor_id")])


def test_a_number_of_json_keeps_its_digits(tmp_path: Path) -> None:
    """No binary float comes between."""
    text = '[{"sensor_id": "roof", "event_time": 1795176000000, "temperature": 0.00049999999999999999999}]'
    assert read(written(tmp_path / "a.json", text))[0]["temperature"][0][3] == 0


def test_folders_and_patterns_are_searched(tmp_path: Path) -> None:
    """Each file once, in order; what looks like no readings is not taken."""
    (tmp_path / "a").mkdir()
    for name in ("a/2.csv", "a/1.csv.gz", "b.jsonl", "notes.md"):
        (tmp_path / name).touch()
    names = [str(tmp_path / name) for name in ("a/1.csv.gz", "a/2.csv", "b.jsonl")]
    assert find_files([str(tmp_path)]) == names
    assert find_files([str(tmp_path / "a" / "*.csv"), str(tmp_path / "a")]) == [names[1], names[0]]
    with pytest.raises(UsageError, match="is no file"):
        find_files([str(tmp_path / "*.xlsx")])


@pytest.mark.parametrize("pack", ["plain", "gz", "zst"])
def test_standard_input_may_be_compressed(pack: str) -> None:
    """Its form must be said."""
    content = (HEADER + LINE).encode()
    if pack == "gz":
        content = gzip.compress(content)
    elif pack == "zst":
        content = pa.compress(content, codec="zstd", asbytes=True)
    options = FileOptions(file_format=FileFormat.CSV)
    with opened_files(["-"], file_format=FileFormat.CSV, encoding=None, stdin=io.BytesIO(content)) as (file,):
        (batch,) = FileRecording(file, options).batches()
    assert len(batch.found[0].readings) == 1
    with (
        pytest.raises(UsageError, match="standard input"),
        opened_files(["-"], file_format=None, encoding=None, stdin=io.BytesIO(content)),
    ):
        pass


def test_damaged_compression_and_parquet_are_refused_by_name(tmp_path: Path) -> None:
    """In one line."""
    packed = tmp_path / "r.csv.gz"
    packed.write_bytes(gzip.compress(b"x" * 10_000)[:-9])
    with pytest.raises(UsageError, match=r"r\.csv\.gz cannot be decompressed"):
        read(packed)
    (tmp_path / "r.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(UsageError, match=r"r\.parquet cannot be read"):
        read(tmp_path / "r.parquet")


def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    """As soon as it is said."""
    with pytest.raises(UsageError, match="no column 'x'; it has: sensor_id, event_time, temperature"):
        read(written(tmp_path / "r.csv", HEADER + LINE), sensor_column="x")


def test_rows_are_shown_in_their_own_words(tmp_path: Path) -> None:
    """The row that a reason is told for, with all its fields."""
    path = written(tmp_path / "r.csv", f"note;{HEADER}a;{LINE}b;roof;never;1\n".replace(",", ";"))
    with opened_files([str(path)], file_format=None, encoding=None, stdin=io.BytesIO()) as (file,):
        recording = FileRecording(file, FileOptions(time_format="iso8601"))
        (batch,) = recording.batches()
        assert [(one.row, one.reason) for one in batch.left_out] == [(2, Reason.EVENT_TIME)]
        assert recording.table.rows_as_text([2]) == {2: "b;roof;never;1"}
