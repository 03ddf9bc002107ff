"""Found pixels: merged, in order, and told as JSON, as a table and as a destinations file."""

import json
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.destinations import parse_destinations
from consumer.destinations_listing import destinations_yaml, json_listing, text_listing
from consumer.found_pixels import (
    Found,
    FoundPixel,
    Gap,
    Subject,
    in_order,
    merged,
    pixel_from,
    sentence,
)
from consumer.graph_answers import Obstacle, Trouble
from consumer.model import PixelId

FIRED = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
LATER = datetime(2026, 11, 21, tzinfo=UTC)
GAP = Gap("CONVERSIONS_ACCESS_TOKEN", "me/businesses", 1, 200, "Meta does not let it.")


def a_pixel(
    number: str,
    *,
    name: str | None = None,
    active: bool | None = None,
    accounts: tuple[str, ...] = (),
    fired: datetime | None = None,
) -> FoundPixel:
    return FoundPixel(
        id=PixelId(number), name=name, is_active=active, ad_accounts=accounts, last_fired=fired
    )


WHOLE = a_pixel("1", name="Shop", active=True, accounts=("act_1", "act_2"), fired=FIRED)
GONE = a_pixel("2", name="Old", active=False)
BARE = a_pixel("3")


def found(*pixels: FoundPixel, gaps: tuple[Gap, ...] = ()) -> Found:
    return Found(pixels, gaps)


# --- a pixel -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"id": "1"}, a_pixel("1", accounts=("act_1",))),
        (
            {"id": "1", "name": "Shop", "is_unavailable": False},
            a_pixel("1", name="Shop", active=True, accounts=("act_1",)),
        ),
        ({"id": "1", "is_unavailable": True}, a_pixel("1", active=False, accounts=("act_1",))),
        ({"id": "1", "is_unavailable": "no"}, a_pixel("1", accounts=("act_1",))),
        ({"id": "1", "name": " ", "last_fired_time": 7}, a_pixel("1", accounts=("act_1",))),
        ({"id": "1", "name": 7, "last_fired_time": "now"}, a_pixel("1", accounts=("act_1",))),
        (
            {"id": "1", "last_fired_time": "2026-11-20T12:30:00+0200"},
            a_pixel("1", fired=FIRED, accounts=("act_1",)),
        ),
        (
            {"id": "1", "last_fired_time": "2026-11-20T10:30:00"},
            a_pixel("1", fired=FIRED, accounts=("act_1",)),
        ),
    ],
)
def test_a_pixel_is_what_meta_tells_of_it_and_nothing_made_up(
    item: dict[str, object], expected: FoundPixel
) -> None:
    assert pixel_from(item, "act_1") == expected


def test_the_same_pixel_seen_often_is_one_whatever_the_order() -> None:
    seen = [
        a_pixel("1", name="Shop", active=False, accounts=("act_1",), fired=FIRED),
        a_pixel("1", active=True, accounts=("act_2",), fired=LATER),
        a_pixel("1", accounts=("act_1",)),
    ]
    for first, second, third in permutations(seen):
        one = merged(merged(first, second), third)
        assert (one.name, one.is_active, one.last_fired) == ("Shop", True, LATER)
        assert sorted(one.ad_accounts) == ["act_1", "act_2"]
    assert merged(BARE, BARE) == BARE
    assert merged(a_pixel("2"), GONE).is_active is False


def test_those_in_use_come_first() -> None:
    pixels = [
        a_pixel("20"),
        a_pixel("3", fired=FIRED),
        a_pixel("9"),
        a_pixel("7", fired=LATER),
        a_pixel("1", fired=FIRED),
    ]
    for order in permutations(pixels):
        assert [pixel.id for pixel in in_order(order)] == ["7", "1", "3", "9", "20"]


# --- gaps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("obstacle", Obstacle)
def test_every_obstacle_has_one_sentence(obstacle: Obstacle) -> None:
    trouble = Trouble(obstacle, code=10, subcode=7, status=400, why="the connection is refused")
    told = sentence(trouble, Subject("the ad accounts", "", "the permission ads_read"), 1)

    assert told.endswith(".")
    assert told[0].isupper()
    assert "{" not in told
    assert told.count(". ") == 0


@pytest.mark.parametrize(
    ("trouble", "codes"),
    [
        (Trouble(Obstacle.PERMISSION, code=200, status=403), "(code 200)"),
        (Trouble(Obstacle.PERMISSION, code=100, subcode=33, status=400), "(code 100/33)"),
        (Trouble(Obstacle.PERMISSION, status=503), "(HTTP 503)"),
        (Trouble(Obstacle.PERMISSION), "the ad accounts: that"),
    ],
)
def test_a_gap_names_metas_codes(trouble: Trouble, codes: str) -> None:
    assert codes in sentence(trouble, Subject("the ad accounts", "", "the permission x"), 1)


