"""Destinations: what their file may say, how mistakes are told, and how files are read again."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from pydantic import SecretStr

from consumer.destination_entry import Entry
from consumer.destination_files import DestinationsFile, Tokens, destinations_from, tokens_from
from consumer.destinations import (
    ACTION_SOURCES,
    Destinations,
    DestinationsError,
    OnDenied,
    OnMissingEventId,
    json_schema,
    parse_destinations,
)
from consumer.match_keys import DateOrder, ExternalIdRule, MatchKeyRules
from consumer.model import PixelId
from consumer.plain_yaml import YamlMistake, load_plain
from consumer.secret_files import RotatingSecret
from consumer.settings import Settings, load_settings
from consumer.wording import expected

CANARY = "EAABcanary0123456789"
PIXEL = PixelId("1729525464415281")
OTHER = PixelId("2")

FULL = """
- id: 1729525464415281
  name: Web shop
  accessTokenFile: tokens/shop
  testEventCode: TEST12345
  defaultCountry: NO
  externalId: Exact
  dateOrder: dmy
  actionSource: kiosk
  actionSources: {Kiosk: physical_store, app: app}
  maxAgeDays: 2.5
  storeMaxAgeDays: 30
  futureAsNowSeconds: 5
  futureMaxSeconds: 900
  partnerAgent: shop_platform
  namespaceId: 4242
  onDenied: suppress
  missingEventId: reject
  strict: true
