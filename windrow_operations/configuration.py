"""Where a stage is looked for unless an option says otherwise: the environment, then files, then a default.

The files are `windrow.toml` in the working folder, then `windrow/windrow.toml` in `$XDG_CONFIG_HOME`, by default
`~/.config` (XDG Base Directory Specification). Their region and profile are for AWS only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from windrow import settings
from windrow.errors import UsageError
from windrow.likely import suggestion

FILE_NAME = "windrow.toml"
FILE_BYTES_MAX = 64 * 1024
TARGETS = ("embedded", "localstack", "aws")
DEFAULTS = {"target": "embedded", "stage": "dev", "region": None, "profile": None}
"""The names that can be chosen, and what is chosen if nobody does; None leaves it to AWS's own configuration."""
# The first that is set counts. Who names a key in the environment wants it used, so it comes before a file's profile.
_VARIABLES = {
    "target": (settings.TARGET,),
    "stage": (settings.STAGE,),
    "region": (settings.AWS_REGION, settings.AWS_DEFAULT_REGION),
    "profile": (settings.AWS_PROFILE, settings.AWS_ACCESS_KEY_ID),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A value, and who chose it: the name of a variable, the path of a file, or empty for nobody.

    `value` is None where AWS's own configuration decides.
    """

    value: str | None
    source: str


def configured(environment: Mapping[str, str], *, folder: Path) -> dict[str, Choice]:
    """Return each name of DEFAULTS with its choice in `folder`; UsageError names a file that is wrong."""
    files = [(path, read_file(path)) for path in config_files(environment, folder=folder)]
    return {name: _choice(name, environment, files) for name in DEFAULTS}


def config_files(environment: Mapping[str, str], *, folder: Path) -> list[Path]:
    """Return where files are looked for, whether they are there or not; the first one that says something counts."""
    paths = [folder / FILE_NAME]
    base = Path(environment.get("XDG_CONFIG_HOME") or "")
    if not base.is_absolute():  # the specification has others ignored
        home = environment.get("HOME")
        if not home:
            return paths
        base = Path(home, ".config")
    return [*paths, base / "windrow" / FILE_NAME]


def read_file(path: Path) -> dict[str, str]:
    """Return what a file chooses, by name; empty if there is none; UsageError if it is wrong."""
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="mend or remove it") from error
    import tomllib  # noqa: PLC0415 - only where there is a file

    try:
        fields = tomllib.loads(text[:FILE_BYTES_MAX].decode())
    except ValueError as error:  # also of UTF-8
        raise UsageError(f"{path} is not TOML: {error}", hint='write lines such as: target = "aws"') from error
    for name, value in fields.items():
        if name not in DEFAULTS:
            raise UsageError(f"{path}: there is no setting {name!r}", hint=suggestion(name, DEFAULTS))
        if not isinstance(value, str) or not value:
            raise UsageError(f"{path}: {name} is {value!r}", hint=f'write text in quotes: {name} = "..."')
    if fields.get("target", TARGETS[0]) not in TARGETS:
        target = fields["target"]
        raise UsageError(f"{path}: there is no target {target!r}", hint=suggestion(target, TARGETS))
    return fields


def _choice(name: str, environment: Mapping[str, str], files: list[tuple[Path, dict[str, str]]]) -> Choice:
    for variable in _VARIABLES[name]:
        if environment.get(variable):
            return Choice(None if variable == settings.AWS_ACCESS_KEY_ID else environment[variable], variable)
    for path, fields in files:
        if name in fields:
            return Choice(fields[name], str(path))
    return Choice(DEFAULTS[name], "")
