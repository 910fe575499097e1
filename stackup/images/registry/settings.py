"""registries.conf (containers-registries.conf.d(5), version 2): mirrors, locations, insecure and blocked registries.

Where it is looked for, which table wins and how references are rewritten: containers/image
``pkg/sysregistriesv2/system_registries_v2.go``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stackup.base.errors import ImageError
from stackup.base.values import frozen
from stackup.images.registry.caller import Caller
from stackup.images.registry.errors import Blocked
from stackup.oci.reference import DEFAULT_DOMAIN, Reference

HUB = "registry-1.docker.io"  # who answers for docker.io
HUB_KEY = "https://index.docker.io/v1/"  # what docker calls it where credentials are kept
_MIRROR_USES = ("all", "digest-only", "tag-only")


@frozen
class Endpoint:
    """Where a repository is asked for: ``host`` with its port, the ``repository`` there. ``insecure``: certificates are
    not checked, and plain HTTP will do."""

    host: str
    repository: str
    insecure: bool = False
    mirror: bool = False

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}"

    @property
    def address(self) -> str:
        """Host and port to connect to."""
        return HUB if self.host == DEFAULT_DOMAIN else self.host


@frozen
class Mirror:
    location: str
    insecure: bool = False
    use: str = "all"


@frozen
class Rule:
    """One ``[[registry]]`` table."""

    prefix: str
    location: str = ""
    insecure: bool = False
    blocked: bool = False
    mirrors: tuple[Mirror, ...] = ()
    file: str = ""

    def matches(self, name: str) -> int:
        """How many characters of ``name`` (a canonical reference) the rule speaks of; 0: none."""
        if self.prefix.startswith("*."):
            host = name.partition("/")[0].partition(":")[0]
            return len(host) if host.endswith(self.prefix[1:]) else 0
        rest = name[len(self.prefix) :]
        return len(self.prefix) if name.startswith(self.prefix) and (not rest or rest[0] in "/:@") else 0


@frozen
class Settings:
    rules: tuple[Rule, ...] = ()
    warnings: tuple[str, ...] = ()

    def endpoints(self, reference: Reference, *, push: bool = False) -> tuple[Endpoint, ...]:
        """Where to ask, in order: mirrors, then the registry itself. Raises Blocked."""
        rule = self._rule(reference)
        if rule is None:
            return (Endpoint(reference.domain, reference.path),)
        if rule.blocked:
            raise Blocked(f"{rule.prefix} is blocked", hint=f"by {rule.file}" if rule.file else "")
        found = [] if push else list(_mirrors(rule, reference))
        location = rule.location or (reference.domain if rule.prefix.startswith("*.") else rule.prefix)
        return (*found, _endpoint(rule, location, reference, insecure=rule.insecure))

    def _rule(self, reference: Reference) -> Rule | None:
        name = str(reference)
        best = max(self.rules, key=lambda rule: rule.matches(name), default=None)
        return best if best is not None and best.matches(name) else None

    def insecure(self, host: str) -> bool:
        """Whether a registry as a whole may be talked to without a trusted certificate."""
        return any(rule.insecure and host in (rule.prefix, rule.location) for rule in self.rules)


def _mirrors(rule: Rule, reference: Reference) -> Iterator[Endpoint]:
    for mirror in rule.mirrors:
        if mirror.use == "all" or (mirror.use == "digest-only") == bool(reference.digest):
            yield _endpoint(rule, mirror.location, reference, insecure=mirror.insecure, mirror=True)


def _endpoint(rule: Rule, location: str, reference: Reference, *, insecure: bool, mirror: bool = False) -> Endpoint:
    """``location`` in place of the prefix."""
    length = len(reference.domain) if rule.prefix.startswith("*.") else len(rule.prefix)
    host, _, path = (location + reference.name[length:]).partition("/")
    return Endpoint(host, path, insecure, mirror)


def load_settings(caller: Caller) -> Settings:
    """Raises ImageError, with the file's name, for one that cannot be read."""
    rules: dict[str, Rule] = {}
    warnings: list[str] = []
    for path in _files(caller):
        for rule in _read(path, warnings):
            rules[rule.prefix] = rule  # the later file replaces the whole table
    return Settings(tuple(rules.values()), tuple(warnings))


def _files(caller: Caller) -> Iterator[Path]:
    given = caller.environment.get("CONTAINERS_REGISTRIES_CONF")
    own = caller.configuration / "registries.conf"
    if given:
        yield Path(given)
    elif own.is_file():
        yield own
    elif (system := caller.etc / "containers" / "registries.conf").is_file():
        yield system
    for directory in (caller.etc / "containers", caller.configuration):
        try:
            yield from sorted((directory / "registries.conf.d").glob("*.conf"))
        except OSError:
            continue


def _read(path: Path, warnings: list[str]) -> Iterator[Rule]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        tables = document.get("registry", [])
        if not isinstance(tables, list):
            raise ValueError("it is in the old format (version 1), which has no [[registry]] tables")
        old = document.get("registries")
        if isinstance(old, dict):
            tables_of_old = ", ".join(f"[registries.{name}]" for name in old)
            warnings.append(f"{path}: {tables_of_old} of the old format (version 1) is passed over; use [[registry]]")
        yield from [_rule(table, path) for table in tables]
    except (OSError, ValueError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ImageError(f"cannot read {path}: {reason}") from None


def _rule(table: Mapping[str, Any], path: Path) -> Rule:
    location, prefix = _text(table, "location"), _text(table, "prefix")
    if not location and not prefix:
        raise ValueError("a registry has neither a prefix nor a location")
    only_digests = _flag(table, "mirror-by-digest-only")
    mirrors = [_mirror(item, only_digests) for item in table.get("mirror", [])]
    return Rule(
        (prefix or location).rstrip("/"),
        location.rstrip("/"),
        _flag(table, "insecure"),
        _flag(table, "blocked"),
        tuple(mirrors),
        str(path),
    )


def _mirror(table: Mapping[str, Any], only_digests: bool) -> Mirror:
    location = _text(table, "location")
    if not location:
        raise ValueError("a mirror has no location")
    use = _text(table, "pull-from-mirror") or ("digest-only" if only_digests else "all")
    if use not in _MIRROR_USES:
        raise ValueError(f"pull-from-mirror is {use!r}, not one of {', '.join(_MIRROR_USES)}")
    return Mirror(location.rstrip("/"), _flag(table, "insecure"), use)


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise ValueError(f"{key} is not a string")
    if "://" in value:
        raise ValueError(f"{key} is a host and a path, without {value.partition('://')[0]}://")
    return value


def _flag(table: Mapping[str, Any], key: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise ValueError(f"{key} is neither true nor false")
    return value
