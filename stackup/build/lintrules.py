"""The rules of ``lint``, one function each: from a Dockerfile to what they find. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from stackup.base.values import frozen
from stackup.build import download, gitsource
from stackup.build.dockerfile import Dockerfile, Instruction, json_list
from stackup.build.ignore import IgnoreRules
from stackup.build.inputs import platform_arguments, same_platform
from stackup.build.metadata import PROXIES
from stackup.build.sources import has_wildcards
from stackup.build.stages import parse_arguments
from stackup.build.words import Watched, WordError, expand
from stackup.oci import reference as references

_RESERVED = ("scratch", "context")
_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_PUBLIC = re.compile(r"(?:_|^)public(?:_|$)", re.IGNORECASE)
_ONCE = ("CMD", "ENTRYPOINT", "HEALTHCHECK")
_KNOWN = ("PATH", *PROXIES, "SOURCE_DATE_EPOCH")


@frozen
class Found:
    rule: str
    message: str
    line: int


@frozen
class Subject:
    """``arguments``: the user's. ``named``: further contexts. ``targets``: platforms that were asked for, none for this
    machine's. ``variables_of``, ``platform_of``: see ``lint.findings``."""

    dockerfile: Dockerfile
    arguments: Mapping[str, str]
    ignore: IgnoreRules
    named: frozenset[str]
    targets: tuple[str, ...] = ()
    variables_of: Callable[[str], frozenset[str] | None] = lambda _base: None
    platform_of: Callable[[str], str] = lambda _base: ""

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        return self.dockerfile.instructions

    @property
    def froms(self) -> list[Instruction]:
        return [item for item in self.instructions if item.keyword == "FROM"]


def stage_casing(subject: Subject) -> Iterator[Found]:
    for item in subject.froms:
        if len(item.words) == 3 and item.words[2] != item.words[2].lower():
            yield Found(
                "StageNameCasing", f"write the stage's name '{item.words[2]}' in lower case", item.position.line
            )


def as_casing(subject: Subject) -> Iterator[Found]:
    for item in subject.froms:
        if len(item.words) == 3 and item.written.isupper() != item.words[1].isupper():
            yield Found("FromAsCasing", f"'{item.written}' and '{item.words[1]}' differ in case", item.position.line)


def casing(subject: Subject) -> Iterator[Found]:
    """All like the majority; those of mixed case count as neither."""
    upper = sum(item.written.isupper() for item in subject.instructions)
    lower = sum(item.written.islower() for item in subject.instructions)
    usual = str.lower if lower > upper else str.upper
    for item in subject.instructions:
        if item.written != usual(item.written):
            yield Found(
                "ConsistentInstructionCasing",
                f"'{item.written}' is not written as most are, '{usual(item.written)}'", item.position.line,
            )  # fmt: skip


def empty_continuation(subject: Subject) -> Iterator[Found]:
    for line in subject.dockerfile.empty_lines:
        yield Found("NoEmptyContinuation", "an empty line continues the instruction above it", line)


def maintainer(subject: Subject) -> Iterator[Found]:
    for item in subject.instructions:
        if item.keyword == "MAINTAINER":
            text = "MAINTAINER is deprecated; write LABEL org.opencontainers.image.authors=..."
            yield Found("MaintainerDeprecated", text, item.position.line)


def stage_names(subject: Subject) -> Iterator[Found]:
    seen: set[str] = set()
    for item in subject.froms:
        name = item.words[2].lower() if len(item.words) == 3 else ""
        if name in _RESERVED:
            yield Found(
                "ReservedStageName", f"'{name}' means something else; name the stage otherwise", item.position.line
            )
        if name and name in seen:
            yield Found("DuplicateStageName", f"there are two stages '{name}'", item.position.line)
        seen.add(name)


