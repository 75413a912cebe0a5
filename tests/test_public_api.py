"""Public names and signatures stay as they are, unless a change says so in the list beside."""

from pathlib import Path

from tests.public_api import lines

LIST = Path(__file__).with_name("public_api.txt")


def test_public_names_and_signatures_are_those_of_the_list() -> None:
    assert list(lines()) == LIST.read_text().splitlines(), (
        "a public name or signature has changed: if that is meant, write the list anew, "
        "python -m tests.public_api > tests/public_api.txt, and say so in CHANGELOG.md"
    )
