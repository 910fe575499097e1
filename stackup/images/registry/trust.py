"""Which certificates count: the machine's, and those of certs.d, where docker and podman keep them for one registry."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

from stackup.images.registry.caller import Caller
from stackup.images.registry.errors import NoWay
from stackup.images.registry.settings import HUB

# Where distributions keep their bundle, for interpreters that were built elsewhere.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def directories(caller: Caller, host: str) -> Iterator[Path]:
    """Those of ``host`` (with its port), the user's own first."""
    for name in ("docker.io", host) if host == HUB else (host,):
        for base in (caller.configuration, caller.etc / "containers", caller.etc / "docker"):
            yield base / "certs.d" / name


def tls_context(caller: Caller, host: str, *, checked: bool) -> ssl.SSLContext:
    """Raises NoWay for files in certs.d that cannot be read."""
    if checked:
        context = ssl.create_default_context()
        _load_system(caller, context)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    for directory in directories(caller, host):
        try:
            names = sorted(os.listdir(directory))
        except OSError:
            continue
        for name in names:
            _load(context, directory / name)
    return context


def _load_system(caller: Caller, context: ssl.SSLContext) -> None:
    file, directory = caller.environment.get("SSL_CERT_FILE"), caller.environment.get("SSL_CERT_DIR")
    if file or directory:
        try:
            context.load_verify_locations(file or None, directory or None)
        except (OSError, ssl.SSLError) as error:
            text = f"the certificates in {file or directory} cannot be used: {error.strerror or error}"
            raise NoWay(text, hint="SSL_CERT_FILE or SSL_CERT_DIR names them") from None
    found = ssl.get_default_verify_paths()
    if not (found.cafile or found.capath):
        bundle = next(filter(os.path.isfile, _BUNDLES), None)
        if bundle:
            context.load_verify_locations(bundle)


def _load(context: ssl.SSLContext, path: Path) -> None:
    try:
        if path.suffix == ".crt":
            context.load_verify_locations(path)
        elif path.suffix == ".cert":
            context.load_cert_chain(path, path.with_suffix(".key"))
    except (OSError, ssl.SSLError) as error:
        raise NoWay(f"the certificate {path} cannot be used: {error.strerror or error}") from None
