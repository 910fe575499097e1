"""What the child of a container start does, one class per effect. Each describes itself before it is executed.

An operation touches the machine only through ``stage.kernel`` (linux.kernel.Kernel, or its recording twin in tests).
"""

from __future__ import annotations

from stackup.runtime.launcher.operations.base import Operation, Refusal, Stage

__all__ = ["Operation", "Refusal", "Stage"]
