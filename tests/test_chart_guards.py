"""What the chart refuses: contradictions with a sentence, unknown values by its schema."""

import random
import re

import pytest

from consumer.librdkafka_properties import CONSUMER_ONLY, PRODUCER_ONLY, SHARED
from consumer.model import PixelId
from consumer.property_names import is_secret, variable_part
from consumer.setting_fields import Fields
from tests.chart import HelmError, rendered
from tests.helm_tools import MAJORS
from tests.metric_house import House, fill

GRACE = float(Fields.model_fields["grace_seconds"].default)
TIMEOUT = float(Fields.model_fields["request_timeout_seconds"].default)
NO_SECRETS = re.compile(
    "_OAUTHBEARER_(METHOD|TOKEN_ENDPOINT_URL|CLIENT_ID|SCOPE|EXTENSIONS|"
    "METADATA_AUTHENTICATION_TYPE)$"
)
"""What the log masks by its name, and is none."""

REFUSED = [
    ("minimal", ("kafka.KAFKA_BOOTSTRAP_SERVERS=",), "kafka.KAFKA_BOOTSTRAP_SERVERS must be set"),
    (
        "minimal",
        ("settings.CONVERSIONS_PIXEL_ID=",),
        "destinations, existingDestinationsConfigMap or settings.CONVERSIONS_PIXEL_ID must be set",
    ),
    ("many-pixels", ("settings.CONVERSIONS_PIXEL_ID=one",), "only one of destinations,"),
    (
        "minimal",
        ("secrets.meta.existingSecret=",),
        "secrets.meta.existingSecret must name the Secret with Meta's access tokens",
    ),
    (
        "minimal",
        ("secrets.meta.developmentToken=x",),
        "secrets.meta.developmentToken must be empty when",
    ),
    (
        "sasl-tls",
        ("secrets.kafka.existingSecret=", "externalSecrets.enabled=false"),
        "secrets.kafka.existingSecret must name the Secret that secrets.kafka.files are keys of",
    ),
    (
        "sasl-tls",
        ("kafka.KAFKA_SASL_USERNAME=me",),
        "KAFKA_SASL_USERNAME stands in kafka and in secrets.kafka.files; keep one of them",
    ),
    ("sasl-tls", ("externalSecrets.secretStoreRef.name=",), "secretStoreRef.name must be set"),
    (
        "minimal",
        (
            "externalSecrets.enabled=true",
            "externalSecrets.secretStoreRef.name=vault",
            "externalSecrets.data.kafka.password.key=prod",
        ),
        "secrets.kafka.existingSecret must name the Secret that externalSecrets.data.kafka makes",
    ),
    ("keda", ("hpa.enabled=true",), "keda.enabled and hpa.enabled exclude one another"),
    ("keda", ("keda.maxReplicaCount=25",), "25 replicas are more than the topic's 24 partitions"),
    ("minimal", ("topicPartitions=1",), "2 replicas are more than the topic's 1 partitions"),
    (
        "cilium",
        ("topicPartitions=5",),
        "6 replicas are more than the topic's 5 partitions",
    ),
    ("keda", ("keda.minReplicaCount=30",), "keda.minReplicaCount must not be more than"),
    ("cilium", ("hpa.minReplicas=30",), "hpa.minReplicas must not be more than"),
    ("cilium", ("hpa.targetCPUUtilizationPercentage=0",), "or hpa.metrics must be set"),
    (
        "keda",
        ("keda.metadata.limitToPartitionsWithLag=true", "keda.metadata.allowIdleConsumers=true"),
        "keda.metadata.limitToPartitionsWithLag and keda.metadata.allowIdleConsumers exclude",
    ),
    (
        "keda",
        ("kafka.KAFKA_BOOTSTRAP_SERVERS=", "secrets.kafka.files.KAFKA_BOOTSTRAP_SERVERS=brokers"),
        "keda.enabled needs kafka.KAFKA_BOOTSTRAP_SERVERS in the values",
    ),
    (
        "keda",
        ("kafka.KAFKA_SASL_MECHANISM=",),
        "keda.enabled needs to know how the consumer logs in",
    ),
    (
        "minimal",
        ("extraEnv[0].name=CONVERSIONS_METRICS_PORT", "extraEnv[0].value=1"),
        "CONVERSIONS_METRICS_PORT stands twice in the environment",
    ),
    (
        "sasl-tls",
        ("extraEnv[3].name=HTTPS_PROXY", "extraEnv[3].value=http://other"),
        "HTTPS_PROXY stands twice in the environment",
    ),
    (
        "minimal",
        ("kafka.KAFKA_GROUP_INSTANCE_ID=member",),
        "KAFKA_GROUP_INSTANCE_ID would be the same for all members",
    ),
    (
        "static-membership",
        ("kafka.KAFKA_CONSUMER_GROUP_INSTANCE_ID=member",),
        "KAFKA_CONSUMER_GROUP_INSTANCE_ID would be the same for all members",
    ),
    (
        "static-membership",
        (
            "extraEnv[0].name=KAFKA_CONSUMER_GROUP_INSTANCE_ID",
            "extraEnv[0].valueFrom.fieldRef.fieldPath=metadata.name",
        ),
        "workload.staticMembership gives each its own",
    ),
    (
        "minimal",
        ("extraEnv[0].name=CONVERSIONS_GRACE_SECONDS", "extraEnv[0].value=45"),
        "terminationGracePeriodSeconds must be more than 65",
    ),
    (
        "many-pixels",
        ("monitoring.enabled=true", "monitoring.sampleLimit=2199"),
        "monitoring.sampleLimit must be 0 or at least 2200",
    ),
    ("static-membership", ("workload.kind=Deployment",), "needs workload.kind StatefulSet"),
    ("static-membership", ("keda.enabled=true",), "needs a fixed replicaCount"),
    (
        "minimal",
        (f"terminationGracePeriodSeconds={GRACE + TIMEOUT:.0f}",),
        f"terminationGracePeriodSeconds must be more than {GRACE + TIMEOUT:.0f}",
    ),
    (
        "minimal",
        ("settings.CONVERSIONS_REQUEST_TIMEOUT_SECONDS=1", "terminationGracePeriodSeconds=40"),
        "terminationGracePeriodSeconds must be more than 40",
    ),
    (
        "network-policy",
        ("kafka.KAFKA_BOOTSTRAP_SERVERS=a:9092\\,b:9094",),
        "networkPolicy.kafka.ports must hold 9094, the port of b:9094",
    ),
    (
        "network-policy",
        ("schemaRegistry.SCHEMA_REGISTRY_URL=https://registry/api:1",),
        "networkPolicy.schemaRegistry.ports must hold 443",
    ),
]
UNKNOWN = [
    "replicaCounts=3",
    "image.tags=1",
    "settings.CONVERSIONS_TOPICS=x",
    "settings.CONVERSIONS_ACCESS_TOKEN=x",
    "settings.CONVERSIONS_METRICS_PORT=1",
    "kafka.bootstrap=x",
    "kafka.CONVERSIONS_TOPIC=x",
    "schemaRegistry.URL=x",
    "destinations[0].id=1729525464415281",  # as a number, which loses digits
    "probes.liveness.path=/",
    "workload.kind=DaemonSet",
    "podLabels.app\\.kubernetes\\.io/component=x",
    "replay.arguments={--yes}",
    "podDisruptionBudget.maxUnavailable=0",  # no node could ever be drained
    "prometheusRule.runbookBaseUrl=https://no-slash",
]


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize(("scenario", "sets", "sentence"), REFUSED)
def test_a_contradiction_is_told_in_a_sentence(
    scenario: str, sets: tuple[str, ...], sentence: str, major: int
) -> None:
    with pytest.raises(HelmError) as refusal:
        rendered(scenario, major, sets)

    assert sentence in str(refusal.value)
    assert str(refusal.value).count("\n* ") == 1


