"""What an item says of its files once they are written: statistics, sizes and checksums."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .statistics import Counted

if TYPE_CHECKING:
    import pystac

SHA_256 = "1220"  # of a multihash: what follows is SHA-256, 32 bytes long


def add_facts(item: pystac.Item, folder: Path, known: Mapping[str, Sequence[Counted]]) -> None:
    """Add to the assets of an item what is known of their files.

    Parameters
    ----------
    item : pystac.Item
    folder : Path
        Where its files are.
    known : mapping
        Name of a file -> what was counted of each band as it was written.
    """
    from pystac.extensions.classification import ClassificationExtension
    from pystac.extensions.file import FileExtension

    for asset in item.assets.values():
        path = folder / asset.href.removeprefix("./")
        fields = asset.extra_fields
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size, checksum = path.stat().st_size, f"{SHA_256}{digest}"
        FileExtension.ext(asset).apply(size=size, checksum=checksum)
        counted = known[path.name]
        fields["bands"] = [
            _with_statistics(band, each)
            for band, each in zip(fields["bands"], counted, strict=True)
        ]
        codes = counted[0].codes
        for each in ClassificationExtension.ext(asset).classes or []:
            each.count = None if codes is None else int(codes[each.value])


def _with_statistics(band: dict[str, Any], counted: Counted) -> dict[str, Any]:
    statistics = counted.statistics()
    return {**band, "statistics": statistics} if statistics else band
