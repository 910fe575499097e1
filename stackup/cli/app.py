"""The typer application: help, completion and usage errors. Made from the verbs' own declarations.

Loaded only when the quick parser did not understand, so a correct command never pays for it.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from stackup.base.errors import UsageError
from stackup.cli.execute import execute
from stackup.cli.globals import Globals
from stackup.cli.options import Option, options_of
from stackup.cli.registry import GROUPS, SPELLINGS, VERBS, Verb, load
from stackup.cli.switches import spelled_out

EPILOG = (
    "Options of stackup itself (-f, -p, ...) stand before the command. Exit codes: 0 done; 1 failed; "
    "2 plan: there is something to do; 64 wrong usage; 70 a bug in stackup; 130 interrupted. exec ends as its command "
    "does, or with 126 or 127 when that cannot be run; up --exit-code-from as that service does."
)
_GROUP_HELP = {
    "image": "Images that are stored here.",
    "system": "How much of the disk is used, and freeing it.",
    "network": "Networks that belong to no stack, for external: true.",
    "systemd": "The project starts with the machine, and is stopped with it.",
    "volume": "Volumes, also those that belong to no stack, for external: true.",
}
# Of the command line library: where it keeps its own base class differs between its versions.
WrongUsage = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")


def build() -> typer.Typer:
    """The whole application, every verb in it."""
    app = typer.Typer(
        name="stackup",
        help=inspect.getdoc(Globals),
        epilog=EPILOG,
        add_completion=True,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_function("stackup", options_of(Globals), _remember))
    for name in VERBS:
        _add(app, name, load(name))
    for group, names in GROUPS.items():
        inner = typer.Typer(help=_GROUP_HELP[group], no_args_is_help=True, rich_markup_mode=None)
        for name in names:
            _add(inner, name, load(f"{group} {name}"))
        for other, name in SPELLINGS.items():
            if name in names:
                _add(inner, other, load(f"{group} {name}"), hidden=True)
        app.add_typer(inner, name=group)
    return app


def _add(app: typer.Typer, name: str, verb: Verb, *, hidden: bool = False) -> None:
    app.command(
        name,
        hidden=hidden,
        help=inspect.getdoc(verb.request),
        short_help=_short(verb),
        context_settings={"allow_interspersed_args": not verb.positional_last},
    )(_function(name, verb.options, _runner(verb)))


def _short(verb: Verb) -> str:
    """The first clause of the description."""
    return re.split(r"[,:;.(]", inspect.getdoc(verb.request) or "", maxsplit=1)[0].strip()


def main(argv: Sequence[str]) -> int:
    WrongUsage.exit_code = UsageError.exit_code  # type: ignore[attr-defined]
    if not argv or argv[0] == "help":
        argv = [*argv[1:], "--help"]
    hint = misplaced(argv)
    if hint:
        sys.stderr.write(hint)
        return UsageError.exit_code
    try:
        argv = spelled_out(argv)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return UsageError.exit_code
    try:
        typer.main.get_command(build()).main(argv, prog_name="stackup", standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def misplaced(argv: Sequence[str]) -> str:
    """What to say about a global flag behind the verb, where everybody types it once; "" when there is none."""
    verb_at = next((index for index, word in enumerate(argv) if word in VERBS or word in GROUPS), None)
    if verb_at is None:
        return ""
    name = argv[verb_at]
    if name in GROUPS:
        inner = argv[verb_at + 1] if verb_at + 1 < len(argv) else ""
        inner = SPELLINGS.get(inner, inner)
        if inner not in GROUPS[name]:
            return ""
        name, verb_at = f"{name} {inner}", verb_at + 1
    verb = load(name)
    own = {flag for option in verb.options for flag in option.flags}
    theirs = {flag for option in options_of(Globals) if option.name != "version" for flag in option.flags}
    theirs -= own
    for word in argv[verb_at + 1 :]:
        if word == "--" or (verb.positional_last and not word.startswith("-")):
            break
        flag = word.partition("=")[0]
        if flag in theirs:
            return f"error: cannot use {flag} behind {verb.name}\n  hint: stackup {flag} ... {verb.name}\n"
    return ""


def _remember(context: typer.Context, **given: Any) -> None:
    context.obj = Globals(**_tuples(given))
    if context.obj.version:
        raise typer.Exit(execute(context.obj, load("version"), load("version").request()))


def _runner(verb: Verb) -> Callable[..., None]:
    def run(context: typer.Context, **given: Any) -> None:
        sys.stdout.flush()
        raise typer.Exit(execute(context.obj, verb, verb.request(**_tuples(given))))

    return run


def _tuples(given: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(item) if isinstance(item, list) else item for key, item in given.items()}


def _function(name: str, options: Sequence[Option], call: Callable[..., None]) -> Callable[..., None]:
    """A function with the signature that typer reads its parameters from."""

    def command(context: typer.Context, **given: Any) -> None:
        call(context, **given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
    for option in options:
        annotation, default = _parameter(option)
        parameters.append(inspect.Parameter(option.name, keyword, default=default, annotation=annotation))
    command.__name__ = name
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {item.name: item.annotation for item in parameters}
    return command


def _parameter(option: Option) -> tuple[Any, Any]:
    """The annotation and the default of one option."""
    kind: Any = option.kind
    if option.many:
        kind = list[option.kind]  # type: ignore[name-defined]
    elif option.default is None:
        kind = option.kind | None
    settings: dict[str, Any] = {"help": option.help, "show_default": _shown(option)}
    if option.kind is not bool:
        settings["metavar"] = _metavar(option)
    if option.choices or option.check:
        settings["callback"] = _checker(option)
    if option.choices:
        settings["autocompletion"] = lambda: list(option.choices)
    default = list(option.default) if option.many else option.default
    if not option.flags:
        info = typer.Argument(**settings)
        return Annotated[kind, info], inspect.Parameter.empty if option.required else default
    return Annotated[kind, typer.Option(*option.flags, hidden=option.hidden, **settings)], default


def _metavar(option: Option) -> str:
    if option.choices:
        return "|".join(option.choices)
    name = option.metavar or {int: "NUMBER", float: "NUMBER"}.get(option.kind, "TEXT")
    return f"{name}..." if option.many and not option.flags else name


def _shown(option: Option) -> bool:
    return option.kind is not bool and option.default not in (None, "", (), 0)


def _checker(option: Option) -> Callable[[Any], Any]:
    """Says in typer's way what is wrong with a value. A default is not looked at."""

    def check(value: Any) -> Any:
        try:
            for text in value if option.many else [value]:
                if text != option.default:
                    option.convert(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        return value

    return check
