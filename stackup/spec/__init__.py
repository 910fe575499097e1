"""Renders: ``render(service, context) -> oci.runtime.Spec``, and processes beside it (exec, probes). Pure.

Called by ``engine``, which looks up everything that needs the machine (image, numeric user, paths) and hands it over in
a ``RenderContext``. The defaults are Docker's (moby daemon/pkg/oci/defaults.go, daemon/oci_linux.go).
"""

from stackup.spec.context import Grant, HostDevice, InheritedMount, RenderContext, grants
from stackup.spec.health import HealthSettings, health_settings, probe_command
from stackup.spec.process import command_of, environment, render_exec
from stackup.spec.render import render
from stackup.spec.resources import render_limits
from stackup.spec.security import SecurityOptions, capability_names, security_options

__all__ = [
    "Grant",
    "HealthSettings",
    "HostDevice",
    "InheritedMount",
    "RenderContext",
    "SecurityOptions",
    "capability_names",
    "command_of",
    "environment",
    "grants",
    "health_settings",
    "probe_command",
    "render",
    "render_exec",
    "render_limits",
    "security_options",
]