"""


def mistakes(text: str) -> tuple[str, ...]:
    """Every mistake of a text that cannot be used."""
    with pytest.raises(DestinationsError) as caught:
        parse_destinations(text, Path())
    assert str(caught.value) == "\n".join(caught.value.problems)
    assert caught.value.__context__ is None
    return caught.value.problems


def test_every_key_is_read(tmp_path: Path) -> None:
    destination = parse_destinations(FULL, tmp_path).only
    assert destination is not None
    assert destination.id == PIXEL
    assert destination.name == "Web shop"
    assert destination.access_token_file == tmp_path / "tokens/shop"
    assert destination.test_event_code == "TEST12345"
    assert destination.match_key_rules == MatchKeyRules(
        default_country="no", external_id=ExternalIdRule.EXACT, date_order=DateOrder.DMY
    )
    assert destination.action_source == "kiosk"
    assert destination.action_sources == {
        "app": "app",
        "crm": "system_generated",
        "kiosk": "physical_store",
        "offline": "physical_store",
        "web": "website",
    }
    assert destination.on_denied is OnDenied.SUPPRESS
    assert destination.missing_event_id is OnMissingEventId.REJECT
    assert destination.strict is True
    assert (destination.max_age_days, destination.store_max_age_days) == (2.5, 30.0)
    assert (destination.future_as_now_seconds, destination.future_max_seconds) == (5.0, 900.0)
    assert destination.body_fields == {"partner_agent": "shop_platform", "namespace_id": "4242"}


def test_an_id_is_enough(tmp_path: Path) -> None:
    destination = parse_destinations("- id: 1729525464415281", tmp_path).only
    assert destination is not None
    assert destination.id == PIXEL
    assert (destination.name, destination.access_token_file) == (None, None)
    assert destination.test_event_code is None
    assert destination.match_key_rules == MatchKeyRules(
        default_country=None, external_id=ExternalIdRule.PIXEL, date_order=None
    )
    assert destination.action_source is None
    assert set(destination.action_sources) == {"app", "crm", "offline", "web"}
    assert destination.on_denied is OnDenied.LDU
    assert destination.missing_event_id is OnMissingEventId.DERIVE
    assert destination.strict is False
    assert (destination.max_age_days, destination.store_max_age_days) == (7.0, 62.0)
    assert (destination.future_as_now_seconds, destination.future_max_seconds) == (60.0, 300.0)
    assert destination.body_fields == {}


@pytest.mark.parametrize(
    "text",
    [
        "- id: 1\n- id: 2\n",
        "destinations:\n  - id: 1\n  - id: 2\n",
        '[{"id": "1"}, {"id": 2}]',
        "- {id: 1, name: , strict: ~}\n- {id: ' 2 '}\n",
    ],
)
def test_the_list_may_be_written_in_several_ways(text: str) -> None:
    found = parse_destinations(text, Path())
    assert [each.id for each in found] == ["1", "2"]
    assert len(found) == 2
    assert found.only is None
    assert found.get(OTHER) is not None
    assert found.get(PIXEL) is None
    assert all(each.name is None and not each.strict for each in found)


def test_an_absolute_token_file_stays_where_it_is() -> None:
    only = parse_destinations("- {id: 1, accessTokenFile: /run/token}", Path("/etc")).only
    assert only is not None
    assert only.access_token_file == Path("/run/token")


def test_entries_may_share_what_they_have_in_common() -> None:
    text = (
        "- &shop {id: 1, defaultCountry: se, strict: true}\n"
        "- &more {<<: *shop, id: 2, strict: false}\n- {<<: *more, id: 3}\n"
    )
    found = list(parse_destinations(text, Path()))
    assert [each.strict for each in found] == [True, False, False]
    assert {each.match_key_rules.default_country for each in found} == {"se"}


def test_destinations_do_not_change() -> None:
    found = parse_destinations(FULL, Path())
    with pytest.raises(TypeError):
        found.by_id[OTHER] = next(iter(found))  # type: ignore[index]
    with pytest.raises(TypeError):
        next(iter(found)).action_sources["x"] = "y"  # type: ignore[index]
    assert hash(next(iter(found))) == hash(parse_destinations(FULL, Path()).only)


LIST = "the destinations file must hold a list of at least one destination"
ID = "id must be the digits of a pixel's id"
SOURCES = (
    "app, business_messaging, chat, email, other, phone_call, physical_store,"
    " system_generated, website"
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", LIST),
        ("[]", LIST),
        ("id: 1", LIST),
        ("destinations: []", LIST),
        ("{destinations: [{id: 1}], more: 1}", LIST),
        ("just words", LIST),
        ("- id: 1\n  : - ]", "the destinations file is not valid YAML (line 2, column 3)"),
        ("- id: 1\n  id: 3", "the destinations file has the key id twice (line 2, column 3)"),
        ("- id: 1\n- name: x", f"destination number 2 of the file: {ID}"),
        ("- id: shop", f"destination number 1 of the file: {ID}"),
        ("- id: 1e15", f"destination number 1 of the file: {ID}"),
        ("- id: [1]", f"destination number 1 of the file: {ID}"),
        ("- id: !!int 1", f"destination number 1 of the file: {ID}"),
        ("- id: 7\n- id: 7", "destination 7 is there twice"),
        (
            "- 1729525464415281",
            "destination number 1 of the file must have keys and values, id first of all",
        ),
    ],
)
def test_a_mistake_about_the_file_is_told_in_one_sentence(text: str, problem: str) -> None:
    assert mistakes(text) == (problem,)


AGE = "must be a number of days above 0 and up to"
AHEAD = "must be a number of seconds from"
AGENT = "must be a name of up to 22 characters without spaces, two letters at least"
UNKNOWN = "is no key of a destination"
TOKEN = "does not belong here; put the token into a file and name it accessTokenFile"


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("name", "[a]", "must be a name of up to 255 characters"),
        ("testEventCode", "a b", "must be a code such as TEST12345"),
        (
            "defaultCountry",
            "uk",
            "must be an ISO 3166 country code of two letters, such as us or gb",
        ),
        ("externalId", "hash", "must be pixel, exact or raw"),
        ("dateOrder", "ymd", "must be mdy or dmy"),
        ("actionSource", "shop", f"must be an alias or one of {SOURCES}"),
        ("actionSource", "[a]", "must be an action source of Meta's or an alias"),
        ("actionSources", "[a]", "must be aliases, each with an action source of Meta's"),
        ("maxAgeDays", "8", f"{AGE} 7, Meta's limit"),
        ("maxAgeDays", "nan", f"{AGE} 7, Meta's limit"),
        ("maxAgeDays", "0", f"{AGE} 7, Meta's limit"),
        ("storeMaxAgeDays", "63", f"{AGE} 62, Meta's limit"),
        ("futureMaxSeconds", "3601", f"{AHEAD} 0 to 3600, which is an hour"),
        ("futureAsNowSeconds", "-1", f"{AHEAD} 0 to 3600, which is an hour"),
        ("partnerAgent", "a" * 23, AGENT),
        ("partnerAgent", "1a2", AGENT),
        ("partnerAgent", "my shop", AGENT),
        ("namespaceId", "shop", "must be the digits of an id"),
        ("onDenied", "drop", "must be ldu or suppress"),
        ("missingEventId", "no", "must be derive or reject"),
        ("strict", "maybe", "must be true or false"),
        ("accessTokenFile", "[a]", "must be the path of a file"),
        ("acessTokenFile", "a", f"{UNKNOWN}; did you mean accessTokenFile?"),
        ("default_country", "us", f"{UNKNOWN}; did you mean defaultCountry?"),
        ("colour", "red", UNKNOWN),
        ("accessToken", CANARY, TOKEN),
        ("access_token", CANARY, TOKEN),
        ("token", CANARY, TOKEN),
    ],
)
def test_a_mistake_about_a_key_is_told_in_one_sentence(key: str, value: str, problem: str) -> None:
    assert mistakes(f"- {{id: 7, {key}: {value}}}") == (f"destination 7: {key} {problem}",)


@pytest.mark.parametrize("agent", ["ab", "a1b", "1-shop_platform_v2.0", "x" * 22])
def test_an_agent_of_two_letters_and_fewer_than_23_characters_is_one(agent: str) -> None:
    only = parse_destinations(f"- {{id: 7, partnerAgent: '{agent}'}}", Path()).only
    assert only is not None
    assert only.body_fields == {"partner_agent": agent}


@pytest.mark.parametrize(
    ("aliases", "problem"),
    [
        ("{shop: store}", f"shop must stand for one of {SOURCES}"),
        ("{app: website}", "app is Meta's own name and cannot mean another"),
    ],
)
def test_an_alias_must_stand_for_a_name_of_metas(aliases: str, problem: str) -> None:
    text = f"- {{id: 7, actionSources: {aliases}}}"
    assert mistakes(text) == (f"destination 7: actionSources: {problem}",)


def test_all_mistakes_are_told_at_once() -> None:
    text = "- {id: 7, strict: maybe, colour: red}\n- {id: x}\n- {id: 7, maxAgeDays: 0}"
    assert [found.split(" must")[0] for found in mistakes(text)] == [
        "destination 7: colour is no key of a destination",
        "destination 7: strict",
        "destination number 2 of the file: id",
        "destination 7: maxAgeDays",
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"- id: {CANARY}",
        f"- {{id: 7, accessTokenFile: [{CANARY}]}}",
        f"- {{id: 7, defaultCountry: {CANARY}, strict: {CANARY}, maxAgeDays: {CANARY}}}",
        f"- accessToken: {CANARY}: x",
        f"- {CANARY}",
        f"- id: 7\n  actionSource: {CANARY}\n  actionSources: {{x: {CANARY}}}",
    ],
)
def test_no_value_shows_in_a_mistake(text: str) -> None:
    assert CANARY not in repr(mistakes(text))


# --- where they come from ---


def test_what_a_destination_adds_to_a_request_changes_with_its_file() -> None:
    def destinations(agent: str) -> Destinations:
        return parse_destinations(f"- {{id: 1, partnerAgent: {agent}}}\n- id: 2", Path())

    tokens = Tokens(
        destinations=destinations("first"), shared=RotatingSecret(value=None, path=None)
    )
    assert tokens.body_fields_of(PixelId("1")) == {"partner_agent": "first"}
    assert tokens.body_fields_of(OTHER) == tokens.body_fields_of(PixelId("3")) == {}

    tokens.use(destinations("second"))
    assert tokens.body_fields_of(PixelId("1")) == {"partner_agent": "second"}


def test_without_configuration_every_numeric_id_has_default_rules() -> None:
    anything = destinations_from(load_settings({}))
    assert anything == Destinations.anything()
    assert (len(anything), list(anything), anything.only) == (0, [], None)
    assert anything.get(PIXEL) == parse_destinations(f"- id: {PIXEL}", Path()).only
    for wrong in ("", "shop", "١٢٣", "-1"):
        assert anything.get(PixelId(wrong)) is None


def test_one_pixel_needs_no_file() -> None:
    one = destinations_from(load_settings({"CONVERSIONS_PIXEL_ID": PIXEL}))
    assert one == parse_destinations(f"- id: {PIXEL}", Path())
    assert one.only is one.get(PIXEL)
    assert one.get(OTHER) is None


def test_a_file_is_read_from_where_the_settings_say(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(FULL)
    settings = load_settings({"CONVERSIONS_DESTINATIONS_FILE": str(tmp_path / "d.yaml")})
    assert destinations_from(settings) == parse_destinations(FULL, tmp_path)


def test_a_file_that_is_not_there_is_told() -> None:
    settings = Settings(destinations_file=Path("/nowhere/at/all"))
    with pytest.raises(DestinationsError, match=r"^the destinations file cannot be read \(No such"):
        destinations_from(settings)


def test_the_json_schema_says_what_the_code_says() -> None:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    good = {"id": 1729525464415281, "actionSources": {"kiosk": "physical_store"}, "strict": True}
    assert validator.is_valid([good])
    assert validator.is_valid({"destinations": [{"id": "7", "onDenied": "suppress"}]})
    for wrong in ({}, {"id": "x"}, {"id": 7, "accessToken": "t"}, {"id": 7, "maxAgeDays": 8}):
        assert not validator.is_valid([wrong])
    assert not validator.is_valid([])
    assert not validator.is_valid([{"id": 7, "actionSources": {"kiosk": "shop"}}])
    properties = schema["$defs"]["Destination"]["properties"]
    assert set(properties) == {field.alias for field in Entry.model_fields.values()}
    assert all(each.get("description", "").endswith(".") for each in properties.values())


def test_each_key_says_what_it_must_be() -> None:
    assert all(expected(field) for field in Entry.model_fields.values())
    assert list(ACTION_SOURCES) == sorted(ACTION_SOURCES)


@pytest.mark.parametrize(
    "text", ["!!int x", "a: &a [*b]", "\x00", "a\n---\nb", "{[a]: b}", "!!python/name:os"]
)
def test_text_that_is_no_yaml_of_ours_is_one_mistake(text: str) -> None:
    with pytest.raises(YamlMistake, match=r"^is not valid YAML") as caught:
        load_plain(text)
    assert caught.value.__context__ is None


def test_plain_words_stay_text() -> None:
    text = "[NO, 1.0, 0o17, 2024-01-01, true, 1_000, 12:30, ~, null, '']"
    written = ["NO", "1.0", "0o17", "2024-01-01", "true", "1_000", "12:30", None, None, ""]
    assert load_plain(text) == written


# --- read again ---


def watched(tmp_path: Path, text: str = "- id: 1\n") -> tuple[Path, DestinationsFile]:
    """A destinations file that is in force, and the one that looks after it."""
    path = tmp_path / "destinations.yaml"
    path.write_text(text)
    in_force = parse_destinations(text, tmp_path)
    return path, DestinationsFile(path=path, in_force=in_force)


def test_a_file_that_has_not_changed_is_no_news(tmp_path: Path) -> None:
    path, file = watched(tmp_path)
    assert file.poll() is None
    os.utime(path, ns=(1, 1))
    assert file.poll() is None
    path.write_text("# a remark\n- id: 1\n")
    assert file.poll() is None


def test_a_change_gives_new_destinations_once(tmp_path: Path) -> None:
    path, file = watched(tmp_path)
    path.write_text("- id: 1\n- id: 2\n")
    found = file.poll()
    assert isinstance(found, Destinations)
    assert [each.id for each in found] == ["1", "2"]
    assert file.poll() is None


def test_a_change_between_start_and_the_first_look_is_seen(tmp_path: Path) -> None:
    path, _ = watched(tmp_path)
    in_force = parse_destinations("- id: 9\n", tmp_path)
    assert isinstance(DestinationsFile(path=path, in_force=in_force).poll(), Destinations)


def test_a_mistake_is_told_once_and_its_mending_too(tmp_path: Path) -> None:
    path, file = watched(tmp_path)
    path.write_text("- id: x\n")
    told = file.poll()
    assert isinstance(told, DestinationsError)
    assert file.poll() is None
    path.write_text("# still wrong\n- id: x\n")
    assert file.poll() is None
    path.write_text("- id: y\n- id: z\n")
    assert isinstance(file.poll(), DestinationsError)
    path.write_text("- id: 1\n")
    assert isinstance(file.poll(), Destinations)
    assert file.poll() is None


def test_a_file_that_vanishes_is_told_once_and_comes_back(tmp_path: Path) -> None:
    path, file = watched(tmp_path)
    aside = path.rename(tmp_path / "aside")
    told = file.poll()
    assert isinstance(told, DestinationsError)
    assert told.problems == ("the destinations file cannot be read (No such file or directory)",)
    assert file.poll() is None
    aside.rename(path)
    assert isinstance(file.poll(), Destinations)


def in_place(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)


def by_rename(folder: Path, name: str, text: str) -> None:
    (folder / "new").write_text(text)
    (folder / "new").replace(folder / name)


def by_symlink_swap(folder: Path, name: str, text: str) -> None:
    """As Kubernetes does it: ..data points to a folder of one version, and is swapped."""
    versions = len(list(folder.glob("..v*")))
    version = folder / f"..v{versions}"
    version.mkdir()
    (version / name).write_text(text)
    os.utime(version / name, ns=(1, 1))
    (folder / "..tmp").symlink_to(version.name)
    (folder / "..tmp").replace(folder / "..data")
    if not (folder / name).is_symlink():
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(Path("..data") / name)


WAYS = pytest.mark.parametrize("write", [in_place, by_rename, by_symlink_swap])


@WAYS
def test_destinations_are_read_again_however_they_are_written(
    write: Callable[[Path, str, str], None], tmp_path: Path
) -> None:
    write(tmp_path, "d.yaml", "- id: 1\n")
    in_force = parse_destinations("- id: 1\n", tmp_path)
    file = DestinationsFile(path=tmp_path / "d.yaml", in_force=in_force)
    assert file.poll() is None
    write(tmp_path, "d.yaml", "- id: 1\n- id: 2\n")
    found = file.poll()
    assert isinstance(found, Destinations)
    assert found.get(OTHER) is not None


# --- tokens ---


def tokens(text: str, base: Path, shared: str | None = None) -> Tokens:
    """The tokens of a destinations text, with one from the environment or none."""
    value = None if shared is None else SecretStr(shared)
    return Tokens(
        destinations=parse_destinations(text, base),
        shared=RotatingSecret(value=value, path=None),
    )


@WAYS
def test_a_token_is_read_again_however_it_is_written(
    write: Callable[[Path, str, str], None], tmp_path: Path
) -> None:
    write(tmp_path, "shop", "token-1\n")
    found = tokens("- {id: 2, accessTokenFile: shop}", tmp_path)
    assert found.of(OTHER) == SecretStr("token-1")
    write(tmp_path, "shop", "token-two\n")
    assert found.of(OTHER) == SecretStr("token-two")
    assert found.problem(OTHER) is None


def test_each_destination_has_its_own_token_or_the_shared_one(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text(" token-1 \r\n")
    found = tokens("- {id: 1, accessTokenFile: shop}\n- id: 2\n", tmp_path, shared="token-s")
    assert found.of(PixelId("1")) == SecretStr("token-1")
    assert found.of(OTHER) == SecretStr("token-s")
    assert found.of(PIXEL) is None


def test_a_token_file_that_is_being_replaced_leaves_the_last_token_in_force(
    tmp_path: Path,
) -> None:
    file = tmp_path / "shop"
    found = tokens("- {id: 2, accessTokenFile: shop}", tmp_path)
    assert found.of(OTHER) is None
    file.write_text("token-1")
    assert found.of(OTHER) == SecretStr("token-1")
    file.write_text("")
    assert found.of(OTHER) == SecretStr("token-1")
    assert found.problem(OTHER) == "the file with the access token is empty"
    file.unlink()
    assert found.of(OTHER) == SecretStr("token-1")
    assert found.problem(OTHER) == (
        "the file with the access token cannot be read (No such file or directory)"
    )
    file.write_text("token-2")
    assert found.of(OTHER) == SecretStr("token-2")
    assert found.problem(OTHER) is None


def test_a_token_file_that_comes_back_unchanged_is_no_problem_any_more(tmp_path: Path) -> None:
    file = tmp_path / "shop"
    file.write_text("token-1")
    found = tokens("- {id: 2, accessTokenFile: shop}", tmp_path)
    aside = file.rename(tmp_path / "aside")
    assert found.problem(OTHER) is not None
    aside.rename(file)
    assert found.problem(OTHER) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("two words", "the access token must be one line of printable characters without spaces"),
        ("two\nlines", "the access token must be one line of printable characters without spaces"),
        ("tokén", "the access token must be one line of printable characters without spaces"),
        (" \n", "the access token must be one line of printable characters without spaces"),
    ],
)
def test_what_cannot_be_a_token_is_none(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "shop").write_text(text)
    found = tokens("- {id: 2, accessTokenFile: shop}", tmp_path)
    assert found.of(OTHER) is None
    assert found.problem(OTHER) == problem


def test_a_destination_without_any_token_is_explained(tmp_path: Path) -> None:
    found = tokens("- id: 2", tmp_path)
    assert found.of(OTHER) is None
    assert found.problem(OTHER) == (
        "there is neither an accessTokenFile nor CONVERSIONS_ACCESS_TOKEN"
    )
    assert found.problem(PIXEL) == "the pixel is not one of the destinations"


def test_new_destinations_bring_their_tokens_and_keep_the_old_ones(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("token-a")
    (tmp_path / "b").write_text("token-b")
    found = tokens("- {id: 1, accessTokenFile: a}", tmp_path)
    assert found.of(PixelId("1")) == SecretStr("token-a")
    (tmp_path / "a").unlink()
    text = "- {id: 1, accessTokenFile: a}\n- {id: 2, accessTokenFile: b}"
    found.use(parse_destinations(text, tmp_path))
    assert found.of(PixelId("1")) == SecretStr("token-a")
    assert found.of(OTHER) == SecretStr("token-b")
    found.use(parse_destinations("- {id: 2, accessTokenFile: b}", tmp_path))
    assert found.of(PixelId("1")) is None


def test_the_settings_token_is_read_again_when_it_came_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("token-1\n")
    settings = load_settings(
        {"CONVERSIONS_PIXEL_ID": "2", "CONVERSIONS_ACCESS_TOKEN_FILE": str(file)}
    )
    found = tokens_from(settings, destinations_from(settings))
    assert found.of(OTHER) == SecretStr("token-1")
    file.write_text("token-two\n")
    assert found.of(OTHER) == SecretStr("token-two")


def test_the_settings_token_serves_anything_where_nothing_is_configured() -> None:
    settings = Settings(access_token=SecretStr("token-1"))
    found = tokens_from(settings, destinations_from(settings))
    assert found.of(PIXEL) == SecretStr("token-1")


def test_no_token_shows_in_what_people_print(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text(CANARY)
    destinations = parse_destinations("- {id: 2, accessTokenFile: shop}", tmp_path)
    shared = RotatingSecret(value=SecretStr(CANARY), path=None)
    found = Tokens(destinations=destinations, shared=shared)
    token = found.of(OTHER)
    assert token is not None
    assert token.get_secret_value() == CANARY
    for each in (destinations, destinations.only, found, shared, token, vars(found)):
        assert CANARY not in repr(each)
        assert CANARY not in str(each)
