"""Nodes that tests lose: whatever else happens, none of their processes stays behind."""

import os
import signal
from pathlib import Path

import psutil
import pytest

import ray_nodes
from ray_nodes import RayNode
from served import wait_for

THREE = "#!/bin/sh\nsh -c 'sleep 300 & wait' &\nwait\n"
"""Stands for Ray: a process with a child that has a child."""


class Orphaning(RayNode):
    """One whose middle process dies as the node is lost, so that the last one is not below the first any more."""

    def freeze(self) -> set[psutil.Process]:
        stopped = super().freeze()
        (last,) = self.processes("sleep")
        middle = last.ppid()
        os.kill(middle, signal.SIGKILL)
        wait_for(lambda: last.ppid() != middle)
        return stopped


def test_lost_node_leaves_no_process_whose_parent_died_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A process that was stopped and then lost its parent would stay so for ever, with its sockets."""
    program = tmp_path / "three"
    program.write_text(THREE)
    program.chmod(0o700)
    monkeypatch.setattr(ray_nodes, "RAY", program)
    node = Orphaning("127.0.0.1", tmp_path / "log", os.environ)
    wait_for(lambda: node.processes("sleep"))
    (last,) = node.processes("sleep")
    try:
        node.lose()
        assert not last.is_running()
    finally:
        if last.is_running():
            last.kill()
