"""The HTTP surfaces: who may do what through which API, and how it looks on the wire.

app.py             the FastAPI application over its ports
ports.py           SurfacePorts: what the surfaces need from below
asgi.py            the edge of every request: version headers, cross-origin rules, faults
routes.py          how endpoints come to their paths
auth.py            who calls: the app of the key, the user it names, in the order of the API
schemas.py         bodies of ``/v1``: read, check, reply
errors.py          what can be wrong with a request as such
error_table.py     error code -> status, envelope, error event
service_api.py     ``/v1``: info, parameters, run detail, forms; its routes
run_endpoints.py   ``/v1``: run, stop, events
run_start.py       runs as every surface starts them: checked, ordered, streamed
chat_api.py        ``/v1``: messages of chatflows sent and stopped; the routes of conversations
chat_order.py      a message -> the order of its run, with history and conversation variables
chat_conversations.py  ``/v1``: conversations and their variables
chat_history.py    ``/v1``: the messages of a conversation with their forms, feedback
chat_schemas.py    bodies and queries of these
input_files.py     file mappings in the inputs of a run or an answer
files.py           uploads, and files given out
file_links.py      links to files: signed, checked, kept fresh
projections.py     facts -> events: the only place where that happens
event_shapes.py    the data of every event, key by key
container_shapes.py  the same of the events of iterations and loops
chat_shapes.py     what chatflows tell besides: the end of a message, blocking replies
told_text.py       what text of a run a reader has; the ids of events
run_stream.py      the tail of a run as frames for one reader
reconnect.py       where a reader begins who comes to a run
sse.py             frames, pings, event ids
web_app.py         ``/api``: runs, files and site for browsers with a passport
passport.py        passports: what shows that a browser is one end user of one web app
site_shape.py      how a site looks on the wire
web_forms.py       ``/api/form``: forms and uploads for programs with a link
form_limits.py     how often public forms may be read and answered
client_address.py  from where a request comes, as trusted proxies say
uploads.py         reading uploaded files, and what they must be like
form_uploads.py    files uploaded for an answer: whose they are, how many
form_lookup.py     what a form token stands for at a surface
form_answers.py    a form as a reply, and an answer given twice
form_page.py       the public page on which a person answers
page_answer.py     what a person has sent from a page, and the answer that it makes
form_view.py       that page as HTML
form_field.py      one input of a form as HTML
page_templates.py  the templates of pages, which lie in pages/
form_markup.py     a form's content: markdown, sanitised, with its fields
console.py         ``/console/api``: its routes
console_auth.py    who calls the console, and whether a change is its own; console_tokens.py: access and CSRF tokens
console_login.py   logging in and out, the first password; credentials.py: addresses and passwords
console_forms.py   forms answered by accounts, by token and by id
console_runs.py    runs of accounts: started, followed, stopped; console_lists.py: looked at
console_inbox.py   the inbox: listed, decided in bulk, claimed, handed on
inbox_page.py      the inbox in a browser
console_editor.py  a human-input node tried out
console_drafts.py  drafts saved, published, imported
console_ports.py   what the console needs from below; inbox_ports.py: what inboxes do
openapi.py         ``/openapi/v1``: its routes
openapi_auth.py    the account of a bearer token; errors as this surface tells them
openapi_reads.py   accounts, tokens, workspaces, apps; input_schema.py: what an app takes, as a JSON Schema
openapi_runs.py    runs of an account's programs; openapi_forms.py: their forms
openapi_device.py  how a program comes to its token; device_page.py: where its person lets it in
run_events.py      a run followed by a reader who comes to it, on every surface
mcp.py             ``/mcp``: apps as tools of agents; mcp_tool.py: what agents see of an app; console_mcp.py: the
                   servers of apps in the console
health.py          liveness and readiness
"""
