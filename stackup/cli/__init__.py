"""The terminal face: reads a command line, asks a supervisor (or the packages below) and prints the answer.

``quick`` parses every well-formed command with the standard library alone; ``app`` (typer) owns help, completion and
usage errors. Both are made from the same declarations, one module a verb in ``verbs``, and end in ``execute``, the only
place where errors become exit codes. Nothing here decides what happens to a container: that is the planner's business.
"""
