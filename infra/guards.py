"""The alarms of a stage that guard a deployment: if one rings meanwhile, CloudFormation goes back by itself.

CloudFormation takes at most five, every one must exist, and one that rings already makes it go back at once ("Roll back
your CloudFormation stack on alarm breach"). So a first deployment has none, and whoever deploys the cure of an alarm is
not kept from it by that alarm.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from windrow.aws.clients import Place, client
from windrow.deployment import stack_name

TRIGGERS_MAX = 5
WATCH_MINUTES = 10
"""How long CloudFormation watches them after everything is deployed, unless it is said otherwise."""
WATCH_MINUTES_MAX = 180
GUARDS = (
    "records-dropped",  # the only alarm after which readings can be lost
    "consumer-fails",
    "processor-fails",  # only in the mode fanout
    "dispatcher-fails",
    "consumer-is-behind",  # what the other function alarms do not see: it runs, but too slowly
)
"""The alarms that a bad release sets off within ten minutes; those of the fleet, such as silence, do not tell of it."""
_OF_FANOUT = frozenset({"processor-fails"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """The ARNs of the alarms that guard a deployment, and the names of those that cannot because they ring already."""

    triggers: tuple[str, ...] = ()
    ringing: tuple[str, ...] = ()


NO_GUARDS = Guards()


def find_guards(place: Place, stage: str, parameters: Mapping[str, str]) -> Guards:
    """Return what can guard a deployment that leaves the stage with these parameters; alarms that it removes cannot."""
    if parameters.get("Operations") == "none":
        return NO_GUARDS
    left_out = frozenset() if parameters.get("ProcessingMode") == "fanout" else _OF_FANOUT
    names = [f"{stack_name(stage)}-{guard}" for guard in GUARDS if guard not in left_out]
    found = client("cloudwatch", place).describe_alarms(AlarmNames=names, AlarmTypes=["MetricAlarm"])["MetricAlarms"]
    return Guards(
        triggers=tuple(sorted(alarm["AlarmArn"] for alarm in found if alarm["StateValue"] != "ALARM")),
        ringing=tuple(sorted(alarm["AlarmName"] for alarm in found if alarm["StateValue"] == "ALARM")),
    )
