"""The ``greenroom`` command, one file per command group.

main               the command itself: which subcommands there are, how an error ends it
import_command     greenroom import FILE
simulate_command   greenroom simulate FILE: a run without a cluster
simulation         the simulated run
simulation_script  how nodes and people behave in it
simulation_nodes   the steps of its nodes
simulation_ports   the made-up models, tools, servers and files around it
simulation_votes   approvers who vote in it
simulation_made_up code behind made-up values
simulation_inputs  what it begins with
simulation_edges   how its edges are settled
migrate_command    greenroom migrate
upgrade_command    greenroom upgrade: becomes ``upgrading``
upgrading          the process that has a running cluster's actors replaced
account_command    greenroom account: people and their passwords
mcp_command        greenroom mcp enable | disable | rotate
doctor_command     greenroom doctor
receipt_command    greenroom receipt export | verify | key
archive_command    greenroom archive list | restore | now
backup_command     greenroom backup FOLDER
forget_command     greenroom forget: everything of one person
sandbox_command    greenroom sandbox build: the image that code nodes run in
up_command         greenroom up: checks, sets the environment that Ray Serve reads, becomes ``serving``
serving            the process that holds Ray and serves until it is stopped
demo_run           the approval workflow by HTTP, told on the screen
sample_app         the example workflow, its key and a waiting form
installation       what commands share: settings, workspace and account
start_checks       what must hold before a start: the port, the data folder
errors             what a command refuses
"""
