"""The chart: what it makes of each scenario of ``helm/ci``, and that the consumer takes it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import certifi
import pytest
import yaml
from jsonschema import Draft202012Validator

from bench.real_kafka import IMAGE
from consumer import __version__
from consumer.destinations import parse_destinations
from consumer.setting_fields import Fields
from consumer.settings import Settings, load_settings
from tests.chart import (
    CHART,
    GOLDEN,
    GOLDEN_SCENARIOS,
    NAMESPACE,
    RELEASE,
    SCENARIOS,
    WORKLOADS,
    Object,
    containers,
    environment,
    golden,
    helm,
    main_container,
    notes,
    objects,
    of_kind,
    pod_templates,
    rendered,
)
from tests.helm_tools import MAJORS
from tests.python_tools import needed

KUBERNETES = [f"1.{minor}" for minor in range(29, 38)]
CORE = {"v1", "apps/v1", "autoscaling/v2", "batch/v1", "networking.k8s.io/v1", "policy/v1"}
NEWER_FIELDS = {"Fallback": {"behavior"}}
"""What KEDA has learnt since the models that Python 3.11 gets."""
CRD_SCHEMAS = """
import json
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as operator
kinds = (keda.ScaledObject, keda.TriggerAuthentication,
         operator.PodMonitor, operator.ServiceMonitor, operator.PrometheusRule)
