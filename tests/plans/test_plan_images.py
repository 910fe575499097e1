"""Builds and pulls: when they are needed, and what they decide."""

from __future__ import annotations

from typing import Any

import pytest

from stackup.base.errors import PlanRefused
from stackup.model.observed import ImageMarks
from stackup.model.plan import BuildImage, Plan, PullImage
from stackup.model.stack import Stack
from stackup.planner import Desired, Verb, decide
from tests.plans.texts import expect
from tests.plans.world import World, make_stack, needs

BUILD = {"build": {"context": "/src"}}


def test_absent_image_is_built() -> None:
    expect(
        World().plan(make_stack({"app": BUILD})),
        """
        shop: 4 actions
           1  create  network shop_default  app uses it
           2  build   image shop-app        not built yet
           3  create  container shop-app-1  no container yet  after 1, 2
           4  start   container shop-app-1  new               after 3
        """,
    )


def test_absent_image_is_pulled() -> None:
    expect(
        World().plan(make_stack({"web": {"image": "nginx"}})),
        """
        shop: 4 actions
           1  create  network shop_default  web uses it
           2  pull    image nginx           not here yet
           3  create  container shop-web-1  no container yet  after 1, 2
           4  start   container shop-web-1  new               after 3
        """,
    )


def test_one_build_for_all_that_share_the_image() -> None:
    stack = make_stack({"worker": {"image": "app"}, "api": {"image": "app", **BUILD}})
    expect(
        World().plan(stack),
        """
        shop: 6 actions
           1  create  network shop_default     worker and api use it
           2  build   image app                not built yet
           3  create  container shop-worker-1  no container yet  after 1, 2
           4  start   container shop-worker-1  new               after 3
           5  create  container shop-api-1     no container yet  after 1, 2
           6  start   container shop-api-1     new               after 5
        """,
    )


def test_build_asked_for_decides_about_containers() -> None:
    stack = make_stack({"app": BUILD, "web": {}})
    world = World().up(stack)
    plan = world.plan(stack, build=True)
    assert plan.undecided
    assert [action.decides for action in plan if isinstance(action, BuildImage)] == [("shop-app-1",)]
    expect(
        plan,
        """
        shop: 1 action
           1  build  image shop-app  --build
          ! shop-app-1: replaced if image shop-app turns out to be another one
        """,
    )
    expect(
        plan.image_stage(),
        """
        shop: 1 action
           1  build  image shop-app  --build
        """,
    )


def test_after_a_build_that_changed_nothing() -> None:
    stack = make_stack({"app": BUILD})
    world = World().up(stack)
    desired = Desired(Verb.UP, stack, build=True).after_images()
    assert not decide(desired, world.observed(stack))


def test_after_a_build_that_made_another_image() -> None:
    stack = make_stack({"app": BUILD})
    world = World().up(stack)
    world.images["shop-app"] = "sha256:beefbeefbeefbeef"
    desired = Desired(Verb.UP, stack, build=True).after_images()
    expect(
        decide(desired, world.observed(stack)),
        """
        shop: 4 actions
           1  create  container shop-app-1  image shop-app changed: app-1 -> beefbeefbeef
           2  stop    container shop-app-1  replaced  after 1
           3  remove  container shop-app-1  replaced  after 2
           4  start   container shop-app-1  new       after 3
        """,
    )


def test_first_build_decides_nothing_else() -> None:
    assert not World().plan(make_stack({"app": BUILD})).undecided


def test_pull_policy_always() -> None:
    stack = make_stack({"web": {"image": "nginx", "pull_policy": "always"}})
    expect(
        World().up(stack).plan(stack),
        """
        shop: 1 action
           1  pull  image nginx  pull_policy: always
          ! shop-web-1: replaced if image nginx turns out to be another one
        """,
    )


def aged(stack: Stack, hours: float | None, platform: str = "linux/amd64") -> World:
    world = World().up(stack)
    world.marks["nginx"] = ImageMarks(None if hours is None else hours * 3600, platform)
    return world


@pytest.mark.parametrize(
    ("policy", "young", "old"),
    [
        ("daily", 23.9, 24.1),
        ("weekly", 167, 169),
        ("every_12h", 11.9, 12.1),
        ("every_1d12h", 35, 37),
        ("refresh", 1, 25),
    ],
)
def test_pull_policies_of_age(policy: str, young: float, old: float) -> None:
    stack = make_stack({"web": {"image": "nginx", "pull_policy": policy}})
    assert not aged(stack, young).plan(stack)
    (action,) = aged(stack, old).plan(stack)
    assert isinstance(action, PullImage)
    assert (action.reason, action.required, action.decides) == (f"pull_policy: {policy}", False, ("shop-web-1",))
    assert aged(stack, None).plan(stack).actions == (action,), "it was never asked for"
    assert not aged(stack, old).plan(stack, pull="never")


def test_an_age_of_ones_own() -> None:
    stack = make_stack({"web": {"image": "nginx", "pull_policy": "refresh", "pull_refresh_after": "30m"}})
    assert not aged(stack, 0.4).plan(stack)
    assert aged(stack, 0.6).plan(stack)


def test_an_image_that_is_not_here_has_no_age() -> None:
    stack = make_stack({"web": {"image": "nginx", "pull_policy": "daily"}})
    (pull,) = [action for action in World().plan(stack) if isinstance(action, PullImage)]
    assert (pull.reason, pull.required) == ("not here yet", True)


