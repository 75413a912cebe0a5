"""Methods that are functions of what they are called on: one signature and one docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    import xarray as xr

    from xfusion.masks.recipe import MaskRecipe

    from .products import SensorProduct

P = ParamSpec("P")
R = TypeVar("R")
Product = TypeVar("Product", bound="SensorProduct")


def of_object(function: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Return the method of an accessor: the function of its Dataset or DataArray."""

    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return function(self._obj, *args, **kwargs)

    return cast("Callable[Concatenate[Any, P], R]", _described(method, function))


def of_dataset(function: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Return the method of a product: the function of its Dataset."""

    def method(self: SensorProduct, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return function(self.dataset, *args, **kwargs)

    return cast("Callable[Concatenate[Any, P], R]", _described(method, function))


def of_product(
    function: Callable[Concatenate[Any, P], xr.Dataset],
) -> Callable[Concatenate[Product, P], Product]:
    """Return the method of a product that returns one of its own class."""

    def method(self: Product, /, *args: P.args, **kwargs: P.kwargs) -> Product:
        return type(self)(dataset=function(self.dataset, *args, **kwargs))

    described = _described(method, function, returns="Self")
    return cast("Callable[Concatenate[Product, P], Product]", described)


def of_sensors(
    function: Callable[Concatenate[Any, P], xr.Dataset],
) -> Callable[Concatenate[Any, P], SensorProduct]:
    """Return the method of a product whose result is of no one sensor."""

    def method(self: SensorProduct, /, *args: P.args, **kwargs: P.kwargs) -> SensorProduct:
        from .products import SensorProduct

        return SensorProduct(dataset=function(self.dataset, *args, **kwargs))

    described = _described(method, function, returns="SensorProduct")
    return cast("Callable[Concatenate[Any, P], SensorProduct]", described)


def of_recipe(
    function: Callable[Concatenate[Any, MaskRecipe, P], xr.Dataset],
) -> Callable[Concatenate[Product, P], Product]:
    """Return the method of a product that hands on the recipe of its class as well."""

    def method(self: Product, /, *args: P.args, **kwargs: P.kwargs) -> Product:
        if self.recipe is None:
            msg = f"{type(self).__name__} has no recipe: use a sensor's own product class"
            raise TypeError(msg)
        return type(self)(dataset=function(self.dataset, self.recipe, *args, **kwargs))

    described = _described(method, function, returns="Self", bound=2)
    described.__name__ = "attach_mask"  # whatever the sensor, this is how its product calls it
    return cast("Callable[Concatenate[Product, P], Product]", described)


def _described(
    method: Any, function: Callable[..., Any], *, returns: str | None = None, bound: int = 1
) -> Any:
    """Let help, completion and Sphinx show the function's name, arguments and docstring.

    Parameters
    ----------
    method, function : callable
    returns : str, optional
        What the method returns, where the function returns a Dataset.
    bound : int
        How many of the function's arguments the object knows.
    """
    signature = inspect.signature(function)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    parameters = [own, *list(signature.parameters.values())[bound:]]
    method.__signature__ = signature.replace(parameters=parameters)
    method.__name__, method.__doc__ = function.__name__, function.__doc__
    method.__module__, method.__qualname__ = function.__module__, function.__qualname__
    for argument in list(signature.parameters)[1:bound]:
        _replace(method, rf"^{argument} :.*\n(?:    .*\n)+", "")
    if returns is not None:
        method.__signature__ = method.__signature__.replace(return_annotation=returns)
        text = {"Self": "product of the same class"}.get(returns, returns)
        _replace(method, r"(^Returns\n-+\n)Dataset\b", rf"\1{text}")
    return method


def _replace(method: Any, pattern: str, text: str) -> None:
    # Python indents docstrings until 3.12, and no more
    doc = inspect.cleandoc(method.__doc__)
    method.__doc__ = re.sub(pattern, text, doc, count=1, flags=re.MULTILINE)
