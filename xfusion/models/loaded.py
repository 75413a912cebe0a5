"""Models that this process has loaded, each once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

MOST = 16  # models; those of an ensemble are used one after the other, again and again
_LOADED: OrderedDict[Hashable, Any] = OrderedDict()
_LOCK = threading.Lock()


def once(key: Hashable, make: Callable[[], Any]) -> Any:
    """Return what `make` returns, called the first time that a process asks for a key.

    dask may bring a model to each of its tasks; what is costly about it is then here already.
    """
    with _LOCK:
        if key not in _LOADED:
            _LOADED[key] = make()
            if len(_LOADED) > MOST:
                _LOADED.popitem(last=False)
        _LOADED.move_to_end(key)
        return _LOADED[key]
