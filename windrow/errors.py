"""Errors for the person at the terminal: one line, and what to do next."""


class WindrowError(Exception):
    """An error that the user can act on.

    `message` says in one line what happened and names the culprit; `hint` says what to do. The command prints both and
    exits with `exit_code`.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class PermanentError(WindrowError):
    """An error with a permanent cause: retrying is useless until somebody changes something.

    Credentials that are missing, incomplete, invalid or expired; a permission that is not granted; a stream, a profile
    or a region that does not exist. Code that retries on other errors should not retry on this one.
    """


class NotFound(WindrowError):  # noqa: N818 - the domain's noun
    """Something that is asked for by its name, and is not there."""


class UsageError(WindrowError):
    """A command line that makes no sense; exit code 2, as for click's own usage errors."""

    exit_code = 2
