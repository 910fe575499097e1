"""The finished image: its configuration, its time, its names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from stackup.base.escapes import valid
from stackup.base.values import changed
from stackup.build.cache import Done, step_key
from stackup.build.progress import Built, OnProgress
from stackup.build.request import BuildRequest
from stackup.build.state import State
from stackup.build.steps import StepMaker
from stackup.build.targets import is_here
from stackup.images import Image, ImageStore
from stackup.images.comparing import BASE_DIGEST, BASE_NAME
from stackup.images.store import parse_reference
from stackup.oci import image as oci


def store_image(
    states: Sequence[State], request: BuildRequest, store: ImageStore, maker: StepMaker, say: OnProgress
) -> Image:
    """``states``: one for each platform; more than one make an index. Answers that for this machine, else the first."""
    manifests = [
        store.put_manifest(
            state.layers, _document(state, request, maker), on_host=state.host, annotations=_notes(state)
        )
        for state in states
    ]
    found = next((item for item in manifests if item.platform and is_here(item.platform)), manifests[0])
    top = found
    if len(manifests) > 1:
        top = store.put_index(manifests, found.platform)
    for tag in request.tags or ("",):
        store.name(top, tag)
    image = store.image(top, parse_reference(request.tags[0]).familiar if request.tags else "")
    image = image if request.tags else changed(image, reference=image.id)
    for layer in (layer for state in states for layer in state.layers):
        descriptor = oci.Descriptor(layer.media_type, layer.digest, layer.size)
        store.layers.ensure(descriptor, layer.diff_id, store.blobs)
    say(Built(image.id, tuple(parse_reference(tag).familiar for tag in request.tags), *maker.counts))
    return image


def _document(state: State, request: BuildRequest, maker: StepMaker) -> oci.ConfigFile:
    """An equal build keeps its time, and so its id: only new content makes a new image."""
    config = replace(state.config, labels={**state.config.labels, **request.labels})
    unnamed = tuple(replace(entry, created="") for entry in state.history)
    document = oci.ConfigFile(state.platform, config, history=unnamed, author=state.author)
    layers = [layer.diff_id for layer in state.layers]
    key = step_key("image", state.base, str(document.to_json()), *layers, str(maker.epoch))
    with maker.cache.alone(key):
        done = maker.cache.find(key)
        if done is None:
            done = Done(None, maker.now())
            maker.cache.put(key, done, "image")
    history = _dated(state.history, done.created)
    return _valid(replace(document, history=history, created=done.created))


def _dated(history: Sequence[oci.History], now: str) -> tuple[oci.History, ...]:
    """What only changed the configuration has the time of the step behind it."""
    found: list[oci.History] = []
    for entry in reversed(history):
        now = entry.created or now
        found.insert(0, replace(entry, created=now))
    return tuple(found)


def _valid(document: oci.ConfigFile) -> oci.ConfigFile:
    text = json.dumps(document.to_json(), ensure_ascii=False)
    return document if valid(text) == text else oci.ConfigFile.from_json(json.loads(valid(text)))


def _notes(state: State) -> dict[str, str]:
    """OCI image-spec, annotations.md: the image that the layers begin with, by name and digest."""
    found = {BASE_NAME: state.base_name, BASE_DIGEST: state.base_digest}
    return {key: value for key, value in found.items() if value}
