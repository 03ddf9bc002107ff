"""People as publishers describe them, and their match keys under rules that a test chooses."""

from collections.abc import Mapping
from datetime import date
from hashlib import sha256
from typing import Any

from consumer.match_keys import (
    DateOrder,
    ExternalIdRule,
    MatchKeyRules,
    MatchKeys,
    match_keys,
)

TODAY = date(2026, 11, 22)
CLICK_MS = 1554763741205
"""The time of every event, in wall-clock milliseconds."""
NOTHING_SHA256 = sha256(b"").hexdigest()

HASHED = {
    "email": "em",
    "phone": "ph",
    "firstName": "fn",
    "lastName": "ln",
    "dob": "db",
    "gender": "ge",
    "city": "ct",
    "state": "st",
    "zip": "zp",
    "country": "country",
    "externalId": "external_id",
}
CLEAR = {
    "userAgent": "client_user_agent",
    "subscriptionId": "subscription_id",
    "anonId": "anon_id",
    "madid": "madid",
    "pageId": "page_id",
    "pageScopedUserId": "page_scoped_user_id",
    "ctwaClid": "ctwa_clid",
    "whatsappBusinessAccountId": "whatsapp_business_account_id",
    "igAccountId": "ig_account_id",
    "igSid": "ig_sid",
}
"""What passes in the clear as it is; the others in the clear have rules of their own."""
RULED = {"ipAddress": "client_ip_address", "leadId": "lead_id", "fbLoginId": "fb_login_id"}
LISTS = {"emails": "em", "phones": "ph", "externalIds": "external_id"}
FIELDS = [*HASHED, *CLEAR, *RULED, *LISTS]

PERSON = {
    "email": "john_smith@gmail.com",
    "phone": "+1 650 555 1212",
    "firstName": "John",
    "lastName": "Smith",
    "city": "Menlo Park",
    "state": "California",
    "zip": "94025-1234",
    "country": "United States",
    "dob": "2/16/1997",
    "gender": "male",
    "externalId": "Customer 17",
}


def rules_with(
    *,
    default_country: str | None = None,
    external_id: ExternalIdRule = ExternalIdRule.PIXEL,
    date_order: DateOrder | None = None,
) -> MatchKeyRules:
    return MatchKeyRules(
        default_country=default_country, external_id=external_id, date_order=date_order
    )


RULES = rules_with()


def keys_of(
    user: Mapping[str, Any], *, rules: MatchKeyRules = RULES, website: bool = False
) -> MatchKeys:
    return match_keys(user, rules, event_time_ms=CLICK_MS, today=TODAY, website=website)


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
