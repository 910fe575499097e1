"""A volume in memory is each container's own: said where somebody may expect otherwise."""

from __future__ import annotations

from tests.plans.world import World, make_stack, volume


def test_two_services_do_not_share_memory() -> None:
    shared = {"volumes": [volume("fast", "/fast")]}
    options = {"fast": {"driver_opts": {"type": "tmpfs", "device": "tmpfs"}}}
    both = World().plan(make_stack({"db": shared, "web": shared}, volumes=options))
    (notice,) = both.notices
    assert notice.text.startswith("volume shop_fast is in memory (tmpfs): each container gets one of its own")
    assert not World().plan(make_stack({"db": shared}, volumes=options)).notices
