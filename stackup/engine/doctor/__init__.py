"""``stackup doctor``: looks at the machine and at the projects, and explains what it finds. It changes nothing.

``machine`` is the only door to the machine; ``host`` and ``projects`` decide, from values alone, what is a finding.
"""
