"""Greenroom's processes on Ray: who executes runs, who keeps what waits, who starts and follows them.

    run_actor       executes runs, one at a time      run_segment, recorder, tail, plans, outside,
                                                      tool_box, nested_runs: how
    run_supervisor  keeps the run actors              pool (pure), run_crew, recovery, death_cause: how
    housekeeping    what is done daily                upkeep: archive, retention, sweep
    answer_files    files of answers, looked at beforehand
    hitl_actor      the only writer of forms          hitl_parts, form_opening, answers, deadlines, human_time,
                                                      run_waker, key_check, form_metrics: how
    courier         sends mails and events            delivery, senders, mail_server: how; announcer: events of runs
    event_hub       carries hints, where Redis does not
    runs, forms     what surfaces use                 start_run, turns, leases, hints: how
    client          Greenroom from Python             inbox_client: its inboxes; loop_thread: how
    run_metrics     figures for Prometheus            logs: what processes write
    run_trace       the spans of a run                trace_context, span_export: how
    start_actors    brings the named actors up        kept_actors: as long as there are replicas; code_version: which
                                                      code they run; node_check: on how many nodes
    calls           names of actors, calls to them    messages, errors: what crosses between processes; run_order:
                                                      a new run, put together; contracts: between versions
    background      tasks that outlive a call         readings: forms that accounts have read, noted
    receipts        states who decided what
    settings, secrets, stores, wiring                 what each process is made of
    web_ports       what HTTP replicas have besides

Concurrency groups: Ray runs each in a thread with an event loop of its own. Methods that wait belong to one, so that
they cannot starve short calls, and hand their wait to the loop of the default group, which owns all state.
"""
