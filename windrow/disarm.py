"""Text from elsewhere, such as a sensor's id or a broken payload, made harmless for a terminal or a spreadsheet."""

import re

# OWASP, "CSV Injection". Spreadsheets of some languages take the full-width forms as well.
_FORMULA = re.compile(r"[=@\t\r\uff1d\uff0b\uff0d\uff20]")
# A sign begins a formula too; but a number, an id such as -12 or Base64 cannot call, link or start anything.
_SIGNED = re.compile(r"[+-](?![0-9A-Za-z+/=._:-]*\Z)")


def for_terminal(text: str, *, kept: str = "") -> str:
    """Return `text` with all that is not printable spelled out as in a Python literal, except the characters `kept`.

    That includes ESC, C0 and C1 controls, and what reverses the direction of text.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in kept else repr(one)[1:-1] for one in text)


def for_spreadsheet(text: str) -> str:
    """Return `text` with an apostrophe before it if a spreadsheet would take it for a formula."""
    return f"'{text}" if _FORMULA.match(text) or _SIGNED.match(text) else text