def test_an_image_for_another_platform_is_pulled() -> None:
    stack = make_stack({"web": {"image": "nginx", "platform": "linux/arm64"}})
    world = World().pull(stack)
    world.marks["nginx"] = ImageMarks(1.0, "linux/amd64")
    (pull,) = [action for action in world.plan(stack) if isinstance(action, PullImage)]
    assert (pull.reason, pull.platform) == ("not here for linux/arm64", "linux/arm64")
    world.marks["nginx"] = ImageMarks(1.0, "linux/arm64/v8")
    assert not [action for action in world.plan(stack) if isinstance(action, PullImage)]
    world.marks["nginx"] = ImageMarks(1.0, "linux/amd64")
    with pytest.raises(PlanRefused, match="image nginx is not here for linux/arm64 and pull_policy is never"):
        world.plan(stack, pull="never")


def test_pull_policy_build() -> None:
    stack = make_stack({"app": {**BUILD, "pull_policy": "build"}})
    expect(
        World().plan(stack),
        """
        shop: 4 actions
           1  create  network shop_default  app uses it
           2  build   image shop-app        pull_policy: build
           3  create  container shop-app-1  no container yet  after 1, 2
           4  start   container shop-app-1  new               after 3
        """,
    )


@pytest.mark.parametrize(
    ("service", "options", "message"),
    [
        ({"image": "nginx", "pull_policy": "never"}, {}, "image nginx is not here and pull_policy is never"),
        ({"image": "nginx"}, {"pull": "never"}, "image nginx is not here and pull_policy is never"),
        ({"image": "nginx", "pull_policy": "build"}, {}, "image nginx is not here and pull_policy is build, without a"),
        (
            {"image": "nginx", **BUILD, "pull_policy": "build"},
            {"no_build": True},
            "image nginx is not here and pull_policy is build$",
        ),
        (BUILD, {"no_build": True}, "image shop-web is not built yet and --no-build was given"),
    ],
)
def test_image_that_cannot_be_had(service: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanRefused, match=f"cannot create service web: {message}"):
        World().plan(make_stack({"web": service}), **options)


def test_build_from_the_image_of_another_service() -> None:
    child = {"build": {"context": "/src", "additional_contexts": {"base": "service:base"}}}
    expect(
        World().plan(make_stack({"app": child, "base": BUILD}), "build", "app"),
        """
        shop: 2 actions
           1  build  image shop-base  another build starts from it
           2  build  image shop-app   asked for  after 1
        """,
    )


def test_build_all() -> None:
    expect(
        World().plan(make_stack({"app": BUILD, "web": {}, "job": BUILD}), "build"),
        """
        shop: 2 actions
           1  build  image shop-app  asked for
           2  build  image shop-job  asked for
        """,
    )


def test_build_of_a_service_without_build() -> None:
    with pytest.raises(PlanRefused, match="cannot build service web: it has no build section"):
        World().plan(make_stack({"web": {}}), "build", "web")


def test_pull() -> None:
    services = {
        "app": {"image": "app", **BUILD},
        "own": BUILD,
        "web": {"image": "nginx"},
        "local": {"image": "host"},
        "kept": {"image": "kept", "pull_policy": "never"},
        "old": {"image": "old", "pull_policy": "missing"},
    }
    stack = make_stack(services)
    world = World(images={"old": "sha256:old", "nginx": "sha256:nginx"})
    expect(
        world.plan(stack, "pull", no_deps=True),
        """
        shop: 2 actions
           1  pull  image app    asked for
           2  pull  image nginx  asked for
          ! kept: image kept is not pulled, because pull_policy is never
        """,
    )
    app, web = world.plan(stack, "pull", no_deps=True)
    assert isinstance(app, PullImage) and isinstance(web, PullImage)
    assert (app.required, web.required) == (False, True)
    assert [item.image for item in pulls(world.plan(stack, "pull", ignore_buildable=True))] == ["nginx"]
    assert [item.image for item in pulls(world.plan(stack, "pull", pull="missing"))] == ["app", "kept"]
    assert [item.image for item in pulls(world.plan(stack, "pull", pull="always"))] == ["app", "nginx", "kept", "old"]


def test_the_hint_for_an_image_that_no_service_pulls_is_one_that_works() -> None:
    stack = make_stack({"web": {"image": "nginx", "pull_policy": "never", "platform": "linux/arm64"}})
    with pytest.raises(PlanRefused) as refused:
        World().plan(stack)
    assert "`stackup pull nginx:latest`" in refused.value.hint
    world = World().pull(stack)
    world.marks["nginx"] = ImageMarks(1.0, "linux/amd64")
    with pytest.raises(PlanRefused) as refused:
        world.plan(stack)
    assert "`stackup pull --platform linux/arm64 nginx:latest`" in refused.value.hint


def pulls(plan: Plan) -> list[PullImage]:
    return [action for action in plan if isinstance(action, PullImage)]


def test_pull_of_a_service_alone_and_with_what_it_needs() -> None:
    stack = make_stack({"web": {"image": "nginx", "depends_on": needs("db")}, "db": {"image": "postgres"}})
    assert [item.image for item in pulls(World().plan(stack, "pull", "web", no_deps=True))] == ["nginx"]
    assert [item.image for item in pulls(World().plan(stack, "pull", "web"))] == ["postgres", "nginx"]


def test_builds_that_wait_for_each_other_because_they_share_a_name() -> None:
    def built_from(other: str, image: str) -> dict[str, Any]:
        return {"image": image, "build": {"context": "/src", "additional_contexts": {"base": f"service:{other}"}}}

    stack = make_stack({"a": built_from("c", "x"), "b": {**BUILD, "image": "x"}, "c": built_from("b", "y")})
    with pytest.raises(PlanRefused, match="cannot build service c: it starts from image x, whose build waits for this"):
        World().plan(stack)
