"""What the simulation deploys by default is what the template deploys."""

from infra import template
from infra.mapping import NO_LIMIT
from tests.simulation.simulated_mapping import Options
from tests.simulation.world import CONSUMER_TIMEOUT_MS, DISPATCHER_TIMEOUT_MS, FANOUT_TIMEOUT_MS

RESOURCES = template.load()["Resources"]
PARAMETERS = template.load()["Parameters"]


def test_the_simulated_mapping_is_the_templates() -> None:
    """Batch, window, factor, bisect, partial response, retries and age."""
    mapping = RESOURCES["StreamMapping"]["Properties"]
    assert Options() == Options(
        batch_records_max=mapping["BatchSize"],
        window_ms=PARAMETERS["BatchingWindowSeconds"]["Default"] * 1_000,
        parallelization_factor=mapping["ParallelizationFactor"],
        bisects=mapping["BisectBatchOnFunctionError"],
        reports_items=mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"],
        retries_max=mapping["MaximumRetryAttempts"],
        age_ms_max=int(PARAMETERS["GiveUpHours"]["Default"]) * 3_600_000,
    )


NOT_TIMED = {"ApiFunction", "AuditFunction", "BackfillFunction", "ScalingFunction", "UploadsFunction"}
NOT_TIMED |= {"LiveSocketsFunction", "LivePushFunction", "LiveFunction"}
"""They are not simulated, but for those of uploads and live values, which are killed at any request, at any time."""


def test_the_simulated_functions_have_the_templates_time() -> None:
    """A function that is killed at its timeout is killed at this one."""
    timeouts = {
        name: PARAMETERS[RESOURCES[name]["Properties"]["Timeout"]["Ref"]]["Default"] * 1_000
        for name in RESOURCES
        if name.endswith("Function") and name not in NOT_TIMED
    }
    assert timeouts == {
        "ConsumerFunction": CONSUMER_TIMEOUT_MS,
        "FanoutFunction": FANOUT_TIMEOUT_MS,
        "DispatcherFunction": DISPATCHER_TIMEOUT_MS,
    }


def test_no_number_of_failures_gives_a_batch_up() -> None:
    """The age alone decides: attempts come as often as every few seconds, so any number is used up in an outage."""
    assert RESOURCES["StreamMapping"]["Properties"]["MaximumRetryAttempts"] == NO_LIMIT
