"""The size of the functions' packages, as Lambda unpacks them."""

import os
from collections.abc import Callable, Iterator

from bench.measure import Finding
from infra import package, wheels
from windrow import settings

# Lambda's own limit is 250 MB for a function.
AT_MOST_MB = {"consumer": 100, "fanout": 100, "dispatcher": 150}


def unzipped() -> Iterator[Finding]:
    """MB of each function for Python 3.13 on arm64."""
    platform = wheels.Platform()
    found = wheels.fetch(platform, cache=settings.home_folder(os.environ) / wheels.CACHE_FOLDER)
    for function in package.FUNCTIONS:
        built = package.build(function, wheels=found, platform=platform)
        name = "package.unzipped" if function.name == "consumer" else f"package.unzipped.{function.name}"
        yield Finding(name=name, ours=built.unzipped_bytes / 1e6, at_most=AT_MOST_MB[function.name], unit="MB")


BENCHES: dict[str, Callable[[], Iterator[Finding]]] = {"package.unzipped": unzipped}
