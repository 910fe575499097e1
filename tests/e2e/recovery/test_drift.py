"""What somebody takes from running containers is put back without a restart, and told."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support import residue
from tests.support.scenario import Scenario
from tests.support.waiting import eventually, gone

pytestmark = pytest.mark.root

STACK = """
    services:
      web:
        image: busybox
        command: ["httpd", "-f", "-h", "/data"]
        stop_signal: SIGKILL
        mem_limit: 64m
        ports: ["8080:80"]
        volumes: ["data:/data", "./:/src:ro"]
      db: {image: busybox, command: sleep 1000, stop_signal: SIGKILL, tmpfs: /cache}
    volumes: {data: {}}
    """


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout.strip()


def links(kind: str) -> list[str]:
    return [name for _, name in socket.if_nameindex() if name.startswith(kind)]


def repairs(scenario: Scenario) -> list[str]:
    """What was repaired, and why, oldest first."""
    out = scenario.stackup("history", "--json").ok().out
    found = [json.loads(line) for line in out.splitlines()]
    steps = [step for item in found if item["verb"] == "repair" for plan in item["plans"] for step in plan]
    return [f"{step['step']}: {step['reason']}" for step in steps]


def repaired(scenario: Scenario, text: str) -> None:
    eventually(lambda: any(re.search(text, item) for item in repairs(scenario)), f"repaired: {text}")


def watched(scenario: Scenario, service: str) -> None:
    """Mounts and limits are looked after a moment after the start."""
    supervisor = scenario.daemon("supervisor")
    pid = scenario.pid(service)

    def look() -> bool:
        opened = {os.readlink(path) for path in Path(f"/proc/{supervisor}/fd").iterdir() if path.is_symlink()}
        return f"/proc/{pid}/mountinfo" in opened

    eventually(look, f"{service} is watched")


@pytest.fixture
def shop(scenario: Scenario) -> Scenario:
    scenario.compose(STACK)
    scenario.stackup("up", "-d").ok()
    return scenario


def test_links_bridges_and_rules(shop: Scenario) -> None:
    before = shop.pids("web")
    for link in links("skv"):
        run("ip", "link", "delete", link)
    repaired(shop, "reconnect container shop-web-1: link skv.* is gone")
    assert shop.run_in("web", "wget -q -O - http://db:1 2>&1 || true").endswith("Connection refused")
    run("ip", "link", "delete", links("skb")[0])
    repaired(shop, "restore network shop_default: its bridge skb.* is gone")
    eventually(lambda: "1 packets received" in shop.exec("web", "ping", "-c1", "-W1", "db").out, "db answers")
    table = run("nft", "list", "tables").split()[-1]
    run("nft", "flush", "table", "inet", table)
    repaired(shop, f"put back .*forward.* of table {table}")
    run("nft", "delete", "table", "inet", table)
    repaired(shop, f"put back table {table}")
    assert shop.pids("web") == before
    events = shop.stackup("events", "--since", "1h", "--until", "0s").ok().out
    assert re.search(r"container drift \w+ \(.*drift=link skv\w+ is gone", events)
    assert re.search(r"network repair shop_default \(.*repair=restore network shop_default", events)


def test_mounts_limits_and_files(shop: Scenario) -> None:
    for service in ("web", "db"):
        watched(shop, service)
    before, pid = shop.pids("web"), shop.pid("web")
    shop.run_in("web", "echo kept > /data/file")
    run("nsenter", "-t", str(pid), "-m", "umount", "-l", "/data")
    repaired(shop, "mount /data in container shop-web-1 again: /data was unmounted")
    assert shop.run_in("web", "cat /data/file") == "kept"
    limits = [
        path
        for group in residue.cgroups(shop.root)
        for path in (Path(f"{group}/memory.limit_in_bytes"), Path(f"{group}/memory.max"))
        if shop.container_id("web")[:12] in str(path) and path.exists()
    ]
    limits[0].write_text(str(32 << 20))
    repaired(shop, f"set the limits of container shop-web-1 again: {limits[0].name} was changed from 67108864")
    assert limits[0].read_text().strip() == str(64 << 20)
    hosts = next(shop.root.glob(f"run/projects/*/containers/{shop.container_id('web')}*/hosts"))
    hosts.unlink()
    repaired(shop, "mount /etc/hosts in container shop-web-1 again: its file hosts was removed")
    assert "shop-web-1" in hosts.read_text() or "localhost" in hosts.read_text()
    assert "deleted" not in shop.run_in("web", "grep /etc/hosts /proc/self/mountinfo")
    assert shop.pids("web") == before
    run("nsenter", "-t", str(shop.pid("db")), "-m", "umount", "-l", "/cache")
    repaired(shop, "restart container shop-db-1: /cache was unmounted")
    eventually(lambda: "/cache" in shop.exec("db", "mount").out, "db is back")


def test_what_cannot_be_put_back_is_told(shop: Scenario) -> None:
    """A pipe's name, a container's state directory, a volume's directory: deleted under running containers."""

    def drifts(text: str) -> bool:
        return bool(re.search(text, shop.stackup("events", "--since", "1h", "--until", "0s").ok().out))

    def says(service: str, word: str) -> None:
        shop.run_in(service, f"echo {word} > /proc/1/fd/1")
        eventually(lambda: word in shop.stackup("logs", service).ok().out, f"{service} says {word}")

    for service in ("web", "db"):
        watched(shop, service)
    db, before = shop.container_id("db"), shop.pids("db")
    says("db", "first")
    next(shop.root.glob(f"run/projects/shop/containers/{db}*/stdout")).unlink()
    eventually(lambda: drifts("drift=its pipe .*/stdout was deleted"), "the pipe is missed")
    for who in ("launcher", "supervisor"):
        shop.kill_daemon(who)
    says("db", "later")
    watched(shop, "db")
    shutil.rmtree(next(shop.root.glob(f"lib/projects/shop/containers/{db}*")))
    eventually(lambda: "state directory was deleted" in shop.row("db")["Notice"], "the directory is missed")
    says("db", "second")
    assert shop.pids("db") == before
    shop.stackup("restart", "-t", "0", "db").refused("its state directory .* was deleted", "stackup up -d")
    shutil.rmtree(shop.root / "lib/volumes/shop_data")
    eventually(lambda: "volume shop_data was deleted" in shop.row("web")["Notice"], "the volume is missed")
    assert re.search("shop-web-1.*volume shop_data was deleted", shop.stackup("doctor").out, re.S)
    plan = shop.stackup("plan").out
    assert "its directory was deleted, and what was in it" in plan and "its state directory was deleted" in plan
    shop.stackup("up", "-d").ok()
    assert shop.run_in("web", "echo new > /data/file; cat /data/file") == "new"
    assert shop.container_id("db") != db
    assert shop.stackup("plan").ok().out.strip() == "shop: nothing to do"