@pytest.mark.parametrize("major", MAJORS)
def test_all_contradictions_are_told_at_once(major: int) -> None:
    with pytest.raises(HelmError) as refusal:
        rendered("minimal", major, ("secrets.meta.existingSecret=", "topicPartitions=1"))

    assert str(refusal.value).count("\n* ") == 2


@pytest.mark.parametrize("seconds", [GRACE + TIMEOUT + 1])
def test_just_enough_time_to_end_is_enough(seconds: float) -> None:
    assert rendered("minimal", 4, (f"terminationGracePeriodSeconds={seconds:.0f}",))


@pytest.mark.parametrize("limit", [0, 2200])
def test_a_limit_that_is_none_or_high_enough_is_taken(limit: int) -> None:
    assert rendered(
        "many-pixels", 4, ("monitoring.enabled=true", f"monitoring.sampleLimit={limit}")
    )


@pytest.mark.parametrize("count", [1, 10, 50])
def test_a_member_in_every_trouble_stays_below_the_limit_that_is_demanded(count: int) -> None:
    destinations = [PixelId(str(number)) for number in range(count)]
    house = House(*destinations)
    fill(house, destinations, random.Random(8))

    assert len(house.series()) <= 1000 + 300 * count


def test_no_variable_of_a_secret_may_have_its_value_here() -> None:
    names = sorted(SHARED | CONSUMER_ONLY | PRODUCER_ONLY)
    variables = [f"KAFKA_{variable_part(name)}" for name in names]
    secret = {name for name in variables if is_secret(name) and not NO_SECRETS.search(name)}
    with pytest.raises(HelmError) as refusal:
        rendered("minimal", 4, tuple(f"kafka.{name}=true" for name in variables))

    assert set(re.findall(r"kafka\.(\w+) may be a secret", str(refusal.value))) == secret


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("unknown", UNKNOWN)
def test_a_value_that_there_is_not_is_refused(unknown: str, major: int) -> None:
    with pytest.raises(HelmError) as refusal:
        rendered("minimal", major, (unknown,))

    assert "values don't meet the specifications of the schema" in str(refusal.value)
