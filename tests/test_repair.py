"""Dead letters edited for a replay, exported to a file, and published from it."""

import io
import json
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from consumer.avro_kinds import Misfit
from consumer.decode import UnknownSchema, decode
from consumer.edits import EditError, read_edits
from consumer.encode import EventEncoder
from consumer.export_lines import exported, provenance_of
from consumer.iso_time import iso_time
from consumer.json_lines import Line, read_line
from consumer.letter import Letter, LetterPlace
from consumer.model import Event, Reason, Record
from consumer.publish_lines import Bad, Encoders, Sound, check_lines
from consumer.repair import Repaired, Repairs, Unfit, WholeEvents
from consumer.repair_preview import Preview
from consumer.replay_plan import Skipped, SkipReason
from consumer.replay_record import replay_record
from consumer.schema_plan import event_schema, plan_reading, schema_fingerprint
from tests.fakes.events import NOW_MS, a_record
from tests.fakes.letters import a_letter
from tests.fakes.schemas import SCHEMA_ID, event_plan, event_value
from tests.fakes.writers import plainly_read, writers, written

EMAIL = "jane@example.com"
FIELDS: dict[str, Any] = {
    "eventName": "Purchase",
    "eventTime": NOW_MS,
    "eventId": "order_1",
    "destinationId": "1729525464415281",
    "value": 42.5,
    "user": {"email": EMAIL, "zip": "94105"},
    "customData": {"color": "red", "note": EMAIL},
}


def known(ref: Any) -> Any:
    return (
        event_plan() if ref == SCHEMA_ID else UnknownSchema(f"the registry knows no schema {ref}")
    )


def own_schema() -> dict[str, Any]:
    """Ours, to be changed."""
    return event_schema()


def letter_of(value: bytes | None, **changes: Any) -> Letter:
    headers = (("traceparent", b"00-ab"), ("raw", b"\xff"), ("none", None))
    record = a_record(partition=3, offset=42, key=b"key", value=value, headers=headers)
    usual = {"record": record, "reason": Reason.MISSING_CURRENCY, "detail": "there is no currency"}
    return a_letter(**(usual | changes))


def a_purchase(**changes: Any) -> Letter:
    return letter_of(event_value(FIELDS | changes, schema_id=SCHEMA_ID))


def repairs(*to_set: str, drop: tuple[str, ...] = (), **more: Any) -> Repairs:
    destination, as_new_event = more.get("to_destination"), more.get("as_new_event", False)
    edits = read_edits(to_set=to_set, to_drop=drop, to_destination=destination)
    return Repairs(edits, as_new_event=as_new_event, schema_for=more.get("schema_for", known))


def repaired(letter: Letter, *to_set: str, **more: Any) -> Letter:
    answer = repairs(*to_set, **more).of(letter)
    assert isinstance(answer, Repaired), answer
    return answer.letter


def unfit(letter: Letter, *to_set: str, **more: Any) -> str:
    answer = repairs(*to_set, **more).of(letter)
    assert isinstance(answer, Unfit), answer
    return answer.detail


def fields_of(value: bytes | None) -> dict[str, Any]:
    event = decode(a_record(value=value), schema_for=known)
    assert isinstance(event, Event), event
    return {name: each for name, each in event.fields.items() if each is not None}


# --- edits on their way into a replay


def test_an_edited_letter_is_written_with_the_schema_that_its_value_names() -> None:
    letter = a_purchase()

    new = repaired(letter, "currency=EUR", drop=("user.zip",))

    assert letter.value is not None
    assert new.value is not None
    assert new.value[:5] == letter.value[:5]
    assert fields_of(new.value)["currency"] == "EUR"
    assert fields_of(new.value)["user"]["email"] == EMAIL
    assert fields_of(new.value)["user"]["zip"] is None
    assert fields_of(new.value)["customData"] == FIELDS["customData"]