def test_records_that_somebody_deletes_are_written_anew(shop: Scenario) -> None:
    watched(shop, "web")
    before, state = shop.pid("web"), shop.root / "lib/projects/shop"
    (state / "records.db").unlink()
    eventually((state / "records.db").exists, "records are there again")
    assert "records.db were deleted; they were written anew" in shop.stackup("up", "-d", "--no-recreate").ok().err
    shop.kill_daemon("supervisor")
    assert shop.pid("web") == before
    watched(shop, "web")
    state.rename(shop.root / "elsewhere")
    eventually(lambda: "state directory was deleted" in shop.row("web")["Notice"], "the directory is missed")
    shop.stackup("exec", "-T", "web", "true").refused("state directory was deleted", "stackup up -d")
    assert shop.stackup("logs").code == 0
    assert "state directory was deleted" in shop.stackup("doctor").out
    shop.stackup("up", "-d").ok()
    assert shop.pid("web") != before


def test_containers_without_records_are_asked_to_end(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          web:
            image: busybox
            command: [sh, -c, "trap 'echo ended > /data/end; exit' TERM; sleep 1000 & wait"]
            volumes: ["data:/data"]
        volumes: {data: {}}
        """)
    scenario.stackup("up", "-d").ok()
    both = [scenario.daemon(kind) for kind in ("supervisor", "launcher")]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in both:
            os.kill(pid, number)
    for pid in both:
        gone(pid)
    for path in (scenario.root / "lib/projects/shop").glob("records.db*"):
        path.unlink()
    told = "a container runs that no record names"
    assert told in scenario.stackup("ps").ok().err
    assert told in scenario.stackup("plan").out
    assert told in scenario.stackup("doctor").out
    assert told in scenario.stackup("up", "-d").ok().err
    assert scenario.run_in("web", "cat /data/end") == "ended"


def test_while_nobody_was_looking(shop: Scenario) -> None:
    watched(shop, "web")
    pid, supervisor = shop.pid("web"), shop.daemon("supervisor")
    os.kill(supervisor, signal.SIGSTOP)
    run("ip", "link", "delete", links("skv")[0])
    run("ip", "link", "delete", links("skb")[0])
    run("nsenter", "-t", str(pid), "-m", "umount", "-l", "/data")
    os.kill(supervisor, signal.SIGKILL)
    gone(supervisor)
    for service in ("web", "db"):
        repaired(shop, f"reconnect container shop-{service}-1: link skv.* is")
    eventually(lambda: "1 packets received" in shop.exec("web", "ping", "-c1", "-W1", "db").out, "db answers")
    assert shop.stackup("plan").ok().out.strip() == "shop: nothing to do"
    repaired(shop, "mount /data in container shop-web-1 again")
    assert shop.pid("web") == pid
