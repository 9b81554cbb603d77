"""What a stage consists of: the template with its parameters filled in and its conditions decided.

Whoever needs a default, a size or the number of alarms asks here, so that no number of the template is repeated.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from infra import template
from windrow.errors import UsageError

_NO_VALUE = "AWS::NoValue"
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Shape:
    """A stage with some parameters set; the others have the template's defaults."""

    def __init__(self, parameters: Mapping[str, str] | None = None) -> None:
        """Set `parameters`; UsageError names one that the template does not have or does not allow."""
        known = _template()["Parameters"]
        for name, value in (parameters or {}).items():
            _check(name, value, known)
        defaults = {name: str(one.get("Default", "")) for name, one in known.items()}
        self.parameters: Mapping[str, str] = defaults | dict(parameters or {})

    def number(self, parameter: str) -> float:
        """Return the value of a parameter that is a number."""
        return float(self.parameters[parameter])

    def is_true(self, condition: str) -> bool:
        """Decide a condition of the template by its name."""
        return self._decide(_template()["Conditions"][condition])

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the properties of the resources of one type that the stage has, by name, with parameters filled in."""
        return {
            name: self.value(one.get("Properties", {}))
            for name, one in _template()["Resources"].items()
            if one["Type"] == kind and ("Condition" not in one or self.is_true(one["Condition"]))
        }

    def environment(self) -> dict[str, Any]:
        """Return the variables that all functions have."""
        found: dict[str, Any] = self.value(_template()["Globals"]["Function"]["Environment"]["Variables"])
        return found

    def value(self, node: Any) -> Any:  # noqa: PLR0911 - a form of a node each
        """Return a node of the template with parameters filled in and every `Fn::If` decided.

        A reference to a resource is the resource's name; other functions are left as they stand.
        """
        match node:
            case {"Ref": str(name)} if len(node) == 1:
                return self.parameters.get(name, name)
            case {"Fn::If": [str(condition), if_true, if_false]}:
                return self.value(if_true if self.is_true(condition) else if_false)
            case {"Fn::Sub": str(text)}:
                return _VARIABLE.sub(lambda found: self.parameters.get(found[1], found[0]), text)
            case {"Fn::Sub": [str(text), dict(variables)]}:
                known = {name: str(self.value(one)) for name, one in variables.items()}
                return self.value({"Fn::Sub": _VARIABLE.sub(lambda found: known.get(found[1], found[0]), text)})
            case dict():
                values = {key: self.value(one) for key, one in node.items()}
                return {key: one for key, one in values.items() if one != _NO_VALUE}
            case list():
                return [one for one in map(self.value, node) if one != _NO_VALUE]
            case _:
                return node

    def _decide(self, node: Any) -> bool:
        match node:
            case {"Condition": str(name)}:
                return self.is_true(name)
            case {"Fn::Equals": [left, right]}:
                return str(self.value(left)) == str(self.value(right))
            case {"Fn::Not": [one]}:
                return not self._decide(one)
            case {"Fn::And": list(several)}:
                return all(map(self._decide, several))
            case {"Fn::Or": list(several)}:
                return any(map(self._decide, several))
            case _:
                raise ValueError(f"not a condition that can be decided here: {node}")


@cache
def _template() -> dict[str, Any]:
    return template.load()


def _check(name: str, value: str, known: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise UsageError if the template has no such parameter or refuses the value."""
    if name not in known:
        raise UsageError(
            f"{name!r} is not a parameter of the template", hint=f"choose from: {', '.join(sorted(known))}"
        )
    allowed = [str(one) for one in known[name].get("AllowedValues", [])]
    if allowed and value not in allowed:
        raise UsageError(f"{name} cannot be {value!r}", hint=f"choose from: {', '.join(allowed)}")
    if known[name]["Type"] != "Number":
        return
    try:
        number = float(value)
    except ValueError:
        raise UsageError(f"{name} must be a number, not {value!r}") from None
    for bound, is_outside in (
        ("MinValue", number < known[name].get("MinValue", number)),
        ("MaxValue", number > known[name].get("MaxValue", number)),
    ):
        if is_outside:
            raise UsageError(f"{name}={value} is outside its limits", hint=f"{bound} is {known[name][bound]}")
