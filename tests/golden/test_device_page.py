"""docs/devices.md shows what the command really says, and what the model really computes."""

from tests.golden.device_page import PAGE, commands, folder_of_reader, output_of, table, table_in

TEXT = PAGE.read_text()


def test_the_page_shows_real_output() -> None:
    """After a change on purpose: `python -m tests.golden.device_page`, and look at the diff."""
    shown = commands(TEXT)
    assert [command.split()[2] for command, _ in shown] == ["guess", "check"]
    with folder_of_reader(TEXT):
        for command, output in shown:
            assert output == output_of(command), command


def test_the_costs_are_those_of_the_model() -> None:
    """None is typed; a message a reading is a hundred times the stage."""
    assert table_in(TEXT) == table()
    assert "| a message a reading | 2,628 |" in table()
