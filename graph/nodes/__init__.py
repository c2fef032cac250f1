"""Node kinds, one file each; ``table.py`` lists them and nothing discovers them.

kind.py                what a kind is: data model, compiled step, role
table.py               type name -> kind, and the recognised kinds that cannot run yet
start.py               root: gives its inputs and the system values
end.py                 response: named outputs
answer.py              response: one text
if_else.py             branch: first case that holds
template_transform.py  Jinja2 text from variables
code.py                runs a Python or JavaScript text in the sandbox
code_outputs.py        what that may give back
llm.py                 one call of a chat model, streamed
llm_prompt.py          the messages of that call, compiled
llm_context.py         the context of that call and its retriever resources
model_call.py          what every node that calls a model shares
prompt_draft.py        messages between the pool and the model: jinja2 texts and images still to come
prompt_memory.py       past turns of a conversation
json_answer.py         finds JSON in what a model wrote
parameter_extractor.py named values out of a text, by a model
extraction.py          those values checked and converted
question_classifier.py branch: the class a model gives a text
tool.py                calls one configured tool
reasoning.py           cuts <think> passages out of streamed text
variable_aggregator.py first present value of several
list_operator.py       a list filtered, cut to one element, sorted, shortened
document_extractor.py  the text of documents
http_request.py        one HTTP request and its answer
http_parts.py          what that sends, and how it reads in the record
human_input.py         branch: asks a person and waits
human_input_data.py    the data of that node: fields, actions, delivery
iteration.py           container: its inner graph once for each item
loop.py                container: its inner graph again and again over the same variables
assigner.py            gives variables new values
assigner_operation.py  the operations of its second version
"""
