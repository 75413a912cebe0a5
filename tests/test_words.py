"""What is said where a name, an option or a place is wrong: what is meant, and the mend."""

import ast
import pickle
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xfusion as xf
from xfusion.wording import in_words_of_the_command, of_sensor


def one() -> xr.Dataset:
    pixels = np.arange(6.0).reshape(2, 3) + 1
    return xf.retrieval(pixels, pixels, sensor="radar")


# Names


@pytest.mark.parametrize(
    ("of", "name", "said"),
    [
        ("dataset", "gausian", "Dataset.fusion has no 'gausian'; did you mean 'gaussian'?"),
        ("dataset", "usabel", "did you mean 'usable'?"),
        ("dataset", "from_samples", "it is da.fusion.from_samples"),
        ("dataset", "isel", "it is ds.fusion.product.isel"),
        ("array", "from_sample", "DataArray.fusion has no .* did you mean 'from_samples'?"),
        ("array", "gaussian", "it is ds.fusion.gaussian"),
        ("product", "coregistre", "Sentinel1Product has no .* did you mean 'coregister'?"),
        ("product", "ndvi", "it is product.dataset.fusion.ndvi"),
        ("product", "mean", "it is product.dataset.mean"),
    ],
)
def test_an_unknown_name_suggests_what_is_meant(of: str, name: str, said: str) -> None:
    things = {
        "dataset": one().fusion,
        "array": one().mu.fusion,
        "product": xf.Sentinel1Product(dataset=one()),
    }
    with pytest.raises(AttributeError, match=said.replace("?", r"\?")) as caught:
        getattr(things[of], name)
    shown = "".join(traceback.format_exception_only(caught.value))
    assert shown.lower().count("did you mean") <= 1  # Python adds its own


def test_a_name_that_is_like_none_is_no_riddle() -> None:
    with pytest.raises(AttributeError, match="Dataset.fusion has no 'xyzzy'$"):
        _ = one().fusion.xyzzy
    assert not hasattr(one().fusion, "_repr_png_")


@pytest.mark.parametrize("of", ["accessor", "product"])
def test_an_unknown_option_suggests_what_is_meant(of: str) -> None:
    thing = one().fusion if of == "accessor" else one().fusion.product
    with pytest.raises(TypeError, match="gaussian has no option 'corelation'; did you mean 'corr"):
        thing.gaussian(one(), corelation=0.5)
    with pytest.raises(TypeError, match="exclude has no option 'xyzzy': it has excluded, flag"):
        thing.exclude(one().mu > 1, xyzzy=1)


def test_products_are_selected_from_as_datasets_are() -> None:
    product = xf.Sentinel1Product(dataset=one())
    selected = product.isel(x=slice(2))
    assert type(selected) is xf.Sentinel1Product
    xr.testing.assert_identical(selected.dataset, product.dataset.isel(x=slice(2)))
    assert product.isel({"x": 0}, drop=True).mu.dims == ("y",)
    series = xf.Sentinel1Product(dataset=one().expand_dims(time=[2020, 2021]))
    assert type(series.sel(time=2021)) is xf.Sentinel1Product
    assert int(series.sel(time=2022, method="nearest").dataset.time) == 2021


def test_brackets_of_a_product_are_those_of_its_dataset() -> None:
    product = xf.Sentinel1Product(dataset=one())
    xr.testing.assert_identical(product["mu"], product.mu)
    assert type(product[{"x": slice(1)}]) is xf.Sentinel1Product
    assert product[{"x": slice(1)}].mu.shape == (2, 1)
    assert type(product[["mu", "sigma"]]) is xf.Sentinel1Product
    with pytest.raises(KeyError, match="No variable named 'mask'"):
        _ = product["mask"]
    with pytest.raises(ValueError, match=r"lacks \['sigma'\]"):
        _ = product[["mu"]]
    assert "mu" in product
    assert "mask" not in product
    assert list(product) == ["mu", "sigma"]
    assert pickle.loads(pickle.dumps(product)).mu.shape == (2, 3)


# The command

# arguments that messages name in Python, where the command has an option or another way
ARGUMENT = re.compile(
    r"\b(catalog|items|datetime|resume|overwrite|item|allow_local|offset|time|to_zarr|grid)=(?![=}])"
)
# what the command never meets: it gives no items, no interval, and an address or a path
NOT_OF_THE_COMMAND = (
    "items= is empty",
    "none of the",
    "items={",
    "items= has",
    "datetime={",
    "catalog= takes",
    "offset={",
    "time={",  # with its value: see test_cli.py
    "grid={",
    ".isel(time=0)",
)


def messages() -> Iterator[tuple[str, str]]:
    """Yield the texts of the package that are no docstrings, with the file of each."""
    package = Path(xf.__file__).parent
    for path in sorted(package.rglob("*.py")):
        if path.name in ("wording.py", "cli.py") or path.parent.name == "demo":
            continue
        tree = ast.parse(path.read_text())
        statements = [n.value for n in ast.walk(tree) if isinstance(n, ast.Expr)]
        inside = {
            id(part) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for part in n.values
        }
        for node in ast.walk(tree):
            if node in statements or id(node) in inside:
                continue
            if isinstance(node, ast.JoinedStr):
                yield (
                    path.name,
                    "".join(
                        str(p.value) if isinstance(p, ast.Constant) else f"{{{ast.unparse(p)}}}"
                        for p in node.values
                    ),
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path.name, node.value


def test_no_message_that_the_command_may_show_names_an_argument_of_a_function() -> None:
    found = [(path, text) for path, text in messages() if ARGUMENT.search(text)]
    assert len(found) > 10
    left = {
        (path, words)
        for path, text in found
        if ARGUMENT.search(words := in_words_of_the_command(text))
        and not any(known in text for known in NOT_OF_THE_COMMAND)
    }
    assert not left


@pytest.mark.parametrize(
    ("sensor", "option"),
    [("s1", "--catalog-s1"), ("s2", "--catalog-s2"), ("radar", "--catalog-s1 or --catalog-s2")],
)
def test_an_error_of_a_sensor_names_its_catalogue(sensor: str, option: str) -> None:
    @of_sensor(sensor)
    def fail() -> None:
        msg = "none: pass items= or catalog="
        raise LookupError(msg)

    with pytest.raises(LookupError) as caught:
        fail()
    words = in_words_of_the_command(str(caught.value), caught.value)
    assert words == f"{sensor}: none: give another {option}"
