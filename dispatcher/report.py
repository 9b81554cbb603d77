"""The report of a tick: the dispatcher function's response, and what `windrow tick` prints."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from dispatcher.ceiling import Nearest
from dispatcher.due import TICK_EVERY_MS, DueReason
from windrow.period import Grain, Period
from windrow.timestamps import format_rfc3339, parse_rfc3339_ms
from windrow.window import Window


class RollOutcome(StrEnum):
    """What became of a window, hour or day that was due."""

    DUE = "due"  # a dry run: nothing was done
    ROLLED = "rolled"  # rows and lineage written
    RECORDED = "recorded"  # same rows: only the lineage written
    SETTLED = "settled"  # nothing to do
    FROZEN = "frozen"  # a partial that its rows were made from is gone: nothing written
    FAILED = "failed"  # something could not be read or written; `detail` names it
    CONTENDED = "contended"  # lost to another dispatcher every time; the next tick looks again
    DEFERRED = "deferred"  # the run's time was over; the next tick goes on
    WAITING = "waiting"  # an hour or a day: one of its parts is being rolled; the next tick looks again


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowReport:
    """One due window. `revision` is that of the lineage that stands afterwards, 0 if none is known.

    `detail` says what is wrong, and with which object, or is empty. `markers_kept` are the digests of markers whose
    partial is not in the lineage, or whose window could not be rolled.
    """

    window: Window
    reasons: tuple[DueReason, ...]
    outcome: RollOutcome
    revision: int = 0
    readings: int = 0
    detail: str = ""
    markers_kept: tuple[str, ...] = ()

    def to_fields(self) -> dict[str, Any]:
        """Return the fields as JSON has them; the window as the RFC 3339 time of its start."""
        return asdict(self) | {"window": format_rfc3339(self.window.start_ms)}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "WindowReport":
        """Undo `to_fields`, also after a passage through JSON."""
        parsed = {
            "window": Window(parse_rfc3339_ms(fields["window"])),
            "reasons": tuple(DueReason(reason) for reason in fields["reasons"]),
            "outcome": RollOutcome(fields["outcome"]),
            "markers_kept": tuple(fields["markers_kept"]),
        }
        return cls(**dict(fields) | parsed)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodReport:
    """One hour or day that had changed; fields as in WindowReport."""

    period: Period
    outcome: RollOutcome
    revision: int = 0
    readings: int = 0
    detail: str = ""

    def to_fields(self) -> dict[str, Any]:
        """Return the fields as JSON has them; the period as its grain and the RFC 3339 time of its start."""
        own = {"grain": self.period.grain.value, "start": format_rfc3339(self.period.start_ms)}
        return asdict(self) | {"period": own}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "PeriodReport":
        """Undo `to_fields`, also after a passage through JSON."""
        own = fields["period"]
        parsed = {
            "period": Period(Grain(own["grain"]), parse_rfc3339_ms(own["start"])),
            "outcome": RollOutcome(fields["outcome"]),
        }
        return cls(**dict(fields) | parsed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How a tick got on with its backlog: windows done, windows left, and when the last of these will be done.

    That is an estimate, at the rate of this tick alone: None if it did none of them.
    """

    done: int
    left: int
    done_by_ms: int | None

    def to_fields(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        done_by = None if self.done_by_ms is None else format_rfc3339(self.done_by_ms)
        return {"done": self.done, "left": self.left, "done_by": done_by}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Backlog":
        """Undo `to_fields`, also after a passage through JSON."""
        done_by = fields["done_by"]
        return cls(
            done=fields["done"],
            left=fields["left"],
            done_by_ms=None if done_by is None else parse_rfc3339_ms(done_by),
        )


def backlog_of(
    scheduled_time_ms: int, *, live: Sequence[WindowReport], backlog: Sequence[WindowReport]
) -> Backlog | None:
    """Return how the tick got on; None if it left nothing undone."""
    left = sum(one.outcome is RollOutcome.DEFERRED for one in (*live, *backlog))
    if not left:
        return None
    done = sum(one.outcome is not RollOutcome.DEFERRED for one in backlog or live)
    ticks = -(-left // done) if done else None
    return Backlog(
        done=done, left=left, done_by_ms=None if ticks is None else scheduled_time_ms + ticks * TICK_EVERY_MS
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TickReport:
    """One tick: its windows, oldest first, the S3 requests it made, and keys that windrow does not write.

    `periods` are the hours, then the days, that had changed. `day_reports` are the days whose reports were made, or
    could not be, newest first. `backlog` is None if no window was left undone, `nearest` tells how near to a ceiling a
    roll came, if there was one. `rules_failed` says why rules, excursions or messages about them could not be done. An
    answer that was cut (dispatcher.answer) says how many windows are not listed, by outcome, and how much else was left
    out.
    """

    scheduled_time_ms: int
    windows: tuple[WindowReport, ...]
    periods: tuple[PeriodReport, ...] = ()
    backlog: Backlog | None = None
    nearest: Nearest | None = None
    rules_failed: tuple[str, ...] = ()
    day_reports: tuple[PeriodReport, ...] = ()
    s3_calls: Mapping[str, int]
    unknown_keys: tuple[str, ...] = ()
    unlisted: Mapping[RollOutcome, int] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def outcomes(self) -> Counter[RollOutcome]:
        """The number of windows with each outcome, listed or not."""
        return Counter(report.outcome for report in self.windows) + Counter(self.unlisted)

    def to_fields(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return {
            "scheduled_time": format_rfc3339(self.scheduled_time_ms),
            "windows": [report.to_fields() for report in self.windows],
            "periods": [report.to_fields() for report in self.periods],
            "backlog": self.backlog and self.backlog.to_fields(),
            "nearest": self.nearest and self.nearest.to_fields(),
            "rules_failed": list(self.rules_failed),
            "day_reports": [report.to_fields() for report in self.day_reports],
            "s3_calls": dict(self.s3_calls),
            "unknown_keys": list(self.unknown_keys),
            "unlisted": {outcome.value: count for outcome, count in self.unlisted.items()},
            "left_out": dict(self.left_out),
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "TickReport":
        """Undo `to_fields`, also after a passage through JSON."""
        return cls(
            scheduled_time_ms=parse_rfc3339_ms(fields["scheduled_time"]),
            windows=tuple(WindowReport.from_fields(report) for report in fields["windows"]),
            periods=tuple(PeriodReport.from_fields(report) for report in fields["periods"]),
            backlog=Backlog.from_fields(fields["backlog"]) if fields.get("backlog") else None,
            nearest=Nearest.from_fields(fields["nearest"]) if fields.get("nearest") else None,
            s3_calls=dict(fields["s3_calls"]),
            unknown_keys=tuple(fields["unknown_keys"]),
            # An older dispatcher's answer has none of these.
            rules_failed=tuple(fields.get("rules_failed", ())),
            day_reports=tuple(PeriodReport.from_fields(report) for report in fields.get("day_reports", ())),
            unlisted={RollOutcome(outcome): count for outcome, count in fields.get("unlisted", {}).items()},
            left_out=dict(fields.get("left_out", {})),
        )
