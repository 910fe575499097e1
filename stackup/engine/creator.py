"""Makes a container of a service: everything that is looked up or written once, before its first start.

First the definition, which is recorded; then the effects: volumes, files, the rendered spec. What a crash leaves of a
creation is recognised by its missing template and removed (``recovery``).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import replace

from stackup.base import names
from stackup.base.clock import now_ns
from stackup.base.errors import HostUnfit, ImageError
from stackup.base.values import as_mapping, changed
from stackup.engine.bundles import write_spec
from stackup.engine.container import Container
from stackup.engine.devices import device_numbers, host_devices, weights_left_out
from stackup.engine.grants import write_grants
from stackup.engine.labels import labels_of
from stackup.engine.naming import etc_files, hostname_of, naming_of, shared_etc_files
from stackup.engine.observe import service_image
from stackup.engine.prestart import step_service
from stackup.engine.records import Definition, EndpointRecord, PortRecord, State
from stackup.engine.sharing import shared_namespaces
from stackup.engine.storage import (
    PlannedVolume,
    inherited_mounts,
    make_bind_sources,
    plan_volumes,
    special_mounts,
)
from stackup.engine.watchrules import supervision_of
from stackup.engine.world import World
from stackup.images.image import Image
from stackup.images.lookup import resolve_user
from stackup.linux import capabilities
from stackup.linux.cgroups import Hierarchies
from stackup.linux.overlay import Overlay
from stackup.model.build import Hook
from stackup.model.observed import Phase
from stackup.model.stack import Service, Stack, Volume
from stackup.oci.runtime import Spec
from stackup.planner.hashing import config_hash, service_config, volume_config
from stackup.spec import RenderContext, capability_names, command_of, render, security_options


class Creator:
    """``environment`` is the user's: secrets and configs may come from its variables."""

    def __init__(self, world: World, environment: Mapping[str, str]) -> None:
        self._world = world
        self._environment = environment

    async def create(
        self,
        stack: Stack,
        service: Service,
        *,
        number: int,
        name: str,
        inherit: Container | None,
        created: Mapping[str, Container],
        step_of: tuple[str, int, bool] = ("", 0, False),
        trial_for: str = "",
    ) -> Container:
        """``inherit``: the container whose anonymous volumes are taken over; ``created``: what this plan made already.
        ``step_of``: the container that it prepares, in which step, and whether each replica needs it. ``trial_for``: id
        of the container that it takes the place of, if that is watched.

        Raises StackupError; nothing of the container is left then.
        """
        world = self._world
        image = await self._image(stack, service)
        await self._join_external_networks(stack, service)
        left_out = weights_left_out(service, Hierarchies.of_this_host()) if service.blkio_config else ""
        if left_out and not step_of[0]:
            world.tell(left_out)
        volumes = plan_volumes(stack, service, image.config, inherit.definition if inherit else None)
        async with world.creations:  # one a round of the loop, which has others to serve, too
            definition = self._define(stack, service, image, number, name, volumes, created)
            parent, step, per_replica = step_of
            definition = replace(
                definition, inherits=inherit is not None, parent=parent, step=step, per_replica=per_replica
            )
            container = Container(
                definition, State(Phase.CREATED.value, trial_for=trial_for), world.records, world.publish
            )
            world.records.add_container(definition, container.state)
            world.containers[container.id] = container
            await asyncio.sleep(0)
        try:
            if volumes:  # filling one may take long
                await asyncio.to_thread(self._make, stack, service, image, definition, volumes)
            else:  # a few milliseconds, most of it Python: a thread would only make the loop wait for the interpreter
                async with world.creations:
                    self._make(stack, service, image, definition, volumes)
                    await asyncio.sleep(0)
            for step, hook in enumerate(service.pre_start):
                await self._create_step(stack, service, hook, step, container, created)
        except BaseException:
            await self._undo(container, volumes=inherit is None)
            raise
        world.publish(container, "created")
        return container

    async def _create_step(
        self,
        stack: Stack,
        service: Service,
        hook: Hook,
        step: int,
        container: Container,
        created: Mapping[str, Container],
    ) -> None:
        """A container of its own for one command of ``pre_start``, with the networks and volumes of ``container``."""
        altered = step_service(service, hook, service_image(stack, service.name))
        await self.create(
            stack.model_copy(update={"services": {**stack.services, service.name: altered}}),
            altered,
            number=container.definition.number,
            name=f"{container.name}-pre_start-{step + 1}",
            inherit=container,
            created=created,
            step_of=(container.id, step, hook.per_replica),
        )

    async def _undo(self, container: Container, *, volumes: bool) -> None:
        """``volumes`` False: some of its anonymous volumes are those of the container that it was to replace."""
        from stackup.engine.runner import Runner  # a failed creation is removed as any container is

        await Runner(self._world).remove(container, volumes=volumes)

    async def _image(self, stack: Stack, service: Service) -> Image:
        reference = service_image(stack, service.name)
        image = self._world.image(reference)
        if image is None:
            raise ImageError(f"cannot create a container of service {service.name}: image {reference} is not here")
        await self._world.materialize(image)
        return image

    async def _join_external_networks(self, stack: Stack, service: Service) -> None:
        for key in service.networks:
            network = stack.networks[key]
            if network.external and not self._world.desk.joined(key, network.name):
                record = await self._world.desk.create_network(key, network)
                self._world.records.put_network(key, record)

    def redefine(self, stack: Stack, service: Service, old: Definition) -> Definition:
        """What ``old`` is to be, with all that can be changed in place as the stack has it now. Nothing is touched."""
        image = self._world.image(service_image(stack, service.name))
        config = service_config(stack, service)
        digest = config_hash(config)
        same = changed(
            old,
            config=config,
            config_hash=digest,
            endpoints=self._endpoints(stack, service),
            ports=tuple(_ports(service)),
        )
        if image is None or image.id != old.image_id:  # what comes from the image stays as it was
            return same
        labels = labels_of(stack, service, image, old.number, digest)
        return changed(same, labels=labels, supervision=supervision_of(service, image.config))

    def _define(
        self,
        stack: Stack,
        service: Service,
        image: Image,
        number: int,
        name: str,
        volumes: list[PlannedVolume],
        created: Mapping[str, Container],
    ) -> Definition:
        world = self._world
        container_id = names.new_container_id()
        config = service_config(stack, service)
        digest = config_hash(config)
        options = security_options(service)
        capabilities = capability_names(service)
        filter_path = ""
        if options.seccomp != "unconfined":
            filter_path = world.seccomp_filter(capabilities, "" if options.seccomp == "default" else options.seccomp)
        overlays = _on_mount_points(world, image.overlays(world.container_paths(container_id).state))
        shared = shared_namespaces(world, service, created)
        network_of = world.containers.get(shared.get("network", ""))
        return Definition(
            id=container_id,
            name=name,
            service=service.name,
            number=number,
            created_ns=now_ns(),
            config_hash=digest,
            config=config,
            image=service_image(stack, service.name),
            image_id=image.id,
            command=" ".join(command_of(service, image.config)),
            labels=labels_of(stack, service, image, number, digest),
            supervision=supervision_of(service, image.config),
            overlays=tuple(as_mapping(item) for item in overlays),
            endpoints=self._endpoints(stack, service),
            ports=tuple(_ports(service)),
            volumes={volume.target: volume.name for volume in volumes},
            anonymous_volumes=tuple(volume.name for volume in volumes if volume.anonymous),
            namespaces_of=shared,
            cgroup=names.container_cgroup(world.project, container_id, world.layout.root),
            seccomp_filter=filter_path,
            network_mode=service.network_mode or "",
            hostname=hostname_of(service, container_id, network_of.definition if network_of else None),
            tty=service.tty,
            stdin_open=service.stdin_open,
            init=bool(service.init),
            naming=naming_of(stack, service),
        )

    def _endpoints(self, stack: Stack, service: Service) -> tuple[EndpointRecord, ...]:
        found = []
        for key, endpoint in service.networks.items():
            wanted = {}
            if endpoint is not None:
                wanted = {
                    "address": endpoint.ipv4_address or "",
                    "address6": endpoint.ipv6_address or "",
                    "mac": endpoint.mac_address or service.mac_address or "",
                    "interface": endpoint.interface_name or "",
                    "aliases": endpoint.aliases,
                    "priority": endpoint.priority,
                    "gw_priority": endpoint.gw_priority,
                }
            elif service.mac_address:
                wanted = {"mac": service.mac_address}
            found.append(EndpointRecord(key, self._world.desk.network_id(key), stack.networks[key].name, wanted))
        return tuple(found)

    def _make(
        self, stack: Stack, service: Service, image: Image, definition: Definition, volumes: list[PlannedVolume]
    ) -> None:
        """The effects, in a worker thread: volumes, files, the spec."""
        world = self._world
        paths = world.container_paths(definition.id)
        os.makedirs(paths.state, exist_ok=True)
        make_bind_sources(service)
        overlays = image.overlays(paths.state)
        for volume in volumes:
            volume.make(world.volumes, world.images, overlays, project=world.project)
        user = resolve_user(overlays, service.user or image.config.user, service.group_add)
        etc = etc_files(paths.run)
        if "network" in definition.namespaces_of:
            other = etc_files(world.container_paths(definition.namespaces_of["network"]).run)
            etc = shared_etc_files(etc, other, definition.naming)
        context = RenderContext(
            container_id=definition.id,
            image=image.config,
            user=user,
            hostname=definition.hostname,
            cgroup_path=f"/{definition.cgroup}",
            volumes={volume.target: volume.source for volume in volumes if volume.source},
            grants=write_grants(stack, service, paths.state, overlays, self._environment),
            inherited=inherited_mounts(world, service),
            hosts_file=etc.hosts,
            hostname_file=etc.hostname,
            resolv_conf_file=etc.resolv_conf,
            devices=host_devices(service),
            device_numbers=device_numbers(service),
            known_capabilities=capabilities.present() if service.privileged else (),
        )
        spec = render(service, context)
        write_spec(world, definition, _with_special_mounts(spec, volumes))

    async def create_volume(self, name: str, volume: Volume, *, project: str, key: str) -> None:
        """A named volume. Raises HostUnfit for a driver that does not exist here."""
        if volume.driver not in (None, "", "local", "default"):
            raise HostUnfit(
                f"cannot create volume {name}: there is no volume driver {volume.driver!r}",
                hint="leave `driver` out, or use `driver: local`",
            )
        await asyncio.to_thread(
            self._world.volumes.create,
            name,
            project=project,
            key=key,
            config_hash=config_hash(volume_config(volume)),
            labels=dict(volume.labels),
            options=dict(volume.driver_opts),
        )


def _on_mount_points(world: World, overlays: tuple[Overlay, ...]) -> tuple[Overlay, ...]:
    below = str(world.images.layers.mount_points)
    return tuple(replace(item, lowers=(*item.lowers, below)) if item.target == "/" else item for item in overlays)


def _with_special_mounts(spec: Spec, volumes: list[PlannedVolume]) -> Spec:
    special = special_mounts(volumes)
    if not special:
        return spec
    return replace(spec, mounts=tuple(special.get(mount.destination, mount) for mount in spec.mounts))


def _ports(service: Service) -> list[PortRecord]:
    return [
        # "0" is a free one, as it is for bind(2)
        PortRecord(item.target, (item.published or "").lstrip("0"), item.protocol or "tcp", item.host_ip or "")
        for item in service.ports
    ]