def test_the_header_tells_which_fields_were_edited_and_nothing_of_their_values() -> None:
    new = repaired(a_purchase(), "currency=EUR", "customData.color=blue", drop=("user.zip",))

    headers = replay_record(new, replayed_at_ms=NOW_MS).headers
    assert ("conversions.edited", b"currency,customData,user.zip") in headers
    assert ("conversions.event_id", b"order_1") in headers


def test_a_letter_that_no_edit_changes_stays_as_it_is() -> None:
    letter = a_purchase()

    assert repaired(letter) is letter
    assert repaired(letter, "value=42.50", drop=("currency",)) is letter


def test_without_edits_nobody_asks_whether_it_can_be_read() -> None:
    letter = letter_of(b"no Avro")

    assert repaired(letter) is letter


@pytest.mark.parametrize(
    ("letter", "told"),
    [
        (letter_of(None), "there is no value"),
        (letter_of(b"\x00\x00\x00\x00\x09abc"), "the registry knows no schema 9"),
        (
            letter_of(b"\x00\x00\x00\x00\x01\x10abc"),
            "the bytes do not fit the schema (EOFError)",
        ),
        (a_letter(more=(("conversions.sealed", b"k1"),)), "the value is sealed"),
        (a_letter(more=(("conversions.by_reference", b"true"),)), "there is no value"),
    ],
)
def test_what_cannot_be_read_is_unfit(letter: Letter, told: str) -> None:
    assert unfit(letter, "currency=EUR") == told


def test_a_registry_that_does_not_answer_makes_unfit() -> None:
    told = unfit(a_purchase(), "currency=EUR", schema_for=lambda _: None)

    assert told == "the schema registry does not answer"


def test_a_field_that_the_writer_does_not_have_is_unfit() -> None:
    assert unfit(a_purchase(), "curency=EUR") == (
        "the writer's schema has no field curency (did you mean currency?)"
    )


def test_another_destination_keeps_the_event_id_and_the_origin() -> None:
    letter = a_purchase()

    new = repaired(letter, to_destination="2729525464415282")

    assert fields_of(new.value)["destinationId"] == new.destination == "2729525464415282"
    assert (new.event_id, new.origin) == (letter.event_id, letter.origin)


def test_an_edited_time_is_the_one_by_which_the_letter_expires() -> None:
    letter = letter_of(event_value(FIELDS, schema_id=SCHEMA_ID), reason=Reason.REFUSED_BY_META)
    assert letter.expires_at_ms is not None

    new = repaired(letter, f"eventTime={NOW_MS + 5}", "eventName=Lead")

    assert (new.event_time_ms, new.expires_at_ms) == (NOW_MS + 5, None)
    assert new.event_name == "Lead"


def test_a_new_event_has_the_new_id_in_value_and_header_and_the_old_origin() -> None:
    letter = a_purchase()

    new = repaired(letter, "eventId=order_2", as_new_event=True)

    assert fields_of(new.value)["eventId"] == new.event_id == "order_2"
    headers = replay_record(new, replayed_at_ms=NOW_MS).headers
    assert [value for name, value in headers if name == "conversions.event_id"] == [b"order_2"]
    assert new.next_mark == letter.next_mark


@pytest.mark.parametrize(
    ("to_set", "as_new_event", "told"),
    [
        (
            ("eventId=x",),
            False,
            "--set eventId= makes Meta count the event anew: say --as-new-event",
        ),
        (("currency=EUR",), True, "--as-new-event needs the new id: --set eventId=…"),
        (("eventId= ",), True, "--set eventId= must be an id"),
    ],
)
def test_an_event_is_counted_anew_only_by_somebody_who_says_so(
    to_set: tuple[str, ...], as_new_event: bool, told: str
) -> None:
    with pytest.raises(EditError) as error:
        repairs(*to_set, as_new_event=as_new_event)

    assert str(error.value) == told


def test_the_event_id_is_not_dropped_nor_set_by_another_name() -> None:
    told = "without its event id Meta could count the event twice"
    assert unfit(a_purchase(), drop=("eventId",)) == told

    schema = own_schema()
    for field in schema["fields"]:
        if field["name"] == "eventId":
            field |= {"name": "uid", "aliases": ["eventId"]}
    plan = plan_reading(schema)
    value = written(schema, FIELDS | {"uid": "order_1"}, head=b"\x00\x00\x00\x00\x01")
    assert unfit(letter_of(value), "uid=order_9", schema_for=lambda _: plan) == told


