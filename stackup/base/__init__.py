"""Ground floor: errors, clock, names, paths, atomic files. Standard library only, imported by everybody.

Nothing here knows what a container is. Modules stay cheap to import: the launcher and the quick commands load them.
"""