def json_arguments(subject: Subject) -> Iterator[Found]:
    shell = False
    for item in subject.instructions:
        if item.keyword == "FROM":
            shell = False
        elif item.keyword == "SHELL":
            shell = True  # whoever names the shell wants it
        elif item.keyword in ("CMD", "ENTRYPOINT") and not shell and item.json is None and not _broken_list(item.rest):
            text = f'write {item.keyword} ["...", ...]: a shell does not pass signals on to the command'
            yield Found("JSONArgsRecommended", text, item.position.line)


def several(subject: Subject) -> Iterator[Found]:
    last: dict[str, Instruction] = {}
    for item in subject.instructions:
        if item.keyword == "FROM":
            last = {}
        elif item.keyword in _ONCE:
            if item.keyword in last:
                text = f"of several {item.keyword} in a stage only the last one counts"
                yield Found("MultipleInstructionsDisallowed", text, last[item.keyword].position.line)
            last[item.keyword] = item


def legacy_pairs(subject: Subject) -> Iterator[Found]:
    for item in subject.instructions:
        if item.keyword in ("ENV", "LABEL") and "=" not in item.pieces[0]:
            text = f"write {item.keyword} name=value instead of {item.keyword} name value"
            yield Found("LegacyKeyValueFormat", text, item.position.line)


def secrets(subject: Subject) -> Iterator[Found]:
    for item in subject.instructions:
        if item.keyword not in ("ARG", "ENV"):
            continue
        words = item.pieces
        pairs = [word.partition("=")[0] for word in words]
        for name in pairs if item.keyword == "ARG" or "=" in words[0] else pairs[:1]:
            if _SECRET.search(name) and not _PUBLIC.search(name):
                text = f'{item.keyword} "{name}" stays in the image for all to read; use RUN --mount=type=secret'
                yield Found("SecretsUsedInArgOrEnv", text, item.position.line)


def working_directories(subject: Subject) -> Iterator[Found]:
    """Relative to what the base image says, which may change. Stages that begin with another one go on with its."""
    settled: dict[str, bool] = {}
    name, here = "", False
    for item in subject.instructions:
        if item.keyword == "FROM":
            settled[name] = here
            here = settled.get(item.words[0].lower(), False) if item.words else False
            name = item.words[2].lower() if len(item.words) == 3 else ""
        elif item.keyword == "WORKDIR":
            if not here and not item.rest.strip("\"'").startswith(("/", "$")):
                text = f"'{item.rest}' depends on the base image's directory; begin with an absolute one"
                yield Found("WorkdirRelativePath", text, item.position.line)
            here = True


def platforms(subject: Subject) -> Iterator[Found]:
    for item in subject.froms:
        flag = item.flag("platform")
        if re.fullmatch(r"\$(TARGETPLATFORM|\{TARGETPLATFORM\})", flag):
            text = "--platform=$TARGETPLATFORM is what FROM does anyway"
            yield Found("RedundantTargetPlatform", text, item.position.line)
        elif flag and "$" not in flag:
            text = f"--platform={flag} is fixed; take it from an ARG or leave it out"
            if not (len(item.words) == 3 and item.words[2].lower().endswith(tuple(flag.split("/")))):
                yield Found("FromPlatformFlagConstDisallowed", text, item.position.line)


def base_platforms(subject: Subject) -> Iterator[Found]:
    """An image that is here already is taken, whatever it was made for. (Not for several: then it has to be right.)"""
    if len(subject.targets) > 1:
        return
    stages: set[str] = set()
    wanted = next(iter(subject.targets), platform_arguments()["TARGETPLATFORM"])
    for item in subject.froms:
        base = item.words[0] if item.words else ""
        asked = item.flag("platform") or wanted
        if base and "$" not in base + asked and base.lower() not in (*stages, "scratch") and base not in subject.named:
            here = subject.platform_of(base)
            if here and not same_platform(here, asked):
                text = f"base image {base} is for {here}, not for {asked}"
                yield Found("InvalidBaseImagePlatform", text, item.position.line)
        if len(item.words) == 3:
            stages.add(item.words[2].lower())


