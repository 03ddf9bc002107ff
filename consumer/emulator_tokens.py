"""Until when tokens are good, as the emulator was told, and what ``debug_token`` shows of them.

``POST /_emulator/expiry`` takes ``{"token": "…", "expires_at": 1800000000,
"data_access_expires_at": 0}``: Unix seconds, 0 for never.
"""

from typing import Any

from consumer.emulator_access import token_fault
from consumer.emulator_accounts import Holder
from consumer.emulator_memory import NO_EXPIRY
from consumer.emulator_reading import Asked
from consumer.emulator_refusal import Refusal

APP = {"app_id": "138483919580948", "application": "Emulated app"}
_STRANGER = Holder("1000", False, frozenset(), (), (), ())
_NO_TOKEN_GIVEN = Refusal(code=100, message="(#100) The parameter input_token is required.")
_ENDED = 463


def debug_token(asked: Asked) -> dict[str, Any] | Refusal:
    """A token's metadata; of one that was never one, only that it is not valid."""
    token = asked.request.query.get("input_token")
    if not token:
        return _NO_TOKEN_GIVEN
    memory = asked.memory
    fault = token_fault(token, asked.pixels, memory, asked.now)
    found: dict[str, Any] = {"is_valid": fault is None, "scopes": []}
    if fault is not None:
        error: dict[str, Any] = {"code": fault.code, "message": fault.message}
        found["error"] = error | ({"subcode": fault.subcode} if fault.subcode else {})
    if fault is None or fault.subcode == _ENDED:
        holder = memory.accounts.holders.get(token, _STRANGER)
        found |= APP | memory.expiries.get(token, NO_EXPIRY)._asdict()
        found["type"] = "SYSTEM_USER" if holder.system_user else "USER"
        found["user_id"] = holder.user
        found["scopes"] = sorted(holder.permissions)
    return {"data": found}
