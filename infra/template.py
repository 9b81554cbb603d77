"""The template as a value: ``template.yaml`` with its intrinsic functions in their long form."""

import copy
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from windrow.errors import WindrowError

PATH = Path(__file__).with_name("template.yaml")
# The largest template that CloudFormation reads from a bucket ("CloudFormation quotas").
BYTES_MAX = 1_000_000


@cache
def text() -> str:
    """Return the template as it is uploaded; WindrowError if it is too large for CloudFormation."""
    body = PATH.read_text()
    if len(body.encode()) > BYTES_MAX:
        raise WindrowError(f"{PATH.name} is larger than the {BYTES_MAX:,} bytes that CloudFormation accepts")
    return body


def with_defaults(body: str, values: Mapping[str, str]) -> str:
    """Return a template's text in which parameters that are empty by default have these values instead.

    For a place whose SAM transform is not told what the parameters are. KeyError for one that has another default.
    """
    for name, value in values.items():
        empty = f'  {name}:\n    Type: String\n    Default: ""\n'
        if body.count(empty) != 1:
            raise KeyError(name)
        body = body.replace(empty, empty.replace('""', json.dumps(value)))
    return body


def with_condition(body: str, condition: str, *, is_met: bool) -> str:
    """Return a template's text in which `condition` is decided: nothing refers to it, and what it excludes is gone.

    For a place that cannot change a stack whose resources come or go with a condition, and can if they come or go with
    the template. ``!If`` must stand in one line and choose between words. Of other conditions, those that follow from
    this one stay true to it. ValueError if anything still refers to it.
    """
    blocks = re.split(r"(?m)^(?=  \S)", body)
    mark = f"    Condition: {condition}\n"
    kept = [block.replace(mark, "") for block in blocks if is_met or mark not in block]
    choice = re.compile(rf'!If \[{condition}, ([\w! .:"]+), ([\w! .:"]+)\]')
    decided = choice.sub(r"\1" if is_met else r"\2", "".join(kept))
    if re.search(rf"!If\s*\[?\s*(- )?{condition}\b|Condition: {condition}\b", decided):
        raise ValueError(f"{condition} is used in a form that cannot be decided in the text")
    return decided


def load() -> dict[str, Any]:
    """Return the parsed template: ``!Ref X`` is ``{"Ref": "X"}``, ``!Sub X`` is ``{"Fn::Sub": "X"}``, and so on.

    The caller may change it. It is parsed once: parsing takes a third of a second, copying a hundredth.
    """
    return copy.deepcopy(_parsed())


@cache
def _parsed() -> dict[str, Any]:
    return parse(text())


def parse(body: str) -> dict[str, Any]:
    """Return the parsed text of a template; see load."""
    parsed: dict[str, Any] = yaml.load(body, Loader=_Loader)  # noqa: S506 - a SafeLoader
    return parsed


@cache
def parameters() -> Mapping[str, Mapping[str, Any]]:
    """Return the template's parameters by name."""
    declared: dict[str, dict[str, Any]] = _parsed()["Parameters"]
    return MappingProxyType({name: MappingProxyType(one) for name, one in declared.items()})


def parameter_names() -> frozenset[str]:
    """Return the names of the template's parameters."""
    return frozenset(parameters())


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # ten times faster where it is
    pass


def _intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _intrinsic)
