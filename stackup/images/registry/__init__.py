"""A client of container registries (OCI distribution-spec v1.1, which is Docker's HTTP API V2), and who may be asked.

Called by ``images.pulling`` and ``images.pushing`` in the transfer worker, never at the start of a command: importing
``transport`` loads urllib3 and ssl. Talks HTTP and reads the user's own files (credentials, certificates,
registries.conf); knows nothing of the image store.
"""
