"""Errors in the words of the command: its options, for the arguments of the functions below it.

Messages name the call that mends them, in Python. Whoever typed a command has options instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import click

from .datamodel.redaction import public

WITH_CATALOG = ("s1", "s2")  # sensors whose catalogue has an option
NOTE = re.compile(r"of the sensor '(.+)'")
CATALOG_NOTE = re.compile(r"by the catalogue '(.+)'")

# of what reads a store, which does not name it
DAMAGED = ("computed checksum do not match", "Zstd decompression error")
# of what words say of an offset that is not certain
MASK_IN_PYTHON = "attach the mask in Python, where"
AS_FOURTH = " is an argument, and give it as the fourth value of --sensor"

# What a message says -> what it says to who typed a command. {catalog} is the option of the sensor.
WORDS = {
    r"(?:xf\.plot\([^)]*\)\), )?or give time=, one of its labels": "give --time, one of its labels",
    r"pass datetime='[^']*', or time= when it is opened": "give its day, --date 2023-06-20",
    r"time='2023-06-20' when it is opened, or ": "--date 2023-06-20, or ",
    r"\btime='([^']*)' is not": r"--date '\1' is not",
    r"\bdatetime='([^']*)' uses": r"--date \1 uses",
    r"check the date, or pass items= or catalog=": "check --date, or give another {catalog}",
    r"pass items= or catalog=": "give another {catalog}",
    r"if you trust it, open it with pystac_client.Client, and pass that as catalog=": (
        "if you trust it, give {catalog} a file with its items"
    ),
    r"ask for fewer days, or pass items=": "give {catalog} a file with those to use",
    r", or pass its items as items=": ", or give another {catalog}",
    r"leave it out of items=": "leave it out, giving {catalog} a file with the others",
    # items of a file of this machine may have its files read
    r"pass allow_local=True if you trust it": "if you trust it, give {catalog} a file with it",
    r"Say offset=0 or offset=-1000 if you know it": (
        "If you know it, attach the mask in Python, where offset is an argument, and give it as "
        "the fourth value of --sensor"
    ),
    r"begin anew with resume=False": "begin anew with --restart",
    r"call xf\.to_zarr again as it was, and it goes on": "give the same command again, it goes on",
    r"take the store from it with force=True": "take the store from it with --force",
    r"timeout= is how many": "--timeout is how many",
    r"call to_zarr again": "give the same command again",
    r"pass overwrite=True to replace it, or another folder or prefix": (
        "give --restart to replace it, or another --out"
    ),
    r"is no report: pass overwrite=True": "is no report: give --overwrite",
    r"assess\(\.\.\., kind='continuous'\)": "--kind continuous",
    r"choose another (store|folder|path)\b": "choose another --out",
    r"write a part, \.isel\(\.\.\.\)": "take a coarser --grid",
    r"\.assign_coords\(time=np\.datetime64\(\.\.\.\)\), or leave the item out, item=False": (
        "give it, --date 2023-06-20"
    ),
    r"cut the grid smaller with \.isel, or leave out the item, item=False": "take another --grid",
    r"call (\w+)\.rio\.reproject_match\(\w+\) first": (
        r"warp the file of \1 onto the other first, e.g. rio warp --like"
    ),
    r"warp it first, \.rio\.reproject\(crs\)": "warp it first, e.g. gdalwarp -t_srs",
    r"\.mu\.attrs\['units'\] = \.\.\.": "in the tags of its file, e.g. rio edit-info --units",
    r"a bool mask \(True = excluded\) goes through .*": (
        "write the file as uint8 flags, 0 where usable and 128 where not"
    ),
    r"scale=0\.0001 of shares": "--scale 0.0001 of shares",
    r"what means none, such as nodata=-9999": "what means none, such as --nodata -9999",
    r"scale=0\.01 of percent, or scale=1 if": "--scale 0.01 of percent, or --scale 1 if",
    r"Give scale=(\S+), which adds": r"Give --scale \1, which adds",
    r"Give scale=(\S+) if": r"Give --scale \1 if",
    r"by 100, \.clip\(0, 1\) what noise led beyond, or of another quantity say": (
        "by 100; of shares with noise, or of another quantity, say"
    ),
    r"say nodata=, as it is in the file": "say --nodata, as it is in the file",
    r"Say scale= or nodata= of": "Say --scale or --nodata of",
    r"choose a grid with common_grid": "choose a grid over all, --grid CRS,RESOLUTION",
    r"say that it is no data, reference\.attrs.*; or, of a quantity": (
        "say in its file that it is no data, e.g. rio edit-info --nodata; or, of a quantity"
    ),
    r"such as \.interp\(\.\.\., method='nearest'\) or \.coarsen\(\.\.\.\)\.max\(\)": (
        "e.g. rio warp --resampling nearest"
    ),
    r"Choose a finer grid, with common_grid\(\.\.\., resolution=\.\.\.\)": (
        "Give a finer --grid CRS,RESOLUTION"
    ),
    r"the attribute source\.flag_meanings is (.*), in the store (.*): compute them alike": (
        r"the sensors are \1, in the store \2: give the same"
    ),
    r"\bq=, such as": "--q, such as",
    r"\bq=": "--q ",
    r"\.sel\(time=slice\('1678', '2261'\)\)": "give another --date",
    r"\brates=\(([^,]*), ([^)]*)\)": r"--rates \1 \2",
    r"^scale=": "--scale ",
    r"^nodata=": "--nodata ",
    r"\bdate='([^']*)'": r"--date \1",
    r"carry that one on, xf\.update.*": "give the same command again, it goes on from there",
    r"\.coregister\(store\) brings (it|them) onto (its grid|it)": (
        "give the --grid that it was begun with"
    ),
    r", or, if they are, (del )?\S*\.attrs\[.*": "",
    r"dates are added after the last alone, \.sel\(.*\); to change": (
        "dates are added after the last alone; to change"
    ),
    r"take its last date, \.isel\(time=-1\), or a state of xf\.filter": (
        "begin another store, by this command or of a filter"
    ),
    r"xf\.models\.onnx needs": "--model needs",
    r"take more, or say correct_few=False": "give more networks, --model repeated",
    r"give as many bands, and tile= and batch= as it was exported for; of a fixed batch, 1": (
        "export it for as many bands, and for any batch, rows and columns"
    ),
    r"such as a sigmoid, or leave bounded out": "such as a sigmoid",
    r"\bplace=\(([^)]*)\)": r"--bbox \1",
    r"give parts of it as place=, or a grid of a CRS that fits it, .*": "give parts of it",
    r"\bcorrelation=": "--correlation ",
    r"\bprior=": "--prior ",
    r"\binflate=": "--inflate ",
    r"\bgrid=": "--grid ",
    r"\bbbox=\(([^)]*)\)": r"--bbox \1",
    r"calibrate that one, or say that it is meant, any_sensor=True": (
        "give the calibration of that one"
    ),
    r"threshold=": "--threshold ",
    r"(?<=: )resolution=": "a resolution of ",
    r"give a larger resolution=, or a part, \.isel\(\.\.\.\)": "take a coarser --grid",
}


@contextmanager
def of_sensor(name: str) -> Iterator[None]:
    """Note on an error of which sensor it is."""
    try:
        yield
    except Exception as error:
        error.add_note(f"of the sensor {name!r}")
        raise


@contextmanager
def by_catalog(name: str) -> Iterator[None]:
    """Note on an error by which catalogue it came, where that of its sensor is another."""
    try:
        yield
    except Exception as error:
        error.add_note(f"by the catalogue {name!r}")
        raise


def in_words_of_the_command(message: str, error: BaseException | None = None) -> str:
    """Return a message with the options of the command for the arguments of functions.

    Parameters
    ----------
    message : str
    error : Exception, optional
        Whose message it is; it may have a note of its sensor.
    """
    sensor, catalog = _noted(NOTE, error), _noted(CATALOG_NOTE, error)
    named = catalog or (sensor if sensor in WITH_CATALOG else None)
    option = f"--catalog-{named}" if named else "--catalog-s1 or --catalog-s2"
    for said, words in WORDS.items():
        message = re.sub(said, words.replace("{catalog}", option), message)
    return message if sensor is None else f"{sensor}: {message}"


def in_words_of_what_runs(message: str, error: BaseException | None = None) -> str:
    """Return a message in the words of the command that runs."""
    words = in_words_of_the_command(message, error)
    context = click.get_current_context(silent=True)
    names = [str(each.name) for each in context.command.params] if context else []
    for name in names:  # what WORDS does not know is an argument that has an option of its name
        option = name.replace("_", "-")
        words = re.sub(rf"(?<![\w./-]){name}=(?=\S)", f"--{option} ", words)
    if "time" in names:
        words = words.replace("--date", "--time")
    if "sensor" not in names:  # of map, which has no masks of others
        words = words.replace(MASK_IN_PYTHON, "make the map step by step in Python, where")
        words = words.replace(AS_FOURTH, " is an argument")
    if "report_file" in names:  # of fuse, which has no --overwrite
        words = words.replace("give --overwrite to replace it", "give another --report")
    if any(said in words for said in DAMAGED):
        words = f"{_name_of_store(context)} is not what was written: xfusion verify says where"
    # that of update is no option
    return words.replace("another --out", "another STORE") if "store" in names else words


def _name_of_store(context: click.Context | None) -> str:
    given = {} if context is None else context.params
    names = [given[each] for each in ("file", "result", "store") if each in given]
    return public(str(names[0])) if names else "a store"


def _noted(pattern: re.Pattern[str], error: BaseException | None) -> str | None:
    """Return what the first note of its kind says on an error."""
    notes = [pattern.fullmatch(str(note)) for note in getattr(error, "__notes__", ())]
    return next((note.group(1) for note in notes if note), None)
