"""Measurements. ``dev/bench [NAME...] [--peers] [--paused N] [--live N] [--json FILE]``.

run              the command: which measurements there are, table and JSON
workflows        the measured workflows, as files that Greenroom and graphon both read
engine_bench     cost of the engine per node, in turns with its peers
engine_runs      runs of our engine: in memory, durable, in flight
hitl_bench       what it costs to ask a person, and to wait for one
hitl_cycle       whole cycles in one process
hitl_ray         the same on Greenroom's actors, beside a relay; memory of the HITL actor
hitl_paused      many paused runs: bytes on disk, p99 of resuming
ray_bench        what Greenroom costs on Ray, beside bare actors and Serve applications
ray_measure      the process that measures it
ray_figures      samples, and the figures that follow
ray_requests     HTTP clients: many requests at a time, one stream
ray_live         many runs that execute at a time, and their memory
ray_echo         a Serve application that only calls an actor
ray_bare         an actor that does nothing
ray_cluster      a Ray to measure on, here and in hitl_ray
options          what the command line asks for
peers            makes the peers' own environments and talks to the drivers in them
driver_loop      what the drivers have in common; in those environments, as the drivers: imports nothing of ours
graphon_driver   measures graphon
langgraph_driver measures LangGraph
"""
