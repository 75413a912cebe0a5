"""HTML that is safe by the way it is made: what is no markup is text."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from typing import Any

VOID = ("rect", "line", "circle", "stop", "polyline", "path", "input", "br")
STRAY = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")  # what no page may hold


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(content: object) -> Markup:
    """Return content as HTML: markup as it is, anything else as text."""
    if isinstance(content, Markup):
        return content
    return Markup(html.escape(STRAY.sub("\N{REPLACEMENT CHARACTER}", str(content))))


def element(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element of HTML or SVG.

    Parameters
    ----------
    name : str
        Of the element.
    *children
        Markup, or text, which is escaped.
    **attributes
        Names with "_" for "-", and one at the end of those that are words of Python. None and
        False are left out, True has no value.
    """
    said = ""
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        spelled = key.rstrip("_").replace("_", "-")
        said += f" {spelled}" if value is True else f' {spelled}="{escaped(str(value))}"'
    if name in VOID and not children:
        return Markup(f"<{name}{said}/>" if name != "input" else f"<{name}{said}>")
    return Markup(f"<{name}{said}>{joined(*children)}</{name}>")


def joined(*parts: object) -> Markup:
    """Return parts, one behind the other."""
    return Markup("".join(escaped(part) for part in parts))


def data_element(identity: str, content: Any) -> Markup:
    """Return an element that holds JSON, or a text of letters and digits, for the script.

    What could end the element is written with escapes of JSON.
    """
    if isinstance(content, str):
        assert re.fullmatch(r"[A-Za-z0-9+/=]*", content)  # noqa: S101  # base64 is all that is given
        return Markup(f'<script type="text/plain" id="{identity}">{content}</script>\n')
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(f'<script type="application/json" id="{identity}">{text}</script>\n')


def hash_of(text: str) -> str:
    """Return the hash by which a Content Security Policy knows a script or a style."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def filled(template: str, **parts: str) -> str:
    """Return a template with its parts, in one go: what looks like a place in a part is none."""
    return re.sub(r"@(\w+)@", lambda found: parts[found[1]], template)
