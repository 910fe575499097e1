"""What can go wrong between here and a registry, by who must act. The texts are finished where the image is known."""

from __future__ import annotations

from typing import Any

from stackup.base.errors import ImageError
from stackup.base.foreign import shown

_LONGEST = 600  # characters of a reason, or of a line of a hint: much of them is in the registry's own words


class RegistryError(ImageError):
    """``reason`` is what stands behind "cannot pull IMAGE: "; ``hint`` says what to do, the first line what is most
    likely."""

    kind = "registry"

    def __init__(self, reason: str, *, hint: str = "", **more: Any) -> None:
        self.reason = shown(reason, _LONGEST)
        lines = (shown(line, _LONGEST) for line in hint.split("\n"))
        super().__init__(f"cannot use the registry: {self.reason}", hint="\n".join(lines), **more)

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "reason": self.reason}

    def restore(self, data: dict[str, Any]) -> None:
        self.reason = data.get("reason", self.message)

    def about_image(self, verb: str, reference: str) -> RegistryError:
        """Itself, now that it is known what was to be done to which image."""
        self.message = f"cannot {verb} {reference}: {self.reason}"
        self.args = (self.message,)
        return self


class NotThere(RegistryError):
    """The registry knows no such manifest, blob or repository (404)."""

    kind = "registry-not-there"
    codes: tuple[str, ...] = ()  # the registry's own, such as NAME_UNKNOWN


class Denied(RegistryError):
    """Credentials are missing, wrong, or do not suffice (401, 403).

    ``login``: the registry to log in to, where that is what may help; ``known``: somebody is logged in to it.
    """

    kind = "registry-denied"
    login = ""
    known = False

    def about_image(self, verb: str, reference: str) -> RegistryError:
        if self.login:
            self.hint = "\n".join(filter(None, (self._advice(verb), self.hint)))
        return super().about_image(verb, reference)

    def _advice(self, verb: str) -> str:
        login = f"stackup login {self.login}"
        if self.known:
            return f"log in again ({login}), or ask for access; check the name, too"
        if verb in ("push", "publish"):
            return login
        return f"if the name is right (registries say the same of what does not exist): {login}"


class RateLimited(RegistryError):
    """Too many requests (429), and the registry wants a longer wait than a pull is worth."""

    kind = "registry-rate-limited"


class Unreachable(RegistryError):
    """No connection: name, network, TLS, time-out. The next endpoint may do better."""

    kind = "registry-unreachable"


class NoWay(Unreachable):
    """Nor will there be one, however often it is tried: a setting of this machine, or a lack of trust."""

    kind = "registry-no-way"


class Refused(Unreachable):
    """Nobody is there at all: nothing listens, or the name stands for nothing."""

    kind = "registry-refused"


class Nameless(Refused):
    """The name stands for nothing; or this machine is offline."""

    kind = "registry-no-name"

    def about_image(self, verb: str, reference: str) -> RegistryError:
        mine = "is this machine offline?"
        if verb == "pull":
            mine += " Then images can be brought in with `stackup load`"
        self.hint = "\n".join(filter(None, (mine, self.hint)))
        return super().about_image(verb, reference)


class TlsFault(NoWay):
    """A connection came about, and no trust."""

    kind = "registry-tls"


class NotTls(TlsFault):
    """Who answers does not speak TLS."""

    kind = "registry-not-tls"


class Broken(RegistryError):
    """The connection broke, or the server failed (5xx), again and again."""

    kind = "registry-broken"


class BadAnswer(RegistryError):
    """The registry answered something else than was asked for: wrong digest, wrong length, no JSON, no end of
    redirects."""

    kind = "registry-bad-answer"


class Ended(RegistryError):
    """Given up, because something else has failed: that is what people are told."""

    kind = "registry-ended"


class Blocked(RegistryError):
    """registries.conf forbids it."""

    kind = "registry-blocked"
