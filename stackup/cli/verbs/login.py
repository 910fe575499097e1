"""``stackup login``: keeps credentials for a registry, where docker would keep them."""

from __future__ import annotations

import getpass
import sys
from dataclasses import dataclass

from stackup.base.errors import UsageError
from stackup.cli.options import argument, switch, value
from stackup.cli.session import Session

NEEDS_ROOT = False


@dataclass(frozen=True)
class Request:
    """Log in to a registry (default: Docker Hub)."""

    server: str = argument("The registry's host, with its port.", metavar="SERVER")
    username: str = value("-u", "--username", help="User name.", default="", metavar="NAME")
    password: str = value("-p", "--password", help="Password; others can see it in ps.", default="", metavar="PASSWORD")
    password_stdin: bool = switch("--password-stdin", help="Read the password from standard input.")


def run(session: Session, request: Request) -> int:
    from stackup.images.registry.caller import Caller
    from stackup.images.registry.credentials import Credential, Keyring
    from stackup.images.registry.errors import RegistryError
    from stackup.images.registry.login import check_login, registry_name

    if request.password and request.password_stdin:
        raise UsageError("cannot use --password together with --password-stdin")
    host = registry_name(request.server)
    username, password = _asked(request, host)
    caller = Caller(session.environment)
    credential = Credential(username, password, source="what was typed")
    try:
        check_login(caller, host, credential)
    except RegistryError as error:
        raise error.about_image("log in to", host) from None
    where = Keyring(caller).store(host, credential)
    session.console.say(f"logged in to {host} as {username}; kept in {where}")
    if not where.startswith("docker-credential-"):
        session.console.warn(f"the password is kept in {where}, only encoded; a credential helper would encrypt it")
    return 0


def _asked(request: Request, host: str) -> tuple[str, str]:
    terminal = sys.stdin.isatty()
    if request.password_stdin:
        if not request.username:
            raise UsageError("cannot use --password-stdin without --username")
        return request.username, sys.stdin.read().rstrip("\r\n")
    if not terminal and not (request.username and request.password):
        raise UsageError(
            f"cannot log in to {host}: nobody is there to type the password",
            hint=f'printf %s "$PASSWORD" | stackup login {host} --username NAME --password-stdin',
        )
    username = request.username or input(f"User name for {host}: ").strip()
    password = request.password or getpass.getpass(f"Password of {username}: ")
    if not username or not password:
        raise UsageError(f"cannot log in to {host}: a user name and a password are needed")
    return username, password
