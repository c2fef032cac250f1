"""Measurements. ``dev/bench [NAME...] [--peers] [--paused N] [--json FILE]``.

run              the command: which measurements there are, table and JSON
workflows        the measured workflows, as files that Greenroom and graphon both read
engine_bench     cost of the engine per node, in turns with its peers
engine_runs      runs of our engine: in memory, durable, in flight
hitl_bench       what it costs to ask a person, and to wait for one
hitl_cycle       whole cycles in one process
hitl_ray         the same on Greenroom's actors, beside a relay; memory of the HITL actor
hitl_paused      many paused runs: bytes on disk, p99 of resuming
options          what the command line asks for
peers            makes the peers' own environments and talks to the drivers in them
driver_loop      what the drivers have in common; in those environments, as the drivers: imports nothing of ours
graphon_driver   measures graphon
langgraph_driver measures LangGraph
"""
