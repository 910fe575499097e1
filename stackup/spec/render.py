"""The whole spec of one container."""

from __future__ import annotations

from stackup.model.stack import Service
from stackup.oci.runtime import Linux, Namespace, Root, Spec
from stackup.spec.context import RenderContext
from stackup.spec.defaults import MASKED_PATHS, NETWORK_SYSCTLS, READONLY_PATHS
from stackup.spec.mounts import propagation, render_mounts
from stackup.spec.process import render_process
from stackup.spec.resources import render_devices, render_resources
from stackup.spec.security import security_options

STOP_SIGNAL = "org.opencontainers.image.stopSignal"


def render(service: Service, context: RenderContext) -> Spec:
    """The OCI runtime configuration of a container of ``service``.

    Raises StackFileError for values that no container can have, ContainerFault when the image does not fit.
    """
    options = security_options(service)
    mounts = render_mounts(service, context)
    open_paths = service.privileged or options.unmasked
    seccomp = None if options.seccomp == "unconfined" or context.seccomp is None else dict(context.seccomp)
    linux = Linux(
        namespaces=namespaces(service, context),
        devices=render_devices(service, context),
        cgroups_path=context.cgroup_path,
        resources=render_resources(service, context),
        rootfs_propagation=propagation(mounts),
        seccomp=seccomp,
        sysctl=_sysctls(service),
        masked_paths=() if open_paths else (*MASKED_PATHS, *context.extra_masked_paths),
        readonly_paths=() if open_paths else READONLY_PATHS,
    )
    own_names = service.uts != "host"
    return Spec(
        process=render_process(service, context),
        root=Root(readonly=service.read_only),
        hostname=context.hostname if own_names else "",
        domainname=(service.domainname or "") if own_names else "",
        mounts=mounts,
        linux=linux,
        annotations=_annotations(service, context),
    )


def namespaces(service: Service, context: RenderContext) -> tuple[Namespace, ...]:
    """A namespace of its own of every kind, unless the file says host, or those of another container."""
    wanted = (
        ("mount", None),
        ("network", service.network_mode),
        ("uts", service.uts),
        ("pid", service.pid),
        ("ipc", service.ipc),
        ("cgroup", service.cgroup or ("private" if context.private_cgroup else "host")),
    )
    return tuple(Namespace(kind, context.namespaces.get(kind, "")) for kind, mode in wanted if mode != "host")


def private_network(service: Service) -> bool:
    """True when the network namespace is the container's own."""
    mode = service.network_mode or ""
    return mode != "host" and not mode.startswith(("service:", "container:"))


def _sysctls(service: Service) -> dict[str, str]:
    defaults = NETWORK_SYSCTLS if private_network(service) else {}
    return {**defaults, **service.sysctls}


def _annotations(service: Service, context: RenderContext) -> dict[str, str]:
    signal = service.stop_signal or context.image.stop_signal
    return {**({STOP_SIGNAL: signal} if signal else {}), **service.annotations}
