"""Numbers, texts and bytes of Avro ↔ JSON; ``avro_json`` is about what they make up. Pure."""

from collections.abc import Callable, Mapping
from decimal import Decimal, DecimalException, localcontext
from math import isfinite
from typing import Any

from consumer.avro_kinds import Decimals, Misfit, Primitive
from consumer.iso_time import ms_of_iso

EXACT_MAX = 2**53
"""Beyond it many a reader of JSON rounds whole numbers."""
DIGITS_MAX = 400
"""Of a number in text; what is longer is no number that anybody meant."""


def scalar_of(kind: Primitive, given: Any, path: str) -> Any:
    """Of JSON the value of a primitive type. Raises Misfit."""
    return _READ[kind.name](kind, given, path)


def float_json(value: float) -> float | str:
    """A number; a text for what JSON has none for."""
    return value if isfinite(value) else _NOT_FINITE[str(value)]


def bytes_json(value: bytes) -> str | dict[str, str]:
    """Bytes as text where they are UTF-8."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"hex": value.hex()}


def bytes_of(given: Any) -> bytes | None:
    """The reverse of ``bytes_json``; None for what is neither."""
    match given:
        case str():
            return given.encode()
        case {"hex": str(digits), **others} if not others:
            try:
                return bytes.fromhex(digits)
            except ValueError:
                return None
        case _:
            return None


def raw_bytes(given: Any, path: str) -> bytes:
    found = bytes_of(given)
    if found is None:
        raise Misfit(f'{path} must be a text or {{"hex": …}}')
    return found


def decimal_text(kind: Decimals, value: bytes) -> str | dict[str, str]:
    """The number; bytes if it is more than the schema's digits, as it could not be read again."""
    digits = ""
    if len(value) <= DIGITS_MAX:
        unscaled = int.from_bytes(value, "big", signed=True)
        sign, digits = "-" if unscaled < 0 else "", str(abs(unscaled))
    if not 0 < len(digits) <= kind.precision:
        return {"hex": value.hex()}
    if not kind.scale:
        return f"{sign}{digits}"
    digits = digits.rjust(kind.scale + 1, "0")
    return f"{sign}{digits[: -kind.scale]}.{digits[-kind.scale :]}"


def decimal_bytes(kind: Decimals, given: Any, path: str) -> bytes:
    raw = bytes_of(given) if isinstance(given, Mapping) else None
    if raw is not None:
        must(kind.size in (None, len(raw)), path, f"{kind.size} bytes")
        return raw
    number = _number(given)
    must(number is not None, path, "a number")
    with localcontext(prec=3 * DIGITS_MAX):
        unscaled = (number or Decimal(0)).scaleb(kind.scale)
        fits = unscaled == unscaled.to_integral_value() and abs(unscaled) < 10**kind.precision
    places = f", {kind.scale} of them behind the point"
    must(fits, path, f"a number of at most {kind.precision} digits{places if kind.scale else ''}")
    whole = int(unscaled)
    size = kind.size or (whole if whole >= 0 else ~whole).bit_length() // 8 + 1
    try:
        return whole.to_bytes(size, "big", signed=True)
    except OverflowError:
        raise Misfit(f"{path} must be a number that fits into {size} bytes") from None


def must(fine: bool, path: str, be: str) -> None:
    if not fine:
        raise Misfit(f"{path} must be {be}")


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _string(_: Primitive, given: Any, path: str) -> str:
    if isinstance(given, int) and not isinstance(given, bool):
        return str(given)  # as people write ids without quotes
    must(isinstance(given, str), path, "a text")
    return str(given)


def _whole(kind: Primitive, given: Any, path: str) -> int:
    bits = 31 if kind.name == "int" else 63
    found = _number(given)
    if found is None and isinstance(given, str) and kind.per_ms:
        milliseconds = ms_of_iso(given.strip())
        found = None if milliseconds is None else Decimal(milliseconds * kind.per_ms)
    be = f"a whole number of {bits + 1} bits"
    if found is None or found != found.to_integral_value() or not -(2**bits) <= found < 2**bits:
        raise Misfit(f"{path} must be {be}{' or an ISO 8601 time' if kind.per_ms else ''}")
    return int(found)


def _floating(_: Primitive, given: Any, path: str) -> float:
    if isinstance(given, str) and given in _NOT_FINITE.values():
        return float(given)
    found = _number(given)
    must(found is not None, path, "a number")
    return float(found or 0) if not isinstance(given, float) else given


def _boolean(_: Primitive, given: Any, path: str) -> bool:
    known = {"true": True, "false": False}.get(given) if isinstance(given, str) else given
    must(isinstance(known, bool), path, "true or false")
    return bool(known)


def _null(_: Primitive, given: Any, path: str) -> None:
    must(given is None, path, "null")


_READ: Mapping[str, Callable[[Primitive, Any, str], Any]] = {
    "string": _string,
    "bytes": lambda _, given, path: raw_bytes(given, path),
    "int": _whole,
    "long": _whole,
    "float": _floating,
    "double": _floating,
    "boolean": _boolean,
    "null": _null,
}


def _number(given: Any) -> Decimal | None:
    """What is a finite number, or a text that is one."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    text = str(given).strip()
    if len(text) > DIGITS_MAX or "_" in text:
        return None
    try:
        found = Decimal(text)
    except DecimalException:
        return None
    # Neither NaN nor what has more digits than memory.
    return found if found.is_finite() and abs(found.adjusted()) <= DIGITS_MAX else None
