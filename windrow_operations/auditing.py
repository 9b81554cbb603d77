"""Comparing a stage's results with what its stream holds."""

from collections.abc import Callable
from pathlib import Path

from analytics.audit import Audit, Delays, audit, contract_of_stage, evidence_of
from analytics.engine import local_engine
from windrow.deployment import stage_parameters
from windrow.stage import Stage
from windrow.timerange import TimeRange


def audit_stage(
    stage: Stage,
    *,
    home: Path,
    start_ms: int | None,
    end_ms: int,
    now_ms: int,
    on_progress: Callable[[str, int, int | None], object] = lambda _step, _done, _total: None,
) -> Audit:
    """Audit the windows of `stage` that start in the range; without `start_ms`, from the first that can be told."""
    evidence, retained_from_ms = evidence_of(stage, now_ms=now_ms)
    time_range = TimeRange(retained_from_ms if start_ms is None else start_ms, end_ms)
    records = stage.stream.records_between(min(evidence.reading_from_ms(time_range), now_ms), now_ms)
    return audit(
        records,
        local_engine(stage, home=home),  # rows are read as they are stored, whatever engine the place has
        time_range=time_range,
        evidence=evidence,
        delays=Delays.of_parameters(stage_parameters(stage.place, stage.name)),
        horizon_ms=stage.lifetimes.lateness_horizon_ms,
        now_ms=now_ms,
        contract=contract_of_stage(stage),
        on_progress=on_progress,
    )
