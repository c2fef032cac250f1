"""Measurements. ``dev/bench [NAME...] [--peers] [--json FILE]``.

run              the command: which measurements there are, table and JSON
workflows        the measured workflows, as files that Greenroom and graphon both read
engine_bench     cost of the engine per node, in turns with its peers
engine_runs      runs of our engine: in memory, durable, in flight
peers            makes the peers' own environments and talks to the drivers in them
driver_loop      what the drivers have in common; in those environments, as the drivers: imports nothing of ours
graphon_driver   measures graphon
langgraph_driver measures LangGraph
"""
