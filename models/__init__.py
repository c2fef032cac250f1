"""Inference: which model a name of a workflow file means, the deployments on Ray Serve, and the client of the nodes.

- catalog.py: provider and model name -> target (local weights, script, upstream), from the models file
- errors.py: what a node hears when a model cannot answer
- parameters.py: the parameters of a workflow file, checked and named as the engines know them
- structured_output.py: a JSON schema for the answer, in the words of each kind of target
- images.py: pictures as OpenAI-compatible models take and give them
- weights.py: where the weights lie, and that they are the pinned ones
- llama_engine.py: the only module that knows xllamacpp
- chat_deployment.py: chat on local weights as a Serve deployment
- scripted_model.py: exact answers from a script, in process
- scripted_deployment.py: the same as a Serve deployment
- openai_upstream.py: an OpenAI-compatible upstream
- applications.py: the Serve applications that a catalog needs
- model_client.py: the chat model that nodes call
"""
