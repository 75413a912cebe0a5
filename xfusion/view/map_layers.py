"""Which layers a report shows, what they are called, and in which colours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xfusion.datamodel.building import usable
from xfusion.datamodel.flags import Exclusion, contributors
from xfusion.datamodel.grid import spatial_dims
from xfusion.datamodel.names import (
    CHI2,
    CONFLICT,
    COUNT,
    DIFFERENCE,
    MASK,
    MU,
    SIGMA,
    SOURCE,
    WEIGHT,
)
from xfusion.datamodel.palette import (
    CONTRADICTION,
    OTHERS,
    SEVERAL,
    colours_of_mask,
    colours_of_source,
)
from xfusion.datamodel.reference import on_grid
from xfusion.datamodel.times import label_text
from xfusion.datamodel.units import DIMENSIONLESS, units_of
from xfusion.datamodel.validation import Retrieval, as_retrieval

from .palette import RAMPS
from .scales import Scale, of_usable, scale_of_layers

MOST = 48  # layers
FIRST = 8  # of them that are shown at the beginning
BITS = 8
KNOWN = (MU, SIGMA, MASK, SOURCE, CONFLICT, CHI2, DIFFERENCE, COUNT)
TITLES = {
    MU: "Estimate (mu)",
    SIGMA: "Uncertainty (sigma)",
    MASK: "Reasons (mask)",
    SOURCE: "Contributors (source)",
    CONFLICT: "Contradiction (conflict)",
    CHI2: "Chi-square (chi2)",
    DIFFERENCE: "Normalised difference",
    COUNT: "Retrievals (count)",
    "exceedance": "Probability of exceeding",
}
LOOKED = "looked"  # the coordinate of a look of which not every block is read
Kind: TypeAlias = Literal["number", "flags", "part"]


@dataclass(frozen=True, kw_only=True)
class MapLayer:
    """A layer of the report."""

    name: str
    """Of the variable in what is looked at."""
    title: str
    kind: Kind
    """Numbers, bit flags, or the part of another that is of no panel of its own."""
    group: str = ""
    """Layers of one group have one scale."""
    units: str = ""
    mask: str | None = None
    """The layer that says where this one is excluded."""
    bits: Mapping[int, str] = field(default_factory=dict)
    none: str = ""
    """What no bit means."""

    @property
    def of_cell(self) -> int:
        """Bytes of a cell."""
        return 2 if self.kind == "number" else 1


def layers_of(
    dataset: xr.Dataset, sensors: Sequence[Retrieval], reference: xr.DataArray | None
) -> tuple[xr.Dataset, list[MapLayer]]:
    """Return what is to be looked at, on one grid, and which layers it is.

    Parameters
    ----------
    dataset : Dataset
        A retrieval, checked.
    sensors : sequence of Dataset or product
        Retrievals on its grid.
    reference : DataArray, optional

    Raises
    ------
    ValueError
        If one is on another grid.
    """
    dims = dataset[MU].dims
    arrays: dict[str, xr.DataArray] = {}
    layers: list[MapLayer] = []
    for array, layer in (*_own(dataset), *_of_sensors(dataset, sensors)):
        arrays[layer.name] = array
        layers.append(layer)
    if reference is not None:
        there = on_grid(dataset, reference)
        if there.dtype.kind != "f":
            there = there.astype(np.float32)
        units = units_of(reference) or ""
        arrays["reference"] = there.transpose(*dims)
        layers.append(
            MapLayer(name="reference", title="Reference", kind="number", group=MU, units=units)
        )
    layers = layers[:MOST]
    kept = {layer.name: arrays[layer.name].variable for layer in layers}
    return xr.Dataset(kept, _coords(dataset)), layers


def in_dtypes(looked: xr.Dataset, layers: Sequence[MapLayer]) -> xr.Dataset:
    """Return layers in memory in the dtypes that a page takes: what is cast is no store's layer."""
    dtypes = {each.name: np.float64 if each.kind == "number" else np.uint8 for each in layers}
    kept = {name for name in dtypes if looked[name].dtype.kind == "f"}
    return looked.assign({n: looked[n].astype(t) for n, t in dtypes.items() if n not in kept})


