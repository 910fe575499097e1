"""The supervisor's socket: protocol, thin client (standard library only) and server.

``cli`` and ``testing`` talk through ``client``; ``supervisor`` is the process that serves. Nothing here decides: a
request is handed to ``engine`` and its events are written back as JSON lines.
"""
