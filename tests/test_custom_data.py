"""What an event is worth and what was bought → ``custom_data``, field by field."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer import wire_fields
from consumer.custom_data import custom_data
from consumer.model import Dropped, DropReason
from consumer.schema_plan import event_schema
from consumer.wire_fields import WireField, taken
from consumer.wire_values import (
    CONTENT_TYPES,
    CUSTOMER_SEGMENTS,
    DELIVERY_CATEGORIES,
    QUANTITY_MAX,
    currency,
    money,
    nothing,
)

MALFORMED, COLLISION = DropReason.MALFORMED, DropReason.COLLISION
INFINITE = float("inf")
LONG_MAX = 2**63 - 1
TOO_DEEP = '{"a":' * 300 + "1" + "}" * 300
"""Sound JSON that orjson reads and cannot write."""


def made(fields: dict[str, Any], *, from_crm: bool = False) -> tuple[dict[str, Any], list[Dropped]]:
    """The data, and what was dropped on the way."""
    dropped: list[Dropped] = []
    return custom_data(fields, from_crm=from_crm, dropped=dropped), dropped


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (42.5, 42.5),
        (0, 0),
        (0.0, 0.0),
        (7, 7),
        (0.1 + 0.2, 0.3),
        (1.23456789, 1.234568),
        (1e308, 1e308),
        (-0.01, None),
        (-1, None),
        (float("nan"), None),
        (INFINITE, None),
        (-INFINITE, None),
        (True, None),
        ("42.50", None),
        (None, None),
    ],
)
def test_an_amount_is_a_finite_number_that_is_not_negative(given: Any, sent: Any) -> None:
    assert money(given) == sent
    assert type(money(given)) is type(sent)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("USD", "USD"),
        (" eur ", "EUR"),
        ("gBp", "GBP"),
        ("EURO", None),
        ("ZZZ", None),
        ("$", None),
        ("", None),
        (840, None),
    ],
)
def test_a_currency_is_an_iso_code_in_capitals(given: Any, sent: str | None) -> None:
    assert currency(given) == sent


def test_an_event_without_anything_has_no_custom_data() -> None:
    assert made({}) == ({}, [])
    assert made(dict.fromkeys(["value", "currency", "items", "customData", "orderId"])) == ({}, [])
    assert made({"items": [], "customData": {}, "customDataJson": "", "orderId": ""}) == ({}, [])


@pytest.mark.parametrize("name", ["value", "predictedLtv", "netRevenue"])
def test_an_amount_that_is_none_is_dropped_by_its_name(name: str) -> None:
    assert made({name: -1.0}) == ({}, [Dropped(name, MALFORMED)])


def test_every_named_field_has_its_name_at_meta() -> None:
    fields = {
        "value": 42.5,
        "predictedLtv": 100.0,
        "netRevenue": 30.0,
        "currency": "usd",
        "orderId": "order_1",
        "contentType": "product_group",
        "contentName": "Hat",
        "contentCategory": "Clothes",
        "contentIds": ["sku_1"],
        "numItems": 2,
        "searchString": "hats",
        "status": "registered",
        "deliveryCategory": "home_delivery",
        "itemNumber": "n1",
        "customerSegmentation": "new_customer_to_business",
    }

    assert made(fields) == (
        {
            "value": 42.5,
            "predicted_ltv": 100.0,
            "net_revenue": 30.0,
            "currency": "USD",
            "order_id": "order_1",
            "content_type": "product_group",
            "content_name": "Hat",
            "content_category": "Clothes",
            "content_ids": ["sku_1"],
            "num_items": 2,
            "search_string": "hats",
            "status": "registered",
            "delivery_category": "home_delivery",
            "item_number": "n1",
            "customer_segmentation": "new_customer_to_business",
        },
        [],
    )


def test_items_become_contents_ids_and_a_count() -> None:
    items = [
        {
            "id": "sku_1",
            "name": "Hat",
            "quantity": 2,
            "price": 10.1 + 0.2,
            "category": "Clothes",
            "brand": "B",
            "description": "Red",
            "deliveryCategory": "curbside",
        },
        {"id": "sku_2"},
        {"name": "no id", "quantity": 3},
    ]

    assert made({"items": items}) == (
        {
            "contents": [
                {
                    "id": "sku_1",
                    "quantity": 2,
                    "title": "Hat",
                    "category": "Clothes",
                    "brand": "B",
                    "description": "Red",
                    "delivery_category": "curbside",
                    "item_price": 10.3,
                },
                {"id": "sku_2"},
                {"title": "no id", "quantity": 3},
            ],
            "content_type": "product",
            "num_items": 6,
            "content_ids": ["sku_1", "sku_2"],
        },
        [],
    )


def test_what_the_publisher_said_of_the_items_is_not_counted_again() -> None:
    fields = {
        "items": [{"id": "sku_1"}],
        "numItems": 9,
        "contentType": "product_group",
        "contentIds": ["group_1"],
    }

    data, _ = made(fields)

    assert (data["num_items"], data["content_type"], data["content_ids"]) == (
        9,
        "product_group",
        ["group_1"],
    )


def test_an_item_keeps_what_is_sound_of_it() -> None:
    data, dropped = made({"items": [{"id": "sku_1", "price": INFINITE}, "no item"]})

    assert data["contents"] == [{"id": "sku_1"}]
    assert dropped == [Dropped("items.price", MALFORMED), Dropped("items", MALFORMED)]


@pytest.mark.parametrize("quantity", [-1, QUANTITY_MAX + 1, LONG_MAX, -LONG_MAX])
def test_a_quantity_that_nobody_buys_is_dropped_and_its_item_counts_once(quantity: int) -> None:
    data, dropped = made({"items": [{"id": "a", "quantity": quantity}, {"id": "b", "quantity": 2}]})

    assert data["contents"] == [{"id": "a"}, {"id": "b", "quantity": 2}]
    assert data["num_items"] == 3
    assert dropped == [Dropped("items.quantity", MALFORMED)]


@pytest.mark.parametrize("quantity", [0, 1, QUANTITY_MAX])
def test_any_other_quantity_is_passed_on(quantity: int) -> None:
    data, dropped = made({"items": [{"id": "a", "quantity": quantity}]})

    assert data["contents"] == [{"id": "a", "quantity": quantity}]
    assert (data["num_items"], dropped) == (quantity, [])


@pytest.mark.parametrize(
    ("fields", "from_crm", "sent"),
    [
        ({"leadEventSource": "HubSpot"}, True, ("crm", "HubSpot")),
        ({"user": {"leadId": "123456789012345"}}, True, ("crm", None)),
        ({"user": {"email": "a@b.co"}}, True, (None, None)),
        ({}, True, (None, None)),
        ({"leadEventSource": "HubSpot"}, False, (None, None)),
    ],
)
def test_an_event_of_a_crm_says_so_when_it_knows_its_lead(
    fields: dict[str, Any], from_crm: bool, sent: tuple[str | None, str | None]
) -> None:
    data, _ = made(fields, from_crm=from_crm)

    assert (data.get("event_source"), data.get("lead_event_source")) == sent


def test_the_crm_of_an_event_that_comes_from_none_is_told_as_left_out() -> None:
    assert made({"leadEventSource": "HubSpot"}) == (
        {},
        [Dropped("leadEventSource", DropReason.NOT_FROM_CRM)],
    )


def test_the_crm_of_a_lead_is_not_overwritten_by_a_free_property() -> None:
    free = {"event_source": "shop", "lead_event_source": "mine"}

    data, dropped = made({"leadEventSource": "HubSpot", "customData": free}, from_crm=True)

    assert data == {"event_source": "crm", "lead_event_source": "HubSpot"}
    assert dropped == [Dropped("customData", COLLISION)] * 2
    assert made({"customData": free}) == (free, [])


NAMED_BY_META: list[tuple[str, Any, Any]] = [
    ("value", 12, 12),
    ("value", 0.1 + 0.2, 0.3),
    ("value", "12", None),
    ("value", True, None),
    ("value", -1, None),
    ("currency", "usd", "USD"),
    ("currency", 1, None),
    ("predicted_ltv", "3", None),
    ("num_items", 3, 3),
    ("num_items", "3", None),
    ("num_items", 2.5, None),
    ("order_id", "o1", "o1"),
    ("order_id", 17, "17"),
    ("order_id", True, None),
    ("order_id", {"a": 1}, None),
    ("content_type", "Product", "product"),
    ("content_type", "banana", None),
    ("content_ids", ["a", "b"], ["a", "b"]),
    ("content_ids", "a", None),
    ("content_ids", [1], ["1"]),
    ("content_ids", [1.5], None),
    ("delivery_category", "by_drone", None),
    ("customer_segmentation", "existing_customer_to_business", "existing_customer_to_business"),
    ("customer_segmentation", "friend", None),
    ("contents", [{"id": "a", "item_price": 0.1 + 0.2}], [{"id": "a", "item_price": 0.3}]),
    ("contents", "a", None),
    ("contents", [], None),
    ("contents", ["a"], None),
    ("contents", [{}], None),
    ("contents", [{"id": "a", "colour": "red"}], None),
    ("contents", [{"id": 1}], [{"id": "1"}]),
    ("contents", [{"id": {}}], None),
    ("status", True, True),
    ("status", {}, None),
    ("event_source", "shop", "shop"),
    ("event_source", {}, None),
    ("lead_event_source", 1.5, None),
    ("contents", [{"id": "a", "quantity": "2"}], None),
]


@pytest.mark.parametrize(("name", "given", "sent"), NAMED_BY_META)
def test_a_free_property_under_a_name_of_metas_must_be_what_meta_takes_there(
    name: str, given: Any, sent: Any
) -> None:
    """One property of a wrong type would have a thousand events refused."""
    for field, value in (
        ("customData", {name: given}),
        ("customDataJson", json.dumps({name: given})),
    ):
        data, dropped = made({field: value})

        assert data == ({} if sent is None else {name: sent})
        assert dropped == ([Dropped(field, MALFORMED)] if sent is None else [])


CLOSED: list[tuple[str, str, tuple[str, ...]]] = [
    ("contentType", "content_type", CONTENT_TYPES),
    ("deliveryCategory", "delivery_category", DELIVERY_CATEGORIES),
    ("customerSegmentation", "customer_segmentation", CUSTOMER_SEGMENTS),
]


@pytest.mark.parametrize(("ours", "metas", "words"), CLOSED)
def test_of_a_closed_list_of_metas_only_its_words_are_sent(
    ours: str, metas: str, words: tuple[str, ...]
) -> None:
    for word in words:
        assert made({ours: f" {word.upper()} "}) == ({metas: word}, [])
    for other in ("something else", words[0] + "s", 5, ["product"]):
        assert made({ours: other}) == ({}, [Dropped(ours, MALFORMED)])


def test_the_closed_list_of_segments_has_the_nine_of_metas_page() -> None:
    assert len(set(CUSTOMER_SEGMENTS)) == 9
    assert "existing_customer_to_product_area" in CUSTOMER_SEGMENTS


@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        ({"numItems": -1}, "numItems"),
        ({"numItems": QUANTITY_MAX + 1}, "numItems"),
        ({"numItems": True}, "numItems"),
        ({"contentIds": "sku_1"}, "contentIds"),
        ({"contentIds": [5.5]}, "contentIds"),
        ({"contentIds": [""]}, "contentIds"),
        ({"orderId": 5.5}, "orderId"),
        ({"status": 1}, "status"),
        ({"items": "sku_1"}, "items"),
        ({"items": [{}]}, "items"),
        ({"items": [{"id": ""}]}, "items"),
    ],
)
def test_a_field_of_a_wrong_kind_is_dropped_by_its_name(
    fields: dict[str, Any], dropped: str
) -> None:
    assert made(fields) == ({}, [Dropped(dropped, MALFORMED)])


def test_an_item_of_a_wrong_kind_costs_its_field() -> None:
    item = {"id": "a", "deliveryCategory": "by_drone", "brand": 5.5, "quantity": 1.5}

    assert made({"items": [item]}) == (
        {
            "contents": [{"id": "a"}],
            "content_type": "product",
            "num_items": 1,
            "content_ids": ["a"],
        },
        [
            Dropped("items.quantity", MALFORMED),
            Dropped("items.brand", MALFORMED),
            Dropped("items.deliveryCategory", MALFORMED),
        ],
    )


def test_free_properties_are_merged_from_all_three_places() -> None:
    fields = {
        "customData": {"plan": "gold", "nested": {"deep": [1, None]}},
        "customNumbers": {"seats": 5.0},
        "customDataJson": '{"renewal": true}',
    }

    assert made(fields) == (
        {"plan": "gold", "nested": {"deep": [1, None]}, "seats": 5.0, "renewal": True},
        [],
    )


def test_a_free_property_never_overwrites_a_named_one_or_an_earlier_one() -> None:
    fields = {
        "value": 42.5,
        "customData": {"value": "1", "plan": "gold"},
        "customNumbers": {"value": 2.0, "plan": 3.0},
        "customDataJson": '{"value": 4, "contents": []}',
        "items": [{"id": "sku_1"}],
    }

    data, dropped = made(fields)

    assert (data["value"], data["plan"], data["contents"]) == (42.5, "gold", [{"id": "sku_1"}])
    assert dropped == [
        Dropped("customData", COLLISION),
        Dropped("customNumbers", COLLISION),
        Dropped("customNumbers", COLLISION),
        Dropped("customDataJson", COLLISION),
        Dropped("customDataJson", COLLISION),
    ]


@pytest.mark.parametrize("given", ["{", "[1]", "3", '"text"', "null", '{"a": NaN}', TOO_DEEP])
def test_custom_json_that_is_no_object_is_dropped_whole(given: str) -> None:
    assert made({"customDataJson": given}) == ({}, [Dropped("customDataJson", MALFORMED)])


def test_custom_data_nested_too_deep_to_be_written_costs_no_other_property() -> None:
    fields = {"customData": json.loads(TOO_DEEP), "customNumbers": {"good": 1.5}}

    assert made(fields) == ({"good": 1.5}, [Dropped("customData", MALFORMED)])


def test_what_json_cannot_say_is_dropped_one_by_one() -> None:
    fields = {"customNumbers": {"bad": INFINITE, "good": 1.5}, "customData": {"gone": None}}

    assert made(fields) == (
        {"good": 1.5},
        [Dropped("customData", MALFORMED), Dropped("customNumbers", MALFORMED)],
    )


_SCALARS = st.none() | st.booleans() | st.integers(-10, 10) | st.floats() | st.text(max_size=5)
_NAMES = st.sampled_from(
    ["value", "netRevenue", "currency", "items", "customData", "customNumbers", "customDataJson"]
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        _NAMES,
        _SCALARS
        | st.dictionaries(st.text(max_size=3), _SCALARS, max_size=3)
        | st.text(alphabet='{}[]":,1ae', max_size=12),
        max_size=5,
    )
)
def test_whatever_money_and_free_properties_hold_json_can_say_it(fields: dict[str, Any]) -> None:
    fields.pop("items", None)

    data, _ = made(fields)

    assert json.loads(json.dumps(data, allow_nan=False)) == data


# --- the tables of names ------------------------------------------------------------------------


def test_renaming_leaves_out_what_is_null_or_empty_and_keeps_false_and_zero() -> None:
    table = tuple(
        WireField(ours, metas, kind, nothing)
        for ours, metas, kind in (
            *(("a", "x", str), ("b", "y", str), ("c", "z", list), ("d", "v", int)),
            *(("e", "w", bool), ("f", "u", str), ("h", "t", str)),
        )
    )
    fields: dict[str, Any] = {"a": None, "b": "", "c": [], "d": 0, "e": False, "g": 1, "h": 1}
    dropped: list[Dropped] = []

    found = taken(fields, table, "here.", dropped)

    assert found == {"z": [], "v": 0, "w": False}
    assert dropped == [Dropped("here.h", MALFORMED)]


def test_each_name_of_ours_is_in_the_schema_and_each_of_metas_is_snake_case() -> None:
    fields = {field["name"]: field["type"] for field in event_schema()["fields"]}

    def inside(name: str) -> set[str]:
        kind = next(each for each in fields[name] if each != "null")
        record = kind.get("items", kind)
        return {field["name"] for field in record["fields"]}

    tables = [
        (wire_fields.EVENT, set(fields)),
        (wire_fields.CUSTOM_DATA, set(fields)),
        (wire_fields.ITEM, inside("items")),
        (wire_fields.APP_DATA, inside("appData")),
        (wire_fields.ORIGINAL_EVENT, inside("originalEvent")),
        (wire_fields.ATTRIBUTION, inside("attribution")),
        (wire_fields.ATTRIBUTION_SETTING, inside("attribution")),
    ]
    for table, known in tables:
        assert {field.ours for field in table} <= known
        theirs = [field.metas for field in table]
        assert len(theirs) == len(set(theirs))
        assert all(re.fullmatch("[a-z_]+", metas) for metas in theirs)


def test_no_field_of_the_schema_is_read_by_nobody() -> None:
    """A field that publishers may fill and that goes nowhere would be a silent loss."""
    package = Path(wire_fields.__file__).parent
    rooms = [room for room in package.glob("*.py") if room.stem not in ("demo_events", "encode")]
    text = "".join(room.read_text("utf-8") for room in rooms)

    def names(kind: Any) -> set[str]:
        if isinstance(kind, list):
            return set().union(*(names(each) for each in kind))
        if not isinstance(kind, dict):
            return set()
        if kind["type"] == "record":
            fields = kind["fields"]
            return {each["name"] for each in fields}.union(*(names(e["type"]) for e in fields))
        return names(kind.get("items"))

    assert {name for name in names(event_schema()) if f'"{name}"' not in text} == set()
