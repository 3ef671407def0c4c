"""Elements of HTML. Content is HTML already; attributes are escaped."""

from __future__ import annotations

from html import escape


def element(tag: str, content: str, **attributes: str) -> str:
    """An element around content that is HTML already; attributes are escaped."""
    names = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    inside = "".join(f' {name}="{escape(value)}"' for name, value in names.items())
    return f"<{tag}{inside}>{content}</{tag}>"


def cell(tag: str, content: str, numeric: bool, *, wrap: bool = False, **attributes: str) -> str:
    """A cell of a table; numbers are set flush right, long texts may take several lines."""
    kind = "num" if numeric else "wrap" if wrap else ""
    return element(tag, content, **({"class_": kind} if kind else {}), **attributes)
