"""What the emulator answers to whoever looks for pixels, with Graph's pages and permissions.

There are ``/me``, its ad accounts and businesses, the pixels of each, and one pixel by itself. When
a pixel last fired is what the emulator really received.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from consumer.emulator_accounts import Holder
from consumer.emulator_reading import Asked, Reading, unreachable
from consumer.emulator_refusal import Refusal

PAGE_ITEMS = 25

Object = dict[str, Any]
Said = Object | Refusal


def me(asked: Asked) -> Said:
    """The token's user."""
    user = _holder(asked).user
    return _chosen(asked, {"id": user, "name": f"Emulated user {user}"}, _USER_FIELDS)


def ad_accounts(asked: Asked) -> Said:
    """Those of a person. A system user is refused, as is reported of the real ones."""
    holder = _holder(asked)
    if holder.system_user or "ads_read" not in holder.permissions:
        return _MISSING_PERMISSIONS
    return assigned_ad_accounts(asked)


def assigned_ad_accounts(asked: Asked) -> Said:
    """Those assigned to the token's own user."""
    holder = _holder(asked)
    if asked.named[0] not in ("me", holder.user):
        return _unseen(asked)
    if "ads_read" not in holder.permissions:
        return _MISSING_PERMISSIONS
    known = asked.memory.accounts.accounts
    objects = [
        {"id": each, "account_id": each.removeprefix("act_"), "name": known[each].get("name")}
        for each in holder.accounts
    ]
    return _page(asked, objects, _ACCOUNT_FIELDS)


def businesses(asked: Asked) -> Said:
    """Those that the token's user belongs to."""
    holder = _holder(asked)
    if asked.named[0] not in ("me", holder.user):
        return _unseen(asked)
    if "business_management" not in holder.permissions:
        return _MISSING_PERMISSIONS
    known = asked.memory.accounts.businesses
    objects = [{"id": each, "name": known[each].get("name")} for each in holder.businesses]
    return _page(asked, objects, _BUSINESS_FIELDS)


def pixels_of_account(asked: Asked) -> Said:
    """The pixels of an ad account of the token's user."""
    (account,) = asked.named
    holder = _holder(asked)
    if account not in holder.accounts:
        return _unseen(asked)
    if "ads_read" not in holder.permissions:
        return _MISSING_PERMISSIONS
    return _pixels(asked, asked.memory.accounts.accounts[account].get("pixels", ()))


def pixels_of_business(asked: Asked) -> Said:
    """The pixels that a business owns, or that its clients have shared with it."""
    business, edge = asked.named
    holder = _holder(asked)
    if business not in holder.businesses:
        return _unseen(asked)
    if "business_management" not in holder.permissions:
        return _MISSING_PERMISSIONS
    return _pixels(asked, asked.memory.accounts.businesses[business].get(edge, ()))


def pixel(asked: Asked) -> Said:
    """One pixel's own fields, for a token that is described and may see it, or may write to it."""
    (one,) = asked.named
    if asked.token in asked.memory.accounts.holders:
        refusal = None if one in _visible(asked) else _unseen(asked)
    else:
        refusal = unreachable(one, asked.token, asked.pixels, "GET")
    return refusal or _chosen(asked, _pixel_object(asked, one), _PIXEL_FIELDS)


LISTINGS: tuple[tuple[str, Reading], ...] = (
    ("/me", me),
    (r"/(me|\d+)/adaccounts", ad_accounts),
    (r"/(me|\d+)/assigned_ad_accounts", assigned_ad_accounts),
    (r"/(me|\d+)/businesses", businesses),
    (r"/(act_\d+)/adspixels", pixels_of_account),
    (r"/(\d+)/(owned_pixels|client_pixels)", pixels_of_business),
    ("/([^/]+)", pixel),
)
"""The paths behind the version, the first that fits, and what answers there."""


def _holder(asked: Asked) -> Holder:
    unknown = Holder("1000", False, frozenset(), (), (), ())
    return asked.memory.accounts.holders.get(asked.token, unknown)


def _visible(asked: Asked) -> set[str]:
    """Every pixel that a described token may read."""
    holder, known = _holder(asked), asked.memory.accounts
    found = set(holder.pixels)
    if "ads_read" in holder.permissions:
        for account in holder.accounts:
            found.update(known.accounts[account].get("pixels", ()))
    if "business_management" in holder.permissions:
        for business in holder.businesses:
            found.update(known.businesses[business].get("owned_pixels", ()))
            found.update(known.businesses[business].get("client_pixels", ()))
    return found


