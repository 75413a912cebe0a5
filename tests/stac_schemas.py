"""Validation of STAC items and collections without a network.

pystac ships the schemas of STAC 1.1 itself. Those of the extensions it would fetch; here are our
own of the fields that we write, after the tables in the extensions' documentation. A field of an
extension that is not in its table is refused, so is an extension that is not here.
"""

import re
from typing import Any

import pystac
from pystac.validation.stac_validator import JsonSchemaSTACValidator

NUMBERS = {"type": "array", "items": {"type": "number"}}
CLASS = {
    "type": "object",
    "required": ["value", "name"],
    "additionalProperties": False,
    "properties": {
        "value": {"type": "integer"},
        "name": {"type": "string", "pattern": "^[0-9A-Za-z_-]+$"},
        "title": {"type": "string"},
        "description": {"type": "string"},
        "count": {"type": "integer", "minimum": 0},
        "color_hint": {"type": "string", "pattern": "^[0-9A-F]{6}$"},
    },
}
CLASSES = {"type": "array", "minItems": 1, "uniqueItems": True, "items": CLASS}
BITFIELD = {
    "type": "object",
    "required": ["offset", "length", "classes"],
    "additionalProperties": False,
    "properties": {
        "offset": {"type": "integer", "minimum": 0},
        "length": {"type": "integer", "minimum": 1},
        "classes": CLASSES,
        "name": {"type": "string"},
        "description": {"type": "string"},
    },
}
# version, prefix, fields
TABLES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "projection": (
        "2.0.0",
        "proj",
        {
            "code": {"type": ["string", "null"], "pattern": r"^[A-Z]+:\w+$"},
            "wkt2": {"type": ["string", "null"], "pattern": r"^[A-Z]+CRS\["},
            "shape": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
            "transform": NUMBERS | {"minItems": 6, "maxItems": 6},
            "bbox": NUMBERS | {"minItems": 4, "maxItems": 4},
        },
    ),
    "raster": (
        "2.0.0",
        "raster",
        {
            "sampling": {"enum": ["area", "point"]},
            "spatial_resolution": {"type": "number"},
            "scale": {"type": "number"},
            "offset": {"type": "number"},
        },
    ),
    "classification": (
        "2.0.0",
        "classification",
        {
            "classes": CLASSES,
            "bitfields": {"type": "array", "minItems": 1, "uniqueItems": True, "items": BITFIELD},
        },
    ),
    "file": (
        "2.1.0",
        "file",
        {
            "size": {"type": "integer", "minimum": 0},
            "checksum": {"type": "string", "pattern": "^[a-f0-9]+$"},
        },
    ),
    "processing": (
        "1.2.0",
        "processing",
        {
            "lineage": {"type": "string", "minLength": 1},
            "version": {"type": "string"},
            "software": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    ),
}


def validate(item: pystac.Item | pystac.Collection) -> list[Any]:
    """Validate an item or a collection, without a network; return the schemas it was met with."""
    validator = JsonSchemaSTACValidator()
    for name, (version, prefix, fields) in TABLES.items():
        uri = f"https://stac-extensions.github.io/{name}/v{version}/schema.json"
        validator.schema_cache[uri] = _schema(uri, prefix, fields)
    missing = set(item.stac_extensions) - set(validator.schema_cache)
    assert not missing, f"no schema here for {missing}"
    return item.validate(validator=validator)


def prefixes(fields: Any) -> set[str]:
    """Return the prefixes of all fields, however deep."""
    if isinstance(fields, dict):
        own = {k.partition(":")[0] for k in fields if re.match(r"[a-z]+:[a-z]", k)}
        return own.union(*map(prefixes, fields.values()))
    return set().union(*map(prefixes, fields)) if isinstance(fields, list) else set()


def _schema(uri: str, prefix: str, fields: dict[str, Any]) -> dict[str, Any]:
    own = {
        "type": "object",
        "properties": {f"{prefix}:{name}": field for name, field in fields.items()},
        "patternProperties": {f"^(?!{prefix}:)": True},
        "additionalProperties": False,
    }
    bands: dict[str, Any] = {"properties": {"bands": {"items": own}}}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": uri,
        "properties": {
            "stac_extensions": {"contains": {"const": uri}},
            "properties": own,
            "assets": {"additionalProperties": {"allOf": [own, bands]}},
            "item_assets": {"additionalProperties": {"allOf": [own, bands]}},
        },
    }
