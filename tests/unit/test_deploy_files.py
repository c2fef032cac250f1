"""The files in deploy for Kubernetes: the RayService fits the code; the image is pinned, without secrets, not root."""

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from actors.settings import Settings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SETTINGS, SERVICE = yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text(encoding="utf-8"))
CLUSTER = SERVICE["spec"]["rayClusterConfig"]
WORKERS, GPU_WORKERS = CLUSTER["workerGroupSpecs"]
PODS = {"head": CLUSTER["headGroupSpec"], "workers": WORKERS, "gpu": GPU_WORKERS}


@pytest.fixture(params=PODS)
def pod(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The template of each kind of pod."""
    return PODS[request.param]["template"]["spec"]


def instructions(name: str = "Dockerfile") -> list[tuple[str, str]]:
    """Return (instruction, rest) of each line of a Dockerfile; continued lines are joined."""
    text = re.sub(r"\\\n", " ", (DEPLOY / name).read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def test_service_is_one_cluster_of_this_ray_with_a_store_for_its_head() -> None:
    """No second cluster comes up beside the first, the head may restart, and Ray is the one in the locks."""
    assert (SERVICE["apiVersion"], SERVICE["kind"]) == ("ray.io/v1", "RayService")
    assert SERVICE["spec"]["upgradeStrategy"] == {"type": "None"}
    assert CLUSTER["rayVersion"] == version("ray")
    assert CLUSTER["gcsFaultToleranceOptions"]["redisAddress"]
    assert CLUSTER["authOptions"] == {"mode": "token"}
    assert CLUSTER["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert (GPU_WORKERS["replicas"], GPU_WORKERS["minReplicas"]) == (0, 0)


def test_service_has_the_applications_of_the_serve_file() -> None:
    """Ray Serve's schema accepts what the RayService deploys, and it differs from serve.yaml in replicas only."""
    config = yaml.safe_load(SERVICE["spec"]["serveConfigV2"])
    ServeDeploySchema.model_validate(config)
    for application in config["applications"]:
        application.pop("deployments", None)
    assert config == yaml.safe_load((DEPLOY / "serve.yaml").read_text(encoding="utf-8"))


def test_settings_exist_and_hold_no_secret() -> None:
    """The ConfigMap names settings that are read, and none that is a secret or an address with one."""
    known = {f"GREENROOM_{name.upper()}" for name in Settings.model_fields}
    assert set(SETTINGS["data"]) <= known
    assert not [name for name in SETTINGS["data"] if name.endswith(("PASSWORD", "DATABASE_URL"))]


def test_pods_take_secrets_from_secrets_only(pod: dict[str, Any]) -> None:
    """The database's address comes from a secret, the secrets file from a copy that the pod's user alone can read."""
    for container in (*pod["initContainers"], *pod["containers"]):
        for variable in container.get("env", ()):
            is_secret = variable["name"] != "GREENROOM_SECRETS_FILE"
            assert ("secretKeyRef" in variable.get("valueFrom", {})) == is_secret
    (copy,) = [each for each in pod["initContainers"] if each["name"] == "secrets"]
    assert "--mode=0600" in copy["command"]
    assert copy["command"][-1] == pod["containers"][0]["env"][1]["value"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["own-secrets"]["emptyDir"] == {"medium": "Memory"}
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == {"own-secrets"}


def test_pods_are_watched_and_are_not_root(pod: dict[str, Any]) -> None:
    """Each Ray container has both probes and fixed resources, runs the one image, and as the user of the Dockerfile."""
    (container,) = pod["containers"]
    assert container["readinessProbe"]["exec"] and container["livenessProbe"]["exec"]
    assert container["resources"]["requests"] == container["resources"]["limits"]
    assert {each["image"] for each in (*pod["initContainers"], container)} == {container["image"]}
    rights = pod["securityContext"]
    assert rights["runAsNonRoot"] and f"{rights['runAsUser']}:{rights['runAsGroup']}" == dict(instructions())["USER"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]


def test_image_is_pinned_hashed_and_not_roots() -> None:
    """The base has an exact version, packages come by hash from the locks, and the last stage leaves root."""
    steps = instructions()
    arguments = dict(rest.split("=", 1) for name, rest in steps if name == "ARG")
    assert re.fullmatch(r"python:3\.\d+\.\d+-\S+", arguments["PYTHON_IMAGE"])
    assert [rest.split()[0] for name, rest in steps if name == "FROM"] == ["${PYTHON_IMAGE}"] * 2
    runs = " ".join(rest for name, rest in steps if name == "RUN")
    assert "--require-hashes /build/requirements.lock /build/requirements-local.lock" in runs
    assert 'greenroom" sandbox build' in runs
    last_stage = steps[max(index for index, (name, _) in enumerate(steps) if name == "FROM") :]
    assert [rest for name, rest in last_stage if name == "USER"] == ["10001:10001"]


def test_image_holds_no_secret() -> None:
    """No variable or argument of the image is a secret, and nothing but the named files can be copied into it."""
    steps = instructions()
    named = re.compile(r"password|secret|token|api_?key|://", re.IGNORECASE)
    assert not [rest for name, rest in steps if name in ("ARG", "ENV") and named.search(rest)]
    copied = {part for name, rest in steps if name == "COPY" and "--from" not in rest for part in rest.split()[:-1]}
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    assert "*" in ignored and copied == allowed
