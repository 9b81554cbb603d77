"""The S3 keys of all objects; they are made and parsed here and nowhere else.

lake bucket
    partials/dt=2026-11-20/hour=10/1005-<stream>-<shard>-<first>-<last>-<digest>.parquet
    unions/dt=2026-11-20/hour=10/1005-<fingerprint>-<digest>.parquet
    held/dt=2026-11-20/hour=10/1005-<fingerprint>-<digest>.parquet     windrow/rows/held.py
    markers/dt=2026-11-20/hour=10/1005/<digest>
    markers/silences/dt=2026-11-20/hour=10/1005/<digest>
    markers/backfills/20261120T1005-<digest>        windrow/lake/backfill_marker.py
    markers/messages/<digest>                       windrow/rules/changes.py
    quarantine/dt=2026-11-20/hour=10/1005-<stream>-<shard>-<first>-<last>-<count>-<digest>.jsonl.gz
    bookmarks/<stream>-<shard>-<first>
    receipts/<digest>.json                          what became of an uploaded object
    backfills/<digest>/plan.json                    processors/backfill_plan.py
    backfills/<digest>/parts/00007.json             and windows/00007.json: processors/backfill_part.py
    simulations/<run id>.json
    contracts/<digest>.json
    contracts/since.json                            which one is in force, and since when
    gateways/<client>.json                          windrow/lake/gateways.py
    rules/<digest>.toml
    rules/<digest>.start                            the first window that they judge
results bucket
    aggregates/dt=2026-11-20/hour=10/1005.parquet
    windows/dt=2026-11-20/hour=10/1005.json
    silences/dt=2026-11-20/hour=10/1005.parquet
    excursions/dt=2026-11-20/hour=10/1005.parquet
    aggregates_1h/dt=2026-11-20/hour=10/1000.parquet
    windows_1h/dt=2026-11-20.jsonl                  a line for each hour
    aggregates_1d/dt=2026-11-20/hour=00/0000.parquet
    windows_1d/month=2026-11.jsonl                  a line for each day
    reports/dt=2026-11-20/picture.svg               and summary.csv, report.json: dispatcher/day_reports.py
    audits/dt=2026-11-20/hour=10/report.json        what the audit of an hour found, with Audit=daily
    scaling/dt=2026-11-20/1003.json                 a change of the number of shards, with Scaling=auto
    scaling/dt=2026-11-20/bill.json                 what the week until then cost, and would have cost on demand
uploads bucket, whose keys uploaders choose
    uploads/...
    uploads/gateways/<name>/<digest>                what a gateway uploaded by its token
on-failure bucket, whose keys Lambda and AWS IoT Core choose
    aws/lambda/...                                  processors/on_failure.py
    iot/2026/11/20/<epoch ms>-<UUID>                processors/iot_message.py

Dates, hours and minutes are those of a window's start, UTC: the window of the event time, or, under quarantine/, of the
record's arrival. First and last are sequence numbers of the records of the batch, in decimal.

Objects of tables lie right in the folder of their partition (dt and hour), because engines that do not descend into
folders, Trino's and Hive's default, would find nothing and say nothing. Version 0.1 had a folder per window there:
`1005/<stream>...`. Its keys are read, and no longer written.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from windrow.period import Grain, Period
from windrow.timestamps import format_sql, parse_sql_ms
from windrow.window import Window

PARTIALS = "partials/"
UNIONS = "unions/"
HELD = "held/"
MARKERS = "markers/"
SILENCE_MARKERS = "markers/silences/"
BACKFILL_MARKERS = "markers/backfills/"
MESSAGES = "markers/messages/"
QUARANTINE = "quarantine/"
BOOKMARKS = "bookmarks/"
RECEIPTS = "receipts/"
BACKFILLS = "backfills/"
SIMULATIONS = "simulations/"
CONTRACTS = "contracts/"
GATEWAYS = "gateways/"
RULES = "rules/"
AGGREGATES = "aggregates/"
WINDOWS = "windows/"
SILENCES = "silences/"
EXCURSIONS = "excursions/"
AGGREGATES_1H = "aggregates_1h/"
AGGREGATES_1D = "aggregates_1d/"
AGGREGATES_FLINK = "aggregates_flink/"
WINDOWS_1H = "windows_1h/"
WINDOWS_1D = "windows_1d/"
REPORTS = "reports/"
AUDITS = "audits/"
SCALING = "scaling/"
SCALING_BILL = "bill.json"
IOT_MESSAGES = "iot/"
UPLOADS = "uploads/"
GATEWAY_UPLOADS = f"{UPLOADS}gateways/"

WINDOW_MARK = "-"
"""What ends the window in the name of a partial: listing an hour up to it gives the windows, not the partials."""

NO_PARTIAL = "0" * 32
"""The digest in a silence marker of a window that may have no partials."""

_COMPACT = {ord(" "): "T", ord("-"): None, ord(":"): None}
_WINDOW = r"dt=(?P<dt>\d{4}-\d{2}-\d{2})/hour=(?P<hour>\d{2})/(?P<hhmm>\d{4})"
_ORIGIN = r"(?P<stream>[A-Za-z0-9_.-]+)-(?P<shard>shardId-\d+|unknown)-(?P<first>\d+)-(?P<last>\d+)"
_DIGEST = r"(?P<digest>[0-9a-f]{32})"
_PARTIAL_KEY = re.compile(rf"{PARTIALS}{_WINDOW}(?P<mark>[-/]){_ORIGIN}-{_DIGEST}\.parquet")
_MARKER_KEY = re.compile(rf"{MARKERS}{_WINDOW}/{_DIGEST}")
_UNION_KEY = re.compile(rf"{UNIONS}{_WINDOW}-(?P<fingerprint>[0-9a-f]{{32}})-{_DIGEST}\.parquet")
_SILENCE_MARKER_KEY = re.compile(rf"{SILENCE_MARKERS}{_WINDOW}/{_DIGEST}")
_QUARANTINE_KEY = re.compile(rf"{QUARANTINE}{_WINDOW}(?P<mark>[-/]){_ORIGIN}-(?P<count>\d+)-{_DIGEST}\.jsonl\.gz")
_WINDOW_PREFIX = re.compile(rf"{PARTIALS}{_WINDOW}(?:-|/[^/]*-)")
_PERIOD_ROWS_KEY = re.compile(rf"(?P<root>{AGGREGATES_1H}|{AGGREGATES_1D}){_WINDOW}\.parquet")
_DAY_FILE_KEY = re.compile(rf"{REPORTS}dt=(?P<dt>\d{{4}}-\d{{2}}-\d{{2}})/(?P<file>[a-z.]+)")
_RESULT_KEY = re.compile(rf"(?:{AGGREGATES}{_WINDOW}\.parquet|{WINDOWS}{_WINDOW.replace('?P<', '?P<w_')}\.json)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a batch came from: a stream, a shard, and the sequence numbers of its first and last record, inclusive."""

    stream: str
    shard: str
    first: int
    last: int

    def __str__(self) -> str:
        """Return the form that keys contain."""
        return f"{self.stream}-{self.shard}-{self.first}-{self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialKey:
    """The key of a partial. `is_in_folder`: it has the form of version 0.1, a folder per window."""

    window: Window
    origin: Origin
    digest: str
    is_in_folder: bool = False

    def __str__(self) -> str:
        """Return the key."""
        mark = "/" if self.is_in_folder else "-"
        return f"{partials_prefix(self.window)}{mark}{self.origin}-{self.digest}.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnionKey:
    """The key of one range of a united set: the fingerprint of the partials that were united, and its own digest."""

    window: Window
    fingerprint: str
    digest: str

    def __str__(self) -> str:
        """Return the key."""
        return f"{unions_prefix(self.window)}{WINDOW_MARK}{self.fingerprint}-{self.digest}.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerKey:
    """The key of a marker, which says that a partial of this window was written after the window's end."""

    window: Window
    digest: str

    def __str__(self) -> str:
        """Return the key."""
        return f"{MARKERS}{_window_path(self.window)}/{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceMarkerKey:
    """The key of a silence marker: the silence of this rolled window, or its excursions, are still to be worked out."""

    window: Window
    digest: str

    def __str__(self) -> str:
        """Return the key."""
        return f"{SILENCE_MARKERS}{_window_path(self.window)}/{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineKey:
    """The key of a quarantine object; `window` is that of the arrival, `count` the number of payloads in it.

    `is_in_folder`: it has the form of version 0.1, a folder per window.
    """

    window: Window
    origin: Origin
    count: int
    digest: str
    is_in_folder: bool = False

    def __str__(self) -> str:
        """Return the key."""
        mark = "/" if self.is_in_folder else "-"
        return f"{quarantine_prefix(self.window)}{mark}{self.origin}-{self.count}-{self.digest}.jsonl.gz"


