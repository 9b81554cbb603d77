"""Read dashboards into Grafana's own model and write them back; run by a Python that has it.

python grafana_model.py FILE...     prints a line a file: the dashboard as Grafana's model has it

This module imports nothing of windrow.
"""

import json
import sys
from pathlib import Path


def main(paths: list[str]) -> None:
    """Print each dashboard."""
    from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: PLC0415 - the test, which names this file, has none
    from grafana_foundation_sdk.cog.plugins import register_default_plugins  # noqa: PLC0415
    from grafana_foundation_sdk.models.dashboard import Dashboard  # noqa: PLC0415

    register_default_plugins()
    for path in paths:
        read = Dashboard.from_json(json.loads(Path(path).read_text("utf-8")))
        sys.stdout.write(json.dumps(json.loads(JSONEncoder().encode(read))) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
