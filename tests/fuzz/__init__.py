"""Fuzzing of the loader: whatever the files hold, the answer is a stack or a StackFileError, in bounded time.

``./dev fuzz [SECONDS]`` runs ``python -m tests.fuzz``: Hypothesis, and Atheris (guided by coverage) where it installs.
``./dev test`` runs ``test_fuzz_loader.py``, a minute of the former.
Last long run: 2026-11-21, Python 3.11.7, 660 s on two cores, 118,094 loads (Atheris 76,894, Hypothesis 41,200; the
slowest 0.11 s, 63 MiB at most): nothing but StackFileError came out.
"""
