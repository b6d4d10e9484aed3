"""Container files agree with the package, and the containers of candidates hold no secrets."""

import importlib.metadata
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Command
from packaging.requirements import Requirement
from ray.scripts.scripts import start

from funsearch.cli import VERBS, Verbs

ROOT = Path(__file__).parent.parent
DOCKER = ROOT / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
CLUSTER = yaml.safe_load((DOCKER / "kuberay" / "raycluster.yaml").read_text())
JOB = yaml.safe_load((DOCKER / "kuberay" / "rayjob.yaml").read_text())
POLICIES = list(yaml.safe_load_all((DOCKER / "kuberay" / "network.yaml").read_text()))
ROLES = {"driver", "sampler", "evaluator"}


def groups() -> dict[str, Any]:
    """Returns the groups of pods by the role in their labels."""
    spec = CLUSTER["spec"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    return {group["template"]["metadata"]["labels"]["role"]: group for group in groups}


def services() -> dict[str, Any]:
    """Returns the services of the cluster by the role of their nodes."""
    nodes = {}
    for name, service in COMPOSE["services"].items():
        role = re.search(r"--labels=role=(\w+)", service.get("command", ""))
        if role and name != "sampler-gpu":
            nodes[role[1]] = service
    return nodes


def options(command: Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


def test_images_install_existing_extras() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    installed = {name for names in re.findall(r'"\.\[([\w,]+)\]"', text) for name in names.split(",")}
    assert {"cpu", "gpu", "postgres"} <= installed <= extras.keys()
    for source, _ in re.findall(r"^COPY (\S+) (\S+)$", text, re.MULTILINE):
        assert (ROOT / source).exists(), source
        assert f"!{source}" in (ROOT / ".dockerignore").read_text().splitlines()


def test_images_that_are_used_are_built() -> None:
    stages = set(re.findall(r"^FROM base AS (\w+)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE))
    used = {service["image"] for service in COMPOSE["services"].values()} - {"postgres:16"}
    used |= {group["template"]["spec"]["containers"][0]["image"] for group in groups().values()}
    assert used == {f"funsearch:{stage}" for stage in stages}
    for service in COMPOSE["services"].values():
        if "build" in service:
            assert service["image"] == f"funsearch:{service['build']['target']}"


def test_settings_place_every_actor_on_nodes_that_exist() -> None:
    settings = tomllib.loads((DOCKER / "search.toml").read_text())
    assert {place["labels"]["role"] for place in settings["placement"].values()} == ROLES
    assert services().keys() == groups().keys() == ROLES
    for role, group in groups().items():
        assert group["rayStartParams"]["labels"] == f"role={role}"


@pytest.mark.parametrize("role", sorted(ROLES))
def test_nodes_are_started_with_existing_options_of_ray(role: str) -> None:
    command = shlex.split(services()[role]["command"])
    assert command[:2] == ["ray", "start"]
    used = {word.split("=")[0] for word in command[2:]} | {f"--{name}" for name in groups()[role]["rayStartParams"]}
    assert used <= options(start)


def test_version_of_ray_is_supported_by_the_package() -> None:
    requirement = next(r for r in map(Requirement, importlib.metadata.requires("funsearch") or []) if r.name == "ray")
    assert CLUSTER["spec"]["rayVersion"] in requirement.specifier


def test_job_uses_existing_commands_and_options() -> None:
    _, verb, problem, *rest = shlex.split(JOB["spec"]["entrypoint"])
    assert verb in VERBS
    assert problem == "bin_packing"
    command = Verbs().get_command(None, verb)  # type: ignore[arg-type]
    assert command is not None
    assert {word for word in rest if word.startswith("--")} <= options(command)


def test_evaluators_hold_no_secrets_and_reach_only_the_cluster() -> None:
    service, pod = services()["evaluator"], groups()["evaluator"]["template"]["spec"]
    assert not {"environment", "env_file", "secrets", "volumes"} & service.keys()
    assert service["networks"] == ["cluster"]
    assert COMPOSE["networks"]["cluster"]["internal"]
    (container,) = pod["containers"]
    assert not {"env", "envFrom"} & container.keys()
    assert pod["automountServiceAccountToken"] is False
    assert all("emptyDir" in volume for volume in pod["volumes"])


@pytest.mark.parametrize("role", sorted(ROLES))
def test_pods_meet_the_restricted_profile(role: str) -> None:
    pod = groups()[role]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"]
    namespace = yaml.safe_load((DOCKER / "kuberay" / "namespace.yaml").read_text())
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert services()[role]["cap_drop"] == ["ALL"]
    assert services()[role]["read_only"]


def test_network_denies_all_traffic_that_is_not_listed() -> None:
    deny, *permitted = POLICIES
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    external = [policy for policy in permitted if any("to" not in rule for rule in policy["spec"].get("egress", []))]
    roles = {policy["spec"]["podSelector"]["matchLabels"].get("role") for policy in external}
    assert roles == {"driver", "sampler"}
