"""`spanline completion`"""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print a script that makes a shell complete commands.

    \b
      bash  put in ~/.bashrc:  eval "$(spanline completion bash)"
      zsh   put in ~/.zshrc:   eval "$(spanline completion zsh)"
      fish  run once:
            spanline completion fish > ~/.config/fish/completions/spanline.fish
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"this version of click knows no {shell}")
    click.echo(kind(ctx.find_root().command, {}, "spanline", "_SPANLINE_COMPLETE").source())