def _coords(dataset: xr.Dataset) -> dict[Any, xr.Variable]:
    dims = spatial_dims(dataset) or ()
    return {k: v.variable for k, v in dataset.coords.items() if {*v.dims} <= {*dims}}


def _own(dataset: xr.Dataset) -> Iterator[tuple[xr.DataArray, MapLayer]]:
    """Yield the layers of a retrieval, those that everyone asks for first."""
    dims, units = dataset[MU].dims, units_of(dataset[MU]) or ""
    known = [n for n in KNOWN if n in dataset.data_vars]
    others = [n for n in map(str, dataset.data_vars) if n not in (*KNOWN, WEIGHT)]
    for name in [*known, *others]:
        array = dataset[name]
        if array.dims != dims or array.dtype.kind not in "buif":
            continue
        title = TITLES.get(name, name)
        if name == MASK:
            yield array, _mask_layer(name, title)
        elif name in (SOURCE, CONFLICT) or array.dtype == np.bool_ or "flag_masks" in array.attrs:
            yield array, _flags_layer(name, title, array)
        else:
            own = units if name in (MU, SIGMA) else units_of(array) or ""
            yield array, MapLayer(name=name, title=title, kind="number", group=name, units=own)
    if WEIGHT in dataset.data_vars and {*dims} < {*dataset[WEIGHT].dims}:
        weight = dataset[WEIGHT]
        (along,) = {*weight.dims} - {*dims}
        for k in range(weight.sizes[along]):
            one = weight.isel({along: k}, drop=True).transpose(*dims)
            label = label_text(weight.coords[along].to_numpy()[k]) if along in weight.coords else k
            title = f"Weight of {label}"
            yield one, MapLayer(name=f"{WEIGHT}_{k}", title=title, kind="number", group=WEIGHT)


def _of_sensors(
    dataset: xr.Dataset, sensors: Sequence[Retrieval]
) -> Iterator[tuple[xr.DataArray, MapLayer]]:
    """Yield what each sensor says."""
    dims = dataset[MU].dims
    for k, each in enumerate(map(as_retrieval, sensors)):
        name = str(each.attrs.get("sensor", f"sensor {k + 1}"))
        mu = on_grid(dataset, each[MU], name=f"mu of {name}").transpose(*dims)
        # what is broken is excluded as well, and no bit of the mask says so
        flags = each[MASK] if MASK in each else xr.zeros_like(each[MU], np.uint8)
        broken = ~usable(each.drop_vars(MASK, errors="ignore"))
        flags = xr.where(broken & (flags == 0), np.uint8(Exclusion.DEFECTIVE), flags)
        flags = on_grid(dataset, flags.astype(np.uint8), name=f"mask of {name}").transpose(*dims)
        mask = f"sensor_{k}_mask"
        yield (
            mu,
            MapLayer(
                name=f"sensor_{k}_mu",
                title=f"{name}: mu",
                kind="number",
                group=MU,
                units=units_of(each[MU]) or "",
                mask=mask,
            ),
        )
        own = _mask_layer(mask, f"{name}: mask")
        yield flags, MapLayer(**{**vars(own), "kind": "part"})


def _mask_layer(name: str, title: str) -> MapLayer:
    bits = {flag.value: str(flag.name).lower().replace("_", " ") for flag in Exclusion}
    return MapLayer(name=name, title=title, kind="flags", bits=bits, none="usable")


