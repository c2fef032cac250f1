"""What nodes do to the outside, each under limits; implements the ports of ``graph.ports``.

guarded_http.py      Http: requests of workflows, answers as text or files
guarded_client.py    the client below: few redirects, bounded answers, no memory between calls
address_guard.py     where connections may go, checked at the socket
media_type.py        what a file is, by name and content
file_store.py        Files: what a run stores and reads
mail.py              hands mails to an SMTP server
webhook.py           tells webhooks of events, signed
documents.py         which kind a document is, and the life of the process that reads it
code_sandbox/        CodeSandbox: code nodes and costly templates in WebAssembly, in processes of their own
tools/               Tools: built-in, of APIs, of MCP servers, other apps
document_worker.py   that process; document_text.py and office_text.py read, document_limits.py says how much
"""
