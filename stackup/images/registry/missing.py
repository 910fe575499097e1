"""What to say of an image or a published stack that a registry does not have: its nearest tags, or that there is none
of that name at all; and of several places that were asked, whose answer counts."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from stackup.images.registry.client import Repository
from stackup.images.registry.errors import Broken, NotThere, RegistryError, Unreachable
from stackup.oci.reference import Reference

_NEAR = 5  # tags that are suggested
_CHECK = "check the name; private ones may have to be logged in for"


def explained(error: NotThere, repository: Repository, reference: Reference) -> NotThere:
    """Instead of ``error``, which the manifest of ``reference`` was answered with."""
    name = str(repository.endpoint)
    nothing = NotThere(f"there is no repository {name}", hint=_CHECK)
    if "NAME_UNKNOWN" in error.codes:
        return nothing
    if reference.digest:
        return NotThere(f"there is no digest {reference.digest} of {name}", hint=_CHECK)
    try:
        tags = repository.tags()
    except NotThere:
        return nothing
    except RegistryError:
        return NotThere(f"there is no tag {reference.tag} of {name}")
    near = difflib.get_close_matches(reference.tag, tags, _NEAR, 0.4)
    near += [tag for tag in sorted(tags, key=_version, reverse=True) if tag not in near][: max(0, 3 - len(near))]
    hint = f"tags that there are: {', '.join(near)}" if near else "it has no tags at all"
    return NotThere(f"there is no tag {reference.tag} of {name}", hint=hint)


def _version(tag: str) -> list[tuple[int, str]]:
    """Sorts 10 after 9."""
    parts = "".join(char if char.isdigit() else " " for char in tag).split()
    return [(int(part[:9]), "") for part in parts] or [(-1, tag)]


def joined(failed: Sequence[tuple[Repository, RegistryError]]) -> RegistryError:
    """The registry's own error; where it could not be asked, that of the first mirror that could. What the others said
    goes into the hint, a line for each, after what is of use."""
    asked = [item for item in failed if not isinstance(item[1], Unreachable | Broken)]
    main = failed[-1] if failed[-1] in asked or not asked else asked[0]
    error = main[1]
    others = [_also(source, other) for source, other in failed if other is not error]
    error.hint = "\n".join([*([error.hint] if error.hint else []), *others])
    return error


def _also(source: Repository, error: RegistryError) -> str:
    """What another place said, as a line of a hint."""
    who = f"its mirror {source.endpoint}" if source.endpoint.mirror else f"the registry itself, {source.endpoint},"
    how = "could not be asked" if isinstance(error, Unreachable) else "fails" if isinstance(error, Broken) else "says"
    return f"{who} {how}: {error.reason}"
