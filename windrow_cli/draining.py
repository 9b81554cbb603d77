"""A progress bar while the consumer processes what was sent."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from windrow_cli.console import progress_bar

if TYPE_CHECKING:
    from windrow.lake.frontier import Frontier
    from windrow.stage import Stage


def wait_with_bar(stage: "Stage", produced: Mapping[str, int]) -> "Frontier":
    """Wait until everything up to `produced` (shard: last sequence number) is in the lake, with a progress bar."""
    from windrow_operations.draining import wait_until_drained

    with progress_bar("draining", total=len(produced), unit="shards") as bar:

        def show(frontier: "Frontier") -> None:
            behind = len(frontier.shards_behind(produced))
            bar.reached(len(produced) - behind, note=f"{frontier.objects:,} objects in the lake")

        return wait_until_drained(stage, produced, on_progress=show)
