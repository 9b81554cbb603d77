"""Every S3 key, spelled and parsed here and nowhere else.

lake bucket
    partials/dt=2026-11-20/hour=10/1005/<stream>-<shard>-<first>-<last>-<digest>.parquet
    markers/dt=2026-11-20/hour=10/1005/<digest>
    markers/silences/dt=2026-11-20/hour=10/1005/<digest>
    quarantine/dt=2026-11-20/hour=10/1005/<stream>-<shard>-<first>-<last>-<count>-<digest>.jsonl.gz
    simulations/<run id>.json
results bucket
    aggregates/dt=2026-11-20/hour=10/1005.parquet
    windows/dt=2026-11-20/hour=10/1005.json
    silences/dt=2026-11-20/hour=10/1005.parquet
    aggregates_1h/dt=2026-11-20/hour=10/1000.parquet
    windows_1h/dt=2026-11-20.jsonl                  a line for each hour
    aggregates_1d/dt=2026-11-20/hour=00/0000.parquet
    windows_1d/month=2026-11.jsonl                  a line for each day

Dates, hours and minutes are those of a window's start, UTC: the window of the event time, or, under quarantine/, of
the record's arrival. First and last are the sequence numbers of the batch's records, which are decimal.
"""

import re
from dataclasses import dataclass

from windrow.period import Grain, Period
from windrow.timestamps import format_sql, parse_sql_ms
from windrow.window import Window

PARTIALS = "partials/"
MARKERS = "markers/"
SILENCE_MARKERS = "markers/silences/"
QUARANTINE = "quarantine/"
SIMULATIONS = "simulations/"
AGGREGATES = "aggregates/"
WINDOWS = "windows/"
SILENCES = "silences/"
AGGREGATES_1H = "aggregates_1h/"
AGGREGATES_1D = "aggregates_1d/"
WINDOWS_1H = "windows_1h/"
WINDOWS_1D = "windows_1d/"

