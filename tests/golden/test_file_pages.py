"""docs/files.md shows what the command really says."""

from tests.golden.file_pages import PAGE, blocks, output_of


def test_the_page_shows_real_output() -> None:
    """After a change on purpose: `python -m tests.golden.file_pages`, and look at the diff."""
    shown = blocks(PAGE.read_text())
    assert len(shown) >= 6
    for command, output in shown:
        assert output == output_of(command), command
