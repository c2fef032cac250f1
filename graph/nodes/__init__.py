"""Node kinds, one file each; ``table.py`` lists them and nothing discovers them.

kind.py                what a kind is: data model, compiled step, role
table.py               type name -> kind, and the recognised kinds that cannot run yet
start.py               root: gives its inputs and the system values
end.py                 response: named outputs
answer.py              response: one text
if_else.py             branch: first case that holds
template_transform.py  Jinja2 text from variables
llm.py                 one call of a chat model, streamed
llm_prompt.py          the messages of that call, compiled
reasoning.py           cuts <think> passages out of streamed text
variable_aggregator.py first present value of several
human_input.py         branch: asks a person and waits
human_input_data.py    the data of that node: fields, actions, delivery
"""
