"""The site: each page is in a menu, links lead somewhere, how-tos show what their code gives."""

import ast
import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
OUTSIDE = {"_build", "_static", "_templates", "generated", "notebooks"}
TOCTREE = re.compile(r"```\{toctree\}\n((?::[^\n]*\n)*)\n?(.*?)```", re.DOTALL)
CELL = re.compile(r"```\{code-cell\}\n((?::[^\n]*\n)*)(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+\.(?:md|ipynb|png))(#[^)]*)?\)")
PAGES = sorted(
    path.relative_to(DOCS)
    for path in DOCS.rglob("*.md")
    if not OUTSIDE & {*path.relative_to(DOCS).parts}
)
EXECUTED = [page for page in PAGES if "file_format: mystnb" in (DOCS / page).read_text()]

every_page = pytest.mark.parametrize("page", PAGES, ids=str)


def without_code(text: str) -> str:
    return re.sub(r"^(`{3,})(?!\{toctree).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)


def menu_of(page: str) -> list[str]:
    """Return the pages that the menus of a page lead to, in their order."""
    text = (DOCS / f"{page}.md").read_text()
    return [line for _, lines in TOCTREE.findall(text) for line in lines.split()]


def test_every_page_and_notebook_is_in_the_menu_once() -> None:
    sections = menu_of("index")
    reached = ["index", *sections, *(page for section in sections for page in menu_of(section))]
    notebooks = [f"notebooks/{path.stem}" for path in (DOCS / "notebooks").glob("*.ipynb")]
    assert sorted(reached) == sorted([*(str(page.with_suffix("")) for page in PAGES), *notebooks])


def test_sections_fit_on_one_line_of_the_menu() -> None:
    titles = [(DOCS / f"{page}.md").read_text().partition("# ")[2] for page in menu_of("index")]
    first_lines = [title.partition("\n")[0] for title in titles]
    assert sum(map(len, first_lines)) <= 60, first_lines
    settings = ast.parse((DOCS / "conf.py").read_text())
    (options,) = [
        ast.literal_eval(node.value)
        for node in settings.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "html_theme_options"
    ]
    assert len(first_lines) <= options["header_links_before_dropdown"]


def test_a_section_names_the_pages_of_its_menu() -> None:
    for section in menu_of("index"):
        text = without_code((DOCS / f"{section}.md").read_text())
        for page in menu_of(section):
            assert re.search(rf"[`(]{re.escape(page)}(\.md|\.ipynb|`)", text), (section, page)


@every_page
def test_links_lead_to_pages_and_pictures(page: Path) -> None:
    for target, _ in LINK.findall(without_code((DOCS / page).read_text())):
        assert (DOCS / page.parent / target).is_file(), target


def test_every_how_to_is_executed() -> None:
    assert {page for page in PAGES if page.parent.name == "how-to"} <= {*EXECUTED}
    assert len(EXECUTED) >= 10


@pytest.mark.parametrize("page", EXECUTED, ids=str)
def test_an_executed_page_shows_code_and_more_than_its_set_up(page: Path) -> None:
    cells = CELL.findall((DOCS / page).read_text())
    shown = [code for tags, code in cells if "hide-input" not in tags and "remove" not in tags]
    assert shown
    for code in shown:
        if not code.startswith("%%bash"):
            ast.parse(code)
    # what the reader sees needs no bar to be scrolled on a screen
    assert all(len(line) <= 100 for _, code in cells for line in code.splitlines())


def test_code_on_pages_is_no_wider_than_its_box() -> None:
    wide = {
        f"{page}: {line}"
        for page in PAGES
        for block in re.findall(
            r"```(?:python|sh|text)\n(.*?)```", (DOCS / page).read_text(), re.DOTALL
        )
        for line in block.splitlines()
        if len(line) > 110
    }
    assert not wide


def test_code_that_uses_rio_imports_what_brings_it() -> None:
    code = re.compile(r"```(?:python|\{code-cell\})[^\n]*\n(.*?)```", re.DOTALL)
    for page in [DOCS.parent / "README.md", *(DOCS / page for page in PAGES)]:
        blocks = "\n".join(code.findall(page.read_text()))
        if ".rio." in blocks:
            assert "import rioxarray" in blocks.partition(".rio.")[0], page


def test_the_site_asks_nothing_of_the_network() -> None:
    css, script = ((DOCS / "_static" / f"site.{kind}").read_text() for kind in ("css", "js"))
    assert "http" not in css + script
    assert "@import" not in css
    assert not re.search(r"fetch|import|XMLHttp", script)
    for path in (DOCS / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        code = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        assert "http://" not in code
        assert "https://" not in code
