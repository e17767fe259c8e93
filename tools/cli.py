"""`orchard`: the verbs, each registered in one line."""

import typer

from tools.commands.compile import compile_command
from tools.commands.delete import delete_command
from tools.commands.doctor import doctor_command
from tools.commands.keys import keys_app
from tools.commands.list import list_command
from tools.commands.plan import plan_command
from tools.commands.promote import demote_command, promote_command
from tools.commands.prune import prune_command
from tools.commands.publish import publish_command
from tools.commands.push_folder import push_folder_command
from tools.commands.release import release_command
from tools.commands.render_fleet import render_fleet_command
from tools.commands.render_gateway import render_gateway_command
from tools.commands.restart import restart_command
from tools.commands.rollback import rollback_command
from tools.commands.status import status_command
from tools.commands.up import up_command
from tools.commands.up_fleet import up_fleet_command

app = typer.Typer(
    name="orchard",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def orchard() -> None:
    """Per-tenant XGBoost models behind one endpoint."""


app.command("compile")(compile_command)
app.command("publish")(publish_command)
app.command("push-folder")(push_folder_command)
app.command("list")(list_command)
app.command("rollback")(rollback_command)
app.command("prune")(prune_command)
app.command("delete")(delete_command)
app.command("render-gateway")(render_gateway_command)
app.command("render-fleet")(render_fleet_command)
app.command("plan")(plan_command)
app.command("up")(up_command)
app.command("up-fleet")(up_fleet_command)
app.command("promote")(promote_command)
app.command("demote")(demote_command)
app.command("doctor")(doctor_command)
app.command("release")(release_command)
app.command("restart")(restart_command)
app.command("status")(status_command)
app.add_typer(keys_app, name="keys")


def main() -> None:
    """The entry point of the console script."""
    app()
