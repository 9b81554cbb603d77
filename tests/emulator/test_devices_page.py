"""docs/devices.md, done as a reader does it: from the payload of a device to its first row."""

import os
import re
import subprocess
import sys
from pathlib import Path

from infra import destroy
from infra import stack as stacks
from infra.contracts import contract_to_store
from infra.plan import DeploymentOptions, plan_deployment
from infra.waiting import wait_for
from tests.emulator.by_command import Windrow
from tests.emulator.conftest import ignore
from tests.golden.device_page import PAGE, files
from windrow.aws.clients import Place
from windrow.errors import WindrowError

TEXT = PAGE.read_text()
NAME = "dev"
"""The page's: its program writes to the stream windrow-dev."""
SAMPLES_OF_WINDOW = 30


def shown_after(command: str) -> list[str]:
    """The lines that the page shows below a command, up to the next one."""
    shown = TEXT.split(f"$ {command}\n")[1].split("```")[0]
    return [line for line in re.split(r"^\$ ", shown, flags=re.MULTILINE)[0].splitlines() if line]


def test_the_page_leads_to_the_first_row(place: Place, home: Path, tmp_path: Path) -> None:
    """Its files, its program and its commands; the rows have the columns that it shows, and all samples in them."""
    for name, content in files(TEXT).items():
        (tmp_path / name).write_text(content)
    windrow = Windrow(home, "embedded", NAME)
    contract = contract_to_store(str(tmp_path / "payloads.toml"))
    options = DeploymentOptions(is_scheduled=False, contract=contract)
    stacks.apply(plan_deployment(place, NAME, options), ignore)
    try:
        told = {"AWS_ENDPOINT_URL": str(place.endpoint_url), "AWS_DEFAULT_REGION": place.region}
        told |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        assert all(f"{name}=" in TEXT for name in told)
        for _ in range(2):  # everything twice
            subprocess.run([sys.executable, "device.py"], cwd=tmp_path, env=os.environ | told, check=True)
        wait_for(
            lambda: "missing_value" in windrow("quarantine", "list"),
            seconds_max=60,
            pause_seconds=1,
            complaint=WindrowError("nothing in quarantine"),
        )
        windrow("tick")
        fleet = windrow("query", "fleet").splitlines()
        humid = windrow("query", "fleet", "--quantity", "humidity").splitlines()
    finally:
        destroy.apply(destroy.plan_destruction(place, NAME, deletes_data=True), ignore)
    header, *rows = shown_after("windrow query fleet")
    assert fleet[0].split() == header.split()
    found = [dict(zip(header.split(), re.split(r"  +", row), strict=True)) for row in fleet[1:]]
    assert {row["sensors"] for row in found} == {"1"}
    # A window is rolled two minutes after its end: a quarter of an hour holds one with all its samples. The program's
    # two runs are up to seconds apart.
    assert SAMPLES_OF_WINDOW <= max(int(row["readings"]) for row in found) <= 2 * SAMPLES_OF_WINDOW
    assert {row["conflicts"] for row in found} == {"0"}
    assert rows
    assert humid[0].split() == shown_after("windrow query fleet --quantity humidity")[0].split()
    assert [re.split(r"  +", line)[2:4] for line in humid[1:]] == [[row["sensors"], row["readings"]] for row in found]
