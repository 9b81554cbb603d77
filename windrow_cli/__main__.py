"""The start of the process, by the script `windrow` or by `python -m windrow_cli`.

Until all that the command needs is imported, Ctrl-C ends the process as it ends any other program: without a traceback.
"""

import signal


def main() -> None:
    """Import the command, run it, and exit with its code."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # not where a shell has told the process to ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from windrow_cli.main import main as run

    run(on_start=lambda: signal.signal(signal.SIGINT, before))


if __name__ == "__main__":
    main()