print(json.dumps({kind.__name__: kind.model_json_schema(by_alias=True) for kind in kinds}))
"""
UPGRADES = [
    ("image.tag=v2",),
    ("settings.CONVERSIONS_TOPIC=other", "kafka.KAFKA_CLIENT_ID=other"),
    ("commonLabels.team=growth", "podLabels.zone=a", "podAnnotations.note=x"),
    ("replicaCount=3", "minReadySeconds=20", "revisionHistoryLimit=1", "strategy=null"),
    ("hpa.enabled=true", "workload.staticMembership=false"),
    ("keda.enabled=true", "workload.staticMembership=false"),
    ("monitoring.enabled=true", "monitoring.kind=PodMonitor", "metrics.port=9200"),
    ("hostUsers=true", "serviceAccount.name=other", "terminationGracePeriodSeconds=90"),
]
FIXED_FIELDS = {
    "Deployment": ("selector",),
    "StatefulSet": (*("selector", "serviceName", "podManagementPolicy", "volumeClaimTemplates"),),
    "Service": ("clusterIP", "type"),
}
"""What the API refuses to change; but for them, an upgrade would have to delete first."""
TOKEN = "token-of-nobody-0123456789"
MEMBER_LABELS = {f"app.kubernetes.io/{name}" for name in ("name", "instance", "component")}


@pytest.mark.parametrize("major", MAJORS)
def test_helm_finds_nothing_to_say(major: int) -> None:
    helm(major, "lint", "--strict", str(CHART))
    for scenario in SCENARIOS:
        values = CHART / "ci" / f"{scenario}-values.yaml"
        helm(major, "lint", "--strict", str(CHART), "--values", str(values))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_helm_3_and_helm_4_make_the_same(scenario: str) -> None:
    three, four = (sorted(map(json.dumps, objects(scenario, major))) for major in MAJORS)

    assert three == four


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_field(version: str, tmp_path: Path) -> None:
    different = {json.dumps(each) for scenario in SCENARIOS for each in objects(scenario)}
    path = tmp_path / "objects.yaml"
    path.write_text("\n---\n".join(sorted(different)), encoding="utf-8")
    command = [*needed("kubernetes-validate"), "--strict", "--quiet", "--no-warn", "-k", version]

    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_operators_know_every_field(
    scenario: str, crd_schemas: Mapping[str, Draft202012Validator]
) -> None:
    for each in objects(scenario):
        if each["kind"] in crd_schemas:
            found = crd_schemas[each["kind"]].iter_errors(each)
            assert [f"{error.json_path}: {error.message}" for error in found] == []


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_pod_meets_the_restricted_standard(scenario: str) -> None:
    for kind, template in pod_templates(objects(scenario)):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, kind
        assert spec["securityContext"]["runAsUser"] == 65532, kind
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, kind
        assert spec["automountServiceAccountToken"] is False, kind
        assert spec["enableServiceLinks"] is False, kind
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), kind
        assert {name for volume in spec["volumes"] for name in volume} <= {
            *("name", "configMap", "secret", "emptyDir", "projected")
        }, kind
        for container in containers(template):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, container["name"]
            assert context["capabilities"] == {"drop": ["ALL"]}, container["name"]
            assert "privileged" not in context, container["name"]
        ours = main_container(template)
        assert ours["securityContext"]["readOnlyRootFilesystem"] is True, kind
        assert ours["resources"]["limits"].keys() == {"memory", "ephemeral-storage"}, kind
        memory = {way: ours["resources"][way]["memory"] for way in ("requests", "limits")}
        assert memory["requests"] == memory["limits"], kind


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_consumer_takes_the_variables_of_every_pod(scenario: str, tmp_path: Path) -> None:
    for kind, template in pod_templates(objects(scenario)):
        settings = _settings(environment(main_container(template)), tmp_path)
        settings.require_kafka()
        assert settings.metrics_port == 9108
        if kind != "CronJob":
            settings.require_destinations()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_variable_stands_twice_and_the_allocator_is_set_as_in_the_image(scenario: str) -> None:
    """Whoever applies the objects on the server refuses a list in which a name comes again."""
    for _, template in pod_templates(objects(scenario)):
        container = main_container(template)
        names = [each["name"] for each in container["env"]]
        assert len(names) == len(set(names))
        assert IMAGE.items() <= environment(container).items()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_drain_is_not_cut_short(scenario: str, tmp_path: Path) -> None:
    for kind, template in pod_templates(objects(scenario)):
        if kind not in WORKLOADS:
            continue
        settings = _settings(environment(main_container(template)), tmp_path)
        seconds = template["spec"]["terminationGracePeriodSeconds"]
        assert seconds > settings.grace_seconds + settings.request_timeout_seconds
        assert seconds > settings.grace_seconds + 10
        assert "lifecycle" not in main_container(template)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_path_that_is_named_is_mounted_as_a_folder(scenario: str) -> None:
    for _, template in pod_templates(objects(scenario)):
        container = main_container(template)
        volumes = {volume["name"] for volume in template["spec"]["volumes"]}
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        assert {mount["name"] for mount in mounts.values()} == volumes
        # A mount of a single file is never renewed.
        assert [mount for mount in mounts.values() if "subPath" in mount] == []
        writable = [path for path, mount in mounts.items() if not mount.get("readOnly")]
        assert writable == ["/tmp"]  # noqa: S108 - the container's own
        for name, value in environment(container).items():
            if value.startswith("/"):
                folder = value if name.endswith("_DIR") else value.rpartition("/")[0]
                assert folder in mounts, name


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_destinations_are_ones_that_the_consumer_reads(scenario: str, tmp_path: Path) -> None:
    maps = [each for each in objects(scenario) if "destinations.yaml" in each.get("data", {})]
    for each in maps:
        found = parse_destinations(each["data"]["destinations.yaml"], tmp_path)
        files = [destination.access_token_file for destination in found]
        assert {str(path.parent) for path in files if path} == {"/run/secrets/meta"}
    assert bool(maps) == bool(_values(scenario).get("destinations"))


def test_a_change_of_destinations_replaces_no_pod() -> None:
    before, after = (
        of_kind(objects("many-pixels", sets=sets), "Deployment", "ConfigMap")
        for sets in ((), ("destinations[0].name=Shop",))
    )

    assert before[1:] == after[1:]
    assert before[0] != after[0]


def test_a_change_of_settings_replaces_the_pods_and_a_newer_chart_alone_does_not() -> None:
    (before,) = of_kind(objects("minimal"), "Deployment")
    (after,) = of_kind(objects("minimal", sets=("settings.CONVERSIONS_TOPIC=x",)), "Deployment")

    assert before["spec"]["template"] != after["spec"]["template"]
    assert "helm.sh/chart" not in before["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_selectors_find_the_members_and_nobody_else(scenario: str) -> None:
    found = objects(scenario)
    labels = {kind: template["metadata"]["labels"] for kind, template in pod_templates(found)}
    (member,) = (labels.pop(kind) for kind in WORKLOADS if kind in labels)
    for selector in _member_selectors(found):
        assert selector.items() <= member.items()
        assert [kind for kind, other in labels.items() if selector.items() <= other.items()] == []
        # What an upgrade changes has no place in a selector, which can never change.
        assert selector.keys() == MEMBER_LABELS
    for policy in of_kind(found, "NetworkPolicy"):
        everybody = policy["spec"]["podSelector"]["matchLabels"]
        assert all(everybody.items() <= each.items() for each in (member, *labels.values()))


@pytest.mark.parametrize("scenario", ["minimal", "static-membership"])
@pytest.mark.parametrize("sets", UPGRADES, ids=lambda sets: sets[0].partition("=")[0])
def test_an_upgrade_changes_nothing_that_kubernetes_does_not_let_change(
    scenario: str, sets: tuple[str, ...], tmp_path: Path
) -> None:
    newer = shutil.copytree(CHART, tmp_path / "newer")
    text = (newer / "Chart.yaml").read_text(encoding="utf-8")
    text = re.sub(r"^(version|appVersion): .*", r"\1: 9.9.9", text, flags=re.MULTILINE)
    (newer / "Chart.yaml").write_text(text, encoding="utf-8")
    before = {(each["kind"], each["metadata"]["name"]): each for each in objects(scenario)}
    after = objects(scenario, 4, sets, newer)
    pairs = [(before.get((each["kind"], each["metadata"]["name"])), each) for each in after]

    kept = [(old, new) for old, new in pairs if old is not None]
    assert any(new["kind"] in WORKLOADS and old != new for old, new in kept)
    for old, new in kept:
        for field in FIXED_FIELDS.get(new["kind"], ()):
            assert old["spec"].get(field) == new["spec"].get(field), (new["kind"], field)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_whatever_scales_owns_the_number_of_replicas(scenario: str) -> None:
    found = objects(scenario)
    (workload,) = of_kind(found, *WORKLOADS)
    scalers = of_kind(found, "ScaledObject", "HorizontalPodAutoscaler")

    assert ("replicas" in workload["spec"]) == (not scalers)
    for scaler in scalers:
        target = scaler["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == (workload["kind"], workload["metadata"]["name"])


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_everything_has_the_release_s_labels_and_its_namespace(scenario: str) -> None:
    for each in objects(scenario):
        if each["metadata"]["name"] == f"{RELEASE}-note":  # of extraObjects
            continue
        assert each["metadata"]["namespace"] == NAMESPACE
        assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == RELEASE
        assert len(each["metadata"]["name"]) <= 52


@pytest.mark.parametrize("name", ["a" * 53, "conversions-consumer"])
def test_a_long_name_fits(name: str) -> None:
    sets = (f"fullnameOverride={name}", "replay.enabled=true", "workload.kind=StatefulSet")

    for each in objects("minimal", sets=sets):
        assert len(each["metadata"]["name"]) <= 52


def test_the_least_that_runs_needs_no_operator() -> None:
    assert {each["apiVersion"] for each in objects("minimal")} <= CORE
    assert [each["kind"] for each in objects("minimal")] == [
        *("PodDisruptionBudget", "ServiceAccount", "Deployment", "Pod")
    ]


def test_a_token_stands_in_no_object_but_a_secret() -> None:
    sets = ("secrets.meta.existingSecret=", f"secrets.meta.developmentToken={TOKEN}")
    holders = [each["kind"] for each in objects("minimal", sets=sets) if TOKEN in str(each)]

    assert holders == ["Secret"]
    assert "[WARNING] secrets.meta.developmentToken" in notes("minimal", sets=sets)
    assert TOKEN not in notes("minimal", sets=sets)
    assert [of_kind(objects(scenario), "Secret") for scenario in SCENARIOS] == [[]] * len(SCENARIOS)


def test_keda_asks_for_what_the_consumer_reads() -> None:
    (scaled,) = of_kind(objects("keda"), "ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    metadata = trigger["metadata"]
    defaults = Fields.model_fields

    assert metadata["consumerGroup"] == defaults["group_id"].default
    assert metadata["topic"] == defaults["topic"].default
    assert (metadata["sasl"], metadata["tls"]) == ("scram_sha256", "enable")
    assert metadata["lagThreshold"] == "2000000"
    assert {type(value) for value in metadata.values()} == {str}
    (authentication,) = of_kind(objects("keda"), "TriggerAuthentication")
    assert _keys(authentication) == {"ca": "ca.crt", "password": "password"}
    assert authentication["spec"]["env"][0]["name"] == "KAFKA_SASL_USERNAME"


def test_keda_shows_the_consumers_own_certificates_unless_told_otherwise() -> None:
    ours, other = (
        of_kind(objects("everything", sets=sets), "TriggerAuthentication")
        for sets in ((), ("keda.authentication.keys.cert=other.crt",))
    )
    assert _keys(*ours) == {"ca": "ca.crt", "cert": "tls.crt", "key": "tls.key"}
    assert _keys(*other) == {"ca": "ca.crt", "cert": "other.crt", "key": "tls.key"}


def test_keda_s_metadata_replaces_ours_and_stands_once() -> None:
    sets = ("keda.metadata.topic=other", "keda.metadata.sasl=plaintext")
    (scaled,) = of_kind(objects("keda", sets=sets), "ScaledObject")
    metadata = scaled["spec"]["triggers"][0]["metadata"]

    assert (metadata["topic"], metadata["sasl"]) == ("other", "plaintext")
    assert metadata["consumerGroup"] == "conversions-consumer"
    assert rendered("keda", 4, sets).count(" sasl:") == 1


@pytest.mark.parametrize(
    ("consumers", "keda_s"), [("earliest", "earliest"), ("latest", "latest"), ("end", "latest")]
)
def test_keda_begins_where_the_consumer_does(consumers: str, keda_s: str) -> None:
    sets = (f"kafka.KAFKA_CONSUMER_AUTO_OFFSET_RESET={consumers}",)
    (scaled,) = of_kind(objects("keda", sets=sets), "ScaledObject")

    assert scaled["spec"]["triggers"][0]["metadata"]["offsetResetPolicy"] == keda_s


def test_a_static_member_has_its_pod_s_name() -> None:
    (workload,) = of_kind(objects("static-membership"), "StatefulSet")
    (service,) = of_kind(objects("static-membership"), "Service")
    container = main_container(workload["spec"]["template"])
    found = {each["name"]: each for each in container["env"]}

    name = found["KAFKA_CONSUMER_GROUP_INSTANCE_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert name == "metadata.name"
    assert workload["spec"]["serviceName"] == service["metadata"]["name"]
    others = [
        main_container(template)
        for kind, template in pod_templates(objects("static-membership"))
        if kind == "Pod"
    ]
    assert ["KAFKA_CONSUMER_GROUP_INSTANCE_ID" in environment(each) for each in others] == [False]


def test_a_replay_never_begins_by_itself_and_sees_no_token_of_meta_s() -> None:
    (job,) = of_kind(objects("dlq-replay"), "CronJob")
    ((_, template),) = pod_templates([job])
    container = main_container(template)

    assert job["spec"]["suspend"] is True
    assert container["args"][:3] == ["dlq", "replay", "--yes"]
    assert "meta-tokens" not in json.dumps(job)
    assert not [name for name in environment(container) if "TOKEN" in name]
    dry = of_kind(objects("dlq-replay", sets=("replay.confirmed=false",)), "CronJob")
    assert "--yes" not in json.dumps(dry)


def test_a_replay_s_options_are_ones_of_the_command() -> None:
    from typer.testing import CliRunner

    from consumer.cli import app

    words = CliRunner().invoke(app, ["dlq", "replay", "--help"]).output
    for scenario in SCENARIOS:
        for job in of_kind(objects(scenario), "CronJob"):
            ((_, template),) = pod_templates([job])
            for option in main_container(template)["args"]:
                assert not option.startswith("--") or option in words


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))

    assert chart["appVersion"] == __version__


@pytest.mark.parametrize("scenario", GOLDEN_SCENARIOS)
def test_the_rendering_is_the_one_that_was_reviewed(scenario: str) -> None:
    reviewed = (GOLDEN / f"{scenario}.yaml").read_text(encoding="utf-8")

    assert golden(scenario) == reviewed, "if that is meant: python -m tests.chart, and review it"


@pytest.fixture(scope="module")
def crd_schemas() -> Mapping[str, Draft202012Validator]:
    """By kind, a schema that refuses what it does not know."""
    python = Path(needed("kubernetes-validate")[0]).with_name("python")
    done = subprocess.run(
        [str(python), "-c", CRD_SCHEMAS], capture_output=True, text=True, check=True
    )
    schemas = json.loads(done.stdout)
    return {kind: Draft202012Validator(_strict(schema)) for kind, schema in schemas.items()}


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict(value) for key, value in schema.items()}
    if found.get("type") == "object" and "properties" in found:
        found.setdefault("additionalProperties", False)
        newer = NEWER_FIELDS.get(str(found.get("title")), set())
        found["properties"] |= {name: found["properties"].get(name, {}) for name in newer}
    return found


def _settings(variables: Mapping[str, str], tmp_path: Path) -> Settings:
    """As the consumer reads them in the pod, with files where the pod has its mounts."""
    found = {}
    for name, value in variables.items():
        found[name] = value
        if value.startswith(("/run/", "/etc/")):
            path = tmp_path / value.strip("/")
            found[name] = str(path)
            if name.endswith("_DIR"):
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                certificates = name == "SSL_CERT_FILE"
                text = Path(certifi.where()).read_text("utf-8") if certificates else "user:pass"
                path.write_text(text, encoding="utf-8")
    return load_settings(found)


def _keys(authentication: Object) -> dict[str, str]:
    return {each["parameter"]: each["key"] for each in authentication["spec"]["secretTargetRef"]}


def test_external_secrets_bring_every_file_that_a_pod_looks_for() -> None:
    made = 0
    for scenario in SCENARIOS:
        found = objects(scenario)
        brought = {
            each["spec"]["target"]["name"]: {data["secretKey"] for data in each["spec"]["data"]}
            for each in of_kind(found, "ExternalSecret")
        }
        made += len(brought)
        for _, template in pod_templates(of_kind(found, *WORKLOADS)):
            for folder, secret in _secret_folders(template["spec"]):
                if secret in brought:
                    wanted = _files_wanted(template["spec"], folder, found)
                    assert wanted, f"{scenario}: nobody looks into {folder}"
                    assert wanted <= brought[secret], f"{scenario}: {secret}"
    assert made >= 4


def test_an_external_secret_has_the_fields_of_its_operators_version_1() -> None:
    for scenario in SCENARIOS:
        for each in of_kind(objects(scenario), "ExternalSecret"):
            spec = each["spec"]
            assert each["apiVersion"] == "external-secrets.io/v1"
            assert set(spec) == {"refreshInterval", "secretStoreRef", "target", "data"}
            assert set(spec["secretStoreRef"]) == {"name", "kind"}
            assert spec["secretStoreRef"]["name"]
            assert spec["secretStoreRef"]["kind"] in ("SecretStore", "ClusterSecretStore")
            assert spec["target"] == {"name": each["metadata"]["name"], "creationPolicy": "Owner"}
            for data in spec["data"]:
                assert set(data) == {"secretKey", "remoteRef"}
                assert {"key"} <= set(data["remoteRef"]) <= {"key", "property", "version"}


def _secret_folders(pod: Object) -> Iterator[tuple[str, str]]:
    """Where a Secret is mounted, and its name."""
    secrets = {
        each["name"]: each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each
    }
    for mount in pod["containers"][0]["volumeMounts"]:
        if mount["name"] in secrets:
            yield f"{mount['mountPath']}/", secrets[mount["name"]]


def _files_wanted(pod: Object, folder: str, found: list[Object]) -> set[str]:
    """The files of a folder that variables and destinations name."""
    values = [each.get("value", "") for each in pod["containers"][0]["env"]]
    for each in of_kind(found, "ConfigMap"):
        values += re.findall(r"accessTokenFile: \"?([^\s\"]+)", "".join(each["data"].values()))
    return {value.removeprefix(folder) for value in values if value.startswith(folder)}


def _member_selectors(found: list[Object]) -> Iterator[Mapping[str, str]]:
    for each in found:
        spec = each.get("spec", {})
        if each["kind"] == "Service":
            yield spec["selector"]
        elif each["kind"] in (*WORKLOADS, "PodDisruptionBudget", "PodMonitor", "ServiceMonitor"):
            yield spec["selector"]["matchLabels"]
    for _, template in pod_templates(of_kind(found, *WORKLOADS)):
        for constraint in template["spec"].get("topologySpreadConstraints", []):
            yield constraint["labelSelector"]["matchLabels"]


def _values(scenario: str) -> Mapping[str, Any]:
    path = CHART / "ci" / f"{scenario}-values.yaml"
    values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return values
