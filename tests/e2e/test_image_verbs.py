"""Images and the containers that stand on them: commit, export, save, load, and what pruning leaves alone."""

from __future__ import annotations

import json
import tarfile

import pytest

from tests.support.scenario import Scenario

pytestmark = pytest.mark.root


def test_from_a_container_to_an_image_and_back(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: sleep 1000
            stop_signal: SIGKILL
            environment: {GREETING: hello}
            volumes: ["data:/data"]
        volumes: {data: {}}
        """)
    stackup = scenario.stackup
    stackup("up", "-d").ok()
    scenario.run_in("web", "echo made > /made && chmod 640 /made && rm /bin/awk && echo kept > /data/x")

    image_id = stackup("commit", "-m", "by hand", "-c", 'CMD ["cat", "/made"]', "web", "made:1").ok().out.strip()
    assert scenario.state("web") == "running"
    (found,) = json.loads(stackup("inspect", "made:1").ok().out)
    assert (found["Id"], found["Comment"], found["Config"]["Cmd"]) == (image_id, "by hand", ["cat", "/made"])
    assert "GREETING=hello" in found["Config"]["Env"]
    assert stackup("image", "base", "made:1").ok().out.splitlines()[1].startswith("busybox:latest")
    changes = stackup("image", "diff", "busybox", "made:1").ok().out.splitlines()
    assert {"A /made  (5B)", "D /bin/awk  (7B)"} <= set(changes) and not any("/data/x" in line for line in changes)

    stackup("export", "shop-web-1", "-o", "root.tar").ok()
    with tarfile.open(scenario.directory / "root.tar") as tar:
        names = {item.name for item in tar}
        assert "made" in names and "bin/awk" not in names and "data/x" not in names
        assert tar.getmember("made").mode == 0o640
    stackup("export", "nosuch").refused("there is no such service or container", code=1)
    stackup("import", "root.tar", "flat:1", "-q").ok()

    stackup("save", "made:1", "flat:1", "-o", "both.tar").ok()
    stackup("rmi", "busybox").refused("was made from it")
    pruned = stackup("image", "prune", "-a", "-f").ok().out
    assert "untagged: made:1" in pruned and "untagged: flat:1" in pruned and "busybox" not in pruned
    assert stackup("load", "-i", "both.tar").ok().out == "Loaded image: made:1\nLoaded image: flat:1\n"
    assert "what their digests say" in stackup("images", "--verify").ok().out
    stackup("system", "prune", "-f", "--volumes").ok()
    assert scenario.run_in("web", "cat /data/x /made").split() == ["kept", "made"]

    scenario.replace("image: busybox", "image: made:1")
    scenario.replace("command: sleep 1000", "restart: 'no'")
    stackup("up", "-d").ok()
    assert "made" in scenario.logs("--no-log-prefix", "-f", "web")
    use = [json.loads(line) for line in stackup("system", "df", "--format", "json").ok().out.splitlines()]
    assert {item["Type"]: item["Active"] for item in use}["Images"] == "1"
