"""Prometheus rules with every duration divided by one factor, so that alerts fire within a test.

Ranges, offsets, ``for``, ``keep_firing_for`` and the groups' intervals are durations; what an
expression that asks for ``time()`` is compared with is one as well, in seconds, and so is what a
rate is multiplied by. Nothing else changes: not a threshold, not a selector.
"""

import re
from typing import Any

import yaml

_UNITS_MS = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
    "y": 31_536_000_000,
}
_DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
_COMPOUND = re.compile(r"(?:\d+(?:ms|[smhdwy]))+")
_SPAN = re.compile(r"\[[^\]]*\]|\boffset\s+\S+")
# `time() - x > 5 * 86400`, `x - time() < 600`: the number is one of seconds.
_COMPARED = re.compile(r"(time\(\)(?:\{[^}]*\}|[^<>={}])*[<>]=?\s*)(\d+(?:\s*\*\s*\d+)*)")
# `300 * sum by (job) (rate(`, `sum_over_time(job:x:rate5m{…}[1h]) * 60`: events of so many seconds.
_OF_A_RATE = re.compile(r"(\d+)(?=\s*\*\s*sum by \([^)]*\) \(rate\()")
_RATES_OF = re.compile(r"(\bsum_over_time\([^()]*\)\s*\*\s*)(\d+)")
_QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")')


def faster(rules: str, factor: float) -> str:
    """The same rules, ``factor`` times as fast."""
    document = yaml.safe_load(rules)
    for group in document["groups"]:
        _each(group, ("interval",), factor)
        for rule in group["rules"]:
            _each(rule, ("for", "keep_firing_for"), factor)
            rule["expr"] = expression(str(rule["expr"]), factor)
    return yaml.safe_dump(document, sort_keys=False)


def expression(text: str, factor: float) -> str:
    """One expression, with its durations divided."""
    parts = _QUOTED.split(text)  # what is quoted stands at the odd places
    for place in range(0, len(parts), 2):
        parts[place] = _SPAN.sub(lambda span: _divided(span[0], factor), parts[place])
    divided = _OF_A_RATE.sub(lambda found: _seconds(found[1], factor), "".join(parts))
    for counted in (_COMPARED, _RATES_OF):
        divided = counted.sub(lambda found: found[1] + _seconds(found[2], factor), divided)
    return divided


def _each(mapping: dict[str, Any], keys: tuple[str, ...], factor: float) -> None:
    for key in keys:
        if key in mapping:
            mapping[key] = _divided(str(mapping[key]), factor)


def _divided(text: str, factor: float) -> str:
    return _COMPOUND.sub(lambda found: f"{max(1, round(_ms(found[0]) / factor))}ms", text)


def _ms(duration: str) -> int:
    return sum(int(number) * _UNITS_MS[unit] for number, unit in _DURATION.findall(duration))


def _seconds(product: str, factor: float) -> str:
    seconds = 1.0
    for number in product.split("*"):
        seconds *= int(number)
    return f"{seconds / factor:g}"
