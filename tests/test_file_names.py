"""What `make lint` says of files that another system could not check out."""

import runpy
from pathlib import Path

FAULTS = runpy.run_path(str(Path(__file__).parents[1] / ".ci/file_names.py"))["faults"]


def test_a_link_out_of_the_clone_is_told_and_one_in_it_is_not(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    (clone / "docs").mkdir(parents=True)
    (clone / "notebooks").mkdir()
    (tmp_path / "environment").mkdir()
    (clone / "docs/notebooks").symlink_to("../notebooks")
    (clone / "beside").symlink_to("../environment")
    (clone / ".venv").symlink_to(tmp_path / "environment")
    (clone / "gone").symlink_to(tmp_path / "nothing")
    names = [".venv", "beside", "docs/notebooks", "gone", "not there"]
    assert FAULTS(names, clone) == [
        "'.venv': a link out of the clone",
        "'beside': a link out of the clone",
        "'gone': a link out of the clone",
    ]


def test_names_that_windows_has_not_or_takes_for_one_are_told(tmp_path: Path) -> None:
    assert FAULTS(["a/aux.py", "b/X.py", "b/x.py", "c.py"], tmp_path) == [
        "'a/aux.py': no legal name on Windows",
        "'b/x.py' and 'b/X.py': the same name on macOS and Windows",
    ]
