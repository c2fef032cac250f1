"""Tools that workflows call: which tool a name of a file means, and how each kind of tool is called.

catalog.py        provider and tool name -> source, from the tools file
errors.py         what a node hears when a tool cannot be called
configured.py     implements graph.ports.Tools over the catalog
source.py         what a source of tools is, and what all of them need
parameters.py     reads the values of parameters, checked
built_in.py       the tools that need no configuration, by provider
clock_tools.py    the time in zones, timestamps, weekdays
json_tools.py     parse, insert, replace and delete in JSON
json_path.py      the paths of those
text_tools.py     regular expressions and arithmetic, in the sandbox
web_tools.py      the readable text of a page
page_text.py      HTML -> that text
openapi.py        the operations of an HTTP API by its description
openapi_file.py   reads such a description
mcp_server.py     the tools of an MCP server
workflow_tool.py  another app of this installation as a tool
"""
