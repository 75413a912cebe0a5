"""Methods of accessor and products are the functions, to readers and to type checkers."""

import inspect
import pydoc
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xfusion as xf
from xfusion.accessor import DataArrayFusion, DatasetFusion

ROOT = Path(__file__).parents[1]
PRODUCTS = (xf.SensorProduct, xf.Sentinel1Product, xf.Sentinel2Product)
OF_XARRAY = ("isel", "sel")  # methods of its Dataset that a product has as well
FUNCTION_OF = {
    ("Sentinel1Product", "attach_mask"): "attach_gfm_mask",
    ("Sentinel2Product", "attach_mask"): "attach_s2_mask",
}


def delegations() -> list[tuple[type, str, Any]]:
    """Class, method and the function that it calls, of all methods that are functions."""
    found: list[tuple[type, str, Any]] = []
    for kind in (DatasetFusion, DataArrayFusion, *PRODUCTS):
        for name, method in vars(kind).items():
            ours = name[0] != "_" and name not in OF_XARRAY
            if ours and inspect.isfunction(method):
                function = getattr(xf, FUNCTION_OF.get((kind.__name__, name), name))
                found.append((kind, name, function))
    return found


DELEGATIONS = delegations()
IDS = [f"{kind.__name__}.{name}" for kind, name, _ in DELEGATIONS]


def documented(thing: Any) -> str:
    """What help() prints of a function or method, but for its title and where it is from."""
    text = pydoc.plain(pydoc.render_doc(thing)).partition("\n\n")[2]
    # from Python 3.13 on a long signature has a line for each argument
    head, arrow, rest = text.partition(" -> ")
    head = re.sub(r",?\s*\n\s*\)", ")", re.sub(r"\(\s*\n\s*", "(", head))
    text = re.sub(r",\s*\n\s*", ", ", head) + arrow + rest
    return re.sub(r" method of \S+ instance", "", text, count=1)


def test_help_of_a_method_is_that_of_its_function_but_for_the_first_argument() -> None:
    ones = xf.retrieval(np.ones((2, 2)), np.ones((2, 2)))
    for method, function in (
        (ones.fusion.gaussian, xf.gaussian),
        (ones.fusion.coregister, xf.coregister),
        (ones.mu.fusion.from_samples, xf.from_samples),
    ):
        first = re.search(r"\(\w+: [^,]+, /, ", documented(function))
        assert first is not None
        assert documented(method) == documented(function).replace(first.group(), "(", 1)


@pytest.mark.parametrize(("kind", "name", "function"), DELEGATIONS, ids=IDS)
def test_method_shows_arguments_text_and_an_example(kind: type, name: str, function: Any) -> None:
    method = getattr(kind, name)
    bound = 2 if issubclass(kind, xf.SensorProduct) and name == "attach_mask" else 1
    ours, theirs = (list(inspect.signature(f).parameters.values()) for f in (method, function))
    assert ours[1:] == theirs[bound:]
    assert theirs[0].kind is inspect.Parameter.POSITIONAL_ONLY
    assert method.__name__ == name
    text = inspect.getdoc(method) or ""
    assert all(f"{title}\n" in text for title in ("Returns", "Examples")), text
    assert len(ours) == 1 or "Parameters\n" in text
    section = text.partition("Parameters\n")[2].partition("Returns\n")[0]
    described = re.findall(r"^(\w[\w, *]*?)(?: :.*)?$", section, re.MULTILINE)
    names = {name.strip(" *") for line in described for name in line.split(",")}
    # all that is described is an argument, or what the method is called on
    assert names <= {p.name for p in ours} | {theirs[0].name}
    if not issubclass(kind, xf.SensorProduct):
        assert text == inspect.getdoc(function)


def test_completion_knows_the_methods_and_their_options() -> None:
    ones = xf.retrieval(np.ones((2, 2)), np.ones((2, 2)))
    assert {"gaussian", "coregister", "attach_s2_mask", "to_zarr"} <= {*dir(ones.fusion)}
    assert "correlation" in inspect.signature(ones.fusion.gaussian).parameters
    assert "advisory_flags" in inspect.signature(xf.Sentinel1Product.attach_mask).parameters


def test_products_say_that_they_return_products() -> None:
    assert "product of the same class" in (xf.SensorProduct.coregister.__doc__ or "")
    assert inspect.signature(xf.SensorProduct.coregister).return_annotation == "Self"
    assert inspect.signature(xf.SensorProduct.gaussian).return_annotation == "SensorProduct"


SNIPPET = """
import xarray as xr
import xfusion as xf

def misspelled(d: xr.Dataset, s1: xf.Sentinel1Product, s2: xf.Sentinel2Product) -> None:
    xf.gaussian(d, d, corelation=0.1)  # 1
    xf.coregister(d, d, resampleing="nearest")  # 2
    s1.gaussian(s2, corelation=0.1)  # 3
    s1.attach_mask(advisory=True)  # 4
    s2.attach_mask(ndvi_mx=0.6)  # 5
    xf.coregister(dataset=d, like=d)  # 6
    s1.to_zarr("water.zarr", resum=False)  # 7

def right(d: xr.Dataset, s1: xf.Sentinel1Product, s2: xf.Sentinel2Product) -> None:
    a: xf.Sentinel1Product = s1.coregister(s2, error_correlation=0).attach_mask(advisory_flags=True)
    b: xf.Sentinel2Product = s2.attach_mask(ndvi_max=0.6, offset=0).exclude(s2.mu > 0.5)
    c: xf.SensorProduct = a.gaussian(b, correlation=0.1, use_mask=False)
    e: xr.Dataset = xf.fuse(d, c, rule="mixture")
    f: xr.DataArray = c.exceedance(0.5)
    del e, f
"""


def test_a_type_checker_catches_a_misspelled_option(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api", reason="of the group lint")
    (tmp_path / "snippet.py").write_text(SNIPPET)
    config = ["--config-file", str(ROOT / "pyproject.toml")]
    cache = ["--cache-dir", str(ROOT / ".mypy_cache")]
    output, errors, _ = api.run([*config, *cache, str(tmp_path / "snippet.py")])
    marked = {i for i, line in enumerate(SNIPPET.splitlines(), start=1) if "  # " in line}
    lines = re.findall(r"snippet\.py:(\d+): error", output)
    assert {int(line) for line in lines} == marked, output + errors
