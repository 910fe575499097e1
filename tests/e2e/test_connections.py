"""Names, published ports, a way out, and a host that already belongs to a Docker engine."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.scenario import Scenario
from tests.support.waiting import eventually, page

pytestmark = pytest.mark.root

SERVERS = """
    services:
      web:
        image: busybox
        command: httpd -f -p 80 -h /www
        ports: ["8080:80"]
        volumes: ["./www:/www:ro"]
        stop_signal: SIGKILL
      client: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
    """
OUTSIDE = "203.0.113.2"


def tell(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def servers(scenario: Scenario) -> Scenario:
    scenario.compose(SERVERS)
    scenario.file("www/index.html", "served")
    scenario.stackup("up", "-d").ok()
    return scenario


@pytest.fixture
def outside(short_directory: Path) -> Iterator[int]:
    """The world beyond this machine: a network namespace behind a link, which knows no way to the containers and so
    answers only to this machine's own address. The pid of a process in it."""
    process = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    tell("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1", "netns", str(process.pid))
    tell("ip", "address", "add", "203.0.113.1/24", "dev", "up0")
    tell("ip", "link", "set", "up0", "up")
    inside = ("nsenter", "--net", "--target", str(process.pid))
    for command in (f"address add {OUTSIDE}/24 dev up1", "link set up1 up", "link set lo up"):
        tell(*inside, "ip", *command.split())
    web = short_directory / "outside"
    web.mkdir(exist_ok=True)
    (web / "index.html").write_text("the world")
    server = subprocess.Popen([*inside, "busybox", "httpd", "-f", "-p", "80", "-h", str(web)])
    yield process.pid
    tell("ip", "link", "delete", "up0")
    for item in (server, process):
        item.send_signal(signal.SIGKILL)
        item.wait()


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode()).strip()


def test_service_names_are_resolved(servers: Scenario) -> None:
    assert servers.run_in("client", "wget -q -O - http://web/") == "served"
    assert servers.run_in("client", "wget -q -O - http://shop-web-1/") == "served"
    answer = servers.run_in("client", "nslookup web 127.0.0.11")
    address = re.findall(r"Address(?: 1)?: (\d+\.\d+\.\d+\.\d+)", answer)[-1]
    assert address in servers.run_in("web", "ip -4 address show dev eth0")
    assert servers.exec("client", "nslookup", "no-such-service").code != 0


def test_a_name_follows_its_service(servers: Scenario) -> None:
    servers.replace("-p 80 -h /www", "-p 80 -v -h /www")
    servers.stackup("up", "-d").ok()
    eventually(lambda: servers.run_in("client", "wget -q -O - http://web/") == "served", "web answers again")


def test_networks_separate(scenario: Scenario) -> None:
    scenario.compose("""
        services:
          a: {image: busybox, command: sleep 1000, networks: [one], stop_signal: SIGKILL}
          b: {image: busybox, command: sleep 1000, networks: [two], stop_signal: SIGKILL}
          both:
            image: busybox
            command: sleep 1000
            networks: {one: {aliases: [bridge]}, two: {}}
            stop_signal: SIGKILL
        networks: {one: {}, two: {internal: true}}
        """)
    scenario.stackup("up", "-d").ok()
    assert scenario.exec("a", "ping", "-c", "1", "-W", "2", "both").ok()
    assert scenario.exec("a", "ping", "-c", "1", "-W", "2", "bridge").ok()
    assert scenario.exec("b", "ping", "-c", "1", "-W", "2", "both").ok()
    assert scenario.exec("a", "ping", "-c", "1", "-W", "1", "b").code != 0
    address = re.search(r"inet ([\d.]+)", scenario.run_in("b", "ip -4 address show dev eth0"))
    assert address and scenario.exec("a", "ping", "-c", "1", "-W", "1", address.group(1)).code != 0


def test_a_published_port_answers_on_every_address(servers: Scenario, outside: int) -> None:
    for host in ("127.0.0.1", "203.0.113.1", "[::1]"):
        assert get(f"http://{host}:8080/") == "served", host
    seen = (
        "nsenter",
        "--net",
        "--target",
        str(outside),
        "busybox",
        "wget",
        "-q",
        "-O",
        "-",
        "http://203.0.113.1:8080/",
    )
    assert subprocess.run(seen, capture_output=True, text=True, timeout=10).stdout.strip() == "served"
    assert servers.run_in("client", "wget -q -O - http://203.0.113.1:8080/") == "served"


def test_a_port_published_to_loopback_is_not_seen_outside(scenario: Scenario, outside: int) -> None:
    scenario.compose(SERVERS.replace('"8080:80"', '"127.0.0.1:8080:80"'))
    scenario.file("www/index.html", "served")
    scenario.stackup("up", "-d").ok()
    assert page("http://127.0.0.1:8080/").strip() == "served"
    seen = (
        "nsenter",
        "--net",
        "--target",
        str(outside),
        "busybox",
        "wget",
        "-O",
        "-",
        "http://203.0.113.1:8080/",
    )
    assert subprocess.run(seen, capture_output=True, timeout=10).returncode != 0