def _flags_layer(name: str, title: str, array: xr.DataArray) -> MapLayer:
    if name == CONFLICT or array.dtype == np.bool_:
        return MapLayer(name=name, title=title, kind="flags", bits={1: "yes"}, none="no")
    meanings = str(array.attrs.get("flag_meanings", "")).split()
    masks = [int(m) for m in np.atleast_1d(array.attrs.get("flag_masks", ()))]
    bits = {m: text for m, text in zip(masks, meanings, strict=False) if 0 < m < 1 << BITS}
    return MapLayer(name=name, title=title, kind="flags", bits=bits, none="none")


# How they look


def drawn(layers: Sequence[MapLayer], looked: xr.Dataset) -> list[dict[str, Any]]:
    """Return how each layer is drawn, as the script takes it."""
    places = {layer.name: k for k, layer in enumerate(layers)}
    scales = _scales(layers, looked)
    shown = 0
    every = []
    for layer in layers:
        array = looked[layer.name]
        has_panel = layer.kind != "part"
        said: dict[str, Any] = {
            "title": layer.title,
            "kind": "number" if layer.kind == "number" else "flags",
            "panel": has_panel,
            "shown": has_panel and shown < FIRST and (layer.name != CONFLICT or bool(array.any())),
            "units": "" if layer.units in DIMENSIONLESS else layer.units,
            "mask": None if layer.mask is None else places.get(layer.mask),
            "sampled": "look_every" in array.attrs,
            "overview": int(array.attrs.get("look_overview", 1)),
        }
        shown += said["shown"]
        if layer.kind == "number":
            (low, high), ramp = scales[layer.group or layer.name]
            said |= {"from": low, "to": high, "ramp": [*RAMPS[ramp]]}
        else:
            said |= _colours(layer, array.to_numpy())
        every.append(said)
    return every


def _scales(layers: Sequence[MapLayer], looked: xr.Dataset) -> dict[str, Scale]:
    groups: dict[str, list[NDArray[Any]]] = {}
    units = {layer.group or layer.name: layer.units for layer in reversed(layers)}
    for layer in layers:
        if layer.kind == "number":
            # of a sensor what is excluded is grey; of a retrieval alone it is shown
            own = MASK if layer.name in (MU, SIGMA) and MASK in looked else None
            flags = layer.mask or own
            mask = None if flags is None else looked[flags].to_numpy()
            told = of_usable(looked[layer.name].to_numpy(), mask)
            groups.setdefault(layer.group or layer.name, []).append(told)
    return {
        name: scale_of_layers(name, np.concatenate(each), units[name])
        for name, each in groups.items()
    }


def _colours(layer: MapLayer, codes: NDArray[Any]) -> dict[str, Any]:
    """Return the colours of bits, and of the codes of several bits where there are few of these."""
    names = [*layer.bits.values()]
    is_source, several_colour = layer.name == SOURCE, SEVERAL
    if is_source:
        table, several_colour = colours_of_source(len(names)), OTHERS
    else:
        table = colours_of_mask(names)
    if layer.name == CONFLICT:
        table[1] = CONTRADICTION
    single = {bit: table[1 << k] for k, bit in enumerate(layer.bits)}
    found, counts = np.unique(codes.astype(np.uint8), return_counts=True)
    there = [int(code) for code in found[np.argsort(-counts, kind="stable")]]
    several = [code for code in there if code and code not in single]
    own = [code for code in several if is_source and table.get(code, OTHERS) != OTHERS]
    colours = {code: table[code] for code in own}
    labels = [(contributors(code, names), colour) for code, colour in colours.items()]
    seen = int(np.bitwise_or.reduce(found)) if found.size else 0
    legend = [(name, single[bit]) for bit, name in layer.bits.items() if seen & bit]
    legend += [*labels, *([("several", several_colour)] if len(several) > len(own) else [])]
    zero = table[0]
    if 0 in there:
        legend.insert(0, (layer.none, zero))
    return {
        "bits": [{"bit": b, "name": n, "colour": single[b]} for b, n in layer.bits.items()],
        "colours": colours,
        "zero": zero,
        "several": several_colour,
        "none": layer.none,
        "legend": legend,
    }
