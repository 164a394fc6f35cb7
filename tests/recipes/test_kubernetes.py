"""docs/recipes/kubernetes.md: what the kubelet would run, with the variables that it would set."""

import re
from typing import Any

import yaml
from recipe import Host, block

FIELDS = {"metadata.name": "etl-x7k2p", "metadata.namespace": "nightly"}


def job() -> dict[str, Any]:
    """Return the manifest."""
    manifest: dict[str, Any] = yaml.safe_load(block("kubernetes", "yaml"))
    return manifest


def variables(container: dict[str, Any], headers: str) -> dict[str, str]:
    """Return the container's variables, references to earlier ones replaced. *headers*: what the secret holds."""
    found: dict[str, str] = {}
    for each in container["env"]:
        source = each.get("valueFrom", {})
        if "fieldRef" in source:
            value = FIELDS[source["fieldRef"]["fieldPath"]]
        elif "secretKeyRef" in source:
            value = headers
        else:
            value = each["value"]
        found[each["name"]] = re.sub(r"\$\((\w+)\)", lambda name: found[name[1]], value)
    return found


def test_the_container_is_observed(host: Host) -> None:
    """The job's calls arrive, with the header of the secret and the names of job and pod."""
    (container,) = job()["spec"]["template"]["spec"]["containers"]
    own = {
        name: host.here(value) for name, value in variables(container, "x-key=s%20ecret").items()
    }
    command = [host.here(word) for word in (*container["command"], *container["args"])]
    done = host.run(command, host.environment(**own), host.project)
    host.await_no_agents()

    assert (done.returncode, done.stdout) == (0, "loaded all\n")
    assert "etl.load" in host.names()
    assert host.backend.requests[0].headers["x-key"] == "s ecret"
    resource = host.resource()
    assert resource["k8s.job.name"] == "etl"
    assert resource["k8s.pod.name"] == FIELDS["metadata.name"]
    assert resource["k8s.namespace.name"] == FIELDS["metadata.namespace"]


def test_the_manifest_is_a_whole_job() -> None:
    """What is mounted is there, under the name that the state directory has; a job may not restart its pod for ever."""
    manifest = job()
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "Job")
    assert pod["restartPolicy"] in ("Never", "OnFailure")
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert mounts.keys() == {one["name"] for one in pod["volumes"]}
    assert variables(container, "")["RHEOSTAT_STATE_DIR"] in mounts.values()