# --- JSON ----------------------------------------------------------------------------------------


def test_what_is_not_known_is_left_out_of_the_json() -> None:
    told = json.loads(json_listing(found(BARE, WHOLE, GONE, gaps=(GAP, GAP._replace(code=None)))))

    assert told == {
        "destinations": [
            {
                "id": "1",
                "name": "Shop",
                "status": "active",
                "adAccountId": "act_1",
                "adAccountIds": ["act_1", "act_2"],
                "lastFired": "2026-11-20T10:30:00Z",
            },
            {"id": "2", "name": "Old", "status": "inactive", "adAccountIds": []},
            {"id": "3", "adAccountIds": []},
        ],
        "gaps": [
            {
                "token": "CONVERSIONS_ACCESS_TOKEN",
                "asked": "me/businesses",
                "missing": 1,
                "code": 200,
                "told": "Meta does not let it.",
            },
            {
                "token": "CONVERSIONS_ACCESS_TOKEN",
                "asked": "me/businesses",
                "missing": 1,
                "told": "Meta does not let it.",
            },
        ],
    }


# --- the table -----------------------------------------------------------------------------------


def test_the_table_has_a_line_for_each_pixel_and_a_sentence_for_each_gap() -> None:
    lines = text_listing(found(WHOLE, GONE, BARE, gaps=(GAP,)), width=200, colour=False)

    first, *rest = [line.split() for line in lines.splitlines()]
    assert first == ["id", "name", "status", "ad", "account", "last", "fired"]
    assert rest == [
        ["1", "Shop", "active", "act_1,", "act_2", "2026-11-20", "10:30", "UTC"],
        ["2", "Old", "inactive", "-", "-"],
        ["3", "-", "-", "-", "-"],
        [],
        ["CONVERSIONS_ACCESS_TOKEN:", *GAP.told.split()],
    ]


def test_without_a_pixel_there_is_no_empty_table() -> None:
    told = text_listing(found(gaps=(GAP,)), width=200, colour=False)

    assert told == f"CONVERSIONS_ACCESS_TOKEN: {GAP.told}\n"


@pytest.mark.parametrize(("width", "used"), [(20, 80), (80, 80), (120, 120)])
def test_on_a_narrow_terminal_ids_and_times_stay_whole(width: int, used: int) -> None:
    long = "A shop with a rather long name " * 4
    pixel = a_pixel("1" * 32, name=long, active=False, accounts=("act_1" * 9,) * 3, fired=FIRED)

    lines = text_listing(found(pixel), width=width, colour=False).splitlines()

    assert max(map(len, lines)) <= used
    for whole in ("1" * 32, "inactive", "2026-11-20 10:30 UTC"):
        assert any(whole in line for line in lines)


def test_a_name_steers_no_terminal() -> None:
    evil = a_pixel("1", name="\x1b[2J[red]x[/red]\u202e\ud800\nid", accounts=("act_1",))

    plain = text_listing(found(evil), width=200, colour=False)
    coloured = text_listing(found(evil), width=200, colour=True)

    assert "?[2J[red]x[/red]???id" in plain
    assert "\x1b" not in plain
    assert "\x1b[2J" not in coloured
    assert json.loads(json_listing(found(evil)))["destinations"][0]["name"].startswith("?[2J")
    plain.encode()


# --- the destinations file -----------------------------------------------------------------------


def test_the_file_has_those_that_can_be_used_and_names_those_that_cannot() -> None:
    text = destinations_yaml(found(BARE, WHOLE, GONE))

    read = parse_destinations(text, Path())
    assert [(each.id, each.name) for each in read] == [("1", "Shop"), ("3", None)]
    assert all(each.access_token_file is None for each in read)
    assert "# Meta says that pixel 2 is not available" in text
    assert "  # accessTokenFile: tokens/1\n" in text
    assert "in ad account act_1, act_2, last fired 2026-11-20T10:30:00Z" in text


def test_every_line_to_fill_in_is_one_that_our_reader_takes() -> None:
    text = destinations_yaml(found(WHOLE)).replace("  # accessT", "  accessT")
    text = text.replace("  # actionSource", "  actionSource").replace("  # defaultC", "  defaultC")

    (only,) = parse_destinations(text, Path("/etc"))

    assert only.access_token_file == Path("/etc/tokens/1")
    assert only.action_source == "website"
    assert only.match_key_rules.default_country == "us"


def test_nothing_that_can_be_used_makes_no_file() -> None:
    assert destinations_yaml(found(GONE)) == ""


@given(st.text(max_size=300))
def test_whatever_a_pixel_is_called_the_file_can_be_read(name: str) -> None:
    item: dict[str, object] = {"id": "1", "name": name}
    text = destinations_yaml(found(pixel_from(item, "act_1")))

    text.encode()
    (only,) = parse_destinations(text, Path())
    assert only.id == "1"
    assert only.name is None or only.name.isprintable()
