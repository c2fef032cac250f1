"""Load on a real cluster while a seeded monkey ends its processes, and a check that nothing was lost.

workflows.py   the apps that run meanwhile
people.py      clients that start, follow, answer and stop runs, and keep what they were told
monkey.py      what is killed, stopped or locked, and when
checker.py     journal, effects and transcripts against the guarantees
run.py         `dev/chaos`: one campaign from start to report
"""
