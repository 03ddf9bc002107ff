"""Who owns which pixels, as the emulator was told by ``POST /_emulator/accounts``.

The document, of which every part may be left out::

    {"pixels": [{"id": "1", "name": "Shop", "is_unavailable": false}],
     "accounts": [{"id": "act_10", "name": "Ads", "pixels": ["1"]}],
     "businesses": [{"id": "20", "name": "Co", "owned_pixels": ["1"], "client_pixels": []}],
     "tokens": [{"token": "…", "user": "30", "system_user": false, "permissions": ["ads_read"],
                 "accounts": ["act_10"], "businesses": ["20"], "pixels": []}],
     "items_max": 100, "cursors": true, "address": "https://elsewhere.example"}

``pixels`` of a token are what it may read one by one beyond what its accounts and businesses have.
Above ``items_max`` items of a page Meta asks for less; without ``cursors`` the next page is only
named by its URL; ``address`` takes the place of the emulator's own in that URL. A token that is not
there has no accounts, no businesses and no permissions, and may read the pixels that it may write.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

ITEMS_MAX = 100
PERMISSIONS = frozenset(("ads_read", "business_management"))


@dataclass(frozen=True, slots=True)
class Holder:
    """What a token's user is and has."""

    user: str
    system_user: bool
    permissions: frozenset[str]
    accounts: tuple[str, ...]
    businesses: tuple[str, ...]
    pixels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Accounts:
    """The whole document; objects by their ids, holders by their tokens."""

    pixels: Mapping[str, Mapping[str, Any]]
    accounts: Mapping[str, Mapping[str, Any]]
    businesses: Mapping[str, Mapping[str, Any]]
    holders: Mapping[str, Holder] = field(repr=False)
    items_max: int
    cursors: bool
    address: str | None


def accounts_from(document: Any) -> Accounts:
    """The document, understood as a whole. Raises ``ValueError`` with a sentence if it is not."""
    whole = _checked("the document", document, _DOCUMENT, required=())
    tokens = [
        _checked("a token", one, _TOKEN, required=("token",)) for one in _all(whole, "tokens")
    ]
    found = Accounts(
        pixels=_by_id(whole, "pixels", _PIXEL),
        accounts=_by_id(whole, "accounts", _ACCOUNT),
        businesses=_by_id(whole, "businesses", _BUSINESS),
        holders={one["token"]: _holder(one) for one in tokens},
        items_max=whole.get("items_max", ITEMS_MAX),
        cursors=whole.get("cursors", True),
        address=whole.get("address"),
    )
    _check_names(found)
    return found


def _holder(token: Mapping[str, Any]) -> Holder:
    return Holder(
        user=token.get("user", "1000"),
        system_user=token.get("system_user", False),
        permissions=frozenset(token.get("permissions", ())),
        accounts=tuple(token.get("accounts", ())),
        businesses=tuple(token.get("businesses", ())),
        pixels=tuple(token.get("pixels", ())),
    )


def _by_id(whole: Mapping[str, Any], name: str, keys: "_Keys") -> dict[str, Mapping[str, Any]]:
    entries = [_checked(f"one of {name}", one, keys, required=("id",)) for one in _all(whole, name)]
    return {entry["id"]: entry for entry in entries}


def _all(whole: Mapping[str, Any], name: str) -> list[Any]:
    found: list[Any] = whole.get(name, [])
    return found


def _checked(
    what: str, given: Any, keys: "_Keys", *, required: tuple[str, ...]
) -> Mapping[str, Any]:
    known = isinstance(given, dict) and given.keys() <= keys.keys() and given.keys() >= {*required}
    if not known or not all(keys[name](value) for name, value in given.items()):
        raise ValueError(f"{what.capitalize()} must be of {', '.join(keys)}.")
    found: Mapping[str, Any] = given
    return found


def _check_names(found: Accounts) -> None:
    """Whatever is named must be there: a slip in the document is no gap of Meta's."""
    named = [(one.accounts, found.accounts) for one in found.holders.values()]
    named += [(one.businesses, found.businesses) for one in found.holders.values()]
    named += [(one.pixels, found.pixels) for one in found.holders.values()]
    named += [(one.get("pixels", ()), found.pixels) for one in found.accounts.values()]
    for edge in ("owned_pixels", "client_pixels"):
        named += [(one.get(edge, ()), found.pixels) for one in found.businesses.values()]
    missing = {each for ids, known in named for each in ids if each not in known}
    if missing:
        raise ValueError(f"These are named and not described: {', '.join(sorted(missing))}.")


_Keys = Mapping[str, Callable[[Any], bool]]


def _is_text(value: Any) -> bool:
    return type(value) is str and bool(value)


def _is_number(value: Any) -> bool:
    return type(value) is str and re.fullmatch("[0-9]{1,32}", value) is not None


def _is_account(value: Any) -> bool:
    return type(value) is str and re.fullmatch("act_[0-9]{1,32}", value) is not None


def _is_switch(value: Any) -> bool:
    return type(value) is bool


def _is_list(value: Any) -> bool:
    return type(value) is list


def _are_numbers(value: Any) -> bool:
    return _is_list(value) and all(map(_is_number, value))


_PIXEL: _Keys = {"id": _is_number, "name": _is_text, "is_unavailable": _is_switch}
_ACCOUNT: _Keys = {"id": _is_account, "name": _is_text, "pixels": _are_numbers}
_BUSINESS: _Keys = {
    "id": _is_number,
    "name": _is_text,
    "owned_pixels": _are_numbers,
    "client_pixels": _are_numbers,
}
_TOKEN: _Keys = {
    "token": _is_text,
    "user": _is_number,
    "system_user": _is_switch,
    "permissions": lambda value: _is_list(value) and PERMISSIONS.issuperset(value),
    "accounts": lambda value: _is_list(value) and all(map(_is_account, value)),
    "businesses": _are_numbers,
    "pixels": _are_numbers,
}
_DOCUMENT: _Keys = {
    "pixels": _is_list,
    "accounts": _is_list,
    "businesses": _is_list,
    "tokens": _is_list,
    "items_max": lambda value: type(value) is int and value > 0,
    "cursors": _is_switch,
    "address": _is_text,
}
