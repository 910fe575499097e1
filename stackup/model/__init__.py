"""Frozen values that all floors above share: ``Stack`` (what should be), ``Observed`` (what is), ``Plan`` (what to do).

No I/O here, and no decisions: reading files is ``stackfile``'s, deciding is ``planner``'s.
"""