def _pixels(asked: Asked, ids: Iterable[str]) -> Said:
    return _page(asked, [_pixel_object(asked, each) for each in ids], _PIXEL_FIELDS)


def _pixel_object(asked: Asked, one: str) -> Object:
    told = asked.memory.accounts.pixels.get(one, {})
    received = (each.received_at for each in reversed(asked.memory.stored) if each.pixel == one)
    last = next(received, None)
    return {
        "id": one,
        "name": told.get("name", f"Emulated pixel {one}"),
        "is_unavailable": told.get("is_unavailable", False),
        "is_consolidated_container": True,
        "last_fired_time": None if last is None else f"{_moment(last):%Y-%m-%dT%H:%M:%S+0000}",
    }


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _chosen(asked: Asked, whole: Object, known: frozenset[str]) -> Said:
    """What of an object is asked for; a field without a value is not there, as with Graph."""
    names = re.sub(r"\{[^{}]*\}", "", asked.request.query.get("fields", "id,name")).split(",")
    for name in names:
        if name not in known:
            return Refusal(code=100, message=f"(#100) Tried accessing nonexisting field ({name})")
    wanted = {"id", *names}
    return {name: whole[name] for name in whole if name in wanted and whole[name] is not None}


def _page(asked: Asked, objects: list[Object], known: frozenset[str]) -> Said:
    accounts, query = asked.memory.accounts, asked.request.query
    limit = query.get("limit", str(PAGE_ITEMS))
    start = _start(query.get("after"))
    if not limit.isdecimal() or int(limit) < 1 or start is None:
        return Refusal(code=100, message="(#100) Invalid limit or cursor")
    if int(limit) > accounts.items_max:
        return _TOO_MUCH
    end = start + int(limit)
    data = [_chosen(asked, each, known) for each in objects[start:end]]
    for each in data:
        if isinstance(each, Refusal):
            return each
    if not data:
        return {"data": []}
    paging: Object = {}
    if accounts.cursors:
        paging["cursors"] = {"before": _cursor(start), "after": _cursor(start + len(data))}
    if end < len(objects):
        paging["next"] = _next_url(asked, _cursor(end))
    return {"data": data, "paging": paging}


def _next_url(asked: Asked, after: str) -> str:
    """As Graph writes it: with the id in place of ``me``, and with the token."""
    request = asked.request
    address = asked.memory.accounts.address or f"http://{request.host}"
    path = request.path.replace("/me/", f"/{_holder(asked).user}/")
    query = {"access_token": asked.token, **request.query, "after": after}
    return f"{address}{path}?{urlencode(query)}"


def _cursor(place: int) -> str:
    return urlsafe_b64encode(str(place).encode()).decode()


def _start(cursor: str | None) -> int | None:
    if cursor is None:
        return 0
    try:
        place = urlsafe_b64decode(cursor).decode("ascii")
    except (NotBase64, ValueError):
        return None
    return int(place) if place.isdecimal() else None


def _unseen(asked: Asked) -> Refusal:
    refusal = unreachable(asked.named[0], asked.token, {"": frozenset()}, "GET")
    assert refusal is not None, "no token may write to no pixel"
    return refusal


_MISSING_PERMISSIONS = Refusal(code=200, message="(#200) Missing Permissions", status=403)
_TOO_MUCH = Refusal(
    code=1,
    message="Please reduce the amount of data you're asking for, then retry your request",
    status=500,
)
_USER_FIELDS = frozenset(("id", "name"))
_ACCOUNT_FIELDS = frozenset(
    ("id", "account_id", "name", "account_status", "business", "currency", "owner")
)
_BUSINESS_FIELDS = frozenset(("id", "name", "created_time", "verification_status"))
# The fields of Meta's reference; those without a value here are known and left out.
_PIXEL_FIELDS: frozenset[str] = frozenset(
    (
        "automatic_matching_fields",
        "can_proxy",
        "code",
        "config",
        "creation_time",
        "creator",
        "data_use_setting",
        "description",
        "duplicate_entries",
        "enable_auto_assign_to_accounts",
        "enable_automatic_matching",
        "event_stats",
        "event_time_max",
        "event_time_min",
        "first_party_cookie_status",
        "has_1p_pixel_event",
        "id",
        "is_consolidated_container",
        "is_created_by_business",
        "is_crm",
        "is_mta_use",
        "is_restricted_use",
        "is_unavailable",
        "last_fired_time",
        "last_upload_app",
        "last_upload_app_changed_time",
        "match_rate_approx",
        "matched_entries",
        "name",
        "owner_ad_account",
        "owner_business",
        "usage",
        "user_access_expire_time",
        "valid_entries",
    )
)
