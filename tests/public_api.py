"""List the public names of xfusion with their signatures: python -m tests.public_api."""

import enum
import inspect
from collections.abc import Iterator
from typing import Any

import xfusion as xf


def lines() -> Iterator[str]:
    """Yield a line for each name, and for each member of its modules and classes."""
    for name in sorted(xf.__all__):
        thing = getattr(xf, name)
        if inspect.ismodule(thing):
            for member in sorted(thing.__all__):
                yield f"{name}.{member}{_signature(getattr(thing, member))}"
        elif inspect.isclass(thing):
            yield f"{name}{_signature(thing)}"
            for member in sorted(vars(thing)):
                if not member.startswith("_"):
                    yield f"{name}.{member}{_signature(inspect.getattr_static(thing, member))}"
        else:
            yield f"{name}{_signature(thing)}"


def _signature(thing: Any) -> str:
    if isinstance(thing, staticmethod | classmethod):
        thing = thing.__func__
    if not (inspect.isfunction(thing) or inspect.isclass(thing)):
        return ""
    if inspect.isclass(thing) and issubclass(thing, enum.Enum):
        return ""  # which differs from Python to Python
    try:
        # annotations are texts in the sources, classes where dataclass writes them
        return str(inspect.signature(thing)).replace("'", "")
    except ValueError:
        return ""


if __name__ == "__main__":
    print("\n".join(lines()))
