"""Stack files that were published to a registry: ``oci://HOST/NAME:TAG``, as ``include`` and ``-f`` take them.

A program of its own does the fetching, as git does for repositories: nothing here imports what is above. What it
brings is read, never executed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from stackup.base.errors import StackupError
from stackup.oci.reference import Reference, parse
from stackup.stackfile.gitaddress import AddressError

PROGRAM = "stackup.images.worker"
SECONDS = 300
MAIN = "compose.yaml"


def parse_oci(text: str) -> Reference:
    """Raises AddressError."""
    name = text.removeprefix("oci://")
    if name == text or not name:
        raise AddressError("a published stack is written oci://HOST/NAME:TAG")
    try:
        return parse(name)
    except ValueError as error:
        raise AddressError(str(error)) from None


def fetch(reference: Reference, cache: Path, environment: Mapping[str, str]) -> Path:
    """The directory with the files. A digest that is in the cache needs no network. Raises AddressError."""
    if (environment.get("COMPOSE_EXPERIMENTAL_OCI_REMOTE") or "1").lower() in ("0", "f", "false"):
        raise AddressError("COMPOSE_EXPERIMENTAL_OCI_REMOTE switches files in registries off")
    if reference.digest and (known := cache / reference.digest.removeprefix("sha256:")).is_dir():
        return known
    request = {"verb": "artifact", "reference": str(reference), "cache": str(cache), "environment": dict(environment)}
    own = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(Path(__file__).parents[2]), "LANG": "C.UTF-8"}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", PROGRAM],
            input=json.dumps(request).encode() + b"\n",
            capture_output=True,
            env=own,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AddressError(f"the registry gave no answer within {SECONDS} s") from None
    return _path(done.stdout, reference, done.returncode)


def _path(output: bytes, reference: Reference, code: int) -> Path:
    for line in output.splitlines():
        event = json.loads(line)
        if event["event"] == "error":
            error = StackupError.from_dict(event["error"])
            reason = error.message.removeprefix(f"cannot read oci://{reference.familiar}: ")
            raise AddressError(reason, error.hint)
        if event["event"] == "done":
            return Path(event["path"])
    how = f"was killed (signal {-code})" if code < 0 else "has failed"
    raise AddressError(f"the program that fetches it {how}")
