"""A stack with a real postgres in it, somebody who writes rows all the time, and mischief of every kind."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

from tests.support.postgres import Database, DatabaseError
from tests.support.scenario import Scenario
from tests.support.waiting import eventually

PORT = 15432
# The image's own script makes a cluster with a password; this one trusts whoever comes through the published port.
DATABASE = """
services:
  db:
    image: postgres:16
    init: true
    command:
      - sh
      - -ec
      - |
        bin=$$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
        as() { setpriv --reuid=postgres --regid=postgres --init-groups "$$@"; }
        mkdir -p $$PGDATA && chown -R postgres:postgres $$(dirname $$PGDATA) && chmod 0700 $$PGDATA
        if [ ! -s $$PGDATA/ready ]; then
          rm -rf $$PGDATA/* && as $$bin/initdb --username=postgres --auth=trust --locale=C.UTF-8 --no-sync
          echo "host all all all trust" >> $$PGDATA/pg_hba.conf
          echo yes > $$PGDATA/ready
        fi
        exec setpriv --reuid=postgres --regid=postgres --init-groups \
          $$bin/postgres -D $$PGDATA -c listen_addresses='*' -c unix_socket_directories=/tmp -c shared_buffers=16MB
    environment: {PGDATA: /var/lib/postgresql/soak/data}
    volumes: ["rows:/var/lib/postgresql/soak"]
    ports: ["127.0.0.1:15432:5432"]
    restart: always
    stop_signal: SIGINT
    healthcheck: {test: [CMD, pg_isready, -h, 127.0.0.1], interval: 2s, timeout: 5s, retries: 5}
    x-stackup: {restart_when: unhealthy, backoff: {delay: 50ms, maximum: 1s}}
  web:
    image: busybox
    command: [sh, -c, 'echo version $$VERSION; exec httpd -f -p 80']
    environment: {VERSION: "v0"}
    depends_on: {db: {condition: service_healthy}}
    restart: always
    stop_grace_period: 0s
    x-stackup: {backoff: {delay: 50ms, maximum: 1s}}
  talker:
    image: busybox
    command: [sh, -c, 'while :; do date; usleep 20000; done']
    restart: unless-stopped
    stop_grace_period: 0s
    mem_limit: 32m
    x-stackup: {backoff: {delay: 50ms, maximum: 1s}}
  crasher:
    image: busybox
    command: [sh, -c, 'usleep 300000; exit 3']
    restart: always
    stop_grace_period: 0s
volumes:
  rows:
"""


class Client(threading.Thread):
    """Inserts a row at a time and remembers those that the server has acknowledged."""

    def __init__(self) -> None:
        super().__init__(name="client", daemon=True)
        self.committed: list[int] = []
        self.broken = 0
        self._leave = threading.Event()

    def run(self) -> None:
        number, database = 0, None
        while not self._leave.wait(0.005):
            number += 1
            try:
                if database is None:
                    database = Database(PORT)
                    database.query("CREATE TABLE IF NOT EXISTS written (id bigint PRIMARY KEY)")
                database.query(f"INSERT INTO written VALUES ({number})")
            except (OSError, DatabaseError):  # what became of this row nobody knows; the next one has another number
                self.broken += 1
                if database:
                    database.close()
                database = None
                self._leave.wait(0.02)
            else:
                self.committed.append(number)

    def stop(self) -> None:
        self._leave.set()
        self.join()

    def missing(self) -> list[int]:
        """Acknowledged rows that the database does not have."""
        promised = list(self.committed)
        database = Database(PORT, timeout=20)
        try:
            there = {int(row[0]) for row in database.query("SELECT id FROM written")}
        finally:
            database.close()
        return [number for number in promised if number not in there]


class Mischief:
    """Acts by chance, repeatable by ``seed`` as far as the machine's timing is."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.scenario = scenario
        self.chance = random.Random(seed)
        self.done: Counter[str] = Counter()
        self._version = 0
        self._scale = 1
        self._acts: list[Callable[[], None]] = [
            self.kill_database, self.kill_some_process, self.kill_some_process, self.kill_supervisor,
            self.kill_launcher, self.kill_both, self.kill_command, self.edit, self.edit_live, self.scale,
            self.restart, self.stop_and_start, self.two_at_once, self.down_and_up, self.interrupt, self.recreate,
        ]  # fmt: skip

    def act(self) -> str:
        """One of them; answers its name."""
        act = self.chance.choice(self._acts)
        act()
        self.done[act.__name__.replace("_", " ")] += 1
        return act.__name__

    def _kill(self, pid: int) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # it has ended by itself meanwhile
            pass

    def _a_moment(self) -> None:
        time.sleep(self.chance.random() * 0.4)

    def kill_database(self) -> None:
        self._kill(self.scenario.pid("db"))

    def kill_some_process(self) -> None:
        own = {self.scenario.daemon(kind) for kind in ("launcher", "supervisor")}
        inside = [process.pid for process in self.scenario.processes() if process.pid not in own]
        self._kill(self.chance.choice(inside))

    def kill_supervisor(self) -> None:
        self._kill(self.scenario.daemon("supervisor"))

    def kill_launcher(self) -> None:
        self._kill(self.scenario.daemon("launcher"))

    def kill_both(self) -> None:
        for pid in [self.scenario.daemon(kind) for kind in ("supervisor", "launcher")]:
            self._kill(pid)

    def kill_command(self) -> None:
        command = self.scenario.start("up", "-d", "--force-recreate", self.chance.choice(["web", "talker"]))
        self._a_moment()
        command.kill()

    def edit(self) -> None:
        self.scenario.replace(f'"v{self._version}"', f'"v{self._version + 1}"')
        self._version += 1

    def edit_live(self) -> None:
        text = (self.scenario.directory / "compose.yaml").read_text()
        self.scenario.replace(*(("32m", "48m") if "32m" in text else ("48m", "32m")))

    def scale(self) -> None:
        self._scale = self.chance.choice([1, 2, 3])
        self.scenario.stackup("up", "-d", "--scale", f"web={self._scale}", timeout=90).ok()

    def restart(self) -> None:
        self.scenario.stackup("restart", self.chance.choice(["db", "web", "talker"]), timeout=60).ok()

    def stop_and_start(self) -> None:
        service = self.chance.choice(["db", "web", "talker", "crasher"])
        self.scenario.stackup("stop", service, timeout=60).ok()
        self.scenario.stackup("start", service, timeout=60).ok()

    def two_at_once(self) -> None:
        verbs = [("up", "-d"), ("restart", "web"), ("stop", "talker"), ("up", "-d", "--force-recreate", "web")]
        commands = [self.scenario.start(*verb) for verb in self.chance.sample(verbs, 2)]
        for command in commands:
            command.ends(90)

    def down_and_up(self) -> None:
        self.scenario.stackup("down", timeout=60).ok()

    def interrupt(self) -> None:
        """The command killed and the supervisor with it, somewhere in the middle."""
        command = self.scenario.start("up", "-d", "--force-recreate")
        self._a_moment()
        self.kill_supervisor()
        command.kill()

    def recreate(self) -> None:
        self.scenario.stackup("up", "-d", "--force-recreate", "web", "crasher", timeout=90).ok()


def soak(scenario: Scenario, seconds: float, seed: int, say: Callable[[str], None]) -> None:
    """Mischief for ``seconds``; after each act ``up`` must put everything right and every acknowledged row be there."""
    scenario.compose(DATABASE)
    scenario.stackup("up", "-d", timeout=120).ok()
    mischief, client, verdict = Mischief(scenario, seed), Client(), "cut short"
    client.start()
    began = time.monotonic()
    try:
        while time.monotonic() - began < seconds:
            name = mischief.act()
            scenario.stackup("up", "-d", timeout=120).ok()
            scenario.has_health("db", "healthy", 60)
            before = len(client.committed)
            eventually(lambda: len(client.committed) > before, f"rows are written after {name}", 30)  # noqa: B023
            missing = client.missing()
            assert not missing, f"{len(missing)} acknowledged rows are gone after {name}: {missing[:10]}"
        verdict = "all there after every act"
    finally:
        client.stop()
        acts = ", ".join(f"{name} {count}" for name, count in sorted(mischief.done.items()))
        say(f"soak, seed {seed}: {time.monotonic() - began:.0f} s, {mischief.done.total()} acts ({acts}); ")
        say(f"{len(client.committed)} rows acknowledged, {verdict}; {client.broken} writes cut off")
