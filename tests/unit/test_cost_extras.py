"""What rules, tokens of gateways, backfills and the scaling cost: worked out by hand, and counted where they act."""

import re

import pytest

from infra import cost_backfill, cost_scaling
from infra.cost import Cost, cost
from infra.cost_traffic import Fleet
from infra.prices import price_table
from infra.scaling_metrics import read_loads
from infra.shape import Shape
from processors.backfill_plan import PART_BYTES_MAX
from windrow.errors import UsageError
from windrow_operations.gateways import TOKEN_HOURS

TABLE = price_table()
TICKS = 8_760
RULES = {"ValueRules": "0" * 64}
OF_EXTRAS = {
    *("S3: requests of rules", "SNS: messages of rules", "Cognito: gateways", "API: uploads by token"),
    *("Step Functions: backfill", "Lambda: backfill", "S3: requests of backfill"),
    *("Lambda: scaling", "CloudWatch: metrics read"),
}


def of(wire: str = "json", *, shape: dict[str, str], **fleet: object) -> Cost:
    """The cost of a fleet of 1,000 sensors that does more, at a stage with some parameters set."""
    return cost(Fleet(**({"sensors": 1_000, "interval_seconds": 10} | fleet)), wire, Shape(shape), TABLE)  # type: ignore[arg-type]


def test_nobody_pays_for_what_a_stage_does_not_have() -> None:
    """Whatever the fleet does; gateways without the API are refused, because they could not upload."""
    found = of(shape={}, excursions=300, backfill_gb=10.0)
    assert OF_EXTRAS.isdisjoint(part.name for part in found.parts)
    with pytest.raises(UsageError, match="no tokens to gateways"):
        of(shape={"Web": "on"}, by_token=True)


def test_rules_cost_requests_at_each_tick_and_two_mails_an_excursion() -> None:
    """The metric of failures beside it, and its alarm."""
    found = of(shape=RULES, excursions=50_000)
    asked = 1 * 0.005 + 2.2 * 0.005 + 27 * 0.0004
    assert found.dollars("S3: requests of rules") == pytest.approx(TICKS / 1e3 * asked)
    assert found.dollars("SNS: messages of rules") == pytest.approx(0.1 * 0.5 + 2.0)
    assert found.dollars("CloudWatch: metrics") - of(shape={}).dollars("CloudWatch: metrics") == pytest.approx(0.30)


def test_gateways_by_token_are_clients_who_ask_once_a_day() -> None:
    """By the hours that a token lives; and each object is a question to the API."""
    assert TOKEN_HOURS == 24
    shape = {"Web": "on", "Uploads": "bucket"}
    found = of("uploads", shape=shape, by_token=True, gateways=7)
    assert found.dollars("Cognito: gateways") == pytest.approx(7 * 6.0 + 7 * 730 / 24 / 1e3 * 2.25)
    objects = 7 * 12 * 730
    function = 0.1 * float(Shape(shape).resources("AWS::Serverless::Function")["ApiFunction"]["MemorySize"]) / 1024
    each = (1.0 + 0.2) / 1e6 + function * 0.0000133334 + 700e-9 * 0.50
    assert found.dollars("API: uploads by token") == pytest.approx(objects * each)
    assert of("uploads", shape=shape).dollars("Cognito: gateways") == 0


def test_a_backfill_takes_two_steps_a_part() -> None:
    """100 MiB are seven parts."""
    found = of(shape={"Backfill": "on"}, backfill_gb=100 * 2**20 / 1e9)
    assert found.dollars("Step Functions: backfill") == pytest.approx((2 * 7 + 8) * 0.025 / 1e3)
    assert found.dollars("S3: requests of backfill") == pytest.approx((7 * 14 * 0.005 + 14 * 0.0004) / 1e3)
    assert of(shape={"Backfill": "on"}).total == pytest.approx(of(shape={}).total)
    assert cost_backfill.PART_BYTES == PART_BYTES_MAX


def test_the_steps_of_a_backfill_are_those_of_its_machine() -> None:
    """One way through it with one tick: each state once, and the choice after the tick again."""
    (machine,) = Shape({"Backfill": "on"}).resources("AWS::StepFunctions::StateMachine").values()
    states = machine["Definition"]["States"]
    assert states.keys() == {"Plan", "Parts", "Look", "Waits", "Roll", "Ends", "Whole", "NotWhole"}
    assert len(states.keys() - {"NotWhole"}) + 1 == cost_backfill.STEPS
    assert len(states["Parts"]["ItemProcessor"]["States"]) + 1 == cost_backfill.STEPS_PER_PART


def test_scaling_runs_as_often_and_reads_as_many_metrics_as_is_paid_for() -> None:
    """By its schedule in the template, and by the request that it makes."""
    shape = Shape({"Scaling": "auto"})
    (event,) = shape.resources("AWS::Serverless::Function")["ScalingFunction"]["Events"].values()
    begin, step = map(int, re.findall(r"\d+", event["Properties"]["Schedule"]))
    assert len(range(begin, 60, step)) == cost_scaling.RUNS_PER_HOUR
    asked: list[int] = []

    class CloudWatch:
        """Counts what is asked for, and knows nothing."""

        def get_metric_data(self, **request: list[object]) -> dict[str, list[object]]:
            asked.append(len(request["MetricDataQueries"]))
            return {"MetricDataResults": []}

    read_loads(CloudWatch(), "readings", now_ms=1_763_596_800_000)
    assert asked == [cost_scaling.METRICS_READ]
    found = of(shape={"Scaling": "auto"})
    assert found.dollars("CloudWatch: metrics read") == pytest.approx(TICKS * 4 / 1e3 * 0.01)
    assert found.dollars("Lambda: scaling") == pytest.approx(TICKS * (0.5 * 0.5 * 0.0000133334 + 0.2e-6))
    assert of(shape={"Scaling": "auto", "ScheduleState": "DISABLED"}).dollars("Lambda: scaling") == 0
