"""One page of a list of Graph's → its items, and what to ask for next, or what is in the way. Pure.

A page names the next one by a cursor, or by a whole URL with the token in it. The URL is never
called: what it asks for is asked of the configured address, or not at all, so that no page can
send the token anywhere else.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlsplit

from consumer.graph_answers import Item, Obstacle, Trouble

LIMITS = (100, 25)
"""Items of a page to ask for; less when Meta finds it too much data."""
PAGES_MAX = 200
"""Pages that are read of one list."""


class Question(NamedTuple):
    """One GET: ``path`` is behind the version, ``parameters`` go into the query."""

    path: str
    parameters: Mapping[str, str]


class Page(NamedTuple):
    """Items of a list. ``next`` is None after the last page."""

    items: tuple[Item, ...]
    next: Question | Trouble | None


def first_page(path: str, fields: str) -> Question:
    """The question for the beginning of a list."""
    return Question(path, {"fields": fields, "limit": str(LIMITS[0])})


def smaller(asked: Question, trouble: Trouble) -> Question | None:
    """The same question for fewer items, when Meta wants less data; None when that is not it.

    That is code 1, which also means "unknown error": asking for less is no mistake then, either.
    """
    if trouble.code != 1:
        return None
    limit = asked.parameters.get("limit", "")
    less = [each for each in LIMITS if limit.isdecimal() and each < int(limit)]
    if not less:
        return None
    return asked._replace(parameters={**asked.parameters, "limit": str(less[0])})


def read_page(
    asked: Question, answer: Item | Trouble, *, graph_url: str, ids: re.Pattern[str]
) -> Page | Trouble:
    """What ``answer`` (see ``read_object``) has of the list. An item without an ``id`` of the form
    of ``ids`` is nothing that Graph says."""
    if isinstance(answer, Trouble):
        return answer
    items = answer.get("data")
    if not isinstance(items, list) or not all(_is_item(item, ids) for item in items):
        return Trouble(Obstacle.NOT_GRAPH, status=200)
    paging = answer.get("paging")
    following = _next(asked, paging, graph_url) if isinstance(paging, dict) else None
    return Page(tuple(items), following)


def _is_item(item: Any, ids: re.Pattern[str]) -> bool:
    given = item.get("id") if isinstance(item, dict) else None
    return isinstance(given, str) and ids.fullmatch(given) is not None


def _next(asked: Question, paging: Item, graph_url: str) -> Question | Trouble | None:
    url = paging.get("next")
    if not isinstance(url, str):
        return None  # cursors stand on the last page, too
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    if isinstance(after, str) and after:
        return asked._replace(parameters={**asked.parameters, "after": after})
    return _same_place(asked, url, graph_url)


def _same_place(asked: Question, url: str, graph_url: str) -> Question | Trouble:
    """What ``url`` asks for, as a question to the configured address, without the secrets in it."""
    edge = asked.path.rpartition("/")[2]
    try:
        parts, own = urlsplit(url), urlsplit(graph_url)
        path = re.fullmatch(
            rf"{re.escape(own.path.rstrip('/'))}/v\d+\.\d+/(\w+/{re.escape(edge)})",
            parts.path,
            re.ASCII,
        )
        if path is None or _origin(parts) != _origin(own):
            return Trouble(Obstacle.ELSEWHERE)
    except ValueError:
        return Trouble(Obstacle.ELSEWHERE)
    given = dict(parse_qsl(parts.query))
    kept = {name: given[name] for name in given if name not in ("access_token", "appsecret_proof")}
    return Question(path[1], kept)


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None, str | None]:
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname, port, parts.username
