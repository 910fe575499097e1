"""Starts containers: hands OCI bundles to the launcher, a bare process that forks each container's first process.

``engine`` and ``build`` call it: ``bundle`` writes what is to run, ``boot`` starts a launcher, ``client`` talks to it,
``cgroups`` and ``seccomp`` serve both. ``launcher`` is the other process: standard library only, imports in
milliseconds, and holds no policy. Nothing here knows services, stacks or images.
"""
