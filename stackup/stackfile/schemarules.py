"""What the schema says beyond the grammar: patterns of texts, what excludes what, and the values that editors offer.

The loader says it in words, in its checks; a test drives the same wrong files through both.
"""

from __future__ import annotations

from typing import Any

from stackup.stackfile.cron import FIELDS, NICKNAMES

Schema = dict[str, Any]

DURATION = r"^[-+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w))+)$"
SIZE = r"^\s*([0-9]+(\.[0-9]*)?|\.[0-9]+) ?([kKmMgGtTpP]?)([iI]?[bB])?\s*$"
NUMBER = r"^\s*[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$"
WORDS = ("true", "t", "yes", "y", "on", "1", "false", "f", "no", "n", "off", "0")

# [[IP:]HOST:]CONTAINER[/PROTOCOL]; an IPv6 address without brackets is known by its two colons in a row.
_NUMBER = r"0*(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5]?[0-9]{1,4})"
_RANGE = rf"{_NUMBER}(-{_NUMBER})?"
_IPV6 = r"[0-9a-fA-F:.]*::[0-9a-fA-F:.]*(%[^:]+)?|([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}"
_ADDRESS = rf"(\[[^\]]+\]|[0-9]{{1,3}}(\.[0-9]{{1,3}}){{3}}|{_IPV6})"
_PROTOCOL = r"([tT][cC][pP]|[uU][dD][pP]|[sS][cC][tT][pP])"
PORT = rf"^((({_ADDRESS})?:)?({_RANGE})?:)?(?!0+(/|$)){_RANGE}(/{_PROTOCOL}?)?$|\$"
# [SOURCE:]TARGET[:OPTIONS]; drives of Windows have colons, too.
VOLUME = r"^.{1,2}$|^(?!:)(?!.*(::|:$))([a-zA-Z]:(?=[/\\]))?[^:]+(:([a-zA-Z]:(?=[/\\]))?[^:]+){0,2}$|\$"


def _cron() -> str:
    """Five fields of numbers, names, ranges and steps, or a nickname; whether the numbers fit is not said here."""
    fields = []
    for field in FIELDS:
        names = "".join(f"|{_any_case(name)}" for name in field.names)
        value = rf"([0-9]{{1,3}}{names})"
        part = rf"(\*|{value}(-{value})?)(/[0-9]+)?"
        fields.append(f"{part}(,{part})*")
    nicknames = "|".join(_any_case(name) for name in NICKNAMES)
    times = r"\s+".join(fields)
    return rf"^\s*({nicknames}|{times})\s*$|\$"


def _any_case(word: str) -> str:
    return "".join(f"[{char.upper()}{char}]" if char.isalpha() else char for char in word)


CRON = _cron()

# Keys that are needed in each file already, beside those that the records name themselves.
NEEDED = {"a volume of a service": ("type", "target"), "a port": ("target",)}
# What else must hold inside of one record: exclusions, and keys that others make necessary.
RULES: dict[str, Schema] = {
    "a build": {"not": {"required": ["dockerfile", "dockerfile_inline"]}},
    "a config": {
        "not": {"anyOf": [{"required": ["file", "content"]}, {"required": ["file", "environment"]}]},
        "anyOf": [{"required": [name]} for name in ("file", "environment", "content", "external")],
    },
    "a secret": {
        "not": {"required": ["file", "environment"]},
        "anyOf": [{"required": [name]} for name in ("file", "environment", "external")],
    },
    "a service": {
        "not": {
            "required": ["network_mode", "networks"],
            "properties": {
                "network_mode": {"minLength": 1},
                "networks": {"anyOf": [{"type": "array", "minItems": 1}, {"type": "object", "minProperties": 1}]},
            },
        }
    },
    "a volume of a service": {
        "if": {"properties": {"type": {"const": "bind"}}, "required": ["type"]},
        "then": {"required": ["source"]},
    },
    "a watch rule": {
        "if": {"properties": {"action": {"pattern": "^sync"}}, "required": ["action"]},
        "then": {"required": ["target"]},
    },
    "a secret of a service": {"required": ["source"]},
    "a config of a service": {"required": ["source"]},
    "a volume": {
        "if": {"properties": {"external": {"const": True}}, "required": ["external"]},
        "then": {"propertyNames": {"pattern": "^(name|external|x-.*)$"}},
    },
}
_OTHERS = "service:.+|container:.+"
_MAC = r"^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$|^$|\$"
# Forms of texts that the grammar leaves to later checks.
PATTERNS = {
    ("a service", "restart"): r"^(no|always|unless-stopped|on-failure(:[0-9]+)?)?$|\$",
    ("a service", "network_mode"): rf"^(none|host|bridge|default|{_OTHERS})?$|\$",
    ("a service", "ipc"): rf"^(none|private|shareable|host|{_OTHERS})?$|\$",
    ("a service", "uts"): r"^(host)?$|\$",
    ("a service", "mac_address"): _MAC,
    ("a network of a service", "mac_address"): _MAC,
    ("a network of a service", "ipv4_address"): r"^([0-9]{1,3}(\.[0-9]{1,3}){3})?$|\$",
}
CHECKS = {"anyOf": [{"enum": ["NONE", "CMD", "CMD-SHELL"]}, {"type": "string", "pattern": r"\$"}]}
# Values that editors offer where every text is allowed.
OFFERED = {
    ("a service", "restart"): ("no", "always", "on-failure", "unless-stopped"),
    ("a service", "pull_policy"): ("always", "never", "missing", "build", "daily", "weekly"),
    ("a service", "network_mode"): ("none", "host", "bridge"),
    ("a service", "ipc"): ("private", "shareable", "host", "none"),
    ("a service", "stop_signal"): ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL"),
    ("a port", "protocol"): ("tcp", "udp", "sctp"),
    ("a port", "mode"): ("ingress", "host"),
    ("logging", "driver"): ("json-file", "local", "none", "journald", "syslog"),
    ("restart_policy", "condition"): ("any", "on-failure", "none"),
    ("deploy", "mode"): ("replicated", "global"),
    ("a network", "driver"): ("bridge",),
    ("a volume", "driver"): ("local",),
}
