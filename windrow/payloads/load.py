"""A contract from its file: read, checked, and compiled; and the form in which a stage stores it."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from windrow.payloads.contract import Contract, Decoder, FieldTest, Framing, Kind, Template
from windrow.payloads.paths import Path
from windrow.payloads.quantity import FileNumber, flag_of, path_of, quantity_of
from windrow.payloads.readymade import READY_MADE
from windrow.payloads.table import ContractError, Lines, Place, Table
from windrow.payloads.times import EPOCH_UNITS_PER_S, FORMS, TimeForm, Zone
from windrow.payloads.zones import zone_named

KINDS_MAX = 100
QUANTITIES_MAX = 100


def load_contract(text: str, *, name: str = "contract") -> Contract:
    """Compile the TOML of a contract; ContractError names the line in the file `name`, and what is wrong."""
    return _compile(_resolved(_parsed(text, name), Lines(text, name=name)), Lines(text, name=name))


def stored_form(text: str, *, name: str = "contract") -> bytes:
    """Return the contract as a stage stores it: JSON, with ready-made kinds and time zones written out.

    So neither a later version's ready-made kinds nor a function's time zone files change what it means.
    """
    lines = Lines(text, name=name)
    tree = _resolved(_parsed(text, name), lines)
    _compile(tree, lines)
    try:
        return json.dumps(_to_json(_with_zones(tree)), separators=(",", ":")).encode()
    except TypeError as error:
        raise ContractError(f"{name}: a contract holds texts, numbers, arrays and tables: {error}") from error


def load_stored(stored: bytes) -> Contract:
    """Compile the stored form of a contract; ContractError if it is none."""
    try:
        tree = json.loads(stored, object_hook=_from_json)
    except ValueError as error:
        raise ContractError(f"the stored contract is no JSON: {error}") from error
    return _compile(tree, Lines(name="stored contract"))


def _to_json(value: object) -> object:
    """Return JSON in which a decimal keeps its digits."""
    if isinstance(value, dict):
        return {name: _to_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_to_json(one) for one in value]
    return {"decimal": str(value)} if isinstance(value, FileNumber) else value


def _from_json(table: dict[str, Any]) -> object:
    return FileNumber(table["decimal"]) if table.keys() == {"decimal"} else table


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text, parse_float=FileNumber)
    except tomllib.TOMLDecodeError as error:
        raise ContractError(f"{name}: {error}") from error


def _resolved(tree: Mapping[str, Any], lines: Lines) -> dict[str, Any]:
    """Return the tree with each `use` replaced by the kinds that it names, under what its own table says instead."""
    top = dict(tree)
    wholes = top.pop("use", [])
    wholes = [wholes] if isinstance(wholes, str) else wholes
    kinds: list[Any] = []
    framings: list[str] = []
    own = top.get("payload", [])
    if not isinstance(own, list):
        lines.refuse(("payload",), "must be an array of tables: write [[payload]]")
    for index, kind in enumerate(own):
        if isinstance(kind, dict) and "use" in kind:
            used = _ready_made(kind["use"], ("payload", index, "use"), lines)
            framings.append(used.get("framing", "object"))
            kinds += [
                _merged(one, {key: value for key, value in kind.items() if key != "use"}) for one in used["payload"]
            ]
        else:
            kinds.append(kind)
    for whole in wholes if isinstance(wholes, list) else [wholes]:
        used = _ready_made(whole, ("use",), lines)
        framings.append(used.get("framing", "object"))
        kinds += used["payload"]
    if "framing" not in top and framings:
        if len(set(framings)) > 1:
            lines.refuse(("use",), f"needs a framing, because they differ: {', '.join(sorted(set(framings)))}")
        top["framing"] = framings[0]
    return {**top, "payload": kinds}


def _ready_made(name: object, place: Place, lines: Lines) -> dict[str, Any]:
    if not isinstance(name, str) or name not in READY_MADE:
        lines.refuse(place, f"must name a ready-made contract ({', '.join(READY_MADE)}), not {str(name)[:40]!r}")
    return tomllib.loads(READY_MADE[name], parse_float=FileNumber)


def _merged(kind: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ready-made kind with the fields of `over`; of quantities, those that both have are merged alike."""
    merged = {**kind, **over}
    if isinstance(kind.get("quantity"), dict) and isinstance(over.get("quantity"), dict):
        ours, theirs = over["quantity"], kind["quantity"]
        both = {
            name: {**theirs[name], **ours[name]} for name in ours if name in theirs and isinstance(ours[name], dict)
        }
        merged["quantity"] = {**theirs, **ours, **both}
    return merged


