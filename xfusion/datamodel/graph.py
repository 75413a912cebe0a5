"""What goes into the tasks of a dask graph, and says what it is: two runs are compared by it."""

from __future__ import annotations

import dataclasses
from typing import Any


class InGraph:
    """A frozen dataclass that tasks hold; each of its fields is part of what it is."""

    def described(self) -> dict[str, Any]:
        """Return field -> value: a parameter, or a part that says itself what it is.

        Two runs in which any of these differ are runs of different jobs.
        """
        fields = dataclasses.fields(self)  # type: ignore[arg-type]  # each subclass is one
        return {field.name: getattr(self, field.name) for field in fields}
