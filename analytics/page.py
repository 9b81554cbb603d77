"""The dashboard's page as HTML: served with separate files, or exported as a single file that loads nothing.

The page's JavaScript modules import each other by names such as `windrow/charts`. An import map resolves these to URLs
on the server, or, in an exported file, to data URLs.
"""

import base64
import hashlib
import html
import json
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any
from urllib.parse import urlsplit

from windrow.quantities import TEMPERATURE, Quantity

MODULES = ("app", "charts", "excursions", "format", "heatmap", "panels", "pushed", "range", "sign_in", "source")
VENDORED = ("uPlot.iife.min.js", "uPlot.min.css")
FILES = (*(f"{name}.js" for name in MODULES), "style.css", *(f"vendor/{name}" for name in VENDORED))

MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}

_HEAD, _END = "<!-- head -->", "<!-- end -->"
# An exported file may load nothing, not even from its own folder.
_EXPORT_POLICY = "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data:"


def text_of(name: str) -> str:
    """Return the content of one of the page's files."""
    return _folder().joinpath(*name.split("/")).read_text("utf-8")


def served_page(quantity: Quantity = TEMPERATURE) -> str:
    """Return the page about `quantity` that loads its files from its own server."""
    head = f"""<script type="importmap">{_served_import_map()}</script>
<link rel="stylesheet" href="static/vendor/uPlot.min.css">
<link rel="stylesheet" href="static/style.css">
{"".join(f'<link rel="modulepreload" href="static/{name}.js">' for name in MODULES)}
<script src="static/vendor/uPlot.iife.min.js" defer></script>
<script src="static/app.js" type="module"></script>"""
    return _about(quantity).replace(_HEAD, head).replace(_END, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """Where users of a hosted page sign in: the origin of the hosted sign-in, and what the page is to it."""

    authority: str
    client: str


def hosted_page(sign_in: SignIn, *, socket_url: str = "") -> str:
    """Return the page for a bucket: it signs in at `sign_in`, and has its policy in itself, which knows its digests.

    It hears live values at `socket_url`, if the stage pushes them.
    """
    connect = ["'self'", sign_in.authority, *([origin_of(socket_url)] if socket_url else [])]
    policy = "; ".join(_policy(connect=" ".join(connect)))
    said = f'data-authority="{html.escape(sign_in.authority)}" data-client="{html.escape(sign_in.client)}"'
    if socket_url:
        said += f' data-socket="{html.escape(socket_url)}"'
    page = served_page().replace('<html lang="en">', f'<html lang="en" {said}>', 1)
    return page.replace("<head>", f'<head>\n<meta http-equiv="Content-Security-Policy" content="{policy}">', 1)


def origin_of(url: str) -> str:
    """Return the scheme, the host and the port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def served_policy() -> str:
    """Return the Content-Security-Policy of the served page: only its own files and its inline import map."""
    return "; ".join([*_policy(connect="'self'"), "frame-ancestors 'none'"])


def _policy(*, connect: str) -> list[str]:
    """Return the directives of a page that may ask `connect`. A page's own policy cannot say who may frame it."""
    digest = base64.b64encode(hashlib.sha256(_served_import_map().encode()).digest()).decode()
    return [
        "default-src 'none'",
        f"script-src 'self' 'sha256-{digest}'",
        "style-src 'self'",
        f"connect-src {connect}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def page_headers() -> dict[str, str]:
    """Return the headers that the served page comes with."""
    return {
        "Content-Security-Policy": served_policy(),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }


def exported_page(answers: dict[str, Any], quantity: Quantity = TEMPERATURE) -> str:
    """Return the page about `quantity` with its files and `answers` (as analytics.export makes them) inline."""
    urls = {f"windrow/{name}": _data_url(text_of(f"{name}.js")) for name in MODULES}
    imports = json.dumps({"imports": urls})
    head = f"""<meta http-equiv="Content-Security-Policy" content="{_EXPORT_POLICY}">
<style>{text_of("vendor/uPlot.min.css")}</style>
<style>{text_of("style.css")}</style>
<script type="importmap">{imports}</script>
<script>{text_of("vendor/uPlot.iife.min.js")}</script>"""
    # "<" is escaped, so that nothing in the JSON can end the script element.
    data = json.dumps(answers, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    end = f"""<script type="application/json" id="exported">{data}</script>
<script type="module">import "windrow/app";</script>"""
    before, _, rest = _about(quantity).partition(_HEAD)
    middle, _, after = rest.partition(_END)
    return "".join([before, head, middle, end, after])


def _about(quantity: Quantity) -> str:
    """Return the page's HTML, in which the scripts find the quantity and the unit to write behind values."""
    if quantity == TEMPERATURE:
        return text_of("index.html")
    said = f'data-quantity="{html.escape(quantity.name)}" data-unit="{html.escape(quantity.unit)}"'
    return text_of("index.html").replace('<html lang="en">', f'<html lang="en" {said}>', 1)


def _served_import_map() -> str:
    return json.dumps({"imports": {f"windrow/{name}": f"./static/{name}.js" for name in MODULES}})


def _data_url(script: str) -> str:
    return f"data:text/javascript;base64,{base64.b64encode(script.encode()).decode()}"


def _folder() -> Traversable:
    return resources.files("analytics").joinpath("static")
