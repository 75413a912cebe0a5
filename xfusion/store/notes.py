"""What a finished store says of the job that wrote it: short, and without paths of a machine.

An unfinished run is compared with the whole description of its job. Of a finished one a digest
decides; what differs is named from what the store has anyway, its variables and attributes, and
from a note of the inputs and parameters that leave no trace there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from xfusion.datamodel.provenance import JOB
from xfusion.raster.state import CHANGED

from .fingerprint import ASSET, INPUT, PARAMETER, SHARDS, differences, metadata_of

if TYPE_CHECKING:
    import xarray as xr

    from .place import Place

MOST_INPUTS = 12  # that are noted by name: of the files of a long series the digest must do
DIGEST, METADATA = "digest", "metadata"
VERSION, MARKS = "xfusion", "parameters"
GROWN = "grown"  # which jobs have added dates: after how many, and a digest
SHORT = 12  # characters of a digest of one of many jobs
HALF = 4  # characters of a mark for the name of a parameter, and for its value


def note_of(job: Mapping[str, str]) -> str:
    """Return what a finished store keeps of a job, see :func:`with_digest` for what it lacks.

    Parameters
    ----------
    job : mapping
        As :func:`~xfusion.store.fingerprint.job_of` describes it.
    """
    note = {DIGEST: _hash(json.dumps(job, sort_keys=True), 32), VERSION: job.get(VERSION, "")}
    note[METADATA] = ""
    note |= dict([*_inputs(job).items()][:MOST_INPUTS])
    parameters = {k: v for k, v in job.items() if k.startswith(PARAMETER)}
    return json.dumps(note | {MARKS: "".join(_mark(k, v) for k, v in parameters.items())})


def is_of(note: str, job: Mapping[str, str]) -> bool:
    """Whether a finished store is of a job, by its note."""
    return _read(note).get(DIGEST) == _read(note_of(job))[DIGEST]


def with_growth(note: str, start: int, job: Mapping[str, str]) -> str:
    """Return the note of a finished store to which a job has added dates.

    Parameters
    ----------
    note : str
        That of the store before.
    start : int
        How many dates it had.
    job : mapping
        As of :func:`note_of`.
    """
    return json.dumps({**_read(note), GROWN: [*_growth(note), [start, _short_digest(job)]]})


def has_grown(note: str) -> bool:
    """Whether jobs have added dates to a store, by its note."""
    return bool(_growth(note))


def first_count(note: str, count: int) -> int:
    """Return how many dates the job has written that made a store, which has so many now."""
    return min([start for start, _ in _growth(note)], default=count)


def has_added(note: str, start: int, job: Mapping[str, str]) -> bool:
    """Whether it was this job that wrote the dates of a store that follow a number of others."""
    if start == 0:
        return is_of(note, job)
    return [start, _short_digest(job)] in _growth(note)


def history_of(note: str, number: int) -> list[Any] | None:
    """Return which jobs have written a date of a store and those before it; None if it is unknown.

    Parameters
    ----------
    note : str
    number : int
        Of the date, from 0.
    """
    first = _read(note).get(DIGEST)
    if first is None:
        return None
    return [first, *(pair for pair in _growth(note) if pair[0] <= number)]


def _growth(note: str) -> list[Any]:
    noted: Any = _read(note).get(GROWN)
    pairs = noted if isinstance(noted, list) else []
    return [pair for pair in pairs if isinstance(pair, list) and [*map(type, pair)] == [int, str]]


def _short_digest(job: Mapping[str, str]) -> str:
    return _read(note_of(job))[DIGEST][:SHORT]


def digest_of(root: Mapping[str, Any]) -> str:
    """Return the digest of the metadata of all of a store, but for itself in its note."""
    attributes = root.get("attributes", {})
    note = attributes.get(JOB)
    told = {**_read(str(note)), METADATA: ""}
    return _hash(json.dumps({**root, "attributes": {**attributes, JOB: told}}, sort_keys=True), 32)


def with_digest(root: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata at a root with their digest in its note."""
    attributes = root["attributes"]
    note = json.dumps({**_read(str(attributes[JOB])), METADATA: digest_of(root)})
    return {**root, "attributes": {**attributes, JOB: note}}


