"""Names that vulture sees no use of, and who uses them. Nothing here runs."""

# Called by name through actors.calls, or by Ray Serve.
_.run_ended
_.ping
_.run_in_turn
_.check_health

# Called by Jinja2, SQLAlchemy and the HTML parser on their own classes.
_.handle_starttag
_.visit_Concat
_.visit_Getitem
_.visit_Filter
_.visit_Test
_.intercepted_binops
_.globals
_.impl
_.cache_ok
_.inherit_cache
_._explain
_.bind_processor
_._value_

# Read by Python's streams and event loops, inside the sandbox's image, and by wasmtime.
_.writable
_._close_self_pipe
_._make_self_pipe
_._write_to_self
_.epoch_interruption

# Read by uvicorn.
_.should_exit

# Read by llama.cpp and the openai client from the objects they are set on.
_.n_ctx
_.n_parallel
_.n_ubatch
_.n_threads
_.verbosity
_.cache_ram_mib
_.n_threads_http
_.ui
_.admin_api_key
_.organization

# Fields of a workflow file: they are checked when it is read, whether or not a node looks at them.
_.allowed_file_upload_methods
_.number_limits
_.button_style
_.user_id
_.whole_workspace
_.subject
_.desc
_.max_length
_.output_type

# Declared in tests to see the declaration refused, or for whoever reads the fixture.
CARRIER_PIGEON
Forgetful
Inventive
_.namespace

# Called by Hypothesis.
_.teardown
# Called by SQLAlchemy.
_.do_begin

# Called by name through actors.calls.
_.recall
_.is_draining

# Called by name by the mail server of the tests.
_.handle_RCPT
_.handle_DATA
