"""`windrow rules check`: what rules on values would have said about the rows that there are."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from windrow.errors import WindrowError
from windrow.timestamps import format_rfc3339
from windrow_cli.choices import OneOf
from windrow_cli.console import err, out
from windrow_cli.stage import clock_ms, home_folder, open_stage, stage_option

if TYPE_CHECKING:
    import pandas as pd

    from analytics.rules import Checked
    from windrow.rules.excursion import Excursion
    from windrow.rules.rule import Rule

_MINUTE_MS = 60_000
_DEFAULT_LENGTH_MS = 86_400_000


@click.group()
def rules() -> None:
    """Limits on values: try rules on the rows that there are.

    \b
    windrow rules check rules.toml --from -7d
    """


@rules.command("check")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--from", "start", metavar="TIME", help="First window: RFC 3339, or -7d.  [default: a day before --to]")
@click.option("--to", "end", metavar="TIME", help="End of the range, exclusive.  [default: now]")
@click.option("--format", "form", type=OneOf(["table", "csv", "json"]), default="table", show_default=True)
@stage_option
def check_command(*, file: Path, start: str | None, end: str | None, form: str, stage_name: str) -> None:
    """Show when the rules in FILE would have rung, and until when, over the rows of a range.

    One row per excursion, by the time it rang: how it stands, the value that was farthest beyond the limit, how far
    beyond for how long altogether (unit-minutes), and the message. What was under way before the range begins with it.
    docs/rules.md says how rules are written. Those that count minutes need readings, which are looked at where a value
    was beyond the limit and they are still in the lake; other windows are named. Exit code 1 if the file is wrong, or
    there are no rows.

    \b
    windrow rules check rules.toml
    windrow rules check rules.toml --from -7d --format json
    """
    from analytics.engine import engine_of
    from analytics.rules import check_rules
    from dispatcher.observation import Buckets
    from windrow.aws.clients import readable_errors
    from windrow.rules.load import load_rules
    from windrow.rules.rule import watches_of
    from windrow.timerange import parse_range
    from windrow_cli.formats import TEXTS
    from windrow_operations.held_history import HeldHistory

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WindrowError(f"{file} cannot be read: {error}") from error
    loaded = load_rules(text, name=str(file))
    time_range = parse_range(start, end, now_ms=clock_ms(), length_ms=_DEFAULT_LENGTH_MS)
    stage = open_stage(stage_name)
    with readable_errors(stage.place), err.status("reading rows"):
        history = HeldHistory(Buckets(lake=stage.lake, results=stage.results), watches_of(loaded))
        checked = check_rules(engine_of(stage, home=home_folder()), loaded, time_range, held_of=history.of)
    if not checked.rows:
        raise WindrowError(f"no rows from {time_range}", hint="give a range that has some: --from -7d")
    if checked.excursions:
        for text in TEXTS[form](iter([_frame(loaded, checked.excursions)])):
            out.print(text, markup=False)
    elif form == "json":
        out.print("[]", markup=False)
    err.print(_summary(loaded, checked), markup=False)
    for line in _unknown(loaded, checked):
        err.print(line, markup=False)


def _unknown(rules: "Sequence[Rule]", checked: "Checked") -> list[str]:
    """Return, for each reason, how many windows have no verdict of which rules, and what would give them one."""
    names = ", ".join(rule.name for rule in rules if rule.held_ms)
    first: dict[str, int] = {}
    for start_ms, why in sorted(checked.unknown.items()):
        first.setdefault(why, start_ms)
    counts = Counter(checked.unknown.values())
    lines = [
        f"no verdict of {names} on {counts[why]:,} of {checked.windows:,} windows, the first at"
        f" {format_rfc3339(start_ms)}: {why}"
        for why, start_ms in first.items()
    ]
    if lines:
        lines.append(
            "Readings are there for as long as partials are (PartialsRetentionDays); a stage with such rules keeps what"
            " they ask for from then on. The same limits with windows in place of minutes need rows alone."
        )
    return lines


def _frame(rules: "Sequence[Rule]", excursions: "Sequence[Excursion]") -> "pd.DataFrame":
    import pandas as pd

    named = {rule.name: rule for rule in rules}
    rows = [_row(named[one.rule], one) for one in excursions]
    frame = pd.DataFrame(rows)
    for name in ("began", "rang", "ended"):
        frame[name] = pd.to_datetime(frame[name], unit="ms", utc=True).astype("datetime64[ms, UTC]")
    return frame


def _row(rule: "Rule", excursion: "Excursion") -> dict[str, object]:
    from windrow.payloads.values import plain_milli
    from windrow.rules.messages import message_of

    return {
        "rule": rule.name,
        "severity": rule.severity.value,
        "sensor_id": excursion.sensor_id,
        "quantity": excursion.quantity.name,
        "unit": excursion.quantity.unit,
        "began": excursion.began_ms,
        "rang": excursion.rang_ms,
        "ended": excursion.ended_ms,
        "state": excursion.state.value,
        "extreme": plain_milli(excursion.extreme_milli),
        "beyond_unit_minutes": round(excursion.beyond_milli_ms / (1_000 * _MINUTE_MS), 3),
        "windows": excursion.windows,
        "message": message_of(rule, excursion),
    }


def _summary(rules: "Sequence[Rule]", checked: "Checked") -> str:
    """Return how often each rule would have rung, those that never did too."""
    counts = Counter(one.rule for one in checked.excursions)
    rang = ", ".join(f"{rule.name} {counts[rule.name]:,}" for rule in rules)
    return f"{checked.windows:,} windows, {checked.rows:,} rows; would have rung: {rang}"
