"""The command line. Typer and Rich live here and nowhere else."""

from collections.abc import Sequence
from typing import Annotated

import typer

from membench import __version__
from membench.cli import (
    check,
    devices,
    diff,
    doctor,
    history,
    measure,
    phantom,
    plan_nnunet,
    profile,
    recommend,
    report,
    search,
    sweep,
    train,
    validate,
)
from membench.errors import MembenchError

app = typer.Typer(
    name="membench",
    help="What fits in a CUDA memory budget, answered before you own the GPU.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS = (
    sweep.sweep,
    measure.measure,
    search.search,
    recommend.recommend,
    profile.profile,
    diff.diff,
    devices.devices,
    report.report,
    plan_nnunet.plan_nnunet,
    check.check,
    validate.validate,
    history.history,
    history.bisect_help,
    doctor.doctor,
    train.train,
    phantom.phantom,
)
for command in COMMANDS:
    app.command()(command)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"membench {__version__}")
        raise typer.Exit


@app.callback(
    invoke_without_command=True,
    epilog="Exit code: 1 something failed, 2 bad usage, which a file is too that the command line names and that is "
    "missing or cannot be understood. Each command's help has its others.",
)
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (of this process, unless given) and return its exit code; errors are one line each."""
    try:
        code = app(arguments, prog_name="membench", standalone_mode=False)
    except MembenchError as error:
        return _fail(str(error), error.exit_code)
    except typer.TyperException as error:
        return _fail(_usage(error), error.exit_code)
    return code if isinstance(code, int) else 0


def _usage(error: typer.TyperException) -> str:
    message = " ".join(error.format_message().split())
    # The words of typer's validator are about the values of a program.
    message = message.replace(": Value error, ", ": ", 1).replace(": Input should", ": it should", 1)
    message = message.split(", unable to parse")[0]
    context = getattr(error, "ctx", None)
    return f"{message[:1].lower()}{message[1:].rstrip('.')} (see {context.command_path} --help)" if context else message


def _fail(message: str, code: int) -> int:
    typer.echo(f"membench: {message}", err=True)
    return code
