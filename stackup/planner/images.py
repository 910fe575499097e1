"""Which images must be built or pulled before containers can be made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stackup.base.errors import PlanRefused
from stackup.base.names import image_name
from stackup.model.observed import ImageMarks, Observed
from stackup.model.plan import BuildImage, PullImage
from stackup.model.references import shared_with
from stackup.model.stack import Service
from stackup.oci.platforms import parse_platform, suits
from stackup.oci.reference import parse
from stackup.planner.desired import Desired, Verb
from stackup.planner.draft import Draft
from stackup.planner.freshness import oldest
from stackup.planner.words import listed

NOT_PULLED = ("never", "build")  # policies, as docker compose has them


def image_of(project: str, service: Service) -> str:
    """The reference of the image that ``service`` runs."""
    return service.image or image_name(project, service.name)


class Images:
    """Adds builds and pulls to the draft, one for each reference, when they are asked for or found to be needed."""

    def __init__(
        self,
        draft: Draft,
        desired: Desired,
        observed: Observed,
        services: Mapping[str, Service],
        builders: Iterable[str],
    ) -> None:
        """``builders``: services of this request; ``services`` all that may share an image with them."""
        self._draft = draft
        self._desired = desired
        self._observed = observed
        self._services = services
        self._actions: dict[str, str] = {}  # reference -> action id
        self._builders: dict[str, str] = {}  # reference -> service that builds it
        self._building: set[str] = set()  # references whose builds wait for what is being looked at
        for name in (*builders, *services):
            if services[name].build is not None:
                self._builders.setdefault(image_of(observed.project, services[name]), name)

    def known_id(self, service: Service) -> str | None:
        """Id of the image that is here under the service's reference."""
        return self._observed.images.get(image_of(self._observed.project, service))

    def absent(self, name: str) -> bool:
        """Nothing is here under the service's reference, or it is for another platform."""
        service = self._services[name]
        return self.known_id(service) is None or not self._for_its_platform(service)

    def asked(self, name: str) -> None:
        """Adds what the user or the service's pull_policy wants on every ``up``."""
        service, desired = self._services[name], self._desired
        if desired.images_settled or service.provider is not None:
            return
        policy = desired.pull or service.pull_policy or ""
        if service.build is not None and not desired.no_build:
            if desired.build:
                self.build(name, "--build")
            elif policy == "build":
                self.build(name, "pull_policy: build")
        elif policy == "always":
            self.pull(name, "--pull always" if desired.pull else "pull_policy: always")
        elif service.build is None and not desired.pull and self._too_old(service):
            self.pull(name, f"pull_policy: {policy}", required=False)

    def needed(self, name: str) -> tuple[str, ...]:
        """A container of ``name`` will be created: ids of actions that it has to wait for.

        Raises PlanRefused when the image is absent and may be neither built nor pulled.
        """
        service = self._services[name]
        reference = image_of(self._observed.project, service)
        if reference in self._actions:
            return (self._actions[reference],)
        fit = self._for_its_platform(service)
        if self.known_id(service) is not None and fit:
            return ()
        builder = self._builders.get(reference)
        if builder is not None and not self._desired.no_build:
            return (self.build(builder, "not built yet"),)
        policy = self._desired.pull or service.pull_policy or ""
        if builder is not None and service.image is None:
            raise PlanRefused(
                f"cannot create service {name}: image {reference} is not built yet and --no-build was given",
                about=f"services.{name}.build",
                hint="leave --no-build out",
            )
        if policy in NOT_PULLED:
            raise self._not_to_be_had(name, policy, fit=fit)
        return (self.pull(name, "not here yet" if fit else f"not here for {service.platform}"),)

    def _not_to_be_had(self, name: str, policy: str, *, fit: bool) -> PlanRefused:
        """The hint names the image: `pull` of a service leaves it out for the same policy."""
        service = self._services[name]
        reference = image_of(self._observed.project, service)
        platform = "" if fit else f"--platform {service.platform} "
        hint = f"fetch it with `stackup pull {platform}{parse(reference).familiar}`, or change pull_policy"
        why = f"pull_policy is {policy}"
        if policy == "build" and service.build is None:
            why += ", without a `build:` section"
        elif policy == "build":
            hint = "leave --no-build out"
        return PlanRefused(
            f"cannot create service {name}: image {reference} is not here "
            f"{'' if fit else f'for {service.platform} '}and {why}",
            about=f"services.{name}.pull_policy",
            hint=hint,
        )

    def build(self, name: str, reason: str) -> str:
        reference = image_of(self._observed.project, self._services[name])
        if reference in self._actions:
            return self._actions[reference]
        decides = self._decided(reference)
        action = self._draft.add(
            BuildImage(f"build {reference}", reason, service=name, image=reference, decides=decides)
        )
        self._actions[reference] = action
        self._building.add(reference)
        build = self._services[name].build
        for context in build.additional_contexts.values() if build else ():
            other = shared_with(context)
            if other in self._services and other != name:
                self._draft.after(action, self._base(name, other))
        self._building.discard(reference)
        return action

    def _base(self, builder: str, name: str) -> tuple[str, ...]:
        """Image of another service that a build starts from."""
        service = self._services[name]
        reference = image_of(self._observed.project, service)
        if reference in self._building and reference != image_of(self._observed.project, self._services[builder]):
            raise PlanRefused(
                f"cannot build service {builder}: it starts from image {reference}, whose build waits for this one",
                about=f"services.{builder}.build.additional_contexts",
                hint="give services that build different things images of different names",
            )
        missing = self.known_id(service) is None
        rebuilt = self._desired.build and not self._desired.images_settled and service.build is not None
        return (self.build(name, "another build starts from it"),) if missing or rebuilt else ()

    def pull(self, name: str, reason: str, *, required: bool = True) -> str:
        service = self._services[name]
        reference = image_of(self._observed.project, service)
        if reference not in self._actions:
            action = PullImage(
                f"pull {reference}",
                reason,
                service=name,
                image=reference,
                decides=self._decided(reference),
                platform=service.platform or "",
                required=required,
            )
            self._actions[reference] = self._draft.add(action)
        return self._actions[reference]

    def _marks(self, service: Service) -> ImageMarks:
        return self._observed.image_marks.get(image_of(self._observed.project, service), ImageMarks())

    def _too_old(self, service: Service) -> bool:
        """What is not here at all is not meant: see ``needed``."""
        limit = oldest(service)
        if limit is None or self.known_id(service) is None:
            return False
        age = self._marks(service).age
        return age is None or age > limit

    def _for_its_platform(self, service: Service) -> bool:
        here = self._marks(service).platform
        if not service.platform or not here or self.known_id(service) is None:
            return True
        return suits(parse_platform(here), parse_platform(service.platform)) > 0

    def _decided(self, reference: str) -> tuple[str, ...]:
        project = self._observed.project
        services = {name for name, service in self._services.items() if image_of(project, service) == reference}
        if self._desired.no_recreate:
            return ()
        found = self._observed.containers
        names = tuple(sorted(item.name for item in found if item.service in services and not item.oneoff))
        if names and self._desired.verb in (Verb.UP, Verb.CREATE):
            self._draft.notice(f"{listed(names)}: replaced if image {reference} turns out to be another one")
            return names
        return ()
