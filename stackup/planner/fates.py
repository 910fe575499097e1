"""What becomes of each container under ``up``: the rules for replacing and restarting, with their reasons."""

from __future__ import annotations

from dataclasses import replace

from stackup.base.names import container_name
from stackup.model.observed import Observed, ObservedContainer, Phase
from stackup.model.stack import Service, Stack
from stackup.planner.desired import Desired, Verb
from stackup.planner.difference import Change, apart, differences, in_full, summary
from stackup.planner.hashing import config_hash, hashed, service_config
from stackup.planner.images import Images
from stackup.planner.live import needs_new_container, ports_in_the_way
from stackup.planner.order import COMPLETED, namespace_parents, volume_parents
from stackup.planner.replicas import Fate, Replica, replicas
from stackup.planner.storage import Resource
from stackup.planner.words import listed, short_id
from stackup.planner.work import Work, settle_followers


class Fates:
    """Fills in ``replicas`` of every ``Work``. Works come in dependency order: parents are decided before children."""

    def __init__(
        self,
        desired: Desired,
        stack: Stack,
        observed: Observed,
        works: dict[str, Work],
        networks: dict[str, Resource],
        volumes: dict[str, Resource],
        images: Images,
    ) -> None:
        self._desired = desired
        self._stack = stack
        self._works = works
        self._networks = networks
        self._volumes = volumes
        self._images = images
        self._project = observed.project
        self._containers: dict[str, list[ObservedContainer]] = {}
        for container in observed.containers:
            if not container.oneoff:
                self._containers.setdefault(container.service, []).append(container)
        self._one_shots = one_shots(stack)
        self._given_up = {item.name for item in volumes.values() if item.remade}
        self._existing = {item.id for item in observed.containers if not item.oneoff}

    def decide(self) -> None:
        for work in self._works.values():
            if work.service is not None:
                self._replicas(work, work.service)
        if self._desired.verb is Verb.UP:
            settle_followers(self._works)
        else:
            for work in self._works.values():
                work.replicas = [item for item in work.replicas if item.fate is not Fate.RESTART]
        for work in self._works.values():
            work.remove_first = self._removed_first(work)

    def _replicas(self, work: Work, service: Service) -> None:
        containers = self._containers.get(work.name, [])
        config = service_config(self._stack, service)
        digest = config_hash(config)

        def obsolete(container: ObservedContainer) -> str:
            return self._obsolete(work, service, container, config, digest)

        def name_of(number: int) -> str:
            return service.container_name or container_name(self._project, service.name, number)

        work.replicas = replicas(
            work.name,
            self._wanted(work, service, containers),
            containers,
            obsolete=obsolete,
            one_shot=work.name in self._one_shots,
            name_of=name_of,
        )
        if work.visiting:  # it is here for what it shares only: what was stopped stays stopped
            work.replicas = [_left_alone(item) for item in work.replicas]
        work.replicas = [self._updated(work, service, item, config, digest) for item in work.replicas]
        if not (work.visiting or self._desired.no_recreate):
            work.replicas = [_explained(item, config, digest) for item in work.replicas]

    def _updated(
        self, work: Work, service: Service, replica: Replica, config: dict[str, object], digest: str
    ) -> Replica:
        """A container that lives on, with what is changed in place. Another network takes a restart."""
        container = replica.lasting
        if container is None:
            return replica
        reasons = []
        if container.config_hash != digest and not (work.visiting or self._desired.no_recreate):
            changes = summary(_changes(container, config))
            words = "rolled back in place" if self._desired.rollback else "changed in place"
            reasons.append(f"{words}: {changes}" if changes else words)
            replica = replace(replica, unproven=container.config.get("healthcheck") != config.get("healthcheck"))
        elif container.updating and container.config_hash == digest:
            reasons.append("an update of it was cut short")
        moved = self._moved(service, container)
        if moved and not (replica.successor and container.live):
            reasons.append(moved)
            if replica.fate is Fate.KEEP and container.live:
                replica = replace(replica, fate=Fate.RESTART, reason=moved)
        return replace(replica, update="; ".join(reasons)) if reasons else replica

    def _in_place(self, service: Service, container: ObservedContainer, config: dict[str, object]) -> bool:
        """Whether what differs between the container's configuration and ``config`` can be changed in place."""
        if self._images.known_id(service) is None or needs_new_container(hashed(container.config), hashed(config)):
            return False
        others = (item for items in self._containers.values() for item in items)
        return not ports_in_the_way(container, config, others)

    def _wanted(self, work: Work, service: Service, containers: list[ObservedContainer]) -> int:
        if service.provider is not None:
            return 0
        if work.visiting:
            return len({item.number for item in containers if item.phase is not Phase.REMOVING})
        return self._desired.scale.get(work.name, service.replicas)

    def _obsolete(
        self, work: Work, service: Service, container: ObservedContainer, config: dict[str, object], digest: str
    ) -> str:
        """Why ``container`` must be replaced; "" when it need not be."""
        shared = self._shared(service, container)
        if work.visiting or self._desired.no_recreate:
            return shared or (self._moved(service, container) if container.config_hash != digest else "")
        if self._desired.force_recreate and (work.targeted or self._desired.always_recreate_deps):
            return "--force-recreate"
        if self._desired.always_recreate_deps and not work.targeted:
            return "--always-recreate-deps"
        reasons = []
        told = False  # that the image is another one
        if container.config_hash != digest and not self._in_place(service, container, config):
            changes = summary(found := _changes(container, config))
            told = any(change.path == "image" for change in found)
            words = "rolled back" if self._desired.rollback else "config changed"
            reasons.append(f"{words}: {changes}" if changes else words)
        image = self._images.known_id(service)
        if image is not None and image != container.image_id and not told:
            reasons.append(f"image {container.image} changed: {short_id(container.image_id)} -> {short_id(image)}")
        if shared or not reasons:
            reasons.append(shared or self._attachments(service, container))
        return "; ".join(reason for reason in reasons if reason)

    def _shared(self, service: Service, container: ObservedContainer) -> str:
        """Something that it uses is gone, or made anew by this plan, whatever the options say."""
        if container.damage:
            return container.damage
        left = [key for key in container.networks if key not in service.networks]
        gone = left if self._desired.verb is Verb.UP else container.networks
        remade = [self._networks[key].name for key in gone if _is_remade(self._networks, key)]
        if remade:
            return f"network {listed(remade)} is made anew"
        mounted = [name for name in container.volumes.values() if name in self._given_up]
        if mounted:
            return f"volume {listed(mounted)} is made anew"
        return self._parents(service, container)

    def _parents(self, service: Service, container: ObservedContainer) -> str:
        for kind, parents in (("namespaces", namespace_parents(service)), ("volumes", volume_parents(service))):
            for name in parents:
                parent = self._works.get(name)
                if parent is not None and parent.has(Fate.REPLACE):
                    return f"shares {kind} with {name}, which is replaced"
        owners = namespace_parents(service)
        if not owners:
            return ""
        lasting = set(self._existing)
        for name in owners:
            if name in self._works:
                found = {item.id for item in self._containers.get(name, [])}
                lasting -= found - self._works[name].surviving()
        if not lasting.issuperset(container.namespaces_of):
            return f"shared namespaces with a container of {listed(owners)} that is no more"
        return ""

    def _attachments(self, service: Service, container: ObservedContainer) -> str:
        """Volumes whose identity is not that which the container was made with, and networks that it was not in."""
        for key in service.networks:
            if key in self._networks and (key not in container.networks or self._desired.verb is not Verb.UP):
                moved = self._moved(service, container)
                if moved:
                    return moved
        for mount in service.volumes:
            volume = self._volumes.get(mount.source or "") if mount.type == "volume" else None
            found = container.volumes.get(mount.target or "")
            if volume is not None and found is not None and found != volume.name:
                return f"volume at {mount.target} changed: {found} -> {volume.name}"
        return ""

    def _moved(self, service: Service, container: ObservedContainer) -> str:
        """Its networks are not those that it was made with: it has to be connected anew."""
        found = [self._networks[key] for key in service.networks if key in self._networks]
        remade = [network.name for network in found if network.remade]
        if remade:
            return f"network {listed(remade)} is made anew"
        others = [network.name for network in found if container.networks.get(network.key) != network.id]
        return f"network {listed(others)} is another one than it was made with" if others else ""

    def _removed_first(self, work: Work) -> bool:
        """Usually a replacement is made before the old container is stopped, so that a failure leaves the old one
        running. Not so where both cannot exist at a time: fixed addresses, networks and volumes made anew; nor where it
        will join one of several containers of which some go first."""
        if work.service is None or not work.has(Fate.REPLACE, Fate.CREATE):
            return False
        service = work.service
        if any(_is_remade(self._networks, key) for key in service.networks):
            return True
        if any(mount.source and _is_remade(self._volumes, mount.source) for mount in service.volumes):
            return True
        if any(end and (end.ipv4_address or end.ipv6_address or end.mac_address) for end in service.networks.values()):
            return True
        names = (*namespace_parents(service), *volume_parents(service))
        parents = [self._works[name] for name in names if name in self._works]
        return any(parent.remove_first or parent.has(Fate.REMOVE) for parent in parents)


