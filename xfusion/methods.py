"""Methods that are functions of what they are called on: one signature and one docstring."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    import xarray as xr

    from xfusion.masks.recipe import MaskRecipe

    from .products import SensorProduct

P = ParamSpec("P")
R = TypeVar("R")
Product = TypeVar("Product", bound="SensorProduct")


class OnDask:
    """What dask asks of a product: it computes, persists and tokenizes its Dataset."""

    dataset: xr.Dataset

    def __dask_graph__(self) -> Any:
        return self.dataset.__dask_graph__()

    def __dask_keys__(self) -> Any:
        return self.dataset.__dask_keys__()

    def __dask_layers__(self) -> Any:
        return self.dataset.__dask_layers__()

    @property
    def __dask_optimize__(self) -> Any:
        return self.dataset.__dask_optimize__

    @property
    def __dask_scheduler__(self) -> Any:
        return self.dataset.__dask_scheduler__

    def __dask_postcompute__(self) -> Any:
        return self._rebuilt, self.dataset.__dask_postcompute__()

    def __dask_postpersist__(self) -> Any:
        return self._rebuilt, self.dataset.__dask_postpersist__()

    def __dask_tokenize__(self) -> Any:
        return type(self), self.dataset.__dask_tokenize__()

    def _rebuilt(self, results: Any, function: Any, arguments: Any) -> Any:
        kind: Any = type(self)
        return kind(dataset=function(results, *arguments))


def of_object(function: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Return the method of an accessor: the function of its Dataset or DataArray."""

    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        _check_options(method, kwargs)
        return function(self._obj, *args, **kwargs)

    return cast("Callable[Concatenate[Any, P], R]", _described(method, function))


def of_dataset(function: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Return the method of a product: the function of its Dataset."""

    def method(self: SensorProduct, /, *args: P.args, **kwargs: P.kwargs) -> R:
        _check_options(method, kwargs)
        return function(self.dataset, *args, **kwargs)

    return cast("Callable[Concatenate[Any, P], R]", _described(method, function))


def of_product(
    function: Callable[Concatenate[Any, P], xr.Dataset],
) -> Callable[Concatenate[Product, P], Product]:
    """Return the method of a product that returns one of its own class."""

    def method(self: Product, /, *args: P.args, **kwargs: P.kwargs) -> Product:
        _check_options(method, kwargs)
        return type(self)(dataset=function(self.dataset, *args, **kwargs))

    described = _described(method, function, returns="Self")
    return cast("Callable[Concatenate[Product, P], Product]", described)


def of_sensors(
    function: Callable[Concatenate[Any, P], xr.Dataset],
) -> Callable[Concatenate[Any, P], SensorProduct]:
    """Return the method of a product whose result is of no one sensor."""

    def method(self: SensorProduct, /, *args: P.args, **kwargs: P.kwargs) -> SensorProduct:
        from .products import SensorProduct

        _check_options(method, kwargs)
        return SensorProduct(dataset=function(self.dataset, *args, **kwargs))

    described = _described(method, function, returns="SensorProduct")
    return cast("Callable[Concatenate[Any, P], SensorProduct]", described)


def of_recipe(
    function: Callable[Concatenate[Any, MaskRecipe, P], xr.Dataset],
) -> Callable[Concatenate[Product, P], Product]:
    """Return the method of a product that hands on the recipe of its class as well."""

    def method(self: Product, /, *args: P.args, **kwargs: P.kwargs) -> Product:
        _check_options(method, kwargs)
        if self.recipe is None:
            msg = f"{type(self).__name__} has no recipe: use a sensor's own product class"
            raise TypeError(msg)
        return type(self)(dataset=function(self.dataset, self.recipe, *args, **kwargs))

    described = _described(method, function, returns="Self", bound=2)
    described.__name__ = "attach_mask"  # whatever the sensor, this is how its product calls it
    return cast("Callable[Concatenate[Product, P], Product]", described)


def refuse_unknown(of: object, name: str, called: str, others: Mapping[str, type]) -> NoReturn:
    """Raise the error of an attribute that is not there, with what may be meant.

    Parameters
    ----------
    of : object
        What was asked for it.
    name : str
        The attribute.
    called : str
        What the error calls the object.
    others : mapping
        How to write what has other attributes -> its class; the first that has it is named.
    """
    if name in dir(type(of)):  # a property that failed for want of another attribute
        object.__getattribute__(of, name)
    near = _nearest(name, [n for n in dir(type(of)) if n[0] != "_"])
    where = [f"{other}.{name}" for other, kind in others.items() if name in dir(kind)]
    if name[0] == "_" or not (near or where):
        hint = ""
    else:
        hint = f"; it is {where[0]}" if where else f"; did you mean {near!r}?"
    msg = f"{called} has no {name!r}{hint}"
    # with `obj` and no `name` Python adds no suggestion of its own to a traceback
    raise AttributeError(msg, obj=of)


def _check_options(method: Any, options: Iterable[str]) -> None:
    """Refuse options of no such name with the nearest: Python names none."""
    parameters = inspect.signature(method).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    for option in options:
        if option not in known:
            near = _nearest(option, known)
            hint = f"; did you mean {near!r}?" if near else f": it has {', '.join(known) or 'none'}"
            msg = f"{method.__name__} has no option {option!r}{hint}"
            raise TypeError(msg)


def _nearest(name: str, names: list[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, names, n=1)), None)


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