class DayFile(StrEnum):
    """The files of the report on a day."""

    PICTURE = "picture.svg"
    SUMMARY = "summary.csv"
    REPORT = "report.json"  # what the other two were made from


def partials_prefix(window: Window) -> str:
    """Return the prefix of the partials of `window`, in the folder of its hour."""
    return f"{PARTIALS}{_window_path(window)}"


def unions_prefix(window: Window) -> str:
    """Return the prefix of all ranges of united sets of `window`, those that nobody names any more included."""
    return f"{UNIONS}{_window_path(window)}"


def held_key(window: Window, fingerprint: str, digest: str) -> str:
    """Return the key of held times of `window`: of the readings with this fingerprint, named after their content."""
    return f"{HELD}{_window_path(window)}{WINDOW_MARK}{fingerprint}-{digest}.parquet"


def quarantine_prefix(window: Window) -> str:
    """Return the prefix of the quarantine objects with payloads that arrived during `window`."""
    return f"{QUARANTINE}{_window_path(window)}"


def rows_key(window: Window) -> str:
    """Return the key of the rows of `window`."""
    return f"{AGGREGATES}{_window_path(window)}.parquet"


def lineage_key(window: Window) -> str:
    """Return the key of the lineage of `window`."""
    return f"{WINDOWS}{_window_path(window)}.json"