def one_shots(stack: Stack) -> set[str]:
    """Services that are done once they have ended with success: others wait for just that, or no restart policy asks
    for more. An ``up`` that changes nothing does not run them again."""
    services = (*stack.services.values(), *stack.disabled.values())
    needed = (item for service in services for item in service.depends_on.items())
    awaited = {name for name, dependency in needed if dependency.condition == COMPLETED}
    return awaited | {service.name for service in services if not starts_again(service)}


def starts_again(service: Service) -> bool:
    """Whether its restart policy starts it again after a success."""
    deploy = service.deploy.restart_policy if service.deploy else None
    if deploy is not None:
        return (deploy.condition or "any") == "any"
    return service.restart in ("always", "unless-stopped")


def _left_alone(replica: Replica) -> Replica:
    if replica.fate is Fate.START:
        return replace(replica, fate=Fate.KEEP, reason="")
    stopped = replica.container is not None and not replica.container.live
    return replace(replica, idle=True) if replica.fate is Fate.REPLACE and stopped else replica


def _changes(container: ObservedContainer, config: dict[str, object]) -> list[Change]:
    return differences(hashed(container.config), hashed(config))


def _explained(replica: Replica, config: dict[str, object], digest: str) -> Replica:
    """With all that has changed of its configuration, where something is done about it."""
    container = replica.container
    if container is None or container.config_hash == digest or not (replica.update or replica.fate is Fate.REPLACE):
        return replica
    changes = _changes(container, config)
    return replace(replica, changes=in_full(changes), shown=apart(changes))


def _is_remade(resources: dict[str, Resource], key: str) -> bool:
    return key in resources and resources[key].remade