def from_arguments(subject: Subject) -> Iterator[Found]:
    """Of ARG before the first FROM."""
    known: dict[str, str] = dict(platform_arguments())
    defaults: dict[str, str] = dict(known)
    escape = subject.dockerfile.escape
    for item in subject.instructions:
        if item.keyword == "ARG" and item.position.line < subject.froms[0].position.line:
            for name, default in parse_arguments(item):
                value = "" if default is None else _expanded(default, defaults, escape)[0]
                defaults[name] = value
                if name in subject.arguments or default is not None:
                    known[name] = subject.arguments.get(name, value)
        elif item.keyword == "FROM":
            for text in (item.words[0] if item.words else "", item.flag("platform")):
                for name in _expanded(text, {**known, **dict.fromkeys(PROXIES, "")}, escape)[1]:
                    if name not in defaults:
                        yield Found("UndefinedArgInFrom", _undefined(name, known, "FROM"), item.position.line)
            yield from _bad_default(item, defaults, escape)


def _bad_default(item: Instruction, defaults: Mapping[str, str], escape: str) -> Iterator[Found]:
    if not item.words or "$" not in item.words[0]:
        return
    base = _expanded(item.words[0], defaults, escape)[0]
    try:
        references.parse(base)
    except ValueError:
        if base != "scratch":
            text = f"without a build argument {item.words[0]} becomes '{base}', which is no image"
            yield Found("InvalidDefaultArgInFrom", text, item.position.line)


@dataclass(slots=True)
class _Names:
    """Variables that a stage knows; ``all_known`` False: its base image may have more."""

    known: frozenset[str] = frozenset(_KNOWN)
    all_known: bool = True


def variables(subject: Subject) -> Iterator[Found]:
    """Variables that neither ARG nor ENV has made. Where the base's own are not known, only names that look like a
    slip of a known one are told."""
    stages: dict[str, _Names] = {}
    here = _Names()
    for item in subject.instructions:
        if item.keyword == "FROM":
            here = _begun(item, stages, subject)
            continue
        if item.keyword != "ARG":
            yield from _unknown(item, _texts(item, subject), here, subject)
        if item.keyword == "ENV":
            words = item.pieces
            here.known |= {word.partition("=")[0] for word in (words if "=" in words[0] else words[:1])}
        for name, default in parse_arguments(item) if item.keyword == "ARG" else ():
            yield from _unknown(item, [default or ""], here, subject)
            here.known |= {name}


def _begun(item: Instruction, stages: dict[str, _Names], subject: Subject) -> _Names:
    base = item.words[0] if item.words else ""
    if base.lower() in stages:
        found = replace(stages[base.lower()])
    elif base == "scratch":
        found = _Names()
    else:
        brought = None if "$" in base or base in subject.named else subject.variables_of(base)
        found = _Names(frozenset(_KNOWN) | (brought or frozenset()), brought is not None)
    if len(item.words) == 3:
        stages[item.words[2].lower()] = found
    return found


def _texts(item: Instruction, subject: Subject) -> list[str]:
    """What is expanded in an instruction."""
    match item.keyword:
        case "ENV" | "LABEL" | "EXPOSE" | "USER" | "WORKDIR" | "STOPSIGNAL":
            return [item.rest]
        case "VOLUME":
            return list(item.json) if item.json is not None else [item.rest]
        case "COPY" | "ADD":
            flags = [item.flag(name) for name in ("chown", "chmod", "checksum")]
            heredocs = [heredoc.word for heredoc in item.heredocs]
            return [word for word in (*(item.json or item.pieces), *flags) if word not in heredocs]
    return []


def _unknown(item: Instruction, texts: list[str], here: _Names, subject: Subject) -> Iterator[Found]:
    for text in texts:
        for name in _expanded(text, dict.fromkeys(here.known, "x"), subject.dockerfile.escape)[1]:
            message = _undefined(name, here.known, item.keyword)
            if here.all_known or "did you mean" in message:
                yield Found("UndefinedVar", message, item.position.line)


