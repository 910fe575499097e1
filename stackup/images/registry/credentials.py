"""Credentials as docker keeps them: ``config.json`` (auths, credHelpers, credsStore) and the helper programs.

Protocol of the helpers: docker/docker-credential-helpers README. Whoever reads also learns where a credential came
from, because "denied" is a different problem with a wrong password than with none.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stackup.base.errors import ImageError
from stackup.base.files import write_atomic
from stackup.base.foreign import shown
from stackup.base.jsontext import parse_json
from stackup.base.values import frozen
from stackup.images.registry.caller import Caller
from stackup.images.registry.settings import HUB, HUB_KEY
from stackup.oci.reference import DEFAULT_DOMAIN

_MEND = "it is where docker and stackup keep logins: mend it, or move it away and log in anew"
TOKEN_USER = "<token>"  # the user name under which helpers keep an identity token
HELPER_SECONDS = 60  # a helper may ask its user for something
_HUB_NAMES = (DEFAULT_DOMAIN, HUB, "index.docker.io", "registry.hub.docker.com")


@frozen
class Credential:
    """A user and password, or an ``identity`` token, or a ready ``bearer`` token; ``source`` names the file or helper
    for people."""

    username: str = ""
    password: str = ""
    identity: str = ""
    bearer: str = ""
    source: str = ""

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def __str__(self) -> str:
        who = f"user {self.username}" if self.username else "the token"
        return f"{who} from {self.source}"


def key_of(host: str) -> str:
    """Under which name docker keeps the credentials of a registry."""
    return HUB_KEY if host in _HUB_NAMES else host


def _host_of(key: str) -> str:
    """The host (and port) that a key of ``auths`` speaks of: keys may be whole URLs."""
    host = key.partition("://")[2] if "://" in key else key
    host = host.partition("/")[0]
    return DEFAULT_DOMAIN if host in _HUB_NAMES else host


class Keyring:
    """The caller's credentials. Reads the file once; ``store`` and ``erase`` write it."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._path = caller.docker_config
        self._config: dict[str, Any] | None = None

    @property
    def config(self) -> dict[str, Any]:
        """Raises ImageError when the file is there and cannot be read."""
        if self._config is None:
            self._config = self._read()
        return self._config

    def _read(self) -> dict[str, Any]:
        try:
            document = parse_json(self._path.read_bytes() or b"{}")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else f"it is not JSON: {error}"
            raise ImageError(f"cannot read {self._path}: {reason}", hint=_MEND) from None
        if not isinstance(document, dict):
            raise ImageError(f"cannot read {self._path}: it is not a JSON object", hint=_MEND)
        return document

    def find(self, host: str) -> Credential | None:
        """What is known for a registry: by its own helper, by the helper for all, else in the file itself."""
        helper = self.helper(host)
        if helper:
            found = self._ask(helper, key_of(host))
            if found is not None:
                return found
        wanted = DEFAULT_DOMAIN if host in _HUB_NAMES else host
        auths = _mapping(self.config, "auths")
        exact = [key for key in auths if key == key_of(host)]
        for key in (*exact, *(key for key in auths if _host_of(key) == wanted)):
            found = self._from_file(auths[key])
            if found is not None:
                return found
        return None

    def helper(self, host: str) -> str:
        """The suffix of the helper program that keeps this registry's credentials, or ""."""
        helpers = _mapping(self.config, "credHelpers")
        own = helpers.get(key_of(host)) or helpers.get(host)
        return str(own or self.config.get("credsStore") or "")

    def _from_file(self, entry: Any) -> Credential | None:
        if not isinstance(entry, dict):
            return None
        name, password = str(entry.get("username") or ""), str(entry.get("password") or "")
        if entry.get("auth"):
            try:
                name, _, password = (
                    base64.b64decode(str(entry["auth"]).strip(), validate=True).decode().rstrip("\0").partition(":")
                )
            except (binascii.Error, ValueError):
                raise ImageError(f"cannot read {self._path}: an entry of auths is not base64", hint=_MEND) from None
        identity, bearer = str(entry.get("identitytoken") or ""), str(entry.get("registrytoken") or "")
        if not (name or identity or bearer):
            return None  # docker leaves an empty entry where a helper has the rest
        return Credential(name, password, identity, bearer, str(self._path))

    # Helpers

    def _run(self, helper: str, verb: str, text: str) -> subprocess.CompletedProcess[str]:
        """The helper works for the caller and not for root: the key ring behind it is his."""
        name = f"docker-credential-{helper}"
        path = self._caller.environment.get("PATH")
        program = shutil.which(name, path=path)
        if program is None:
            raise ImageError(
                f"cannot ask {name}: there is no such program",
                hint=f"{self._path} names it; install it, or take credsStore or credHelpers out of the file",
            )
        owner = self._caller.owner
        drop: dict[str, Any] = {"user": owner[0], "group": owner[1], "extra_groups": []} if owner else {}
        try:
            return subprocess.run(
                [program, verb],
                input=text,
                capture_output=True,
                text=True,
                timeout=HELPER_SECONDS,
                env=dict(self._caller.environment),
                check=False,
                **drop,
            )
        except subprocess.TimeoutExpired:
            text = f"cannot ask {name}: it gave no answer within {HELPER_SECONDS} s"
            raise ImageError(text, hint=self._try(name, verb)) from None
        except OSError as error:
            raise ImageError(f"cannot ask {name}: {error.strerror}", hint=self._try(name, verb)) from None
        except UnicodeDecodeError:
            raise ImageError(f"cannot ask {name}: it answers no text", hint=self._try(name, verb)) from None

    def _try(self, name: str, verb: str) -> str:
        return f"try it alone: {name} {verb}; or take it out of {self._path}, which names it"

    def _ask(self, helper: str, key: str) -> Credential | None:
        done = self._run(helper, "get", key)
        said, source = (done.stdout + done.stderr).strip(), f"docker-credential-{helper}"
        if done.returncode:
            if "credentials not found" in said:
                return None
            text = f"cannot ask {source} for {key}: {shown(said) or 'it failed'}"
            raise ImageError(text, hint=f"try it alone: echo {key} | {source} get; or take it out of {self._path}")
        try:
            answer = parse_json(done.stdout)
            name, secret = str(answer["Username"]), str(answer["Secret"])
        except (ValueError, KeyError, TypeError):
            text = f"cannot ask {source} for {key}: its answer is no credential"
            raise ImageError(text, hint=f"try it alone: echo {key} | {source} get") from None
        if name == TOKEN_USER:
            return Credential(identity=secret, source=source)
        return Credential(name, secret, source=source) if name or secret else None

    # Login and logout

    def store(self, host: str, credential: Credential) -> str:
        """Keeps a credential as docker would; answers where."""
        key, helper = key_of(host), self.helper(host)
        if helper:
            answer = {"ServerURL": key, "Username": credential.username, "Secret": credential.password}
            if credential.identity:
                answer |= {"Username": TOKEN_USER, "Secret": credential.identity}
            done = self._run(helper, "store", json.dumps(answer))
            if done.returncode:
                raise ImageError(f"cannot keep the credentials: docker-credential-{helper} says {done.stdout.strip()}")
            self._change(lambda auths: auths.update({key: {}}))
            return f"docker-credential-{helper}"
        entry = {"auth": base64.b64encode(f"{credential.username}:{credential.password}".encode()).decode()}
        if credential.identity:
            entry = {
                "auth": base64.b64encode(f"{credential.username}:".encode()).decode(),
                "identitytoken": credential.identity,
            }
        self._change(lambda auths: auths.update({key: entry}))
        return str(self._path)

    def erase(self, host: str) -> bool:
        """Forgets a registry's credentials; False when there were none."""
        helper, wanted = self.helper(host), _host_of(key_of(host))
        known = self.find(host) is not None
        if helper and known:
            self._run(helper, "erase", key_of(host))
        keys = [key for key in _mapping(self.config, "auths") if _host_of(key) == wanted]
        if keys:
            self._change(lambda auths: [auths.pop(key, None) for key in keys])
        return known or bool(keys)

    def _change(self, change: Any) -> None:
        """Rewrites ``auths`` alone among all stackups, private to its owner; everything else in the file stays."""
        self._make_directory()
        with self._alone():
            document = self._read()
            auths = dict(_mapping(document, "auths"))
            change(auths)
            document["auths"] = auths
            target = Path(os.path.realpath(self._path))  # the file may be a link into somebody's dotfiles
            write_atomic(target, json.dumps(document, indent="\t") + "\n", mode=0o600)
            self._give(target)
        self._config = None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """The directory itself is the lock: nothing of ours is left in it."""
        fd = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _make_directory(self) -> None:
        if not self._path.parent.is_dir():
            self._path.parent.mkdir(mode=0o700, parents=True)
            self._give(self._path.parent)

    def _give(self, path: Path) -> None:
        owner = self._caller.owner
        if owner is not None:
            os.chown(path, *owner)


def _mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}
