"""Who may call: the token, wherever it travels, and the proof that an app's secret gives."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from consumer.emulator_memory import NO_EXPIRY, Memory
from consumer.emulator_refusal import Refusal


def token_of(
    given: Mapping[str, Any],
    bearer: str | None,
    pixels: Mapping[str, frozenset[str]],
    memory: Memory,
    now: float,
) -> str | Refusal:
    """The token of a call, if it is a good one: a parameter, else the ``Authorization`` header."""
    token = given.get("access_token") or bearer
    if not token or type(token) is not str:
        return _NO_TOKEN
    fault = token_fault(token, pixels, memory, now)
    return fault or _unproven(given.get("appsecret_proof"), token, memory) or token


def token_fault(
    token: str, pixels: Mapping[str, frozenset[str]], memory: Memory, now: float
) -> Refusal | None:
    """What is wrong with a token at ``now`` (wall-clock seconds), None if it is a good one.

    Without named ``pixels`` every token of 8 characters is good that does not contain "invalid".
    """
    known = any(token in tokens for tokens in pixels.values())
    if not (known if pixels else len(token) >= 8 and "invalid" not in token):
        return _BAD_TOKEN
    ends_at = memory.expiries.get(token, NO_EXPIRY).expires_at
    return _EXPIRED_TOKEN if token in memory.revoked or 0 < ends_at <= now else None


def _unproven(proof: object, token: str, memory: Memory) -> Refusal | None:
    """Once there are secrets, each call must carry the proof of one of them."""
    if not memory.app_secrets:
        return None
    for secret in memory.app_secrets:
        if proof == hmac.new(secret.encode(), token.encode(), hashlib.sha256).hexdigest():
            return None
    if memory.proof_code == _SIGNATURE:
        return Refusal(code=_SIGNATURE, message="Incorrect signature")
    return _BAD_PROOF if proof is not None else _NO_PROOF


_SIGNATURE = 104
"""What the documentation says of a bad proof; what was seen live is 100, of another type."""
_NO_TOKEN = Refusal(code=104, message="An access token is required to request this resource.")
_BAD_TOKEN = Refusal(
    code=190, message="Invalid OAuth access token - Cannot parse access token", status=401
)
_EXPIRED_TOKEN = Refusal(
    code=190, subcode=463, message="Error validating access token: the session has expired."
)
_BAD_PROOF = Refusal(
    code=100,
    message="Invalid appsecret_proof provided in the API argument",
    kind="GraphMethodException",
)
_NO_PROOF = _BAD_PROOF._replace(
    message="API calls from the server require an appsecret_proof argument"
)
