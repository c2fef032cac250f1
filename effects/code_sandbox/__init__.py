"""Runs untrusted code and templates under limits: WebAssembly in an unprivileged worker process of its own.

sandbox.py     the port: jobs in, values or node errors out
workers.py     the worker processes of this process, kept warm, killed at the wall clock
worker.py      what a worker process does
confine.py     how a worker gives up its rights
engines.py     one run of Python, of a template, of JavaScript inside a worker
frames.py      messages over pipes
limits.py      what one run may use
guest.py       the program inside the image
image.py       builds the image (``greenroom sandbox build``) and finds it
errors.py      what can go wrong with the image and the workers
"""
