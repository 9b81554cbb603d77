"""`windrow rules check`: what rules on values would have said about the rows that there are."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from windrow.errors import WindrowError
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
    docs/rules.md says how rules are written. Those that count minutes are not tried: rows do not say for how long a
    value held. Exit code 1 if the file is wrong, or there are no rows.

    \b
    windrow rules check rules.toml
    windrow rules check rules.toml --from -7d --format json
    """
    from analytics.engine import engine_of
    from analytics.rules import check_rules
    from windrow.aws.clients import readable_errors
    from windrow.rules.load import load_rules
    from windrow.timerange import parse_range
    from windrow_cli.formats import TEXTS

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WindrowError(f"{file} cannot be read: {error}") from error
    every_rule = load_rules(text, name=str(file))
    loaded = tuple(rule for rule in every_rule if not rule.held_ms)
    if not loaded:
        raise WindrowError(
            f"{file} is right, but there is nothing to try: each of its rules counts minutes, which rows do not tell",
            hint='try the same limits with statistic = "max" or "min" and windows in place of minutes',
        )
    time_range = parse_range(start, end, now_ms=clock_ms(), length_ms=_DEFAULT_LENGTH_MS)
    stage = open_stage(stage_name)
    with readable_errors(stage.place), err.status("reading rows"):
        checked = check_rules(engine_of(stage, home=home_folder()), loaded, time_range)
    if not checked.rows:
        raise WindrowError(f"no rows from {time_range}", hint="give a range that has some: --from -7d")
    if checked.excursions:
        for text in TEXTS[form](iter([_frame(loaded, checked.excursions)])):
            out.print(text, markup=False)
    elif form == "json":
        out.print("[]", markup=False)
    err.print(_summary(loaded, checked), markup=False)
    if not_tried := [rule.name for rule in every_rule if rule.held_ms]:
        err.print(f"not tried, because they count minutes: {', '.join(not_tried)}", markup=False)


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
