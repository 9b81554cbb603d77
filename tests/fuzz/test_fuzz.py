"""A short run of the fuzzer, the same inputs every time; `make fuzz` takes ten minutes and other inputs each time."""

import logging
import random
from collections.abc import Iterator

import pytest

from tests.fuzz import corpus
from tests.fuzz.contracts import ContractFuzzer
from tests.fuzz.harness import Broken, Harness
from tests.fuzz.mutation import Mutator
from tests.unit.stream_records import record
from windrow.wire.json import strict as reading_json

INPUTS = 1_500
CONTRACTS = 60


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def harness(seed: int) -> Harness:
    chance = random.Random(seed)
    return Harness(Mutator(corpus.load(), chance), chance)


def test_the_corpus_is_the_one_on_file() -> None:
    """After a change on purpose: `python -m tests.fuzz.corpus`."""
    assert {name: (corpus.FOLDER / f"{name}.bin").read_bytes() for name in corpus.seeds()} == corpus.seeds()
    assert sum(map(len, corpus.load())) < 50_000


@pytest.mark.parametrize("seed", range(4))
def test_no_mutated_input_breaks_the_handler(seed: int) -> None:
    """Nothing is raised, and what counts is what the strict path says; both kinds of outcome occur."""
    fuzzed = harness(seed)

    for _ in range(INPUTS // 4):
        fuzzed.check(fuzzed.make())

    assert fuzzed.counted > 100
    assert fuzzed.quarantined > 100


def test_every_seed_holds() -> None:
    """As it is, alone."""
    fuzzed = harness(0)

    for body in corpus.load():
        fuzzed.check(fuzzed.event_of([record(body)]))


def test_the_harness_sees_a_reading_that_should_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard that cannot fail guards nothing: with the strict path made stricter, the run breaks."""
    fuzzed = harness(0)
    monkeypatch.setattr("tests.fuzz.harness.parse_reading", refuse_all)

    with pytest.raises(Broken, match="counted"):
        fuzzed.check(fuzzed.event_of([record(corpus.JSON["plain"])]))


def refuse_all(payload: bytes) -> reading_json.Reading:
    raise reading_json.BadReading(reading_json.Reason.NOT_JSON, "no")


def contract_fuzzer(seed: int) -> ContractFuzzer:
    chance = random.Random(seed)
    return ContractFuzzer(Mutator(corpus.load(), chance), chance)


@pytest.mark.slow
def test_no_contract_and_no_payload_breaks_the_readers() -> None:
    """A contract is compiled or refused, and a batch is what its payloads are one by one; all outcomes occur."""
    fuzzed = contract_fuzzer(0)
    for _ in range(CONTRACTS):
        fuzzed.check_one()
    assert min(fuzzed.contracts, fuzzed.refused) > 10
    assert min(fuzzed.readings, fuzzed.refusals) > 200


@pytest.mark.slow
def test_the_contracts_harness_sees_a_reading_that_is_read_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard that cannot fail guards nothing: with a fast reader that rounds down, the run breaks."""
    monkeypatch.setattr("windrow.wire.json.mapped.divide_half_even", lambda numerator, one: numerator // one)
    fuzzed = contract_fuzzer(0)

    def run() -> None:
        for _ in range(CONTRACTS):
            fuzzed.check_one()

    with pytest.raises(Broken, match="read otherwise"):
        run()