def _undefined(name: str, known: Iterable[str], where: str) -> str:
    close = difflib.get_close_matches(name, [item for item in known if item not in PROXIES], 1)
    return f"nothing defines ${name} in {where}{f'; did you mean ${close[0]}?' if close else ''}"


def _expanded(text: str, known: Mapping[str, str], escape: str) -> tuple[str, list[str]]:
    watched = Watched(known)
    try:
        return expand(text, watched, escape), [name for name in watched.missing if name[0].isalpha() or name[0] == "_"]
    except WordError:
        return "", []


def exposed(subject: Subject) -> Iterator[Found]:
    for item in subject.instructions:
        for word in item.words if item.keyword == "EXPOSE" else ():
            protocol = word.rpartition("/")[2] if "/" in word else ""
            if protocol != protocol.lower() and "$" not in protocol:
                yield Found("ExposeProtoCasing", f"write '{word.lower()}' instead of '{word}'", item.position.line)
            if ":" in re.sub(r"\$\{[^}]*\}", "", word):
                text = f"'{word}' says more than a port and a protocol; addresses and host ports mean nothing here"
                yield Found("ExposeInvalidFormat", text, item.position.line)


def ignored_copies(subject: Subject) -> Iterator[Found]:
    for item in subject.instructions:
        if item.keyword not in ("COPY", "ADD") or item.flag("from"):
            continue
        heredocs = [heredoc.word for heredoc in item.heredocs]
        for word in (item.json if item.json is not None else item.pieces)[:-1]:
            plain = word.removeprefix("./").strip("/")
            if "$" in word or has_wildcards(word) or word in heredocs or plain in ("", "."):
                continue
            if download.is_url(word) or _is_git(word):
                continue
            if subject.ignore and subject.ignore.prunes(plain):
                yield Found("CopyIgnoredFile", f"{subject.ignore.place(plain)} excludes '{word}'", item.position.line)


def syntax(subject: Subject) -> Iterator[Found]:
    """Frontends are images that BuildKit runs; only that of Dockerfiles need not be one. A rule of stackup's own."""
    name, line = subject.dockerfile.syntax
    name = subject.arguments.get("BUILDKIT_SYNTAX") or name
    last = re.sub(r"[:@].*", "", name.rpartition("/")[2])
    if name and last not in ("dockerfile", "dockerfile-upstream"):
        text = f"the frontend '{name}' is not run: this is read as a Dockerfile"
        yield Found("SyntaxIgnored", text, line or 1)


def _is_git(word: str) -> bool:
    try:
        return gitsource.parse_git(word) is not None
    except ValueError:
        return True


def healthcheck_json(subject: Subject) -> Iterator[Found]:
    """A list that does not parse becomes a shell command of brackets."""
    for item in subject.instructions:
        text = item.rest.partition(" ")[2].strip() if item.keyword == "HEALTHCHECK" else item.rest
        if item.keyword in ("CMD", "ENTRYPOINT", "RUN", "HEALTHCHECK") and text and _broken_list(text):
            yield Found("JSONArgsRecommended", f"{text} is no JSON list, so a shell runs it", item.position.line)


def _broken_list(text: str) -> bool:
    """Also nothing at all, which needs no shell."""
    if not text:
        return True
    return text.startswith("[") and text.endswith("]") and not text.startswith("[[") and json_list(text) is None


Rule = Callable[[Subject], Iterator[Found]]

RULES: tuple[Rule, ...] = (
    stage_casing, as_casing, casing, empty_continuation, maintainer, stage_names, json_arguments, several, legacy_pairs,
    secrets, working_directories, platforms, base_platforms, from_arguments, variables, exposed, ignored_copies,
    healthcheck_json, syntax,
)  # fmt: skip
