"""The launcher: one small process per project that forks containers, reaps them and keeps the supervisor alive.

Started by ``runtime.boot``; nobody imports it but tests. Single-threaded, event-driven, standard library only; it
decides nothing: what it is asked comes from the supervisor, what it starts from a bundle. Order of reading: ``main``
(boot), ``core`` (ties it together), ``server`` (requests), ``starting`` (clone), ``plan`` (a bundle as operations),
``child`` (carries them out).
"""
