"""buildah as a foreign client, both ways, through Debian's docker-registry: what it builds runs here, and what is built
here it runs; with the same configuration and the same files."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.debianregistry import debian_registry, skopeo
from tests.support.scenario import Scenario

pytestmark = pytest.mark.root

DOCKERFILE = """
    FROM base
    ENV COLOUR=blue
    LABEL made.by=hand
    WORKDIR /work
    COPY --chown=7:8 page.html pages/
    RUN echo "$COLOUR $(pwd)" > /made && chmod 4755 /made && ln /made /linked && mkdir -m 1777 /open
    RUN rm -rf /etc/group && ln -s made /link
    USER 7:8
    EXPOSE 80
    ENTRYPOINT ["sh", "-c"]
    CMD ["cat /made; id -u; pwd; stat -c %a:%u:%g /made /work/pages/page.html; test -e /etc/group || echo gone"]
    """
SAID = ["blue /work", "7", "/work", "4755:0:0", "644:7:8", "gone"]
OF_BUILDAH = ("dev", "etc", "proc", "run", "sys")  # where it leaves empty files and directories to mount on


def test_what_one_builds_the_other_runs(scenario: Scenario, busybox_images: Path, tmp_path: Path) -> None:
    box = f"oci:{busybox_images}/images:docker.io/library/busybox:latest"
    storage = ["--root", f"{tmp_path}/storage", "--runroot", f"{tmp_path}/running", "--storage-driver", "vfs"]

    def buildah(*words: str) -> str:
        done = subprocess.run(["buildah", *storage, *words], cwd=scenario.directory, capture_output=True, text=True)
        assert done.returncode == 0, f"buildah {' '.join(words)}: {done.stderr}"
        return done.stdout

    with debian_registry(tmp_path) as server:
        theirs, ours, base = (f"{server.host}/{name}:1" for name in ("theirs", "ours", "base"))
        skopeo("copy", "--dest-tls-verify=false", box, f"docker://{base}")
        scenario.file("page.html", "page\n").chmod(0o644)
        scenario.file("Dockerfile", DOCKERFILE.replace("FROM base", f"FROM {base}"))
        scenario.compose(f"services: {{ours: {{image: '{ours}', build: .}}, theirs: {{image: '{theirs}'}}}}")

        how = ("--isolation", "chroot", "--network", "host", "--tls-verify=false")
        buildah("build", "-q", *how, "-t", theirs, ".")
        buildah("push", "-q", "--tls-verify=false", theirs)
        scenario.stackup("up", "-d", "theirs").ok()
        scenario.has_state("theirs", "exited")
        assert scenario.logs("theirs").splitlines() == SAID

        scenario.stackup("build", "ours").ok()
        scenario.stackup("push", "ours").ok()
        container = buildah("from", "--tls-verify=false", ours).strip()
        command = json.loads(skopeo("inspect", "--config", "--tls-verify=false", f"docker://{ours}"))["config"]["Cmd"]
        assert buildah("run", "--isolation", "chroot", container, "--", "sh", "-c", *command).splitlines() == SAID

        assert _settings(ours) == _settings(theirs)
        files = [_files(Path(buildah("mount", name).strip())) for name in (container, buildah("from", theirs).strip())]
        assert {name: found for name, found in files[0].items() if found != files[1].get(name)} == {}
        assert not any(name for name in files[1].keys() - files[0].keys() if name.split("/")[0] not in OF_BUILDAH)
        buildah("umount", "--all")
        buildah("rm", "--all")


def _settings(image: str) -> dict[str, Any]:
    config = json.loads(skopeo("inspect", "--config", "--tls-verify=false", f"docker://{image}"))
    found: dict[str, Any] = config["config"]
    found["Labels"].pop("io.buildah.version", None)
    return {**found, "Env": sorted(found["Env"]), "architecture": config["architecture"], "os": config["os"]}


def _files(root: Path) -> dict[str, tuple[int, int, int, str]]:
    """Modes, owners and contents of all files. The working directory is left out: buildah gives it to the last USER."""
    found = {}
    for path in sorted(root.rglob("*")):
        status, name = path.lstat(), str(path.relative_to(root))
        content = str(path.readlink()) if path.is_symlink() else ""
        if path.is_file() and not path.is_symlink():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        if name != "work":
            found[name] = (status.st_mode, status.st_uid, status.st_gid, content)
    return found
