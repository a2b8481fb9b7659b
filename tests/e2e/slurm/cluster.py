"""A real Slurm of a few nodes on one machine, as root, without systemd: `python -m tests.e2e.slurm.cluster DIR`.

Its own munge, controller and daemons, with ports and files of their own; a machine's other Slurm is left alone. Nodes
`n1` and `n2` have one core each; jobs of the partition `urgent` take them from those of `main`. `n3`, in a partition of
its own, runs in a mount namespace in which `DIR/unseen` is another, empty directory: a node that does not see what the
others see.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.requirements import search_path

_CONF = """\
ClusterName=tiny
SlurmctldHost=localhost
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket,cred_expire=5
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool-%n
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd-%n.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0,batch_sched_delay=0
PriorityType=priority/basic
ReturnToService=2
MpiDefault=none
MaxArraySize=11
MinJobAge=60
KillWait=3
SlurmdTimeout=10
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
{nodes}
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10
PartitionName=blind Nodes=n3 MaxTime=INFINITE State=UP
"""


class Cluster:
    """A running cluster; `environment` is what makes Slurm's programs, and ours, talk to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {"SLURM_CONF": str(root / "slurm.conf"), "PATH": search_path()}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start everything and wait until the nodes are idle."""
        for name in ("state", "spool-n1", "spool-n2", "spool-n3", "unseen"):
            (self.root / name).mkdir(parents=True)
        key = self.root / "munge.key"
        key.write_bytes(os.urandom(32))
        key.chmod(0o400)
        self.root.chmod(0o755)
        controller, *ports = _free_ports(4)
        nodes = "\n".join(
            f"NodeName=n{number} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=1 State=UNKNOWN"
            for number, port in enumerate(ports, start=1)
        )
        (self.root / "slurm.conf").write_text(_CONF.format(root=self.root, controller=controller, nodes=nodes))
        files = {
            name: str(self.root / f"munge.{name}") for name in ("socket", "log", "pid", "seed")
        }  # all of its own: a munge of the machine is left alone
        self._run(
            "munge", "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={files['socket']}",
            f"--log-file={files['log']}", f"--pid-file={files['pid']}", f"--seed-file={files['seed']}",
        )  # fmt: skip
        _until(lambda: Path(files["socket"]).exists(), "munge does not start", self.root)
        self._run("controller", "slurmctld", "-D")
        for node in ("n1", "n2"):
            self.start_node(node)
        hidden = f"mount -t tmpfs tmpfs {self.root / 'unseen'} && exec slurmd -D -N n3"
        self._run("n3", "unshare", "--mount", "sh", "-c", hidden)
        _until(self._is_idle, "the nodes do not come up", self.root)

    def start_node(self, node: str) -> None:
        """Start, or start again, the daemon of a node."""
        self._run(node, "slurmd", "-D", "-N", node)

    def lose_node(self, node: str) -> None:
        """Take a node away at once, with everything that runs on it, as a power cut would."""
        lost = self._on(node)
        for end in (psutil.Process.suspend, psutil.Process.kill):  # none is left to say how another ended
            for process in lost:
                with suppress(psutil.NoSuchProcess):
                    end(process)
        self._daemons.pop(node).wait()
        self.ask("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=lost")

    def ask(self, *command: str) -> str:
        """Run one of Slurm's programs."""
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | self.environment, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def stop(self) -> None:
        """End every process of the cluster."""
        for node in ("n1", "n2", "n3"):
            for process in self._on(node):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        for daemon in self._daemons.values():
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
        self._daemons.clear()

    def _on(self, node: str) -> list[psutil.Process]:
        """Return the processes of a node: its daemon, the steps it has started, and what runs in them.

        A step keeps neither environment nor arguments to be known by, but it is the parent of what runs in it.
        """
        spool = str(self.root / f"spool-{node}")
        step_processes = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                environment = process.environ()
                of_cluster = environment.get("SLURM_CONF") == self.environment["SLURM_CONF"]
                if of_cluster and (environment.get("SLURMD_NODENAME") == node or spool in " ".join(process.cmdline())):
                    step_processes.append(process)
                    parent = process.parent()
                    if parent is not None and parent.name().startswith("slurmstepd"):
                        step_processes.append(parent)
        daemon = self._daemons.get(node)
        return [*([psutil.Process(daemon.pid)] if daemon and daemon.poll() is None else []), *step_processes]

    def _is_idle(self) -> bool:
        done = subprocess.run(
            ["sinfo", "-h", "-N", "-o", "%N %t"],
            capture_output=True, text=True, env=os.environ | self.environment, check=False,
        )  # fmt: skip
        return set(done.stdout.splitlines()) == {"n1 idle", "n2 idle", "n3 idle"}  # a line a partition

    def _run(self, name: str, *command: str) -> None:
        mortal = ("setpriv", "--pdeathsig", "KILL", *command)  # it ends with the tests, also if these are killed
        with (self.root / f"{name}.out").open("ab") as out:
            self._daemons[name] = subprocess.Popen(
                mortal, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=os.environ | self.environment,
                start_new_session=True,
            )  # fmt: skip


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for listener in sockets:
        listener.bind(("127.0.0.1", 0))
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def _until(condition, what: str, root: Path) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"{what}; see {root}"
        time.sleep(0.2)


if __name__ == "__main__":
    cluster = Cluster(Path(sys.argv[1]).absolute())
    cluster.start()
    print(f"export SLURM_CONF={cluster.environment['SLURM_CONF']}", flush=True)
    try:
        signal.pause()
    finally:
        cluster.stop()
