"""Writes the pages that are generated from the code: ``python docs/generate.py`` (``make docs``).

``--check`` only compares, and exits 1 when a page is stale; a test does the same.
"""

import json
import sys
from pathlib import Path

from chart_pages import CHART, chart_readme, values_schema
from dashboards.dead_letters import dead_letters
from dashboards.overview import overview
from event_page import event_page
from letters_page import letters_page
from metrics_page import metrics_page
from scaling_page import scaling_page

from consumer.destinations import json_schema
from consumer.kafka_settings import (
    CONSUMER_DEFAULTS,
    CONSUMER_FIXED,
    PRODUCER_DEFAULTS,
    PRODUCER_FIXED,
)
from consumer.model import Scope
from consumer.patience import THROTTLE_FIRST_SECONDS, THROTTLE_MAX_SECONDS
from consumer.settings import describe
from consumer.sharing import DELAY_FIRST_SECONDS, DELAY_MAX_SECONDS, DELAY_SHARE, SLOW_SHARE
from consumer.usage import WAIT_SECONDS_MAX
from consumer.verdicts import (
    EVENT_FAULTS,
    ROWS,
    Action,
    Do,
    Halt,
    Repeat,
    Row,
    Says,
    Throttle,
    spelled,
)

DOCS = Path(__file__).parent
DASHBOARDS = DOCS.parent / "helm" / "files" / "dashboards"
MADE = "<!-- Made by docs/generate.py from the code. Change the code, then run `make docs`. -->"


def pages() -> dict[Path, str]:
    """Every generated page and its text."""
    return {
        DOCS / "configuration.md": configuration(),
        DOCS / "dead-letters.md": f"{MADE}\n\n{letters_page()}",
        DOCS / "errors.md": errors(),
        DOCS / "event.md": f"{MADE}\n\n{event_page()}",
        DOCS / "metrics.md": f"{MADE}\n\n{metrics_page()}",
        DOCS / "scaling.md": f"{MADE}\n\n{scaling_page()}",
        DOCS / "destinations.schema.json": json.dumps(json_schema(), indent=2) + "\n",
        DASHBOARDS / "overview.json": json.dumps(overview(), indent=2) + "\n",
        DASHBOARDS / "dead-letters.json": json.dumps(dead_letters(), indent=2) + "\n",
        CHART / "values.schema.json": values_schema(),
        CHART / "README.md": chart_readme(),
    }


def configuration() -> str:
    """Every setting, with its default and what it does."""
    settings = "\n".join(
        f"| `{name}` | {f'`{default}`' if default else ''} | {text} |"
        for name, default, text in describe()
    )
    properties = json_schema()["$defs"]["Destination"]["properties"]
    destination = "\n".join(
        f"| `{name}` | {_default(entry)} | {entry['description']} |"
        for name, entry in properties.items()
    )
    fixed = _listed({**CONSUMER_FIXED, **PRODUCER_FIXED})
    ours = _listed({**CONSUMER_DEFAULTS, **PRODUCER_DEFAULTS})
    return f"""{MADE}

# Configuration

The command line (`--set NAME=VALUE`) wins over the environment, that over the settings file, that
over the defaults. A name that does not exist, or a value that cannot be, is refused at the start:
one sentence on stderr, exit code 2. Sizes may be written as `4MiB`.

## Settings

| variable | default | what it does |
|---|---|---|
{settings}

A secret (`CONVERSIONS_ACCESS_TOKEN`, `CONVERSIONS_APP_SECRET`) and every `KAFKA_` and
`SCHEMA_REGISTRY_` variable may be given as `<NAME>_FILE`, the path of a file that holds the value.
Token files are read again when they change.

The settings file (`CONVERSIONS_SETTINGS_FILE`) is YAML with the same names as keys.

## Kafka

Any property of librdkafka, as `KAFKA_<PROPERTY>` in capitals with underscores for dots:
`KAFKA_BOOTSTRAP_SERVERS`, `KAFKA_SECURITY_PROTOCOL`, `KAFKA_SASL_MECHANISM`. With `KAFKA_CONSUMER_`
or `KAFKA_PRODUCER_` it is for one of the two clients only. Two underscores stand for one, three for
a dash.

These are ours alone, because the delivery guarantees rest on them; another value is refused:
{fixed}, and `group.id`, which is `CONVERSIONS_GROUP_ID`.

These are our defaults, and may be set otherwise: {ours}.
With `KAFKA_CONSUMER_GROUP_PROTOCOL=consumer` the assignor is left to the brokers.

What Kubernetes puts into the environment for Services called `conversions` or `kafka` is ignored.

## Schema registry

`SCHEMA_REGISTRY_URL`, `SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO`, `SCHEMA_REGISTRY_SSL_CA_LOCATION` and
whatever else Confluent's registry client knows. Without a URL, records must be in Avro's
single-object encoding, with our schema or one of the folder `CONVERSIONS_SCHEMAS_DIR`.

## Destinations file

A YAML list (`CONVERSIONS_DESTINATIONS_FILE`); [its JSON schema](destinations.schema.json). It is
read again when it changes: a mistake in it keeps the old destinations, and says so in the log.

| key | default | what it does |
|---|---|---|
{destination}

```yaml
- id: 1729525464415281
  name: Web shop
  accessTokenFile: /run/secrets/meta/web-shop
  defaultCountry: US
- id: 2729525464415282
  name: CRM
  accessTokenFile: /run/secrets/meta/crm
  actionSource: crm
  actionSources:
    call_centre: phone_call
```

Without a file, `CONVERSIONS_PIXEL_ID` and `CONVERSIONS_ACCESS_TOKEN` name the one destination.
"""


