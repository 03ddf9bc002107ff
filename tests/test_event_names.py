"""Event names: which are Meta's own, and which are so near to one that somebody has slipped."""

import pytest

from consumer.event_names import MESSAGING_EVENT_NAMES, STANDARD_EVENT_NAMES, near_miss


@pytest.mark.parametrize(
    ("name", "standard"),
    [
        ("purchase", "Purchase"),
        ("PURCHASE", "Purchase"),
        (" Purchase", "Purchase"),
        ("Add To Cart", "AddToCart"),
        ("addToCart", "AddToCart"),
        ("AddtoCart", "AddToCart"),
        ("add_to_cart", "AddToCart"),
        ("page_view", "PageView"),
        ("Page-View!", "PageView"),
        ("complete.registration", "CompleteRegistration"),
        ("Purchases", None),
        ("my_purchase", None),
        ("trial_converted", None),
        ("購入", None),
        ("", None),
        ("___", None),
        ("purchase" + " " * 100, None),
    ],
)
def test_a_name_in_other_letters_or_with_other_punctuation_is_a_near_miss(
    name: str, standard: str | None
) -> None:
    assert near_miss(name) == standard
    assert near_miss(name) == standard, "the second answer comes from memory"


@pytest.mark.parametrize("name", STANDARD_EVENT_NAMES)
def test_a_standard_name_itself_is_none(name: str) -> None:
    assert near_miss(name) is None
    assert near_miss(name.lower()) == name


def test_the_lists_are_those_of_metas_pages() -> None:
    assert len(set(STANDARD_EVENT_NAMES)) == len(STANDARD_EVENT_NAMES) == 18
    assert len(MESSAGING_EVENT_NAMES) == 14
