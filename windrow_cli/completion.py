"""`windrow completion`: what a shell needs in order to complete commands, options and their words."""

import click
from click.shell_completion import get_completion_class

from windrow.errors import WindrowError
from windrow_cli.choices import OneOf

# click answers the shell when this variable is set; the name follows from the command's.
_VARIABLE = "_WINDROW_COMPLETE"


@click.command()
@click.argument("shell", type=OneOf(["bash", "zsh", "fish"], noun="shell"))
def completion(shell: str) -> None:
    """Print the script that lets SHELL complete commands, options and their words with the tab key.

    \b
    windrow completion bash >> ~/.bashrc
    windrow completion zsh >> ~/.zshrc
    windrow completion fish > ~/.config/fish/completions/windrow.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise WindrowError(f"this version of click knows no completion for {shell}")
    command = click.Group("windrow")
    # source() would start the shell to learn its version; the user may not have it here.
    click.echo(found.source_template % found(command, {}, "windrow", _VARIABLE).source_vars())
