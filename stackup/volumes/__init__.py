"""Named and anonymous volumes: directories with a record each. Called by ``engine``; mounts nothing."""

from stackup.volumes.store import Volume, VolumeMount, VolumeStore

__all__ = ["Volume", "VolumeMount", "VolumeStore"]
