"""What a token reaches: pixels, merged from wherever they were listed, and the gaps. Pure.

A gap is a sentence: what could not be read, why, and what to do about it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from consumer.graph_answers import Item, Obstacle, Trouble
from consumer.model import PixelId

PIXEL_FIELDS = "id,name,is_unavailable,last_fired_time"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPixel:
    """A pixel as Meta tells of it; what Meta does not tell is None.

    ``ad_accounts`` are the ids (``act_…``) of the accounts that it was listed in.
    """

    id: PixelId
    name: str | None
    is_active: bool | None
    ad_accounts: tuple[str, ...]
    last_fired: datetime | None


class Gap(NamedTuple):
    """What is missing: ``token`` names whose, ``asked`` is the first Graph path of ``missing``."""

    token: str
    asked: str
    missing: int
    code: int | None
    told: str


class Found(NamedTuple):
    """What there is, and what could not be found out."""

    pixels: tuple[FoundPixel, ...]
    gaps: tuple[Gap, ...]


class Subject(NamedTuple):
    """What was asked for: ``the pixels of ad account`` ``act_1``, and what reading it needs."""

    kind: str
    which: str
    permission: str


def pixel_from(item: Item, account: str | None) -> FoundPixel:
    """A pixel from Graph's object, listed in an ad account or elsewhere."""
    name, unavailable = item.get("name"), item.get("is_unavailable")
    return FoundPixel(
        id=PixelId(str(item["id"])),
        name=name if isinstance(name, str) and name.strip() else None,
        is_active=not unavailable if isinstance(unavailable, bool) else None,
        ad_accounts=() if account is None else (account,),
        last_fired=_moment(item.get("last_fired_time")),
    )


def merged(one: FoundPixel, other: FoundPixel) -> FoundPixel:
    """The same pixel, seen twice. Who can use it through one account can use it."""
    active = {one.is_active, other.is_active}
    fired = [moment for moment in (one.last_fired, other.last_fired) if moment is not None]
    return replace(
        one,
        name=one.name or other.name,
        is_active=True if True in active else False if False in active else None,
        ad_accounts=tuple(dict.fromkeys((*one.ad_accounts, *other.ad_accounts))),
        last_fired=max(fired, default=None),
    )


def in_order(pixels: Iterable[FoundPixel]) -> list[FoundPixel]:
    """Those in use first: by when they last fired, the newest first, then by id."""
    never = datetime.min.replace(tzinfo=UTC)
    by_id = sorted(pixels, key=lambda pixel: (len(pixel.id), pixel.id))
    return sorted(by_id, key=lambda pixel: pixel.last_fired or never, reverse=True)


def sentence(trouble: Trouble, subject: Subject, missing: int) -> str:
    """What is missing and why, with an end mark and without a word of Meta's."""
    one = f"{subject.kind} {subject.which}".rstrip()
    return _SENTENCES[trouble.obstacle].format(
        what=one if missing == 1 else f"{one} and {missing - 1} more",
        codes=trouble.codes,
        needs=subject.permission,
        why=trouble.why,
    )


def _moment(told: Any) -> datetime | None:
    if not isinstance(told, str):
        return None
    try:
        moment = datetime.fromisoformat(told)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


_SENTENCES: Mapping[Obstacle, str] = {
    Obstacle.PERMISSION: "Meta does not let the token read {what}{codes}: that needs {needs}; a"
    " token generated in Events Manager lists nothing.",
    Obstacle.NOTHING: "The token lists {what}: assign some to its system user, with {needs}; a"
    " token generated in Events Manager lists nothing.",
    Obstacle.UNKNOWN_OBJECT: "Meta does not know {what}, or the token may not see it{codes}:"
    " compare the id with Events Manager.",
    Obstacle.TOKEN: "The access token is invalid, expired or revoked{codes}: make a new one in"
    " Events Manager.",
    Obstacle.NOBODY: "Meta sees nobody behind the token when asked for {what}{codes}: it may be an"
    " app's token, or need CONVERSIONS_APP_SECRET, or Meta ignores the Authorization header here,"
    " the only place where the token is put.",
    Obstacle.CONFIGURATION: "Meta does not take the call for {what}{codes}: look at"
    " CONVERSIONS_APP_SECRET and CONVERSIONS_GRAPH_VERSION.",
    Obstacle.POLICY: "Meta has blocked the token for a breach of its policies{codes}: look into"
    " Business Support.",
    Obstacle.REFUSED: "Meta refuses to tell {what}{codes}.",
    Obstacle.UNKNOWN: "Meta refuses to tell {what} for a reason that is not known here{codes}.",
    Obstacle.THROTTLED: "Meta asks for a pause{codes}: {what} and all after it were not read; try"
    " again in some minutes.",
    Obstacle.IN_TROUBLE: "Meta is in trouble{codes}: {what} could not be read; try again later.",
    Obstacle.UNANSWERED: "Meta did not answer when asked for {what}: {why}.",
    Obstacle.NOT_GRAPH: "What answers for {what}{codes} is not the Graph API: look at"
    " CONVERSIONS_GRAPH_URL, and for a proxy in between.",
    Obstacle.ELSEWHERE: "The next page of {what} is said to be at another address than"
    " CONVERSIONS_GRAPH_URL: the token was not sent there, and what is left is missing.",
    Obstacle.ENDLESS: "There is no end of {what}: what is behind the limit is missing.",
    Obstacle.NOT_ASKED: "Nobody was asked for {what}.",
}
