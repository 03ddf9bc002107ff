"""The search for pixels: which ways are tried, what is merged, what is told as a gap.

Mostly through the emulator over HTTP; what a server of ours would never do, through a transport.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from pydantic import SecretStr

from consumer.destination_files import write_destinations
from consumer.destinations_listing import destinations_yaml
from consumer.discovery import ATTEMPTS_MAX, PIXELS_MAX, search
from consumer.emulator import Emulator, EmulatorConfig
from consumer.found_pixels import Found, FoundPixel, Gap
from consumer.graph_pages import LIMITS, PAGES_MAX
from consumer.meta import GraphReader
from consumer.model import PixelId
from consumer.secret_files import RotatingSecret
from consumer.seekers import NoToken, Seeker, Seekers, seeker_of, seekers_from
from consumer.settings import load_settings

TOKEN = "EAAcanary-token-5f0c"
OTHER_TOKEN = "EAAcanary-other-77aa"
USER = {"token": TOKEN, "permissions": ["ads_read", "business_management"]}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    emulator = Emulator(
        EmulatorConfig(host="127.0.0.1", port=0, pixels={}, clock=lambda: 1_795_000_000.0)
    )
    emulator.start()
    yield emulator
    emulator.stop()


def describe(emulator: Emulator, **document: Any) -> None:
    answer = httpx.post(f"{emulator.url}/_emulator/accounts", content=orjson.dumps(document))
    assert answer.json() == {"success": True}, answer.text


def many(count: int, *, first: int = 1000) -> dict[str, Any]:
    """So many pixels in one account of the token's."""
    ids = [str(first + number) for number in range(count)]
    return {
        "pixels": [{"id": each} for each in ids],
        "accounts": [{"id": "act_1", "pixels": ids}],
        "tokens": [{**USER, "accounts": ["act_1"]}],
    }


def found_at(
    url: str, *seekers: Seeker, transport: httpx.BaseTransport | None = None
) -> tuple[Found, list[str]]:
    """What is found at an address, and the paths that were asked."""
    asked: list[str] = []
    reader = GraphReader(
        graph_url=url,
        graph_version="v26.0",
        timeout_seconds=5.0,
        app_secret=RotatingSecret(value=None, path=None),
        transport=transport,
    )
    found = search(
        Seekers(seekers or (seeker(),), ()),
        reader=reader,
        graph_url=url,
        under_way=lambda path, _: asked.append(path),
    )
    reader.close()
    return found, asked


def seeker(token: str = TOKEN, *configured: str) -> Seeker:
    return Seeker("CONVERSIONS_ACCESS_TOKEN", SecretStr(token), tuple(map(PixelId, configured)))


def by_id(found: Found) -> dict[str, FoundPixel]:
    return {pixel.id: pixel for pixel in found.pixels}


def tokens_in_url(emulator: Emulator) -> int:
    counted: int = httpx.get(f"{emulator.url}/_emulator/stats").json()["tokens_in_url"]
    return counted


# --- the ways ------------------------------------------------------------------------------------


def test_a_pixel_of_several_accounts_and_a_business_is_one_with_all_its_accounts(
    emulator: Emulator,
) -> None:
    describe(
        emulator,
        pixels=[{"id": "1", "name": "Shop"}, {"id": "2", "is_unavailable": True}, {"id": "3"}],
        accounts=[
            {"id": "act_10", "pixels": ["1", "2"]},
            {"id": "act_11", "pixels": ["1"]},
            {"id": "act_12"},
        ],
        businesses=[{"id": "20", "owned_pixels": ["1"], "client_pixels": ["3"]}],
        tokens=[{**USER, "accounts": ["act_10", "act_11", "act_12"], "businesses": ["20"]}],
    )

    found, _ = found_at(emulator.url)

    assert found.gaps == ()
    assert {
        pixel.id: (pixel.name, pixel.is_active, pixel.ad_accounts) for pixel in found.pixels
    } == {
        "1": ("Shop", True, ("act_10", "act_11")),
        "2": ("Emulated pixel 2", False, ("act_10",)),
        "3": ("Emulated pixel 3", True, ()),
    }


