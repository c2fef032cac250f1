"""``greenroom sandbox build``: makes the image that code nodes run in."""

import typer

from effects.code_sandbox.image import build_image

sandbox = typer.Typer(help="The sandbox that code nodes and costly templates run in.", no_args_is_help=True)


@sandbox.command("build")
def build() -> None:
    """Build the image if this version of it is not there: half a minute, once; without it code nodes fail."""
    image, is_new = build_image()
    typer.echo(f"the code sandbox is built: {image}" if is_new else f"the code sandbox was built before: {image}")
