"""What the documents name exists: files, modules, links; and each word of the glossary has one definition."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]
"""The changelog may name what is gone."""
PACKAGES = "windrow|windrow_cli|windrow_operations|producers|processors|dispatcher|analytics|infra|tests|bench"
WORDS = (
    "partial window roll lineage lake quarantine tick settled frozen replay redrive horizon".split()  # noqa: SIM905
)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def text_of(page: Path) -> str:
    return (ROOT / page).read_text()


def prose_of(page: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """The fragments that links may end in, as GitHub makes them from the headings."""
    headings = re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", CURRENT, ids=str)
def test_every_file_that_is_named_exists(page: Path) -> None:
    """Paths from the root of the repository, of files and of folders, with or without a `*`."""
    for span in SPAN.findall(prose_of(page)):
        path = span.split(":")[0]
        if re.fullmatch(rf"({PACKAGES}|docs|requirements)/[\w./*-]*", path):
            assert any(ROOT.glob(path.rstrip("/"))), span


@pytest.mark.parametrize("page", CURRENT, ids=str)
def test_every_dotted_name_exists(page: Path) -> None:
    """The module is a file or a folder, and what follows it is a name in it."""
    for name in re.findall(rf"(?<![\w./-])(?:{PACKAGES})(?:\.[a-zA-Z_]\w*)+", text_of(page)):
        parts = name.split(".")
        if f"{parts[0]}.{parts[1]}" in ("windrow.fleet", "windrow.producers") or parts[-1] in ("py", "md"):
            continue  # a variable in an example; a logger; a file
        path = ROOT / parts[0]
        while parts[1:] and ((path / parts[1]).is_dir() or (path / f"{parts[1]}.py").is_file()):
            path /= parts.pop(1)
        source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()
        for part in parts[1:]:
            assert re.search(rf"\b{part}\b", source), name


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file or a folder of the repository, and to a heading in it."""
    for link in LINK.findall(prose_of(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target.relative_to(ROOT) if path == "" else target), link


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_the_glossary_has_one_definition(word: str) -> None:
    """It is in bold in one line of all documents, that of the glossary, and no other line says what "a roll is"."""
    found = [
        (str(page), line)
        for page in PAGES
        for line in prose_of(page).splitlines()
        if re.search(rf"\*\*{word}s?[.:]?\*\*|\ba {word} is (a|an|the|five)\b", line, re.IGNORECASE)
    ]
    assert [page for page, _ in found] == ["README.md"], found
    assert found[0][1].startswith(f"| **{word}** | ")


def test_the_glossary_has_these_words_and_no_others() -> None:
    """Twelve lines."""
    glossary = text_of(Path("README.md")).split("\n## Glossary\n")[1].split("\n## ")[0]
    assert sorted(re.findall(r"^\| \*\*(\w+)\*\* \|", glossary, re.MULTILINE)) == sorted(WORDS)
