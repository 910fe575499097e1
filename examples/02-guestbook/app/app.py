"""The guestbook: entries in postgres, the number of visits in redis."""

import html
import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from database import cache, connect

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><style>
:root {{ color-scheme: light dark; --line: color-mix(in srgb, currentColor 15%, transparent) }}
body {{ font: 17px/1.55 Georgia, serif; max-width: 38em; margin: 3em auto; padding: 0 1em }}
h1 {{ font-weight: 500; margin-bottom: 0 }} header small, time {{ opacity: .6 }}
form {{ display: grid; gap: .6em; margin: 2em 0; padding: 1.2em; border: 1px solid var(--line); border-radius: 10px }}
input, textarea, button {{ font: inherit; padding: .5em .7em; border: 1px solid var(--line); border-radius: 6px }}
button {{ background: #2a7; color: white; border: 0; justify-self: start; cursor: pointer }}
article {{ border-top: 1px solid var(--line); padding: 1em 0 }} article p {{ margin: .3em 0; white-space: pre-wrap }}
</style></head><body>
<header><h1>{title}</h1><small>{count} entries, {visits} visits</small></header>
<form method="post" action="/entries">
<input name="name" placeholder="Your name" required maxlength="80">
<textarea name="message" placeholder="What would you like to say?" required maxlength="2000" rows="3"></textarea>
<button>Sign</button></form>
{entries}
</body></html>
"""
ENTRY = "<article><b>{name}</b> <time>{written}</time><p>{message}</p></article>"


def read_entries() -> list[tuple[str, str, str]]:
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT name, message, to_char(written, 'YYYY-MM-DD HH24:MI') FROM entries ORDER BY id DESC")
        return cursor.fetchall()


def write_entry(name: str, message: str) -> None:
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO entries (name, message) VALUES (%s, %s)", (name[:80], message[:2000]))


def page() -> str:
    visits = cache().incr("visits")
    rows = read_entries()
    entries = "\n".join(
        ENTRY.format(name=html.escape(name), written=written, message=html.escape(message))
        for name, message, written in rows
    )
    title = html.escape(os.environ.get("GUESTBOOK_TITLE", "Guestbook"))
    return PAGE.format(title=title, count=len(rows), visits=visits, entries=entries)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        match self.path:
            case "/":
                self.answer(200, page(), "text/html")
            case "/entries":
                rows = [{"name": name, "message": message, "written": when} for name, message, when in read_entries()]
                self.answer(200, json.dumps(rows), "application/json")
            case "/healthy":
                with connect() as connection, connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
                cache().ping()
                self.answer(200, "healthy\n", "text/plain")
            case _:
                self.answer(404, "no such page\n", "text/plain")

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        name, message = (form.get(key, [""])[0].strip() for key in ("name", "message"))
        if self.path != "/entries" or not name or not message:
            self.answer(400, "name and message are needed\n", "text/plain")
            return
        write_entry(name, message)
        print(f"app: {name} signed")
        self.send_response(303)
        self.send_header("Location", "/")
        self.end_headers()

    def answer(self, status: int, body: str, kind: str) -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, form: str, *args: object) -> None:
        if self.path != "/healthy":
            print(f"app: {form % args}")


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # PID 1 has no default action for it
print("app: listening on 8000")
ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