def test_an_edit_that_nobody_could_read_any_more_is_unfit() -> None:
    schema = own_schema()
    field = next(each for each in schema["fields"] if each["name"] == "value")
    field |= {"name": "amount", "aliases": ["value"], "type": ["null", "string", "double"]}
    plan = plan_reading(schema)
    value = written(schema, FIELDS | {"amount": 1.5}, head=b"\x00\x00\x00\x00\x01")

    assert unfit(letter_of(value), "amount=much", schema_for=lambda _: plan) == (
        "edited so, it cannot be read any more: a field has a type that conversion_event.avsc"
        " does not allow"
    )


# --- the preview


def preview_of(*letters: Letter, reveal: bool = False, to_set: tuple[str, ...]) -> list[str]:
    preview = Preview(repairs(*to_set), reveal=reveal)
    for letter in letters:
        preview.repair(letter)
        preview.repair(letter)
    return list(preview.lines())


def test_the_preview_shows_before_and_after_of_the_first_three() -> None:
    letters = [a_letter(record=a_purchase_record(), offset=offset) for offset in range(5)]

    assert preview_of(*letters, to_set=("currency=EUR", "value=1")) == [
        line
        for offset in range(3)
        for line in (f'0:{offset}  currency: none → "EUR"', f"0:{offset}  value: 42.5 → 1.0")
    ]


def test_what_is_not_replayed_is_not_told_to_change() -> None:
    preview = Preview(repairs("currency=EUR"), reveal=False)
    for offset in range(9):
        preview.repair(a_letter(record=a_purchase_record(), offset=offset))

    preview.only({LetterPlace(0, 7)})

    assert list(preview.lines()) == ['0:7  currency: none → "EUR"']


def a_purchase_record() -> Record:
    return a_record(value=event_value(FIELDS, schema_id=SCHEMA_ID))


@pytest.mark.parametrize(
    ("to_set", "masked", "revealed"),
    [
        ("user.email=x@y.de", "(masked)", f'"{EMAIL}" → "x@y.de"'),
        ("customData.note=fine", '"(masked)" → "fine"', f'"{EMAIL}" → "fine"'),
        ("user.clickIds.fbp=fb.1.2.3", "(masked)", '"fb.1.2.3"'),
        ("destinationId=2729525464415282", '"1729525464415281" → "2729525464415282"', "2729"),
    ],
)
def test_personal_data_is_masked_unless_it_is_asked_for(
    to_set: str, masked: str, revealed: str
) -> None:
    (hidden,) = preview_of(a_purchase(), to_set=(to_set,))
    (shown,) = preview_of(a_purchase(), to_set=(to_set,), reveal=True)

    assert masked in hidden
    assert EMAIL not in hidden
    assert revealed in shown


def test_what_the_writer_calls_personal_is_masked_as_well() -> None:
    schema = own_schema()
    field = next(each for each in schema["fields"] if each["name"] == "searchString")
    field["confluent:tags"] = ["PII"]
    plan = plan_reading(schema)
    preview = Preview(repairs("searchString=hats", schema_for=lambda _: plan), reveal=False)

    preview.repair(a_purchase())

    assert list(preview.lines()) == ['0:7  searchString: none → "(masked)"']


def test_what_is_unfit_is_counted_by_its_sentence_and_skipped() -> None:
    preview = Preview(repairs("currency=EUR"), reveal=False)
    answers = [preview.repair(letter_of(b"no Avro")) for _ in range(2)]

    detail = answers[0].detail if isinstance(answers[0], Skipped) else ""
    assert answers == [Skipped(SkipReason.UNFIT, detail)] * 2
    assert list(preview.lines()) == [f"unfit, 2 dead letters: {detail}"]


