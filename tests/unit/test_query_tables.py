"""Both engines see the same tables."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from analytics.tables import TABLES, trino_type_of_glue

TEMPLATE = Path(__file__).parents[2] / "infra" / "template.yaml"


class _Loader(yaml.CSafeLoader):
    """Reads CloudFormation's short forms as their plain values."""


def _plain(loader: yaml.CSafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


_Loader.add_multi_constructor("!", _plain)


@cache
def glue_tables() -> dict[str, Any]:
    """The tables of the template that hold rows, views left out."""
    resources = yaml.load(TEMPLATE.read_text(), _Loader)["Resources"].values()  # noqa: S506 - a SafeLoader
    inputs = [one["Properties"]["TableInput"] for one in resources if one["Type"] == "AWS::Glue::Table"]
    return {one["Name"]: one for one in inputs if one["TableType"] == "EXTERNAL_TABLE"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(glue_tables().keys() - {"aggregates_flink"}))  # Flink runs on AWS alone
def test_glue_declares_the_columns_of_the_local_engine(name: str) -> None:
    """Names, types and order of every column, partition columns included."""
    table = glue_tables()[name]
    declared = table["StorageDescriptor"]["Columns"] + table["PartitionKeys"]
    assert tuple((one["Name"], trino_type_of_glue(one["Type"])) for one in declared) == TABLES[name].columns
