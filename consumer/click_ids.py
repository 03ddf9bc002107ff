"""Click ids: the ``fbc`` and ``fbp`` that the browser keeps, and ``fbc`` built from ``fbclid``."""

import re
from collections.abc import Mapping
from typing import Any

from consumer.model import Dropped, DropReason
from consumer.user_data import Found, texts

CLICK_FIELDS = ("clickIds", "clickIds.fbc", "clickIds.fbp", "clickIds.fbclid")


def add_click_ids(found: Found, clicks: Any, fallback_ms: int | None) -> None:
    """``fbc`` and ``fbp`` as received, else ``fbc`` from the click id and the click's time."""
    if not isinstance(clicks, Mapping):
        found.dropped.append(Dropped("clickIds", DropReason.MALFORMED))
        return
    if (value := clicks.get("fbc")) is not None:
        found.add_scalar("fbc", "clickIds.fbc", value, _fbc)
    if (value := clicks.get("fbp")) is not None:
        found.add_scalar("fbp", "clickIds.fbp", value, _fbp)
    if "fbc" in found.data or (value := clicks.get("fbclid")) is None:
        return
    time_ms = _milliseconds(clicks.get("fbclidTime")) or fallback_ms

    def build(text: str) -> str | DropReason:
        if not _FBCLID(text):
            return DropReason.MALFORMED
        # 1 is the subdomain index that Meta documents for a server without the cookie.
        return f"fb.1.{time_ms}.{text}" if time_ms else DropReason.FBCLID_WITHOUT_TIME

    found.add_scalar("fbc", "clickIds.fbclid", value, build)


def _fbc(text: str) -> str | DropReason:
    return text if _FBC(text) else DropReason.MALFORMED  # unchanged: Meta reports modified ones


def _fbp(text: str) -> str | DropReason:
    return text if _FBP(text) else DropReason.MALFORMED


_APPENDIX = r"(?:\.[A-Za-z0-9_-]{2}|\.[A-Za-z0-9_-]{8})?"
_FBC = re.compile(r"fb\.[0-9]+\.[0-9]{10,14}\.[A-Za-z0-9_-]+" + _APPENDIX).fullmatch
_FBP = re.compile(r"fb\.[0-9]+\.[0-9]{10,14}\.[0-9]+" + _APPENDIX).fullmatch
_FBCLID = re.compile(r"[A-Za-z0-9_-]+").fullmatch


def _milliseconds(value: Any) -> int | None:
    """A click's time in milliseconds: what is below 10^11 can only be seconds."""
    text = next(texts(value), None)
    if text is None or not _TIME(text.strip()):
        return None
    number = int(text)
    return number * 1000 if number < 10**11 else number


_TIME = re.compile(r"[1-9][0-9]{8,13}").fullmatch