def errors() -> str:
    """Every answer of Meta's, what we do, and what the operator does."""
    rows = "\n".join(
        f"| {_said(row)} | {row.meaning} | {_done(row.action)} | {row.advice} |" for row in ROWS
    )
    faults = "\n".join(f"| {subcode} | {meaning} |" for subcode, meaning in EVENT_FAULTS.items())
    return f"""{MADE}

# What Meta answers, and what is done about it

From the top; the first row that fits decides. The body is read before the HTTP status, codes count
before statuses, and Meta's texts never: they are in the language of whoever owns the token.

| Meta says | which means | we do | you do |
|---|---|---|---|
{rows}

No answer at all (a time-out, a broken connection) is repeated like a server error. An event first
sent 47 hours ago without a clear answer is dead-lettered as `outcome_unknown`: Meta forgets event
ids after 48 hours, and might count it twice. What a halted destination holds is only given up, as
`destination_halted`, when others have waited for it longer than CONVERSIONS_SPILL_AFTER_SECONDS.

## Limits

A pause is never shorter than Meta asks for (`estimated_time_to_regain_access` in minutes,
`reset_time_duration` and `Retry-After` in seconds; at most {WAIT_SECONDS_MAX / 3600:.0f} hours)
and lasts {THROTTLE_FIRST_SECONDS:.0f} seconds at first, then twice as long each time, up to
{THROTTLE_MAX_SECONDS / 60:.0f} minutes. Afterwards one request goes out at a time, and one more
with each that is accepted.

Before a limit is reached (`X-App-Usage`, `X-Business-Use-Case-Usage`, `X-Ad-Account-Usage`,
`X-FB-Ads-Insights-Throttle`) everything slows down: from {SLOW_SHARE:.0%} used one request is out
at a time for all who share the limit, from {DELAY_SHARE:.0%} they wait {DELAY_FIRST_SECONDS:.0f} to
{DELAY_MAX_SECONDS:.0f} seconds between two, at 100% they pause.
`conversions_meta_usage_ratio` shows it.

Who shares: destinations with the same token share the limits of that token and of its app. When
CONVERSIONS_APP_SECRET is set all tokens are of one app, and all destinations share its limits. All
other limits are those of one destination.

## Code 100: an event is at fault

Meta refuses the whole request and does not say for which event. The others are sent without it; it
is dead-lettered as `refused_by_meta`, with Meta's words. Known subcodes:

| subcode | meaning |
|---|---|
{faults}
"""


def _said(row: Row) -> str:
    """What of an answer a row looks at."""
    parts = [row.says.value] if row.says not in (None, Says.ERROR) else []
    if row.codes is not None:
        parts.append(f"code {spelled(row.codes)}")
    if row.subcodes is not None:
        parts.append(f"subcode {spelled(row.subcodes)}")
    if row.kind is not None:
        parts.append(f"type `{row.kind}`")
    if row.transient is not None:
        parts.append("`is_transient` is true")
    if row.statuses is not None:
        parts.append(f"HTTP {spelled(row.statuses)}")
    return ", ".join(parts) or "any other code"


def _done(action: Action) -> str:
    """What an action is, in words."""
    match action:
        case Do.ACCEPT:
            return "the events are delivered"
        case Do.COMPLETE:
            return "send the same ids once more, then in ever smaller requests"
        case Do.REFUSE_EVENT:
            return "find the event with few requests, dead-letter it, deliver the others"
        case Do.SPLIT:
            return "send the events in halves"
        case Repeat(_, few_times):
            until = "; halt the destination if that goes on" if few_times else ""
            return f"send the same ids again, with growing pauses up to a minute{until}"
        case Throttle(scope):
            return f"pause {_PAUSED[scope]}"
        case Halt(reason):
            return f"halt the destination (`{reason.value}`), hold its events, probe"


_PAUSED = {
    Scope.DESTINATION: "the destination",
    Scope.TOKEN: "all with that token",
    Scope.APP: "all of that app",
}


def _default(entry: dict[str, object]) -> str:
    default = entry.get("default")
    if default is None or default == {}:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _listed(properties: dict[str, str]) -> str:
    return ", ".join(f"`{name}={value}`" for name, value in properties.items())


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` compare them."""
    stale = [path for path, text in pages().items() if not _is(path, text)]
    for path in stale:
        if "--check" in arguments:
            print(f"{path.name} is stale: run `make docs`", file=sys.stderr)  # noqa: T201
        else:
            path.write_text(pages()[path], encoding="utf-8")
    return 1 if stale and "--check" in arguments else 0


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