def test_sentences_of_their_own_for_every_letter_do_not_fill_the_memory() -> None:
    preview = Preview(repairs("currency=EUR"), reveal=False)
    for number in range(20):
        preview.repair(letter_of(b"\x00\x00\x00\x01" + bytes([number]) + b"abc"))

    assert list(preview.lines())[5:] == ["unfit, 15 dead letters: other causes"]


# --- the exported line


def line_of(letter: Letter, schema_for: Any = known) -> bytes:
    return orjson.dumps(exported(letter, WholeEvents(schema_for)))


def published(line: bytes, schema_for: Any = known) -> Sound:
    encoders = Encoders(EventEncoder(schema_id=5), WholeEvents(schema_for))
    (found,) = check_lines(io.BytesIO(line), encoders=encoders)
    assert isinstance(found, Sound), found
    return found


def mistake(line: dict[str, Any]) -> str:
    encoders = Encoders(EventEncoder(schema_id=5), WholeEvents(known))
    (found,) = check_lines(io.BytesIO(orjson.dumps(line)), encoders=encoders)
    assert isinstance(found, Bad), found
    return found.message


def test_an_exported_line_is_the_event_and_where_it_comes_from() -> None:
    line = json.loads(line_of(a_purchase()))

    assert line.pop("conversions") == {
        "place": "0:7",
        "origin": f"conversions.events:3:42:{NOW_MS}",
        "eventId": "order_1",
        "replays": 0,
        "reason": "missing_currency",
        "detail": "there is no currency",
        "key": "key",
        "headers": [["traceparent", "00-ab"], ["raw", {"hex": "ff"}], ["none", None]],
        "schema": SCHEMA_ID,
    }
    assert line == FIELDS


def test_a_published_line_carries_key_headers_origin_event_id_and_a_replay_more() -> None:
    found = published(line_of(a_purchase()))

    assert found.provenance is not None
    assert found.provenance.key == b"key"
    assert dict(found.provenance.record_headers()) == {
        "traceparent": b"00-ab",
        "raw": b"\xff",
        "none": None,
        "conversions.origin": f"conversions.events:3:42:{NOW_MS}".encode(),
        "conversions.event_id": b"order_1",
        "conversions.replays": b"1",
    }
    assert found.value == a_purchase().value


def test_an_edited_line_is_encoded_by_the_schema_that_it_names() -> None:
    line = json.loads(line_of(a_purchase())) | {"currency": "EUR"}

    found = published(orjson.dumps(line))

    assert found.value is not None
    assert found.value[:5] == b"\x00\x00\x00\x00\x01"
    assert fields_of(found.value)["currency"] == "EUR"


def test_a_fingerprint_names_a_schema_as_well() -> None:
    fingerprint = schema_fingerprint({"type": "string"})
    value = b"\xc3\x01" + fingerprint + event_value(FIELDS, schema_id=SCHEMA_ID)[5:]

    def by_fingerprint(ref: Any) -> Any:
        return event_plan() if ref == fingerprint else UnknownSchema("")

    line = line_of(letter_of(value), by_fingerprint)
    assert json.loads(line)["conversions"]["schema"] == fingerprint.hex()
    assert published(line, by_fingerprint).value == value


@pytest.mark.parametrize(
    "value", [None, b"", b"no Avro", b"\x00\x00\x00\x00\x09abc", b"\x00\x00\x00\x00\x01\x10abc"]
)
def test_what_cannot_be_decoded_is_put_back_byte_for_byte(value: bytes | None) -> None:
    line = line_of(letter_of(value, event_id=None))

    assert json.loads(line).keys() == {"conversions"}
    assert json.loads(line)["conversions"]["undecoded"]
    assert published(line).value == value


