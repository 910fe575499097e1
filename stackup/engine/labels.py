"""Labels of containers: the image's, the service's, and docker compose's own, so that other tools understand ours.

Names and values: docker/compose pkg/api/labels.go.
"""

from __future__ import annotations

from stackup.base.names import LABEL_PREFIX
from stackup.base.version import VERSION
from stackup.images.image import Image
from stackup.model.stack import Service, Stack


def labels_of(stack: Stack, service: Service, image: Image, number: int, config_hash: str) -> dict[str, str]:
    depends_on = ",".join(
        f"{name}:{item.condition}:{str(item.restart).lower()}" for name, item in sorted(service.depends_on.items())
    )
    compose = {
        "project": stack.name,
        "service": service.name,
        "container-number": str(number),
        "config-hash": config_hash,
        "oneoff": "False",
        "project.working_dir": stack.directory,
        "project.config_files": ",".join(stack.files),
        "depends_on": depends_on,
        "image": image.id,
        "version": VERSION,
    }
    return {
        **image.config.labels,
        **service.labels,
        **{f"{LABEL_PREFIX}.{key}": value for key, value in compose.items()},
    }