def silences_key(window: Window) -> str:
    """Return the key of the silent sensors of `window`."""
    return f"{SILENCES}{_window_path(window)}.parquet"


def excursions_key(window: Window) -> str:
    """Return the key of what rules track after `window`."""
    return f"{EXCURSIONS}{_window_path(window)}.parquet"


def period_rows_key(period: Period) -> str:
    """Return the key of the rows of an hour or a day."""
    return f"{period_rows_root(period.grain)}{_window_path(Window(period.start_ms))}.parquet"


def period_rows_root(grain: Grain) -> str:
    """Return the prefix of all rows of this grain."""
    return AGGREGATES_1H if grain is Grain.HOUR else AGGREGATES_1D


def period_lineages_key(period: Period) -> str:
    """Return the key of the object with the lineages of the hours of a day, or of the days of a month."""
    if period.grain is Grain.HOUR:
        return f"{WINDOWS_1H}dt={format_sql(period.start_ms)[:10]}.jsonl"
    return f"{WINDOWS_1D}month={format_sql(period.start_ms)[:7]}.jsonl"


def month_prefix(root: str, instant_ms: int) -> str:
    """Return the prefix in `root` of the days in the month of `instant_ms`: it stops mid-name, before the day."""
    return f"{root}dt={format_sql(instant_ms)[:7]}-"


def bookmark_key(*, stream: str, shard: str, first: int) -> str:
    """Return the key that says how far the writing of the slice came whose first record has this number."""
    return f"{BOOKMARKS}{stream}-{shard}-{first}"


