"""What AWS IoT Core costs for the messages of a fleet's devices, beside the stage that they go to.

It meters messages, evaluations of a rule and its actions by 5 KB, topic and payload together. The topic is counted in
what is measured for a record with its key.
"""

import math
from collections.abc import Iterator

from infra.cost_traffic import Traffic
from infra.prices import PriceTable
from infra.stream_bill import HOURS_PER_MONTH

METERED_BYTES = 5 * 1024
MINUTES_PER_MONTH = HOURS_PER_MONTH * 60
ACTIONS = 1
"""Of the template's rule: the one that writes to the stream."""


def messages(sent: Traffic, table: PriceTable) -> Iterator[tuple[str, float, str]]:
    """Yield name, dollars a month and basis of each part; none unless the fleet sends messages."""
    if sent.wire != "mqtt":
        return
    metered = sent.records * math.ceil(sent.record_bytes / METERED_BYTES)
    each = sent.fleet.readings_per_message
    basis = f"{metered / 1e6:,.1f} million of 5 KB, each with {each} of a device's readings; none with Basic Ingest"
    yield "IoT Core: messages", metered / 1e6 * table.usd("iot_messages_million"), basis
    dollars = metered / 1e6 * (table.usd("iot_rules_million") + ACTIONS * table.usd("iot_actions_million"))
    yield "IoT Core: rule and action", dollars, f"{metered / 1e6:,.1f} million of 5 KB each"
    minutes = sent.fleet.sensors * MINUTES_PER_MONTH
    basis = f"{minutes / 1e6:,.1f} million minutes: each sensor connected all the time, by itself"
    yield "IoT Core: connections", minutes / 1e6 * table.usd("iot_connection_minutes_million"), basis
