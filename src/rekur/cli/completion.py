"""``rekur completion``: what makes a shell complete rekur's commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    rekur completion bash >> ~/.bashrc
    rekur completion zsh  >> ~/.zshrc
    rekur completion fish >  ~/.config/fish/completions/rekur.fish
    """
    maker = get_completion_class(shell)
    if maker is None:
        raise click.UsageError(f"shell: got '{shell}'; expected one that click can complete.", ctx)
    click.echo(maker(ctx.find_root().command, {}, "rekur", "_REKUR_COMPLETE").source())
