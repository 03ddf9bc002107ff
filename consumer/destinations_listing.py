"""Found pixels → JSON for programs, a table for people, or a destinations file. Pure.

Names come from Meta, and whoever named a pixel might steer a terminal: only what can be printed is
shown of them.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from io import StringIO
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from consumer.finding import printable
from consumer.found_pixels import Found, FoundPixel, Gap, in_order

NAME_CHARACTERS_MAX = 255
WIDTH_MIN = 80
"""In which the longest id, the status and a time have their place beside the rest."""
_UNKNOWN = "-"


def json_listing(found: Found) -> str:
    """``{"destinations": […], "gaps": […]}``; what Meta does not tell is left out."""
    answer = {
        "destinations": [_pixel(pixel) for pixel in in_order(found.pixels)],
        "gaps": [_gap(gap) for gap in found.gaps],
    }
    return orjson.dumps(answer, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def text_listing(found: Found, *, width: int, colour: bool) -> str:
    """A line for each pixel, and below the table a sentence for each gap.

    ``width`` is that of the terminal; below ``WIDTH_MIN`` it wraps the lines itself.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("id", no_wrap=True)
    table.add_column("name", overflow="fold")
    table.add_column("status", no_wrap=True)
    table.add_column("ad account", overflow="fold")
    table.add_column("last fired", no_wrap=True)
    for pixel in in_order(found.pixels):
        status = _status(pixel)
        table.add_row(
            pixel.id,
            Text(_name(pixel) or _UNKNOWN),
            Text(status or _UNKNOWN, style="red" if status == "inactive" else ""),
            ", ".join(pixel.ad_accounts) or _UNKNOWN,
            f"{pixel.last_fired:%Y-%m-%d %H:%M} UTC" if pixel.last_fired else _UNKNOWN,
        )
    out = StringIO()
    console = Console(
        file=out,
        width=max(width, WIDTH_MIN),
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
    )
    if found.pixels:
        console.print(table)
    if found.pixels and found.gaps:
        console.print()
    for gap in found.gaps:
        console.print(Text(f"{gap.token}: {gap.told}", style="yellow"))
    return out.getvalue()


def destinations_yaml(found: Found) -> str:
    """A destinations file of the pixels that can be used, without any token in it.

    Empty when there is none.
    """
    usable = [pixel for pixel in in_order(found.pixels) if pixel.is_active is not False]
    if not usable:
        return ""
    lines = [_HEAD, *(line for pixel in usable for line in _entry(pixel))]
    for pixel in in_order(found.pixels):
        if pixel.is_active is False:
            lines.append(f"# Meta says that pixel {pixel.id} is not available: {_about(pixel)}")
    return "\n".join([*lines, ""])


def _pixel(pixel: FoundPixel) -> dict[str, Any]:
    told = {
        "id": pixel.id,
        "name": _name(pixel),
        "status": _status(pixel),
        "adAccountId": pixel.ad_accounts[0] if pixel.ad_accounts else None,
        "adAccountIds": list(pixel.ad_accounts),
        "lastFired": _iso(pixel.last_fired) if pixel.last_fired else None,
    }
    return {key: value for key, value in told.items() if value is not None}


def _gap(gap: Gap) -> dict[str, Any]:
    told = {
        "token": gap.token,
        "asked": gap.asked,
        "missing": gap.missing,
        "code": gap.code,
        "told": gap.told,
    }
    return {key: value for key, value in told.items() if value is not None}


def _status(pixel: FoundPixel) -> str | None:
    if pixel.is_active is None:
        return None
    return "active" if pixel.is_active else "inactive"


def _name(pixel: FoundPixel) -> str | None:
    name = printable(pixel.name or "").strip()[:NAME_CHARACTERS_MAX].strip()
    return name or None


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _entry(pixel: FoundPixel) -> Iterator[str]:
    yield f'- id: "{pixel.id}"'
    if (name := _name(pixel)) is not None:
        # A JSON text of what can be printed is also one of YAML's.
        yield f"  name: {json.dumps(name, ensure_ascii=False)}"
    yield f"  # {_about(pixel)}"
    yield f"  # accessTokenFile: tokens/{pixel.id}"
    yield "  # actionSource: website"
    yield "  # defaultCountry: us"
    yield ""


def _about(pixel: FoundPixel) -> str:
    accounts = ", ".join(pixel.ad_accounts)
    where = f"in ad account {accounts}" if accounts else "in no ad account that was seen"
    fired = f"last fired {_iso(pixel.last_fired)}" if pixel.last_fired else "not seen firing"
    return f"{where}, {fired}"


_HEAD = """\
# The pixels that were found, those in use first. Each entry is a destination: delete those that no
# event should reach.
#
# Fill in, where it applies, the lines that are commented out:
#   accessTokenFile  a file that holds the token, relative to this file's folder; without it
#                    CONVERSIONS_ACCESS_TOKEN is used. A token never stands in here.
#   actionSource     of events that name none
#   defaultCountry   of national phone numbers
"""
