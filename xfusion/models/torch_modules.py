"""Networks in PyTorch as models, with Monte-Carlo dropout that has no seams."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xfusion.datamodel.graph import InGraph

from .dropout_noise import dropouts, dropping
from .loaded import once
from .returned import derived
from .what_a_module_is import code_digest, module_digest

if TYPE_CHECKING:
    from torch.export import ExportedProgram
    from torch.nn import Module

HALF = 4  # bytes, fewer than which numpy may not have


def torch(
    module: Module | ExportedProgram | Callable[[], Module],
    /,
    *,
    dropout: bool = True,
    device: str | None = None,
    mixed_precision: bool = False,
) -> TorchModel:
    """Take a network in PyTorch as a model, with ``xfusion[torch]``.

    Parameters
    ----------
    module : torch.nn.Module, torch.export.ExportedProgram, or callable
        Takes a tensor (batch, band, y, x), and returns a tensor (batch, y, x) or (batch, 1, y, x),
        or a tuple of them. It is copied as it is now: no mode, gradient or hook of it is
        changed, nor the state of torch's random numbers. A function without arguments that makes
        the module is called once in each process instead, on a cluster in each worker.
    dropout : bool
        Whether layers of dropout drop; all else is in evaluation mode.
    device : str, optional
        Such as "cuda:1"; by default "cuda" where there is one, else "cpu".
    mixed_precision : bool
        Whether torch may compute in half precision where it finds that right; results are float32.

    Returns
    -------
    TorchModel
        A model for :func:`xfusion.predict`, called by one thread at a time.

    Raises
    ------
    ImportError
        If torch is not installed.
    TypeError
        If `module` is no module and cannot be called.
    ValueError
        If a layer of dropout is of a kind whose noise is not known, or the module is one of
        torch.export that was exported in training mode; of one that a function makes, when it is
        computed.

    Notes
    -----
    Layers that drop whole channels (``Dropout1d``, ``2d`` and ``3d``, and ``Dropout`` of what has
    no pixels) drop the same ones in all tiles and items of a batch of a pass, as one
    network for all the scene does (Gal and Ghahramani 2016): no seam is seen. ``Dropout`` of pixels
    drops others in each tile. A dropout that is called as a function, or within attention, is no
    layer, and off.

    Examples
    --------
    >>> import numpy as np, xarray as xr, xfusion as xf
    >>> import torch  # doctest: +SKIP
    >>> net = torch.nn.Sequential(
    ...     torch.nn.Conv2d(2, 8, 3, padding=1),
    ...     torch.nn.ReLU(),
    ...     torch.nn.Dropout2d(0.2),
    ...     torch.nn.Conv2d(8, 1, 1),
    ...     torch.nn.Sigmoid(),
    ... )  # doctest: +SKIP
    >>> bands = xr.DataArray(np.zeros((2, 600, 900), np.float32), dims=("band", "y", "x"))
    >>> xf.predict(bands, xf.models.torch(net), passes=20, seed=0)  # doctest: +SKIP
    """
    try:
        import torch as library
    except ImportError as error:
        msg = "xf.models.torch needs PyTorch: pip install 'xfusion[torch]'"
        raise ImportError(msg) from error
    if isinstance(module, library.export.ExportedProgram):
        module = module.module()
    if isinstance(module, library.nn.Module):
        module = _at_rest(copy.deepcopy(module))
        return TorchModel(module, dropout, device, mixed_precision, module_digest(module))
    if not callable(module):
        msg = f"the module is {type(module).__name__}: give a torch.nn.Module, or what makes one"
        raise TypeError(msg)
    from dask.base import tokenize

    # of a function that can be imported dask knows the name alone
    digest = str(tokenize(module, code_digest(module)))
    return TorchModel(module, dropout, device, mixed_precision, digest)


@dataclass(frozen=True)
class TorchModel(InGraph):
    """A network in PyTorch that takes and returns numpy arrays."""

    module: Any
    dropout: bool
    device: str | None
    mixed_precision: bool
    digest: str
    """Of its weights, structure and the code of its classes; or of the function that makes it."""
    _lock: Any = field(default_factory=threading.Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse layers of dropout that are not known."""
        if self.dropout and not self._is_made_later:
            [*dropouts(self.module)]

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process is sent: weights in memory, and no lock."""
        state = {k: v for k, v in vars(self).items() if k != "_lock"}
        if not self._is_made_later:
            with self._lock:  # hooks of a call under way are not to be copied
                state["module"] = copy.deepcopy(self.module).cpu()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what another process has sent."""
        vars(self).update(state, _lock=threading.Lock())

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Tell what it is by its weights, which are not to be looked at again."""
        return type(self).__name__, *self.described().items()

    def described(self) -> dict[str, Any]:
        """Return field -> value, of the module its digest and structure."""
        named = ("dropout", "mixed_precision", "digest")
        return {name: getattr(self, name) for name in named}

    @property
    def name(self) -> str:
        """What provenance calls it."""
        own = getattr(self.module, "__name__", None) if self._is_made_later else None
        return f"{own or type(self.module).__name__} {self.digest[:8]}"

    @property
    def takes_seed(self) -> bool:
        """Whether it has layers that drop."""
        if not self.dropout:
            return False
        # of one that is made later nobody knows yet
        return self._is_made_later or any(True for _ in dropouts(self.module))

    @property
    def _is_made_later(self) -> bool:
        return not hasattr(self.module, "state_dict")

    def __call__(
        self,
        pixels: NDArray[Any],
        *,
        seed: int | None = None,
        tile_seeds: Sequence[int] | None = None,
    ) -> Any:
        """Return what the network returns, as arrays.

        Parameters
        ----------
        pixels : array, shape (batch, band, y, x)
        seed, tile_seeds : int and sequence of int, optional
            What the noise of dropout follows from, that of channels and that of values.
        """
        import torch as library

        module, lock = self._module_and_lock
        device = self._device
        weights = next((p for p in module.parameters() if p.is_floating_point()), None)
        # a copy: torch warns of arrays that cannot be written
        tensor = library.tensor(pixels, device=device, dtype=getattr(weights, "dtype", None))
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        if tile_seeds is None:
            tile_seeds = [derived(seed, k) for k in range(len(pixels))]
        drops = dropping(module, seed, tile_seeds) if self.dropout else nullcontext()
        kind = library.device(device).type
        precision = library.autocast(kind) if self.mixed_precision else nullcontext()
        with lock:
            module.to(device)
            with drops, precision, library.inference_mode():
                found = module(tensor)
        if isinstance(found, tuple | list):
            return tuple(_as_array(each) for each in found)
        return _as_array(found)

    @property
    def _module_and_lock(self) -> tuple[Module, threading.Lock]:
        if not self._is_made_later:
            return self.module, self._lock
        # one lock for all that call what was made once
        made: tuple[Module, threading.Lock] = once(
            ("torch", self.digest), lambda: (_at_rest(self.module()), threading.Lock())
        )
        if self.dropout and not any(True for _ in dropouts(made[0])):
            msg = f"the module that {self.name} makes has no layer of dropout: dropout=False"
            raise ValueError(msg)
        return made

    @property
    def _device(self) -> str:
        import torch as library

        return self.device or ("cuda" if library.cuda.is_available() else "cpu")


def _at_rest(module: Module) -> Module:
    for weights in module.parameters():
        if weights.is_leaf:  # those in a copy of TorchScript are none
            weights.requires_grad_(requires_grad=False)
    if any(_trains(part) for part in module.modules()):
        msg = (
            f"{type(module).__name__} is a module of torch.export that was exported while it was "
            "in training mode, and stays in it: give the module itself, or call .eval() of it "
            "before it is exported"
        )
        raise ValueError(msg)
    try:
        return module.eval()
    except NotImplementedError:  # of one that was exported, which has no other mode
        return module


def _trains(part: Module) -> bool:
    """Whether an exported module drops or normalises as in training, as it was written down."""
    from torch.fx import GraphModule

    for node in part.graph.nodes if isinstance(part, GraphModule) else ():
        schema = getattr(node.target, "_schema", None)
        names = [argument.name for argument in getattr(schema, "arguments", ())]
        given = dict(zip(names, node.args, strict=False)) | node.kwargs
        # what keeps no statistics has those of what it sees in every mode
        of_all = getattr(schema, "overload_name", "") != "no_stats"
        of_all &= given.get("running_mean", node) is not None
        if of_all and (given.get("train") or given.get("training")):
            return True
    return False


def _as_array(found: Any) -> Any:
    """Return a tensor as floats that numpy has; anything else as it is, to be refused."""
    if not hasattr(found, "detach"):
        return found
    tensor = found.detach().cpu()
    is_half = tensor.is_floating_point() and tensor.itemsize < HALF
    return (tensor.float() if is_half else tensor).numpy()
