"""`windrow deploy --payloads`: checked before anything happens, stored by its digest, named by the functions."""

import json
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from infra import contracts, stack
from infra.contracts import contract_to_store
from infra.plan import DeploymentOptions, parse_parameters, plan_deployment
from tests.unit.simulated_aws import SimulatedAws, answering
from tests.unit.test_deploy_aws import plan
from tests.unit.test_stack_operations import deployed, ignore
from windrow.aws.clients import EMBEDDED, Place
from windrow.errors import UsageError, WindrowError
from windrow.lake.by_digest import digest_of
from windrow.lake.layout import CONTRACT_SINCE
from windrow.payloads.load import stored_form
from windrow.payloads.readymade import READY_MADE
from windrow.payloads.table import ContractError
from windrow.timestamps import parse_rfc3339_ms
from windrow_cli.main import windrow

PLACE = Place(EMBEDDED, "http://127.0.0.1:1", "us-east-1")
TELEGRAF = stored_form('use = "telegraf"')


def test_a_file_or_a_ready_made_one_becomes_what_a_stage_stores(tmp_path: Path) -> None:
    """The name of a ready-made contract is that contract; windrow is the default form, and nothing to store."""
    file = tmp_path / "payloads.toml"
    file.write_text('use = "telegraf"')
    assert contract_to_store(str(file)) == contract_to_store("telegraf") == TELEGRAF
    assert contract_to_store("windrow") == b""
    assert all(contract_to_store(name) for name in READY_MADE if name != "windrow")


def test_what_cannot_be_used_is_refused_with_its_line(tmp_path: Path) -> None:
    """Before any request: nothing answers at this place."""
    file = tmp_path / "payloads.toml"
    file.write_text('[[payload]]\nsensor_id = "id"\ntime = { form = "arrival" }\n\n[payload.quantity.x]\nunti = "%"\n')
    environment = {"WINDROW_TARGET": "localstack", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    result = CliRunner().invoke(windrow, ["deploy", "--payloads", str(file), "--dry-run"], env=environment)
    assert result.exit_code == 1
    assert isinstance(result.exception, ContractError)
    assert "payloads.toml, line 5: payload[0].quantity.x needs unit" in str(result.exception)
    with pytest.raises(UsageError, match="cannot be read"):
        contract_to_store(str(tmp_path / "none.toml"))
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        contract_to_store(str(file))
    file.write_bytes(b"#" * 300_000)
    with pytest.raises(UsageError, match="300,000 bytes"):
        contract_to_store(str(file))


@pytest.mark.slow
def test_the_plan_names_the_contract_by_its_digest() -> None:
    """None keeps the stage's; empty goes back to the default form; and --set does not name it past its check."""
    plans = [plan_deployment(PLACE, "test", DeploymentOptions(contract=one)) for one in (None, b"", TELEGRAF)]
    named = [one.parameters.get(contracts.PARAMETER) for one in plans]
    assert named == [None, "", digest_of(TELEGRAF)]
    assert f"set PayloadContract = {digest_of(TELEGRAF)}" in plans[-1].lines()
    with pytest.raises(UsageError, match="not a parameter you can set"):
        parse_parameters((f"PayloadContract={'0' * 64}",))


@pytest.mark.parametrize("is_new", [True, False])
def test_the_contract_is_in_the_lake_before_functions_name_it(*, is_new: bool) -> None:
    """A stage that exists has it before its stack changes; a new one as soon as it has a lake."""
    aws = SimulatedAws() if is_new else deployed()
    base = plan()
    base.parameters[contracts.PARAMETER] = digest_of(TELEGRAF)
    with answering(aws):
        prepared = stack.prepare(replace(base, contract=TELEGRAF), ignore)
        aws.calls.clear()
        stack.execute(prepared, ignore)
    puts = [at for at, call in enumerate(aws.calls) if call == "put_object"]
    changed = aws.calls.index("execute_change_set")
    assert [at < changed for at in puts] == ([False, False] if is_new else [True, False, False])
    digest, since_ms = _since(aws)
    assert (digest, since_ms == 0) == (digest_of(TELEGRAF), is_new)


def _since(aws: SimulatedAws) -> tuple[str, int]:
    """Which contract is in force, and since when."""
    fields = json.loads(aws.objects[CONTRACT_SINCE])
    return fields["digest"], parse_rfc3339_ms(fields["since"])


@pytest.mark.parametrize("fails", [False, True])
def test_since_when_a_contract_is_in_force_is_written_down_when_it_changes(*, fails: bool) -> None:
    """After the change, for functions read under the one before until then; after one that was undone, too."""
    began_ms = time.time_ns() // 1_000_000
    aws, base = deployed(), plan()
    aws.parameters[contracts.PARAMETER] = "0" * 64
    aws.failing = {"ConsumerFunction"} if fails else set()
    base.parameters[contracts.PARAMETER] = digest_of(TELEGRAF)
    with answering(aws), pytest.raises(WindrowError) if fails else nullcontext():
        stack.execute(stack.prepare(replace(base, contract=TELEGRAF), ignore), ignore)
    digest, since_ms = _since(aws)
    assert digest == ("0" * 64 if fails else digest_of(TELEGRAF))
    assert began_ms <= since_ms <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("contract", [None, TELEGRAF])
def test_a_deployment_that_leaves_the_contract_does_not_touch_it(contract: bytes | None) -> None:
    """Whether it names the same one again or none, an audit goes on to compare what came before."""
    aws, base = deployed(), plan()
    aws.parameters[contracts.PARAMETER] = digest_of(TELEGRAF)
    if contract:
        base.parameters[contracts.PARAMETER] = digest_of(contract)
    with answering(aws):
        stack.execute(stack.prepare(replace(base, contract=contract), ignore), ignore)
    assert CONTRACT_SINCE not in aws.objects
