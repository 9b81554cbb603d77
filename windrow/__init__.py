"""The words every stage shares, in modules and packages below; and the names that a program using windrow imports.

    from windrow import Producer, connect

    with Producer.to_stream("windrow-dev") as producer:
        producer.put("roof", 21.4)
    frame = connect("dev").fleet("-2h")

Those names are loaded on first use: importing windrow itself loads nothing, not even `typing`, because every function
pays for it at its cold start. Type checkers find them in `__init__.pyi`.
"""

_HOMES = {
    "BadReading": "windrow.reading",
    "PermanentError": "windrow.errors",
    "Producer": "producers",
    "Quantity": "windrow.quantities",
    "Reading": "windrow.reading",
    "Readings": "windrow.reading",
    "SpoolFull": "producers",
    "Windrow": "analytics.library",
    "WindrowError": "windrow.errors",
    "Wire": "producers",
    "connect": "windrow_operations.connecting",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    """Import the home of one of the names above; AttributeError for any other name."""
    if name not in _HOMES:
        raise AttributeError(f"module 'windrow' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - see above: importing windrow loads nothing

    try:
        home = import_module(_HOMES[name])
    except ModuleNotFoundError as error:
        if error.name != _HOMES[name].partition(".")[0]:
            raise
        from windrow.installation import missing_here  # noqa: PLC0415 - see above

        raise missing_here(name) from error
    return getattr(home, name)
