"""Measurements. ``dev/bench [NAME...] [--peers] [--json FILE]``.

run             the command: which measurements there are, table and JSON
workflows       the measured workflows, as files that Greenroom and graphon both read
engine_bench    cost of the engine per node, in process, nothing stored
graphon_peer    makes graphon's own environment and runs graphon_driver in it
graphon_driver  measures graphon; runs in that environment, imports nothing of ours
"""