def test_a_system_users_accounts_are_found_where_they_are_assigned(emulator: Emulator) -> None:
    document = many(2)
    document["tokens"] = [
        {"token": TOKEN, "user": "31", "system_user": True, "permissions": ["ads_read"]}
        | {"accounts": ["act_1"]}
    ]
    describe(emulator, **document)

    found, asked = found_at(emulator.url)

    assert set(by_id(found)) == {"1000", "1001"}
    assert asked[:3] == ["me/adaccounts", "me", "31/assigned_ad_accounts"]
    (gap,) = found.gaps
    assert (gap.asked, gap.code) == ("me/businesses", 200)
    assert "the permission business_management" in gap.told


def test_a_token_of_one_pixel_lists_nothing_and_its_pixel_is_read(emulator: Emulator) -> None:
    describe(emulator, pixels=[{"id": "7"}], tokens=[{"token": TOKEN, "pixels": ["7"]}])

    found, _ = found_at(emulator.url, seeker(TOKEN, "7", "8"))

    assert set(by_id(found)) == {"7"}
    assert [(gap.asked, gap.code) for gap in found.gaps] == [
        ("me/adaccounts", 200),
        ("me/businesses", 200),
        ("8", 100),
    ]
    assert "a token generated in Events Manager lists nothing" in found.gaps[0].told
    assert "ads_read" in found.gaps[0].told


def test_no_ad_account_at_all_is_a_gap(emulator: Emulator) -> None:
    describe(emulator, tokens=[USER])

    found, _ = found_at(emulator.url)

    (gap,) = found.gaps
    assert gap.told.startswith("The token lists no ad account: assign some to its system user")


def test_a_configured_pixel_that_was_listed_is_not_asked_for_again(emulator: Emulator) -> None:
    describe(emulator, **many(1))

    found, asked = found_at(emulator.url, seeker(TOKEN, "1000"))

    assert set(by_id(found)) == {"1000"}
    assert "1000" not in asked


def test_each_token_searches_and_what_both_reach_is_one_pixel(emulator: Emulator) -> None:
    describe(
        emulator,
        pixels=[{"id": "1"}, {"id": "2"}],
        accounts=[{"id": "act_1", "pixels": ["1", "2"]}, {"id": "act_2", "pixels": ["2"]}],
        tokens=[
            {**USER, "accounts": ["act_1"]},
            {**USER, "token": OTHER_TOKEN, "accounts": ["act_2"]},
        ],
    )

    found, _ = found_at(emulator.url, seeker(), seeker(OTHER_TOKEN))

    assert {pixel.id: pixel.ad_accounts for pixel in found.pixels} == {
        "1": ("act_1",),
        "2": ("act_1", "act_2"),
    }


