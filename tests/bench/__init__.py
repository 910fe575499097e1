"""How quick it is: whole commands from the outside, beside the kernel's own price and beside other engines.

``./dev bench`` runs ``python -m tests.bench``. Nothing here imports stackup: it is measured as a user meets it.
"""
