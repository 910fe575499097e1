"""A page that counts its visits."""

import html
import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from client import ask, end_on_sigterm

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Hello from stackup</title>
<meta name="viewport" content="width=device-width"><style>
:root {{ color-scheme: light dark }}
body {{ font: 18px/1.5 system-ui, sans-serif; display: grid; place-content: center; min-height: 95vh; margin: 0 1em }}
main {{ max-width: 34em }} b {{ font-size: 5em; line-height: 1; color: #2a7; display: block }}
code, small {{ opacity: .7 }}
</style></head><body><main>
<h1>Hello from stackup</h1>
<p><b>{visits}</b> visits to this page.</p>
<p>{sentence}</p>
<p><small>Served by <code>web</code> in container <code>{host}</code> (process {pid}), counted by <code>store</code>,
worded by <code>worker</code>. <code>{system}</code></small></p>
</main></body></html>
"""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        match self.path:
            case "/":
                self.answer(200, page())
            case "/visits":
                self.answer(200, (ask("GET", "visits") or "0") + "\n", "text/plain")
            case _:
                self.answer(404, "no such page\n", "text/plain")

    def answer(self, status: int, body: str, kind: str = "text/html") -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, form: str, *args: object) -> None:
        print(f"web: {self.client_address[0]} {form % args}")


def page() -> str:
    visits = ask("INCR", "visits")
    return PAGE.format(
        visits=visits,
        sentence=html.escape(ask("GET", "sentence") or "The worker has not said anything yet. Reload."),
        host=socket.gethostname(),
        pid=os.getpid(),
        system=f"{os.uname().sysname} {os.uname().release}",
    )


end_on_sigterm()
print("web: listening on 8000")
ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
