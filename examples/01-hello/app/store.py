"""A very small key-value server. Commands, one a line: GET key, SET key value, INCR key. State: a JSON file."""

import json
import os
import socketserver
import sys
import threading
from pathlib import Path

from client import end_on_sigterm

file = Path(sys.argv[1]) / "store.json"
values: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
lock = threading.Lock()


def keep(key: str, value: str) -> str:
    """On disk before it is answered."""
    values[key] = value
    fresh = file.with_suffix(".new")
    with fresh.open("w") as out:
        json.dump(values, out)
        out.flush()
        os.fsync(out.fileno())
    fresh.rename(file)
    return value


class Connection(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            command, key, *rest = [*line.decode().rstrip("\n").split(" ", 2), ""]
            with lock:
                match command:
                    case "GET":
                        answer = values.get(key, "")
                    case "SET":
                        answer = keep(key, rest[0])
                    case "INCR":
                        answer = keep(key, str(int(values.get(key, "0")) + 1))
                    case _:
                        answer = "? GET key, SET key value, INCR key"
            self.wfile.write(answer.encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


end_on_sigterm()
with Server(("0.0.0.0", 7000), Connection) as server:
    print(f"store: {len(values)} keys in {file}, listening on 7000")
    server.serve_forever()
