"""Where the command speaks: results on `out`, progress and everything else on `err`."""

from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)