def test_a_writers_field_of_our_objects_name_is_exported_in_hex() -> None:
    schema = own_schema()
    schema["fields"].append({"name": "conversions", "type": ["null", "string"], "default": None})
    plan = plan_reading(schema)
    value = written(schema, FIELDS | {"conversions": "x"}, head=b"\x00\x00\x00\x00\x01")

    line = line_of(letter_of(value), lambda _: plan)

    assert published(line, lambda _: plan).value == value


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(writers())
def test_whoever_wrote_it_export_and_publish_make_the_same_event(made: tuple[Any, Any]) -> None:
    schema, event = made
    plan = plan_reading(schema)
    value = written(schema, event)

    found = published(line_of(letter_of(value), lambda _: plan), lambda _: plan).value

    assert found is not None
    assert plainly_read(schema, found, decimals=True) == plainly_read(schema, value, decimals=True)


def test_a_line_that_names_no_schema_is_encoded_with_ours_and_keeps_its_provenance() -> None:
    line = json.loads(line_of(a_purchase()))
    del line["conversions"]["schema"]

    found = published(orjson.dumps(line))

    assert found.ours
    assert found.value is not None
    assert found.value[:5] == b"\x00\x00\x00\x00\x05"
    assert found.provenance is not None
    assert found.provenance.event_id == "order_1"


def test_a_line_published_twice_is_the_same_record_twice() -> None:
    line = line_of(a_purchase())

    assert published(line) == published(line)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ("SECRET", "conversions must be an object"),
        ({"origin": "SECRET"}, "conversions.origin must be topic:partition:offset:timestamp"),
        ({"eventId": 5}, "conversions.eventId must be a text"),
        ({"replays": -1}, "conversions.replays must be a whole number"),
        ({"replays": True}, "conversions.replays must be a whole number"),
        ({"firstSentAt": "SECRET"}, "conversions.firstSentAt must be a time in ISO 8601"),
        ({"schema": "SECRET"}, "conversions.schema must be a schema id, or a fingerprint of 16"),
        ({"schema": True}, "conversions.schema must be a schema id, or a fingerprint of 16"),
        ({"key": 5}, 'conversions.key must be a text, {"hex": …} or null'),
        ({"headers": {}}, "conversions.headers must be a list"),
        ({"headers": [["conversions.origin", "x"]]}, "conversions.headers must be pairs"),
        ({"headers": [["a", 5]]}, "conversions.headers must be a text"),
        ({"valueHex": "SECRET"}, "conversions.valueHex must be hex digits, or null"),
    ],
)
def test_a_provenance_that_was_spoiled_is_told(told: Any, sentence: str) -> None:
    with pytest.raises(Misfit) as misfit:
        provenance_of(told)

    assert str(misfit.value).startswith(sentence)
    assert "SECRET" not in str(misfit.value)


@pytest.mark.parametrize("maybe", [True, False])
def test_a_line_carries_when_meta_may_have_counted_it_and_so_does_its_record(maybe: bool) -> None:
    letter = replace(a_purchase(), maybe_delivered=maybe, first_sent_at_ms=NOW_MS)

    provenance = published(line_of(letter)).provenance

    assert provenance is not None
    headers = dict(provenance.record_headers())
    told = iso_time(NOW_MS).encode() if maybe else None
    assert headers.get("conversions.first_sent_at") == told


def test_a_line_that_its_schema_does_not_take_is_bad() -> None:
    line = json.loads(line_of(a_purchase()))

    assert mistake(line | {"value": "much"}) == "value must be a number"
    assert mistake(line | {"curency": "EUR"}) == (
        "curency is no field of the writer's schema (did you mean currency?)"
    )
    line["conversions"]["schema"] = 9
    assert mistake(line) == "the registry knows no schema 9"


def test_preview_and_send_read_an_exported_line_with_its_event_id() -> None:
    letter = a_purchase(eventId=None)

    found = read_line(line_of(letter))

    assert isinstance(found, Line)
    assert found.unknown == ()
    assert found.fields["eventId"] == letter.event_id


def test_nothing_personal_is_in_any_repr() -> None:
    letter = a_purchase()
    found = published(line_of(letter))
    line = exported(letter, WholeEvents(known))
    answer = repairs("user.email=x@y.de").of(letter)

    assert EMAIL in str(line)
    told = repr((found, found.provenance, repairs("user.email=x@y.de"), answer))
    assert EMAIL not in told
    assert "x@y.de" not in told
