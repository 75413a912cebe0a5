"""Files of networks in ONNX as models."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph

from .external_weights import content_of, files_of_weights
from .loaded import once
from .returned import Ensemble, Returning

DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
}


def onnx(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], /) -> Any:
    """Take a network in a file of ONNX as a model, with ``xfusion[onnx]``.

    Parameters
    ----------
    path : path, or sequence of them
        Its one input is (batch, band, y, x), of any batch or of 1. The networks of several files
        are an ensemble, each of which gives a sample.

    Returns
    -------
    OnnxModel or Ensemble
        A model for :func:`xfusion.predict`. Other processes are sent its path, and each opens it
        once. One output is returned as an array, several as a tuple.

    Raises
    ------
    ImportError
        If onnxruntime is not installed.
    FileNotFoundError
        If there is no such file, or none with its weights where it says.
    ValueError
        If it is no file of ONNX, or has weights in a file that does not lie in its folder, which is
        not opened. When it is computed: if onnxruntime refuses it, if the network takes other
        shapes, or the file, or one with its weights, has changed since.

    Examples
    --------
    >>> import xfusion as xf
    >>> model = xf.models.onnx("water.onnx")  # doctest: +SKIP
    >>> both = xf.models.onnx(["first.onnx", "second.onnx"])  # doctest: +SKIP
    """
    if importlib.util.find_spec("onnxruntime") is None:
        msg = "xf.models.onnx needs onnxruntime: pip install 'xfusion[onnx]'"
        raise ImportError(msg)
    if isinstance(path, str | os.PathLike):
        place = Path(path).absolute()
        return OnnxModel(str(place), _digest(place))
    if not path:
        msg = "no files: give a path, or several for an ensemble"
        raise ValueError(msg)
    return Ensemble(tuple(Returning(onnx(each)) for each in path))


@dataclass(frozen=True)
class OnnxModel(InGraph):
    """A network in a file, opened where and when it is called."""

    path: str
    digest: str
    takes_seed = False

    @property
    def name(self) -> str:
        """What provenance calls it."""
        return f"{Path(self.path).name} {self.digest[:8]}"

    def __call__(self, pixels: NDArray[Any]) -> Any:
        """Return what the network returns of pixels (batch, band, y, x)."""
        session, lock = once(("onnx", self.path, self.digest), self._opened)
        inputs = session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in DTYPES:
            given = ", ".join(f"{i.name} {i.type}" for i in inputs)
            msg = f"{self.name} takes {given}: it must take one array of floats, the bands"
            raise ValueError(msg)
        self._check_shape(inputs[0].shape, pixels.shape)
        array = np.ascontiguousarray(pixels, DTYPES[inputs[0].type])
        with lock:
            found = session.run(None, {inputs[0].name: array})
        floats = tuple(f.astype(np.float32) if f.dtype == np.float16 else f for f in found)
        return floats if len(floats) > 1 else floats[0]

    def _opened(self) -> tuple[Any, threading.Lock]:
        import onnxruntime

        if _digest(Path(self.path)) != self.digest:
            msg = (
                f"{self.path}, or a file of its weights, is not what it was when xf.models.onnx "
                "was called: call it again"
            )
            raise ValueError(msg)
        # by its path: weights may lie beside it
        try:
            session = onnxruntime.InferenceSession(
                self.path, providers=onnxruntime.get_available_providers()
            )
        except Exception as error:  # of kinds of its own, which are no ValueError
            msg = f"{self.path} is no network that onnxruntime opens: {error}"
            raise ValueError(msg) from error
        return session, threading.Lock()

    def _check_shape(self, takes: Sequence[Any], given: tuple[int, ...]) -> None:
        fixed = [n for n in takes if isinstance(n, int)]
        wrong = len(takes) != len(given) or any(
            isinstance(n, int) and n != m for n, m in zip(takes, given, strict=False)
        )
        if wrong:
            msg = (
                f"{self.name} takes pixels of shape {tuple(takes)}, was given {given}: give as "
                "many bands, and tile= and batch= as it was exported for; of a fixed batch, 1"
            )
            raise ValueError(msg if fixed else f"{msg} (its axes are named)")


def _digest(path: Path) -> str:
    """Return a digest of a file, and of those beside it that have weights of it.

    Raises
    ------
    FileNotFoundError
        If one of them is missing.
    ValueError
        If one of them does not lie beside it, or the file is none of ONNX.
    """
    content = content_of(path)
    found = hashlib.sha256(content)
    for name, place in files_of_weights(path, content).items():
        found.update(name.encode())
        with place.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()
