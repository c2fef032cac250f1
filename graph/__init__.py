"""The workflow language and its engine; pure: no Ray, no I/O, no clock, no randomness.

errors.py           the root of all our errors and the graph's own
workflow.py         the parsed definition of a file
read_document.py    text of a file -> plain data, guarded
settings_document.py  text of a settings file -> data
parse_workflow.py   document -> workflow, with every fault and its place
parse_variables.py  environment and conversation variables of a file
graph_faults.py     what is wrong with nodes and edges as a graph
plan.py             workflow -> plan: integers, adjacency, compiled steps
variable_pool.py    all values of a run, read by selector
value_types.py      types of values and how values read as text
json_repair_bounds.py  text that is nearly JSON, read with bounded work
file_value.py       file values: how made, of which kind, how large
template.py         text with {{#node.name#}} references
jinja_template.py   Jinja2 text whose cost is bounded
jinja_bounds.py     which Jinja2 constructs are bounded
jinja_fuel.py       what the work of a template costs while it renders
condition.py        comparisons of if-else cases
human_rules.py      what Greenroom adds for people: quorum, reminders, webhooks
human_faults.py     names and numbers in those rules that cannot be meant
start_form.py       start inputs checked against the start form
events.py           the facts of a run
run_state.py        the state that facts lead to
routing.py          which nodes become ready or skipped
container_run.py    one iteration or loop in flight
response_stream.py  which text reaches the reader, in which order
engine.py           the loop that executes a plan
containers.py       when passes of iterations and loops begin and end
ledger.py           facts on their way: applied, gathered, appended
effect_tasks.py     nodes that reach outside, as tasks
inbox.py            taking up what comes from outside
segment.py          what the engine holds between two pauses
inflight.py         text that nodes in flight stream
secret_mask.py      secrets kept out of what facts show
node_facts.py       the facts that a node's end makes
ids.py              ids that are derived, the same after any crash
snapshot.py         state <-> bytes
uncollected.py      no search for garbage while a workflow is read and compiled
ports.py            what nodes need from outside
nodes/              one file per node kind; table.py lists them
"""
