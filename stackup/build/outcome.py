"""The finished image: its configuration, its time, its names."""

from __future__ import annotations

from dataclasses import replace

from stackup.build.cache import Done, step_key
from stackup.build.progress import Built, OnProgress
from stackup.build.request import BuildRequest
from stackup.build.state import State
from stackup.build.steps import StepMaker
from stackup.images import Image, ImageStore
from stackup.images.comparing import BASE_DIGEST, BASE_NAME
from stackup.images.store import host_platform, parse_reference
from stackup.oci import image as oci


def store_image(state: State, request: BuildRequest, store: ImageStore, maker: StepMaker, say: OnProgress) -> Image:
    """An equal build keeps its time, and so its id: only new content makes a new image."""
    config = replace(state.config, labels={**state.config.labels, **request.labels})
    unnamed = tuple(replace(entry, created="") for entry in state.history)
    document = oci.ConfigFile(host_platform(), config, history=unnamed, author=state.author)
    layers = [layer.diff_id for layer in state.layers]
    key = step_key("image", state.base, str(document.to_json()), *layers, str(maker.epoch))
    with maker.cache.alone(key):
        done = maker.cache.find(key)
        if done is None:
            done = Done(None, maker.now())
            maker.cache.put(key, done, "image")
    history = tuple(replace(entry, created=entry.created or done.created) for entry in state.history)
    document = replace(document, history=history, created=done.created)
    image = None
    for tag in request.tags or ("",):
        found = store.put_image(state.layers, document, tag, on_host=state.host, annotations=_notes(state))
        image = image or found
    assert image is not None
    for layer in image.layers:
        descriptor = oci.Descriptor(layer.media_type, layer.digest, layer.size)
        store.layers.ensure(descriptor, layer.diff_id, store.blobs)
    say(Built(image.id, tuple(parse_reference(tag).familiar for tag in request.tags), *maker.counts))
    return image


def _notes(state: State) -> dict[str, str]:
    """OCI image-spec, annotations.md: the image that the layers begin with, by name and digest."""
    found = {BASE_NAME: state.base_name, BASE_DIGEST: state.base_digest}
    return {key: value for key, value in found.items() if value}
