"""Foreign standards as frozen standard-library dataclasses: OCI runtime-spec (``runtime``) and image-spec (``image``).

They only convert to and from the JSON of the specifications; they hold no policy and know nothing of stackup.
"""