_WINDOW = r"dt=(?P<dt>\d{4}-\d{2}-\d{2})/hour=(?P<hour>\d{2})/(?P<hhmm>\d{4})"
_ORIGIN = r"(?P<stream>[A-Za-z0-9_.-]+)-(?P<shard>shardId-\d+|unknown)-(?P<first>\d+)-(?P<last>\d+)"
_DIGEST = r"(?P<digest>[0-9a-f]{32})"
_PARTIAL_KEY = re.compile(rf"{PARTIALS}{_WINDOW}/{_ORIGIN}-{_DIGEST}\.parquet")
_MARKER_KEY = re.compile(rf"{MARKERS}{_WINDOW}/{_DIGEST}")
_SILENCE_MARKER_KEY = re.compile(rf"{SILENCE_MARKERS}{_WINDOW}/{_DIGEST}")
_QUARANTINE_KEY = re.compile(rf"{QUARANTINE}{_WINDOW}/{_ORIGIN}-(?P<count>\d+)-{_DIGEST}\.jsonl\.gz")
_WINDOW_PREFIX = re.compile(rf"(?:{PARTIALS}|{MARKERS}|{QUARANTINE}){_WINDOW}/")
_PERIOD_ROWS_KEY = re.compile(rf"(?P<root>{AGGREGATES_1H}|{AGGREGATES_1D}){_WINDOW}\.parquet")
_RESULT_KEY = re.compile(rf"(?:{AGGREGATES}{_WINDOW}\.parquet|{WINDOWS}{_WINDOW.replace('?P<', '?P<w_')}\.json)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The part of a stream that a batch held: the sequence numbers of its first and last record, both inclusive."""

    stream: str
    shard: str
    first: int
    last: int

    def __str__(self) -> str:
        """The form it has in keys."""
        return f"{self.stream}-{self.shard}-{self.first}-{self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialKey:
    """What the key of a partial says."""

    window: Window
    origin: Origin
    digest: str

    def __str__(self) -> str:
        """The key."""
        return f"{partials_prefix(self.window)}{self.origin}-{self.digest}.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerKey:
    """What the key of a marker says: this window has a partial that came after its end."""

    window: Window
    digest: str

    def __str__(self) -> str:
        """The key."""
        return f"{MARKERS}{_window_path(self.window)}/{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceMarkerKey:
    """What the key of a silence's marker says: a roll of this window's partials leaves its silence unknown."""

    window: Window
    digest: str

    def __str__(self) -> str:
        """The key."""
        return f"{SILENCE_MARKERS}{_window_path(self.window)}/{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineKey:
    """What the key of a quarantine object says; `window` is that of the arrival, `count` the payloads in it."""

    window: Window
    origin: Origin
    count: int
    digest: str

    def __str__(self) -> str:
        """The key."""
        return f"{quarantine_prefix(self.window)}{self.origin}-{self.count}-{self.digest}.jsonl.gz"


def partials_prefix(window: Window) -> str:
    """Where the partials of `window` are."""
    return f"{PARTIALS}{_window_path(window)}/"


def quarantine_prefix(window: Window) -> str:
    """Where the bad payloads are that arrived during `window`."""
    return f"{QUARANTINE}{_window_path(window)}/"


def rows_key(window: Window) -> str:
    """Where the rows of `window` are."""
    return f"{AGGREGATES}{_window_path(window)}.parquet"


def lineage_key(window: Window) -> str:
    """Where the lineage of `window` is."""
    return f"{WINDOWS}{_window_path(window)}.json"


def silences_key(window: Window) -> str:
    """Where the sensors are that are silent in `window`."""
    return f"{SILENCES}{_window_path(window)}.parquet"


def period_rows_key(period: Period) -> str:
    """Where the rows of an hour or a day are."""
    return f"{period_rows_root(period.grain)}{_window_path(Window(period.start_ms))}.parquet"


def period_rows_root(grain: Grain) -> str:
    """Under which all rows of this grain are."""
    return AGGREGATES_1H if grain is Grain.HOUR else AGGREGATES_1D


def period_lineages_key(period: Period) -> str:
    """Where the lineage of an hour is, beside those of its day; or that of a day, beside those of its month."""
    if period.grain is Grain.HOUR:
        return f"{WINDOWS_1H}dt={format_sql(period.start_ms)[:10]}.jsonl"
    return f"{WINDOWS_1D}month={format_sql(period.start_ms)[:7]}.jsonl"


def month_prefix(root: str, instant_ms: int) -> str:
    """The part of `root` with the days of the month of `instant_ms`: a prefix that ends amid a name."""
    return f"{root}dt={format_sql(instant_ms)[:7]}-"


def simulation_key(run_id: str) -> str:
    """Where the manifest of a simulation is."""
    return f"{SIMULATIONS}{run_id}.json"


def day_prefix(root: str, instant_ms: int) -> str:
    """The part of `root` (such as PARTIALS) with the windows of the day of `instant_ms`."""
    return f"{root}dt={format_sql(instant_ms)[:10]}/"


def hour_prefix(root: str, instant_ms: int) -> str:
    """The part of `root` (such as PARTIALS) with the windows of the hour of `instant_ms`."""
    return f"{day_prefix(root, instant_ms)}hour={format_sql(instant_ms)[11:13]}/"


def parse_partial_key(key: str) -> PartialKey:
    """The inverse of `str(PartialKey)`; raises ValueError naming the key."""
    match = _match(_PARTIAL_KEY, key)
    return PartialKey(window=_window_of(match), origin=_origin_of(match), digest=match["digest"])


def parse_marker_key(key: str) -> MarkerKey:
    """The inverse of `str(MarkerKey)`; raises ValueError naming the key."""
    match = _match(_MARKER_KEY, key)
    return MarkerKey(window=_window_of(match), digest=match["digest"])


def parse_silence_marker_key(key: str) -> SilenceMarkerKey:
    """The inverse of `str(SilenceMarkerKey)`; raises ValueError naming the key."""
    match = _match(_SILENCE_MARKER_KEY, key)
    return SilenceMarkerKey(window=_window_of(match), digest=match["digest"])


def parse_quarantine_key(key: str) -> QuarantineKey:
    """The inverse of `str(QuarantineKey)`; raises ValueError naming the key."""
    match = _match(_QUARANTINE_KEY, key)
    count = int(match["count"])
    return QuarantineKey(window=_window_of(match), origin=_origin_of(match), count=count, digest=match["digest"])


def parse_window_prefix(prefix: str) -> Window:
    """The window of a prefix that a listing of an hour gives; raises ValueError naming it."""
    return _window_of(_match(_WINDOW_PREFIX, prefix))


def parse_result_key(key: str) -> Window:
    """The window of the key of rows or of a lineage; raises ValueError naming it."""
    match = _match(_RESULT_KEY, key)
    return _window_of(match, prefix="" if match["dt"] else "w_")


def parse_period_rows_key(key: str) -> Period:
    """The inverse of `period_rows_key`; raises ValueError naming the key."""
    match = _match(_PERIOD_ROWS_KEY, key)
    grain = Grain.HOUR if match["root"] == AGGREGATES_1H else Grain.DAY
    try:
        return Period(grain, _window_of(match).start_ms)
    except ValueError as error:
        raise ValueError(f"not a key of ours: {key!r}") from error


def _window_path(window: Window) -> str:
    spelled = format_sql(window.start_ms)
    return f"dt={spelled[:10]}/hour={spelled[11:13]}/{spelled[11:13]}{spelled[14:16]}"


def _match(pattern: re.Pattern[str], key: str) -> re.Match[str]:
    match = pattern.fullmatch(key)
    if match is None:
        raise ValueError(f"not a key of ours: {key!r}")
    return match


def _window_of(match: re.Match[str], *, prefix: str = "") -> Window:
    hhmm = match[f"{prefix}hhmm"]
    try:
        window = Window(parse_sql_ms(f"{match[f'{prefix}dt']} {hhmm[:2]}:{hhmm[2:]}:00"))
    except ValueError as error:
        raise ValueError(f"not a key of ours: {match[0]!r}") from error
    if not hhmm.startswith(match[f"{prefix}hour"]):
        raise ValueError(f"not a key of ours: {match[0]!r}")
    return window


def _origin_of(match: re.Match[str]) -> Origin:
    return Origin(stream=match["stream"], shard=match["shard"], first=int(match["first"]), last=int(match["last"]))