def _with_zones(tree: Mapping[str, Any]) -> dict[str, Any]:
    kinds = []
    for kind in tree["payload"]:
        time = kind.get("time")
        if isinstance(time, dict) and isinstance(time.get("zone"), str):
            zone = zone_named(time["zone"])
            table = {"name": zone.name, "offsets_s": list(zone.offsets_s), "changes_s": list(zone.changes_s)}
            kind = {**kind, "time": {**time, "zone": table}}  # noqa: PLW2901 - the same kind, written out
        kinds.append(kind)
    return {**tree, "payload": kinds}


def _compile(tree: object, lines: Lines) -> Contract:
    top = Table(tree, (), lines)
    framing = Framing(top.choose("framing", Framing, default=Framing.OBJECT))
    tables = top.tables("payload")
    top.done()
    if not 1 <= len(tables) <= KINDS_MAX:
        top.refuse("payload", f"comes {len(tables)} times; a contract has 1 to {KINDS_MAX} kinds, each a [[payload]]")
    kinds = tuple(_kind(table, framing) for table in tables)
    units: dict[str, str] = {}
    for table, kind in zip(tables, kinds, strict=True):
        for quantity in kind.quantities:
            if units.setdefault(quantity.name, quantity.unit) != quantity.unit:
                table.refuse(
                    "quantity", f"gives {quantity.name} in {quantity.unit}, another kind in {units[quantity.name]}"
                )
    return Contract(framing, kinds)


def _kind(table: Table, framing: Framing) -> Kind:
    decoder = Decoder(table.choose("decoder", Decoder, default=Decoder.PATHS))
    kind = Kind(
        name=table.take("name", str, default=f"payload {table.place[-1]}"),
        decoder=decoder,
        tests=tuple(_test(test) for test in table.tables("when")),
    )
    if decoder is Decoder.WINDROW and framing not in {Framing.OBJECT, Framing.LINES}:
        table.refuse("decoder", f"windrow reads objects and lines, not framing = {framing.value!r}")
    if decoder is not Decoder.WINDROW:
        quantities = table.table("quantity")
        if not 1 <= len(quantities.names()) <= QUANTITIES_MAX:
            table.refuse("", f"needs 1 to {QUANTITIES_MAX} quantities, each a [payload.quantity.NAME]")
        kind = replace(
            kind, quantities=tuple(quantity_of(quantities.table(name), name, decoder) for name in quantities.names())
        )
    if decoder is Decoder.PATHS:
        time = table.table("time")
        kind = replace(
            kind,
            each=path_of(table, "each") if table.has("each") else None,
            sensor_id=_template(table),
            time=_time(time),
            time_path=path_of(time, "path") if time.has("path") else None,
            sequence=path_of(table, "sequence") if table.has("sequence") else None,
        )
        time.done()
    table.done()
    return kind


def _test(table: Table) -> FieldTest:
    equals = table.take_any("equals")
    if isinstance(equals, bool):
        equals = "true" if equals else "false"
    if equals is not None and not isinstance(equals, str | int):
        table.refuse("equals", "must be a text, a number, true or false")
    test = FieldTest(
        path_of(table, "path"), None if equals is None else str(equals), exists=flag_of(table, "exists", default=True)
    )
    if equals is not None and not test.exists:
        table.refuse("exists", "= false goes without equals")
    table.done()
    return test


def _template(table: Table) -> Template:
    """Return the template of `sensor_id`: a path, or a text with paths in braces."""
    text = table.take("sensor_id", str)
    parts = re.split(r"\{([^{}]*)\}", text) if "{" in text else ["", text, ""]
    if any("{" in part or "}" in part for part in parts[::2]):
        table.refuse("sensor_id", f"{text!r} has a brace without its other one")
    try:
        return Template(tuple(parts[::2]), tuple(Path(part) for part in parts[1::2]))
    except ValueError as error:
        table.refuse("sensor_id", str(error))


def _time(table: Table) -> TimeForm:
    form = table.choose("form", FORMS, default="")
    if form != "arrival" and not table.has("path"):
        table.refuse("", f"needs a path to the time, as form = {form!r}")
    if form == "arrival" and table.has("path"):
        table.refuse("path", 'goes without form = "arrival"')
    pattern = table.take("pattern", str) if table.has("pattern") else None
    zone = table.take_any("zone")
    try:
        return TimeForm(form, pattern, _zone(zone))
    except (ValueError, TypeError, KeyError) as error:
        field = "zone" if zone is not None and form in EPOCH_UNITS_PER_S else ("pattern" if pattern else "form")
        table.refuse(field, str(error))


def _zone(zone: object) -> Zone | None:
    if zone is None or isinstance(zone, str):
        return None if zone is None else zone_named(zone)
    if not isinstance(zone, dict):
        raise ValueError("a zone is a name such as Europe/Berlin")
    return Zone(str(zone["name"]), tuple(map(int, zone["offsets_s"])), tuple(map(int, zone["changes_s"])))
