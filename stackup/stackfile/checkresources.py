"""Volumes, secrets and configs of the whole stack: what may not stand together, and what must be there."""

from __future__ import annotations

from stackup.stackfile.check import children
from stackup.stackfile.nodes import Node
from stackup.stackfile.problems import Problems, Told


def check_resources(tree: Node, problems: Problems, told: Told) -> None:
    """Volumes, secrets and configs: what may not stand together, and what must be there."""
    for section in ("volumes", "secrets", "configs"):
        for key, node in children(tree.get(section)).items():
            external = node.get("external")
            if external is not None and external.value is True:
                for name, child in children(node).items() if section == "volumes" else ():
                    if name not in ("name", "external") and not name.startswith("x-"):
                        problems.add(
                            child,
                            f"cannot use {section}.{key}.{name}: an external {section[:-1]} is made elsewhere",
                            hint=f"remove {name}, or external",
                            at_key=True,
                        )
            if section != "volumes":
                _check_content(section, key, node, problems, told)


def _check_content(section: str, key: str, node: Node, problems: Problems, told: Told) -> None:
    kinds = ("file", "environment") if section == "secrets" else ("file", "environment", "content")
    fields = children(node)
    given = [name for name in kinds if name in fields and fields[name].written]
    if len(given) > 1:
        reason = f"{' and '.join(given)} exclude each other"
        problems.add(fields[given[1]], f"cannot use {section}.{key}: {reason}", at_key=True)
    external = fields.get("external")
    if external is not None and (external.value is True or section == "configs"):
        return
    if not given and not told.lost and f"{section}.{key}" not in told:
        wanted = " or ".join(kinds) if len(kinds) == 2 else "file, environment or content"
        problems.add(node, f"cannot use {section}.{key}: {wanted} must be given", at_key=True)
