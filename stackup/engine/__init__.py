"""The engine: looks (``observe``), asks the planner, acts (``apply``), then watches and restarts (``project``).

It runs inside a project's supervisor. The modules that only read records (``records``, ``logreader``, ``offline``) are
standard library only, because the CLI uses them when no supervisor runs.
"""
