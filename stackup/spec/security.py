"""Capabilities and ``security_opt``."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from stackup.base.capabilities import ALL_CAPABILITIES
from stackup.base.errors import StackFileError
from stackup.base.values import frozen
from stackup.model.stack import Service
from stackup.model.words import SECURITY_OPTIONS, capability, security_option
from stackup.oci.runtime import Capabilities
from stackup.spec.defaults import DEFAULT_CAPABILITIES


@frozen
class SecurityOptions:
    """``seccomp``: "default", "unconfined", or the path of a profile. ``unmasked``: systempaths=unconfined."""

    no_new_privileges: bool = False
    seccomp: str = "default"
    apparmor: str = ""
    labels: tuple[str, ...] = ()
    unmasked: bool = False


def security_options(service: Service) -> SecurityOptions:
    """From ``security_opt`` and ``privileged``. Raises StackFileError for an option that does not exist."""
    found = {"seccomp": "unconfined" if service.privileged else "default", "apparmor": ""}
    labels = []
    no_new_privileges = unmasked = False
    for index, text in enumerate(service.security_opt):
        option = security_option(text)
        if option is None:
            raise StackFileError(
                f"cannot use security_opt {text!r} of service {service.name}: no such option",
                hint=SECURITY_OPTIONS,
                about=f".security_opt.{index}",
            )
        key, value = option
        if key == "no-new-privileges":
            no_new_privileges = value == "true"
        elif key == "label":
            labels.append(value)
        elif key == "systempaths":
            unmasked = True
        else:
            found[key] = value
    if found["seccomp"] in ("builtin", "default"):
        found["seccomp"] = "default"
    return SecurityOptions(no_new_privileges, found["seccomp"], found["apparmor"], tuple(labels), unmasked)


def capability_names(service: Service, known: Sequence[str] = ()) -> tuple[str, ...]:
    """The bounding set. Names come with or without ``CAP_``, in any case, or ALL. Source: moby oci/caps/utils.go."""
    everything = tuple(known) or ALL_CAPABILITIES
    if service.privileged:
        return everything
    add, drop = _normal(service, "cap_add", everything), _normal(service, "cap_drop", everything)
    if "ALL" in add:
        return tuple(name for name in everything if name not in drop)
    base = () if "ALL" in drop else tuple(name for name in DEFAULT_CAPABILITIES if name not in drop)
    return tuple(dict.fromkeys((*base, *add)))


def _normal(service: Service, attribute: str, everything: Sequence[str]) -> tuple[str, ...]:
    names = []
    for index, written in enumerate(getattr(service, attribute)):
        name = capability(written)
        if name != "ALL" and name not in everything:
            known = name in ALL_CAPABILITIES
            raise StackFileError(
                f"cannot use {attribute} {written!r} of service {service.name}: "
                + ("this kernel does not have it" if known else "no such capability"),
                hint=_suggestion(name),
                about=f".{attribute}.{index}",
            )
        names.append(name)
    return tuple(names)


def _suggestion(name: str) -> str:
    plain = [item.removeprefix("CAP_") for item in ALL_CAPABILITIES]
    close = difflib.get_close_matches(name.removeprefix("CAP_"), plain, 1)
    return f"did you mean {close[0]}?" if close and f"CAP_{close[0]}" != name else ""


def capabilities(names: tuple[str, ...], uid: int) -> Capabilities:
    """For a process of ``uid``: others than root start with none in effect, as after execve (moby oci/oci.go)."""
    if uid == 0:
        return Capabilities(bounding=names, effective=names, permitted=names)
    return Capabilities(bounding=names)
