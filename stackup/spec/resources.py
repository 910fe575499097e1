"""Limits and devices: what the service may use of the machine."""

from __future__ import annotations

from dataclasses import replace

from stackup.base.errors import StackFileError
from stackup.model.stack import Limits, Reservations, Service
from stackup.model.stack import ThrottleDevice as WantedRate
from stackup.model.words import DEVICE_RULE, device_rule
from stackup.oci.runtime import (
    BlockIo,
    Cpu,
    Device,
    DeviceRule,
    Memory,
    Pids,
    Resources,
    ThrottleDevice,
    WeightDevice,
)
from stackup.spec.context import HostDevice, RenderContext
from stackup.spec.defaults import CPU_PERIOD, DEVICE_RULES


def render_resources(service: Service, context: RenderContext) -> Resources:
    """``deploy.resources`` beats the older attributes, as in docker compose (create.go, getDeployResources)."""
    return replace(render_limits(service), devices=_rules(service, context), block_io=_block_io(service, context))


def render_limits(service: Service) -> Resources:
    """Memory, processors and number of tasks: what can be changed while a container runs."""
    deploy = service.deploy.resources if service.deploy else None
    limits = (deploy.limits if deploy else None) or Limits()
    reservations = (deploy.reservations if deploy else None) or Reservations()
    return Resources(
        memory=_memory(service, limits, reservations), cpu=_cpu(service, limits), pids=_pids(service, limits)
    )


def render_devices(service: Service, context: RenderContext) -> tuple[Device, ...]:
    """Nodes to make: those that the service names, for a privileged one all that the context holds."""
    targets = {item.source: item.target or item.source for item in service.devices}
    return tuple(
        Device(item.type, _inside(targets, item.path), item.major, item.minor, item.mode & 0o777, item.uid, item.gid)
        for item in context.devices
    )


def _inside(targets: dict[str, str], path: str) -> str:
    """Where a host device appears; a directory of devices keeps its names below the target."""
    if path in targets:
        return targets[path]
    for source, target in targets.items():
        if path.startswith(source.rstrip("/") + "/"):
            return target.rstrip("/") + path[len(source.rstrip("/")) :]
    return path


def _rules(service: Service, context: RenderContext) -> tuple[DeviceRule, ...]:
    if service.privileged:
        return (DeviceRule(True, access="rwm"),)
    named = tuple(_rule(service, item) for item in context.devices)
    return (*DEVICE_RULES, *named, *(_parse_rule(service, text) for text in service.device_cgroup_rules))


def _rule(service: Service, device: HostDevice) -> DeviceRule:
    access = "rwm"
    for item in service.devices:
        if device.path == item.source or device.path.startswith(item.source.rstrip("/") + "/"):
            access = item.permissions or "rwm"
    kind = "b" if device.type == "b" else "c"
    return DeviceRule(True, kind, device.major, device.minor, access)


def _parse_rule(service: Service, text: str) -> DeviceRule:
    rule = device_rule(text)
    if rule is None:
        raise StackFileError(
            f"cannot use device_cgroup_rules {text!r} of service {service.name}",
            hint=DEVICE_RULE,
            about=".device_cgroup_rules",
        )
    return DeviceRule(True, *rule)


def _memory(service: Service, limits: Limits, reservations: Reservations) -> Memory | None:
    """Swap defaults to twice the limit, memory included (moby daemon, adaptContainerSettings)."""
    limit = limits.memory or service.mem_limit or None
    swap = service.memswap_limit or (limit * 2 if limit else None)
    reservation = reservations.memory or service.mem_reservation or None
    memory = Memory(limit, reservation, swap, service.mem_swappiness, service.oom_kill_disable or None)
    return None if memory == Memory() else memory


def _cpu(service: Service, limits: Limits) -> Cpu | None:
    cpus = limits.cpus or service.cpus
    quota, period = service.cpu_quota, service.cpu_period
    if cpus:
        quota, period = round(cpus * CPU_PERIOD), CPU_PERIOD
    cpu = Cpu(
        shares=service.cpu_shares or None,
        quota=quota or None,
        period=period or None,
        realtime_runtime=service.cpu_rt_runtime or None,
        realtime_period=service.cpu_rt_period or None,
        cpus=service.cpuset or "",
    )
    return None if cpu == Cpu() else cpu


def _pids(service: Service, limits: Limits) -> Pids | None:
    limit = limits.pids if limits.pids else service.pids_limit
    if limit is None:
        return None
    return Pids(limit if limit > 0 else -1)


def _block_io(service: Service, context: RenderContext) -> BlockIo | None:
    wanted = service.blkio_config
    if wanted is None:
        return None
    numbers = context.device_numbers

    def rates(items: tuple[WantedRate, ...]) -> tuple[ThrottleDevice, ...]:
        return tuple(ThrottleDevice(*numbers[item.path], item.rate) for item in items if item.path in numbers)

    return BlockIo(
        weight=wanted.weight,
        weight_device=tuple(
            WeightDevice(*numbers[item.path], item.weight) for item in wanted.weight_device if item.path in numbers
        ),
        throttle_read_bps_device=rates(wanted.device_read_bps),
        throttle_write_bps_device=rates(wanted.device_write_bps),
        throttle_read_iops_device=rates(wanted.device_read_iops),
        throttle_write_iops_device=rates(wanted.device_write_iops),
    )