def noted_digest(root: Mapping[str, Any]) -> str | None:
    """Return the digest that was noted when the store was written, "" if the note is damaged.

    None of a store that was written otherwise.
    """
    note = root.get("attributes", {}).get(JOB)
    if note is not None:
        return str(_read(str(note)).get(METADATA, ""))
    # a name on the way to the note may be damaged
    return "" if any({DIGEST, MARKS} <= {*_read(text)} for text in _texts(root)) else None


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    if isinstance(part, dict | list):
        for inner in part.values() if isinstance(part, dict) else part:
            yield from _texts(inner)


def named_differences(note: str, place: Place, job: Mapping[str, str]) -> str:
    """Name in a line what differs between the job of a finished store and another one."""
    noted = _read(note)
    found = place.opened({})
    before = metadata_of(_in_its_blocks(found))
    before[VERSION] = noted.get(VERSION, "unknown")
    before[SHARDS] = str(_is_in_shards(found))
    now = {k: v for k, v in job.items() if k in before or _is_metadata(k)}
    inputs = _inputs(job)
    if len(inputs) <= MOST_INPUTS:
        before |= {k: v for k, v in noted.items() if k.startswith(INPUT)}
        now |= inputs
    marks = noted.get(MARKS, "")
    marked = {marks[i : i + HALF]: marks[i : i + 2 * HALF] for i in range(0, len(marks), 2 * HALF)}
    for name, value in job.items():
        mark = _mark(name, value)
        if name.startswith(PARAMETER) and marked and marked.get(mark[:HALF]) != mark:
            before[name] = "another" if mark[:HALF] in marked else "none"
            now[name] = value
    if before != now:
        # in the order of the retrieval, as a store has its variables in that of their names
        return differences({k: before[k] for k in now if k in before} | before, now)
    return (
        "values in memory, the folder of an input, an asset of an item, or a function, which a "
        "finished store keeps no more of than a digest"
    )


def _inputs(job: Mapping[str, str]) -> dict[str, str]:
    """Return the inputs of a job by the names of their files, without their folders."""
    inputs: dict[str, list[str]] = {}
    for name, state in job.items():
        if name.startswith(INPUT):
            file = name.removeprefix(INPUT).replace("\\", "/").rpartition("/")[2]
            inputs.setdefault(f"{INPUT}{file}", []).append(_short(state))
    return {name: ", ".join(sorted(states)) for name, states in inputs.items()}


def _short(state: str) -> str:
    """Return the state of a file with what only tells two files apart as a mark."""
    shown, apart, rest = state.partition(CHANGED)
    return f"{shown}, as {_hash(rest, HALF)}" if apart else state


def _is_metadata(name: str) -> bool:
    return not name.startswith((INPUT, ASSET, PARAMETER, "code ", "pixels "))


def _is_in_shards(dataset: xr.Dataset) -> bool:
    return any(variable.encoding.get("shards") for variable in dataset.variables.values())


def _in_its_blocks(dataset: xr.Dataset) -> xr.Dataset:
    """Return a finished store in its blocks, which are its shards, or the chunks of its layers."""
    is_in_shards = _is_in_shards(dataset)
    of, own = ("shards", dataset.variables) if is_in_shards else ("chunks", dataset.data_vars)
    return dataset.chunk(
        {
            dim: size
            for variable in own.values()
            for dim, size in zip(variable.dims, variable.encoding.get(of) or (), strict=False)
        }
    )


def _mark(name: str, value: str) -> str:
    return _hash(name, HALF) + _hash(value, HALF)


def _hash(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def _read(note: str) -> dict[str, str]:
    try:
        read = json.loads(note)
    except (ValueError, TypeError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