def test_the_same_gap_of_many_accounts_is_told_once(emulator: Emulator) -> None:
    accounts = [f"act_{number}" for number in range(5)]

    def answering(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/v26.0/")
        if path == "me/adaccounts":
            return httpx.Response(200, json={"data": [{"id": each} for each in accounts]})
        if path == "me/businesses":
            return httpx.Response(200, json={"data": []})
        return httpx.Response(403, json={"error": {"code": 200, "message": "no"}})

    found, _ = found_at("https://graph.example", transport=httpx.MockTransport(answering))

    (gap,) = found.gaps
    assert (gap.asked, gap.missing, gap.code) == ("act_0/adspixels", 5, 200)
    assert "the pixels of ad account act_0 and 4 more (code 200)" in gap.told


# --- pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cursors", [True, False])
def test_every_page_is_read_and_the_token_is_in_no_url(emulator: Emulator, cursors: bool) -> None:
    describe(emulator, **many(230), cursors=cursors)

    found, asked = found_at(emulator.url)

    assert len(found.pixels) == 230
    assert len([path for path in asked if path.endswith("adspixels")]) == 3
    assert found.gaps == ()
    assert tokens_in_url(emulator) == 0


def test_a_page_that_is_too_much_data_is_asked_for_in_smaller_ones(emulator: Emulator) -> None:
    describe(emulator, **many(60), items_max=25)

    found, _ = found_at(emulator.url)

    assert len(found.pixels) == 60
    assert found.gaps == ()


def test_a_list_that_is_too_much_even_in_small_pages_is_a_gap_and_the_others_are_read(
    emulator: Emulator,
) -> None:
    describe(emulator, **many(30), items_max=LIMITS[-1] - 1)

    found, asked = found_at(emulator.url, seeker(TOKEN, "1000"))

    assert set(by_id(found)) == {"1000"}
    assert [gap.code for gap in found.gaps] == [1, 1]
    assert "me/businesses" in asked


def test_a_next_page_at_another_address_is_never_asked_for(emulator: Emulator) -> None:
    other = Emulator(
        EmulatorConfig(host="127.0.0.1", port=0, pixels={}, clock=lambda: 1_795_000_000.0)
    )
    other.start()
    describe(other, **many(300))
    describe(emulator, **many(300), cursors=False, address=other.url)

    found, _ = found_at(emulator.url)

    assert len(found.pixels) == 100, "the first page"
    (gap,) = found.gaps
    assert "another address" in gap.told
    assert tokens_in_url(other) == 0
    assert TOKEN not in repr(found)
    other.stop()


def paging(path: str, answer: Callable[[str], dict[str, Any]]) -> httpx.MockTransport:
    """One ad account, whose list at ``path`` answers to each cursor."""

    def answering(request: httpx.Request) -> httpx.Response:
        asked = request.url.path.removeprefix("/v26.0/")
        if asked == path:
            return httpx.Response(200, json=answer(request.url.params.get("after", "")))
        data = [{"id": "act_1"}] if asked == "me/adaccounts" else []
        return httpx.Response(200, json={"data": data})

    return httpx.MockTransport(answering)


def next_page(pixel: str, after: str) -> dict[str, Any]:
    return {"data": [{"id": pixel}], "paging": {"cursors": {"after": after}, "next": "https://x"}}


def test_pages_that_come_round_in_a_circle_are_left() -> None:
    transport = paging(
        "act_1/adspixels", lambda after: next_page("1", "B" if after == "A" else "A")
    )

    found, asked = found_at("https://graph.example", transport=transport)

    assert asked.count("act_1/adspixels") == 3
    assert set(by_id(found)) == {"1"}
    (gap,) = found.gaps
    assert "There is no end of the pixels of ad account act_1" in gap.told


def test_pages_without_an_end_are_left_after_the_last_that_is_allowed() -> None:
    def answer(after: str) -> dict[str, Any]:
        number = int(after or "0") + 1
        return next_page(str(number), str(number))

    found, asked = found_at("https://graph.example", transport=paging("act_1/adspixels", answer))

    assert asked.count("act_1/adspixels") == len(found.pixels) == PAGES_MAX
    assert [gap.asked for gap in found.gaps] == ["act_1/adspixels"]


def test_more_pixels_than_are_gathered_end_the_search() -> None:
    data = [{"id": str(number)} for number in range(PIXELS_MAX + 5)]

    found, asked = found_at(
        "https://graph.example", transport=paging("act_1/adspixels", lambda _: {"data": data})
    )

    assert len(found.pixels) == PIXELS_MAX
    assert "me/businesses" not in asked
    (gap,) = found.gaps
    assert gap.told == "There is no end of pixels: what is behind the limit is missing."


# --- what goes wrong -----------------------------------------------------------------------------


def failing(status: int, code: int | None = None) -> Callable[[httpx.Request], httpx.Response]:
    def answering(request: httpx.Request) -> httpx.Response:
        error = {"message": f"it quotes {TOKEN}", "code": code, "fbtrace_id": "A"}
        return httpx.Response(status, json={"error": error} if code else {"hello": TOKEN})

    return answering


def silent(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError(f"no way to {request.url} with {TOKEN}", request=request)


@pytest.mark.parametrize(
    ("answering", "times", "words"),
    [
        (failing(401, 190), 1, "invalid, expired or revoked (code 190)"),
        (failing(400, 17), 1, "asks for a pause (code 17): the ad accounts and all after it"),
        (failing(500, 2), ATTEMPTS_MAX, "in trouble (code 2)"),
        (failing(503), ATTEMPTS_MAX, "in trouble (HTTP 503)"),
        (failing(302), 1, "(HTTP 302) is not the Graph API"),
        (silent, ATTEMPTS_MAX, "did not answer when asked for the ad accounts"),
    ],
)
def test_what_concerns_all_questions_ends_the_search_with_one_gap(
    answering: Callable[[httpx.Request], httpx.Response], times: int, words: str
) -> None:
    asked: list[str] = []

    def counted(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return answering(request)

    found, _ = found_at(
        "https://graph.example", seeker(TOKEN, "1", "2"), transport=httpx.MockTransport(counted)
    )

    assert asked == ["/v26.0/me/adaccounts"] * times
    (gap,) = found.gaps
    assert words in gap.told
    assert TOKEN not in repr(found)


def test_one_token_that_is_revoked_does_not_end_the_search_of_another(emulator: Emulator) -> None:
    describe(emulator, **many(2))
    httpx.post(f"{emulator.url}/_emulator/revoke", json={"token": OTHER_TOKEN})

    found, _ = found_at(emulator.url, seeker(OTHER_TOKEN), seeker())

    assert len(found.pixels) == 2
    (gap,) = found.gaps
    assert gap.code == 190


def test_trouble_that_passes_is_no_gap() -> None:
    asked: list[str] = []

    def answering(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if len(asked) % 2:
            return httpx.Response(500, json={"error": {"code": 2, "is_transient": True}})
        data = [{"id": "act_1"}] if request.url.path.endswith("adaccounts") else []
        return httpx.Response(200, json={"data": data})

    found, _ = found_at("https://graph.example", transport=httpx.MockTransport(answering))

    assert found == Found((), ())
    assert len(asked) == 6


def test_where_the_header_is_not_read_the_gap_says_so_and_pixels_are_still_tried() -> None:
    def answering(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/7"):
            return httpx.Response(200, json={"id": "7", "name": "Shop"})
        return httpx.Response(400, json={"error": {"code": 2500, "message": "active token"}})

    found, _ = found_at(
        "https://graph.example", seeker(TOKEN, "7"), transport=httpx.MockTransport(answering)
    )

    assert set(by_id(found)) == {"7"}
    assert [gap.asked for gap in found.gaps] == ["me/adaccounts", "me/businesses"]
    assert "the Authorization header" in found.gaps[0].told


@pytest.mark.parametrize("answer", [{"id": "8"}, {}, {"id": 7}])
def test_another_pixel_than_the_one_asked_for_is_not_graph(answer: dict[str, Any]) -> None:
    def answering(request: httpx.Request) -> httpx.Response:
        whole = answer if request.url.path.endswith("/7") else {"data": [], "id": "1"}
        return httpx.Response(200, json=whole)

    found, _ = found_at(
        "https://graph.example", seeker(TOKEN, "7"), transport=httpx.MockTransport(answering)
    )

    assert found.pixels == ()
    assert [gap.asked for gap in found.gaps] == ["me/adaccounts", "7"]
    assert "is not the Graph API" in found.gaps[1].told


@pytest.mark.parametrize("own", ["../20", "me", 31, None])
def test_an_own_id_that_is_none_is_put_into_no_path(own: Any) -> None:
    def answering(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": [], "id": own})

    found, asked = found_at("https://graph.example", transport=httpx.MockTransport(answering))

    assert not [path for path in asked if "assigned" in path] or own == 31
    assert len(found.gaps) == 1


# --- who searches --------------------------------------------------------------------------------


def destinations_file(folder: Path, text: str) -> str:
    (folder / "destinations.yaml").write_text(text)
    return str(folder / "destinations.yaml")


def test_each_distinct_token_is_one_seeker_named_by_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(f"{OTHER_TOKEN}\n")
    (tmp_path / "b").write_text(OTHER_TOKEN)
    file = destinations_file(
        tmp_path,
        "[{id: 1, accessTokenFile: a}, {id: 2, accessTokenFile: b}, {id: 3},"
        " {id: 4, accessTokenFile: none}]",
    )
    settings = load_settings(
        {"CONVERSIONS_DESTINATIONS_FILE": file, "CONVERSIONS_ACCESS_TOKEN": TOKEN}
    )

    found = seekers_from(settings)

    assert {each.label: each.configured for each in found.seekers} == {
        "the token of pixel 1 and 1 more": ("1", "2"),
        "CONVERSIONS_ACCESS_TOKEN": ("3",),
    }
    assert [each.token.get_secret_value() for each in found.seekers] == [OTHER_TOKEN, TOKEN]
    (gap,) = found.gaps
    assert (gap.asked, gap.missing) == ("4", 1)
    assert gap.told == (
        "Pixel 4 was not read: the file with the access token cannot be read"
        " (No such file or directory)."
    )
    assert TOKEN not in repr(found)
    assert OTHER_TOKEN not in repr(found)


@pytest.mark.parametrize(
    ("variables", "configured"),
    [
        ({"CONVERSIONS_ACCESS_TOKEN": TOKEN}, ()),
        ({"CONVERSIONS_ACCESS_TOKEN": TOKEN, "CONVERSIONS_PIXEL_ID": "7"}, ("7",)),
    ],
)
def test_a_token_alone_is_enough_to_search(
    variables: dict[str, str], configured: tuple[str, ...]
) -> None:
    (found,) = seekers_from(load_settings(variables)).seekers

    assert (found.label, found.configured) == ("CONVERSIONS_ACCESS_TOKEN", configured)


def test_a_shared_token_that_no_destination_uses_searches_as_well(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(OTHER_TOKEN)
    file = destinations_file(tmp_path, "[{id: 1, accessTokenFile: a}]")
    settings = load_settings(
        {"CONVERSIONS_DESTINATIONS_FILE": file, "CONVERSIONS_ACCESS_TOKEN": TOKEN}
    )

    assert [each.configured for each in seekers_from(settings).seekers] == [("1",), ()]


def test_without_any_token_there_is_nobody_to_search() -> None:
    with pytest.raises(NoToken, match="--token-file must give a token"):
        seekers_from(load_settings({}))


def test_a_token_file_searches_alone(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f" {TOKEN}\n")

    (found,) = seeker_of(tmp_path / "token").seekers

    assert (found.label, found.token.get_secret_value()) == ("--token-file", TOKEN)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), (b"", "one line"), (b"two tokens", "one line"), (b"\xff", "UTF-8")],
)
def test_a_file_without_a_token_is_told_without_its_content(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / TOKEN
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(NoToken, match=words) as caught:
        seeker_of(file)

    assert TOKEN not in str(caught.value)
    assert "two tokens" not in str(caught.value)


# --- what is written -----------------------------------------------------------------------------


def test_a_file_that_could_not_be_read_again_is_never_written(tmp_path: Path) -> None:
    file = tmp_path / "destinations.yaml"

    with pytest.raises(Exception, match="is no key"):
        write_destinations(file, "- {id: 1, naem: Shop}", replace=True)

    assert list(tmp_path.iterdir()) == []


def test_a_file_is_written_as_a_whole_for_everybody_to_read(tmp_path: Path) -> None:
    file = tmp_path / "destinations.yaml"

    assert write_destinations(file, "- id: 1\n", replace=False) == 1
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("- id: 1\n", 0o644)
    with pytest.raises(FileExistsError):
        write_destinations(file, "- id: 2\n", replace=False)
    assert file.read_text() == "- id: 1\n"
    assert write_destinations(file, "- id: 2\n- id: 3\n", replace=True) == 2
    assert file.read_text() == "- id: 2\n- id: 3\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_to_a_file_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text("- id: 1\n")
    link = tmp_path / "link.yaml"
    link.symlink_to("real.yaml")

    write_destinations(link, "- id: 2\n", replace=True)

    assert link.is_symlink()
    assert (tmp_path / "real.yaml").read_text() == "- id: 2\n"


def test_gaps_alone_make_no_file() -> None:
    assert destinations_yaml(Found((), (Gap("t", "me", 1, None, "told"),))) == ""
