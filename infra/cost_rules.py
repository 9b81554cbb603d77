"""What rules on values add to the bill: what each tick asks of S3 for them, and messages that tell of excursions."""

from collections.abc import Iterator

from infra.cost_traffic import Traffic
from infra.prices import PriceTable
from infra.shape import Shape

MESSAGES_PER_EXCURSION = 2
"""That it rang, and that it cleared; corrections come on top, and a tick puts those of a rule into one."""
MAILS_PER_MESSAGE = 1
"""To one address of its severity."""


def rules(sent: Traffic, shape: Shape, table: PriceTable) -> Iterator[tuple[str, float, str]]:
    """Yield name, dollars a month and basis of each part; none unless the stage has rules.

    Requests are those of a tick while excursions begin and end; one in which nothing changes makes two PUTs less.
    """
    if not shape.is_true("HasRules"):
        return
    lists, gets, puts = (table.figure(f"rules_{kind}") for kind in ("lists", "gets", "puts"))
    dollars = (lists + puts) * table.usd("s3_put_thousand") + gets * table.usd("s3_get_thousand")
    basis = f"{lists:.0f} LIST, {gets:.0f} GET and {puts:.1f} PUT a tick more"
    yield "S3: requests of rules", sent.ticks / 1e3 * dollars, basis
    messages = sent.fleet.excursions * MESSAGES_PER_EXCURSION
    mails = messages * MAILS_PER_MESSAGE
    dollars = messages / 1e6 * table.usd("message_publishes_million") + mails / 1e5 * table.usd(
        "mails_hundred_thousand"
    )
    yield "SNS: messages of rules", dollars, f"{messages:,} messages, each to one mail address"