def backfill_marker_key(first: Window, digest: str) -> str:
    """Return the key of an object that stands for the markers of many windows, `first` and later ones."""
    return f"{BACKFILL_MARKERS}{format_sql(first.start_ms)[:16].translate(_COMPACT)}-{digest}"


def gateway_key(client: str) -> str:
    """Return the key of what a gateway may do, by its client of the user pool."""
    return f"{GATEWAYS}{client}.json"


def receipt_key(digest: str) -> str:
    """Return the key of the receipt of an uploaded object, which the digest names with its version."""
    return f"{RECEIPTS}{digest}.json"


def backfill_plan_key(digest: str) -> str:
    """Return the key of the plan of a backfill."""
    return f"{BACKFILLS}{digest}/plan.json"


def backfill_part_key(digest: str, number: int) -> str:
    """Return the key of the report on one part of a backfill."""
    return f"{BACKFILLS}{digest}/parts/{number:05}.json"


def backfill_windows_key(digest: str, number: int) -> str:
    """Return the key of what one part of a backfill has written, window by window."""
    return f"{BACKFILLS}{digest}/windows/{number:05}.json"


def backfill_items_key(digest: str) -> str:
    """Return the key of the parts of a backfill, as the items of a state machine's map."""
    return f"{BACKFILLS}{digest}/items.json"


def backfill_report_key(digest: str) -> str:
    """Return the key of the newest report on a whole backfill."""
    return f"{BACKFILLS}{digest}/report.json"


def simulation_key(run_id: str) -> str:
    """Return the key of the manifest of a simulation."""
    return f"{SIMULATIONS}{run_id}.json"


def contract_key(digest: str) -> str:
    """Return the key of a payload contract."""
    return f"{CONTRACTS}{digest}.json"


CONTRACT_SINCE = f"{CONTRACTS}since.json"
"""The key of what says since when a stage has read payloads under its contract."""


def rules_key(digest: str) -> str:
    """Return the key of rules."""
    return f"{RULES}{digest}.toml"


def rules_start_key(digest: str) -> str:
    """Return the key of the first window that rules judge."""
    return f"{RULES}{digest}.start"


def message_key(digest: str) -> str:
    """Return the key of a message that is still to be sent."""
    return f"{MESSAGES}{digest}"


def day_prefix(root: str, instant_ms: int) -> str:
    """Return the prefix in `root` (such as PARTIALS) of the windows in the day of `instant_ms`."""
    return f"{root}dt={format_sql(instant_ms)[:10]}/"


def hour_prefix(root: str, instant_ms: int) -> str:
    """Return the prefix in `root` (such as PARTIALS) of the windows in the hour of `instant_ms`."""
    return f"{day_prefix(root, instant_ms)}hour={format_sql(instant_ms)[11:13]}/"


def day_file_key(day: Period, file: DayFile) -> str:
    """Return the key of a file of the report on a day."""
    return f"{day_prefix(REPORTS, day.start_ms)}{file}"


def audit_key(hour_start_ms: int) -> str:
    """Return the key of the report on the audit of an hour, given by its first instant."""
    return f"{hour_prefix(AUDITS, hour_start_ms)}report.json"


def scaling_key(scheduled_time_ms: int) -> str:
    """Return the key of what the run of a minute did to the number of shards."""
    return f"{day_prefix(SCALING, scheduled_time_ms)}{format_sql(scheduled_time_ms)[11:16].replace(':', '')}.json"


def scaling_bill_key(day_ms: int) -> str:
    """Return the key of what the stream of a scaled stage cost in the week that ended with a day."""
    return f"{day_prefix(SCALING, day_ms)}{SCALING_BILL}"


def parse_partial_key(key: str) -> PartialKey:
    """Parse the key of a partial; raises ValueError naming the key."""
    match = _match(_PARTIAL_KEY, key)
    return PartialKey(
        window=_window_of(match),
        origin=_origin_of(match),
        digest=match["digest"],
        is_in_folder=match["mark"] == "/",
    )


