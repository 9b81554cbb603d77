"""Errors that are meant for the person at the terminal: one line, and what to do next."""


class WindrowError(Exception):
    """Something went wrong that the user can act on.

    `message` says in one line what happened and names the culprit; `hint` says what to do. The command
    prints both and exits with `exit_code`.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class PermanentError(WindrowError):
    """A permanent cause: no later try can succeed until somebody changes something.

    Credentials that are missing, incomplete, invalid or expired; a right that is not granted; a stream, a profile or
    a region that does not exist. Whoever tries again on other errors should not do so on this one.
    """


class UsageError(WindrowError):
    """The command was called in a way that makes no sense; exit code 2, as click uses for its own."""

    exit_code = 2
