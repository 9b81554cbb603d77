"""A file that is given with a deployment, as text: the payload contract, or the rules on values."""

from pathlib import Path

from windrow.errors import UsageError

FILE_BYTES_MAX = 262_144


def text_of(choice: str, what: str, *, hint: str) -> str:
    """Return the text of the file `choice`; UsageError says of `what` that it cannot be read, or is too long."""
    try:
        body = Path(choice).read_bytes()
        if len(body) > FILE_BYTES_MAX:
            raise UsageError(f"{choice} has {len(body):,} bytes, more than {FILE_BYTES_MAX:,}", hint=hint)
        return body.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the {what} {choice} cannot be read: {error}", hint=hint) from error
