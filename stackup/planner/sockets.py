"""Mounts of an engine's socket: asked about before a container with one is made."""

from __future__ import annotations

from stackup.model.plan import CreateContainer, Question
from stackup.model.stack import Stack
from stackup.model.words import ALLOW_SOCKET, ENGINE_SOCKETS
from stackup.planner.desired import Desired
from stackup.planner.draft import Draft

_HINT = "go on anyway with --yes, or for good with `x-stackup: {allow: [docker.sock]}` in the stack file"


def ask_for_sockets(draft: Draft, desired: Desired, stack: Stack) -> None:
    """No engine of stackup is behind it: what a service does there would reach another project's, or nobody."""
    if ALLOW_SOCKET in stack.stackup.allow:
        return
    made = dict.fromkeys(action.service for action in draft.actions if isinstance(action, CreateContainer))
    for name in made:
        service = stack.services.get(name)
        for index, mount in enumerate(service.volumes if service is not None else ()):
            question = f"give {mount.source} to {name}"
            if mount.type != "bind" or mount.source not in ENGINE_SOCKETS or desired.answers.of(question):
                continue
            text = (
                f"service {name} mounts {mount.source}, but no engine of stackup is behind it: what it does there "
                "would reach a Docker engine that knows nothing of this project, or nobody. Go on?"
            )
            draft.questions.append(Question(question, text, hint=_HINT, about=f"services.{name}.volumes.{index}"))
