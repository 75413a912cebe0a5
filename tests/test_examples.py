"""Each public function, class and method of ours has an example, which pytest runs as a doctest."""

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import xfusion as xf

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLE = re.compile(r"^Examples\n-{8}\n(?:.*\n)*?>>> ", re.MULTILINE)


def documented() -> Iterator[tuple[str, Any]]:
    """Yield what docs/api.md lists, by its name there."""
    owner: Any = xf
    for line in (DOCS / "api.md").read_text().splitlines():
        module = re.fullmatch(r"\.\. currentmodule:: (\w+)", line)
        if module:
            owner = importlib.import_module(module[1])
        name = re.fullmatch(r" {3}([A-Za-z][\w.]*)", line)
        if name:
            found = owner
            for part in name[1].split("."):
                inner = inspect.getattr_static(found, part, None)
                # an accessor, which a class hands out as what it is
                found = getattr(found, part) if inner is None or part == "fusion" else inner
            yield name[1], found


def exported() -> Iterator[tuple[str, Any]]:
    for module in (xf, xf.raster, xf.stac, xf.water, importlib.import_module("xfusion.demo")):
        for name in module.__all__:
            yield f"{module.__name__}.{name}", getattr(module, name)
    for kind in (xr.Dataset, xr.DataArray):
        accessor: Any = kind
        yield f"{kind.__name__}.fusion", accessor.fusion


def with_members(name: str, thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield a function, or a class and what it defines that can be called or looked up."""
    thing = getattr(thing, "__func__", thing)
    if inspect.isfunction(thing) or isinstance(thing, property):
        yield name, thing
    elif inspect.isclass(thing) and thing.__module__.startswith("xfusion"):
        yield name, thing
        for member, inner in vars(thing).items():
            # those of a protocol are for the user to write
            if not member.startswith("_") and not getattr(thing, "_is_protocol", False):
                yield from with_members(f"{name}.{member}", inner)


def public() -> dict[str, Any]:
    things = [*exported(), *documented()]
    return {n: t for name, thing in things for n, t in with_members(name, thing)}


PUBLIC = public()


def shows(thing: Any) -> bool:
    return EXAMPLE.search(inspect.getdoc(thing) or "") is not None


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_public_has_an_example(name: str) -> None:
    thing = PUBLIC[name]
    if isinstance(thing, property):
        # what a class holds may be shown by its own example
        owner = PUBLIC.get(name.rpartition(".")[0])
        attribute = name.rpartition(".")[2]
        assert shows(thing) or re.search(rf"\.{attribute}\b", inspect.getdoc(owner) or "")
    else:
        assert shows(thing)


def test_functions_methods_classes_and_properties_are_all_looked_at() -> None:
    for name in (
        "xfusion.gaussian",
        "xfusion.Calibration.to_json",
        "xfusion.Calibration.from_json",
        "xfusion.SensorProduct.open",
        "xfusion.SensorProduct.gaussian",
        "xfusion.SensorProduct.geobox",
        "xfusion.raster.open_raster",
        "xfusion.stac.search",
        "xfusion.models.water.fit",
        "xfusion.demo.run_demo",
        "fusion.rules.Rule",
        "masks.offset.offset_of",
        "view.explanation.Explanation",
        "Dataset.fusion.coregister",
        "DataArray.fusion.flags",
    ):
        assert name in PUBLIC, name


def test_what_is_public_is_on_the_page_of_the_api() -> None:
    listed = dict(documented())
    left = {
        f"{module.__name__}.{name}"
        for module in (xf, xf.raster, xf.stac, xf.water)
        for name in module.__all__
        if inspect.isfunction(thing := getattr(module, name)) or inspect.isclass(thing)
        if not any(thing is each for each in listed.values())
    }
    # whose methods are listed instead
    assert left == {"xfusion.DatasetFusion", "xfusion.DataArrayFusion"}
    methods = {
        f"{kind.__name__}.fusion.{name}"
        for kind, accessor in ((xr.Dataset, xf.DatasetFusion), (xr.DataArray, xf.DataArrayFusion))
        for name in vars(accessor)
        if not name.startswith("_")
    }
    assert methods == {name for name in listed if ".fusion." in name and name.startswith("Data")}


@pytest.mark.parametrize("doc", [None, "", "A sentence.", ">>> 1\n1", "Examples\n--------\nNone."])
def test_a_docstring_without_an_example_is_found(doc: str | None) -> None:
    class Undocumented:
        __doc__ = doc

    assert not shows(Undocumented)
    Undocumented.__doc__ = "A sentence.\n\nExamples\n--------\nSo:\n\n>>> 1\n1"
    assert shows(Undocumented)


def test_the_examples_are_run_where_they_are_written() -> None:
    # by --doctest-modules, from the files of the package
    package = Path(xf.__file__).parent
    for name, thing in PUBLIC.items():
        inner = thing.fget if isinstance(thing, property) else thing
        written = importlib.import_module(inner.__module__).__file__
        assert written is not None, name
        assert package in Path(written).parents, name