def test_containers_reach_the_world_and_an_internal_network_does_not(scenario: Scenario, outside: int) -> None:
    scenario.compose("""
        services:
          free: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}
          held: {image: busybox, command: sleep 1000, networks: [held], stop_signal: SIGKILL}
        networks: {held: {internal: true}}
        """)
    scenario.stackup("up", "-d").ok()
    assert scenario.run_in("free", f"wget -q -O - http://{OUTSIDE}/") == "the world"
    assert scenario.exec("held", "nc", "-w", "1", OUTSIDE, "80").code != 0


def test_it_works_beside_a_docker_engine(scenario: Scenario, outside: int) -> None:
    """Docker leaves FORWARD at DROP, and bridged packets go through it."""
    tell("iptables", "-P", "FORWARD", "DROP")
    bridged = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    before = bridged.read_text() if bridged.exists() else ""
    if before:
        bridged.write_text("1")
    try:
        scenario.compose(SERVERS)
        scenario.file("www/index.html", "served")
        scenario.stackup("up", "-d").ok()
        assert scenario.run_in("client", f"wget -q -O - http://{OUTSIDE}/") == "the world"
        assert scenario.run_in("client", "wget -q -O - http://web/") == "served"
        assert page("http://127.0.0.1:8080/").strip() == "served"
        assert page("http://203.0.113.1:8080/").strip() == "served"
        seen = ("nsenter", "--net", "--target", str(outside), "busybox", "wget", "-q", "-O", "-")
        answer = subprocess.run([*seen, "http://203.0.113.1:8080/"], capture_output=True, text=True, timeout=10)
        assert answer.stdout.strip() == "served"
        scenario.stackup("down").ok()
    finally:
        tell("iptables", "-P", "FORWARD", "ACCEPT")
        if before:
            bridged.write_text(before)


ECHO = """
    import socket, threading
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("0.0.0.0", 53))
    stream = socket.create_server(("0.0.0.0", 53))
    print("listening", flush=True)

    def answer():
        while True:
            data, sender = datagrams.recvfrom(512)
            datagrams.sendto(b"udp " + data, sender)

    threading.Thread(target=answer, daemon=True).start()
    while True:
        connection, _ = stream.accept()
        connection.sendall(b"tcp " + connection.recv(512))
        connection.close()
    """
ASK = """
    import socket
    address = socket.gethostbyname("names")
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as asker:
            asker.settimeout(5)
            asker.connect((address, 53))
            asker.send(b"hello")
            print(asker.recv(512).decode())
    """


def test_a_container_may_be_a_dns_server_itself(empty_scenario: Scenario) -> None:
    """It binds 0.0.0.0:53, UDP and TCP, and still resolves names."""
    scenario = empty_scenario
    scenario.file("app/echo.py", ECHO)
    scenario.file("app/ask.py", ASK)
    scenario.compose("""
        services:
          names:
            image: host
            command: /usr/bin/python3 /app/echo.py
            volumes: ["./app:/app:ro"]
            stop_signal: SIGKILL
          client: {image: host, command: sleep 1000, volumes: ["./app:/app:ro"], stop_signal: SIGKILL}
        """)
    scenario.stackup("up", "-d").ok()
    eventually(lambda: "listening" in scenario.logs("names"), "the server listens")
    assert scenario.run_in("client", "/usr/bin/python3 /app/ask.py").split("\n") == ["udp hello", "tcp hello"]
    assert scenario.run_in("names", "/usr/bin/python3 /app/ask.py").split("\n") == ["udp hello", "tcp hello"]


def test_a_port_that_is_taken_names_its_holder(scenario: Scenario) -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("0.0.0.0", 8080))
        holder.listen()
        scenario.compose(SERVERS)
        (scenario.directory / "www").mkdir()
        scenario.stackup("up", "-d").refused("8080", str(os.getpid()))
        assert scenario.exec("web", "true").code != 0
        scenario.stackup("down").ok()


def test_two_projects_may_not_publish_the_same_port(servers: Scenario) -> None:
    servers.stackup("-p", "second", "up", "-d", "web").refused("8080", "shop-web-1")


def test_port_0_is_any_free_one(scenario: Scenario) -> None:
    scenario.compose(SERVERS.replace('"8080:80"', '"127.0.0.1:0:80"'))
    scenario.file("www/index.html", "served")
    scenario.stackup("up", "-d").ok()
    address = scenario.stackup("port", "web", "80").ok().out.strip()
    assert int(address.rpartition(":")[2]) > 1023
    assert page(f"http://{address}/").strip() == "served"
    scenario.stackup("plan").ok()