def parse_union_key(key: str) -> UnionKey:
    """Parse the key of a range of a united set; raises ValueError naming the key."""
    match = _match(_UNION_KEY, key)
    return UnionKey(window=_window_of(match), fingerprint=match["fingerprint"], digest=match["digest"])


def parse_marker_key(key: str) -> MarkerKey:
    """Parse the key of a marker; raises ValueError naming the key."""
    match = _match(_MARKER_KEY, key)
    return MarkerKey(window=_window_of(match), digest=match["digest"])


def parse_silence_marker_key(key: str) -> SilenceMarkerKey:
    """Parse the key of a silence marker; raises ValueError naming the key."""
    match = _match(_SILENCE_MARKER_KEY, key)
    return SilenceMarkerKey(window=_window_of(match), digest=match["digest"])


def parse_quarantine_key(key: str) -> QuarantineKey:
    """Parse the key of a quarantine object; raises ValueError naming the key."""
    match = _match(_QUARANTINE_KEY, key)
    count = int(match["count"])
    return QuarantineKey(
        window=_window_of(match),
        origin=_origin_of(match),
        count=count,
        digest=match["digest"],
        is_in_folder=match["mark"] == "/",
    )


def parse_window_prefix(prefix: str) -> Window:
    """Parse a prefix that listing an hour of partials up to WINDOW_MARK returns; raises ValueError naming it."""
    return _window_of(_match(_WINDOW_PREFIX, prefix))


def parse_result_key(key: str) -> Window:
    """Parse the key of rows or of a lineage into its window; raises ValueError naming the key."""
    match = _match(_RESULT_KEY, key)
    return _window_of(match, prefix="" if match["dt"] else "w_")


def parse_period_rows_key(key: str) -> Period:
    """Parse the key of an hour's or a day's rows; raises ValueError naming the key."""
    match = _match(_PERIOD_ROWS_KEY, key)
    grain = Grain.HOUR if match["root"] == AGGREGATES_1H else Grain.DAY
    try:
        return Period(grain, _window_of(match).start_ms)
    except ValueError as error:
        raise ValueError(f"not a windrow key: {key!r}") from error


def parse_day_file_key(key: str) -> tuple[Period, DayFile]:
    """Parse the key of a file of the report on a day; raises ValueError naming the key."""
    match = _match(_DAY_FILE_KEY, key)
    try:
        return Period(Grain.DAY, parse_sql_ms(f"{match['dt']} 00:00:00")), DayFile(match["file"])
    except ValueError as error:
        raise ValueError(f"not a windrow key: {key!r}") from error


def _window_path(window: Window) -> str:
    text = format_sql(window.start_ms)
    return f"dt={text[:10]}/hour={text[11:13]}/{text[11:13]}{text[14:16]}"


def _match(pattern: re.Pattern[str], key: str) -> re.Match[str]:
    match = pattern.fullmatch(key)
    if match is None:
        raise ValueError(f"not a windrow key: {key!r}")
    return match


def _window_of(match: re.Match[str], *, prefix: str = "") -> Window:
    try:
        return _window_at(*match.group(f"{prefix}dt", f"{prefix}hour", f"{prefix}hhmm"))
    except ValueError as error:
        raise ValueError(f"not a windrow key: {match[0]!r}") from error


@lru_cache  # of thousands of keys in a listing all are of one window
def _window_at(day: str, hour: str, hhmm: str) -> Window:
    """Return the window of a key's folders; ValueError if there is none."""
    if not hhmm.startswith(hour):
        raise ValueError(f"{hhmm} in hour {hour}")
    return Window(parse_sql_ms(f"{day} {hhmm[:2]}:{hhmm[2:]}:00"))


def _origin_of(match: re.Match[str]) -> Origin:
    return Origin(stream=match["stream"], shard=match["shard"], first=int(match["first"]), last=int(match["last"]))
