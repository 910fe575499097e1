"""From a request's arguments to the planner's input: names, options, answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stackup.base.errors import PlanRefused, UsageError
from stackup.engine.loading import LoadedStack
from stackup.model.build import SshKey
from stackup.model.plan import Plan
from stackup.model.stack import Stack
from stackup.planner import Answers, Desired, Verb

Args = Mapping[str, Any]


def needs_stack(verb: Verb) -> bool:
    """Others work from the records alone."""
    return verb in (Verb.UP, Verb.CREATE, Verb.BUILD, Verb.PULL)


def check_shown(stack: Stack, args: Args) -> None:
    """Raises UsageError for a service that is to be shown, or to give the exit code, and is none."""
    for option in ("attach", "no_attach", "exit_code_from"):
        given = args.get(option) or ()
        for name in (given,) if isinstance(given, str) else given:
            if name not in stack.services:
                flag = option.replace("_", "-")
                hint = f"services: {', '.join(sorted(stack.services)) or 'none'}"
                raise UsageError(f"cannot use --{flag} {name}: there is no such service", hint=hint)


def with_named_services(stack: Stack, names: Iterable[str]) -> Stack:
    """Naming a service on the command line enables it, whatever its profiles (as in docker compose)."""
    enabled = {name: stack.disabled[name] for name in names if name in stack.disabled}
    if not enabled:
        return stack
    disabled = {name: service for name, service in stack.disabled.items() if name not in enabled}
    return stack.model_copy(update={"services": {**stack.services, **enabled}, "disabled": disabled})


def with_build_options(stack: Stack, options: Args) -> Stack:
    """The command line's ``--build-arg``, ``--no-cache``, ``--pull``, ``--ssh``, ``--provenance`` and ``--sbom`` over
    what the file says."""
    if not options:
        return stack
    args = dict(item.partition("=")[::2] for item in options.get("build_arg", ()))
    services = {}
    for name, service in stack.services.items():
        if service.build is not None:
            update: dict[str, Any] = {"args": {**service.build.args, **args}}
            update |= {key: True for key in ("no_cache", "pull") if options.get(key)}
            update |= {key: options[key] for key in ("provenance", "sbom") if options.get(key)}
            if options.get("ssh"):
                keys = [SshKey(id=name, path=path or None) for name, _, path in map(_parts, options["ssh"])]
                kept = tuple(key for key in service.build.ssh if key.id not in {item.id for item in keys})
                update["ssh"] = (*kept, *keys)
            service = service.model_copy(update={"build": service.build.model_copy(update=update)})
        services[name] = service
    return stack.model_copy(update={"services": services})


def _parts(text: str) -> tuple[str, str, str]:
    return text.partition("=")


def with_needed_builds(stack: Stack, names: Iterable[str]) -> tuple[str, ...]:
    """``build --with-dependencies``: these services, and those with a build section that they depend on."""
    found: dict[str, None] = {}
    todo = list(names)
    while todo:
        name = todo.pop(0)
        if name in found:
            continue
        found[name] = None
        if name in stack.services:
            todo += stack.services[name].depends_on
    given = tuple(names)
    return tuple(name for name in found if name in given or stack.services[name].build is not None)


def refuse_open_questions(plan: Plan, desired: Desired, loaded: LoadedStack | None) -> None:
    """A destructive step needs a yes; without one the whole plan is refused before anything happens."""
    refused = []
    for item in plan.questions:
        answer = desired.answers.of(item.id)
        if not (item.default if answer is None else answer):
            hint = item.hint or "answer with --yes, or change the stack file back"
            error = PlanRefused(f"cannot carry out the plan: {item.text.removesuffix(' Go on?')}", hint=hint)
            refused.append(loaded.point(error, item.about) if loaded and item.about else error)
    if refused:
        refused[0].details = tuple(refused[1:])
        raise refused[0]


def desired_of(verb: Verb, stack: Stack | None, args: Args) -> Desired:
    """The wish behind a request's arguments; each has the name of the command line's option."""
    timeout = args.get("timeout")
    return Desired(
        verb=verb,
        stack=stack,
        services=tuple(args.get("services") or ()),
        no_deps=bool(args.get("no_deps")),
        force_recreate=bool(args.get("force_recreate")),
        always_recreate_deps=bool(args.get("always_recreate_deps")),
        no_recreate=bool(args.get("no_recreate")),
        renew_anonymous_volumes=bool(args.get("renew_anon_volumes")),
        build=bool(args.get("build")),
        no_build=bool(args.get("no_build")),
        ignore_buildable=bool(args.get("ignore_buildable")),
        pull=args.get("pull") or "",
        quiet_pull=bool(args.get("quiet_pull")),
        scale={name: int(number) for name, number in (args.get("scale") or {}).items()},
        wait=bool(args.get("wait")),
        wait_timeout=args.get("wait_timeout"),
        timeout=None if timeout is None else float(timeout),
        stop_first=bool(args.get("stop")),
        remove_volumes=bool(args.get("volumes")),
        remove_orphans=bool(args.get("remove_orphans")),
        now=bool(args.get("now")),
        at_once=max(0, int(args.get("parallel") or 0)),
        signal=args.get("signal") or "SIGKILL",
        answers=Answers(dict(args.get("answers") or {}), True if args.get("yes") else None, bool(args.get("asks"))),
    )
