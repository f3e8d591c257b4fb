"""A Flink cluster: a job manager and task managers, each a host with a Beam worker pool beside it.

    python -m engines.flink --task-managers 2

starts one and prints the flags that run a job on it, until it is interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from engines.fetch import ADD_OPENS, JOB_SERVER_JAR, EngineError, fetch
from engines.network import Host, hosts

_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_REST_PORT = 8081
_POOL_PORT = 50_000
_JOB_PORT = 8099
_START_SECONDS = 300
_PROJECT = Path(__file__).parents[1]

# A task manager wants every size said; Flink's own start script would work them out. Recovery is
# the cluster's to configure, and a lost machine is noticed by its closed port within seconds.
_CONFIG = """\
io.tmp.dirs: {scratch}
jobmanager.rpc.address: {manager}
jobmanager.memory.process.size: 1024m
rest.address: {manager}
rest.port: {rest}
taskmanager.numberOfTaskSlots: 1
taskmanager.cpu.cores: 1.0
taskmanager.memory.framework.heap.size: 64m
taskmanager.memory.framework.off-heap.size: 64m
taskmanager.memory.task.heap.size: 256m
taskmanager.memory.task.off-heap.size: 64m
taskmanager.memory.network.min: 64m
taskmanager.memory.network.max: 64m
taskmanager.memory.managed.size: 64m
taskmanager.memory.jvm-metaspace.size: 192m
taskmanager.memory.jvm-overhead.min: 128m
taskmanager.memory.jvm-overhead.max: 128m
heartbeat.interval: 1000
heartbeat.timeout: 15000
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 10
restart-strategy.fixed-delay.delay: 1 s
"""
_LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = out
appender.out.name = out
appender.out.type = CONSOLE
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss,SSS} %-5p %-50c{1.} %m%n
"""


@dataclasses.dataclass(slots=True)
class FlinkCluster:
    """Processes of a cluster.

    Attributes:
        master: HOST:PORT of the job manager, for --flink_master.
        job_server_jar: for --flink_job_server_jar.
        logs: folder of what each process prints.
    """

    master: str
    job_server_jar: Path
    logs: Path
    _flink: Path
    _manager: Host
    _workers: list[Host]
    _running: dict[int, subprocess.Popen]

    def flags(self) -> list[str]:
        """What turns a `tagmine` command line into one for this cluster."""
        return [
            "--runner=FlinkRunner",
            f"--flink_master={self.master}",
            f"--flink_job_server_jar={self.job_server_jar}",
            *self.worker_flags(),
        ]

    def worker_flags(self, parallelism: int | None = None) -> list[str]:
        """How many slots a job takes, by default all, and where each finds its Python workers."""
        return [
            f"--parallelism={parallelism or len(self._workers)}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{_POOL_PORT}",
        ]

    def start_task_manager(self, number: int) -> None:
        """Start one that is not running; it registers by itself."""
        host = self._workers[number]
        extra = [f"-Dtaskmanager.host={host.address}"]
        self._running[number] = self._java(host, f"task-manager-{number}", _TASK_MANAGER, extra)

    def kill_task_manager(self, number: int) -> None:
        """SIGKILL, as a machine's memory killer sends it."""
        process = self._running.pop(number)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def wait_for_task_managers(self, count: int) -> None:
        """Until exactly so many have registered.

        Raises:
            EngineError: when they have not within five minutes.
        """
        deadline = time.monotonic() + _START_SECONDS
        found = None
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                found = self.overview()["taskmanagers"]
            if found == count:
                return
            for number, process in self._running.items():
                if process.poll() is not None:
                    raise EngineError(f"task manager {number} has ended; see {self.logs}")
            time.sleep(0.2)
        raise EngineError(f"{found} task managers instead of {count}; see {self.logs}")

    def start_job_server(self) -> str:
        """Beam's job server beside the job manager; HOST:PORT of it, for --job_endpoint."""
        scratch = self.logs / "scratch"
        where = ["--job-host", self._manager.address, "--job-port", str(_JOB_PORT)]
        where += ["--flink-master", self.master, "--artifacts-dir", str(scratch / "artifacts")]
        options = [f"-Djava.io.tmpdir={scratch}", "-jar", str(self.job_server_jar)]
        command = ["java", *options, *where]
        self._manager.start(command, self.logs / "job-server.log")
        return f"{self._manager.address}:{_JOB_PORT}"

    def overview(self) -> dict:
        """What the job manager says of the cluster."""
        with urllib.request.urlopen(f"http://{self.master}/overview", timeout=5) as answer:
            return json.load(answer)

    def _java(self, host: Host, name: str, main: str, extra: list[str]) -> subprocess.Popen:
        conf = self.logs / "conf"
        options = ["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        options += [f"--add-opens={module}=ALL-UNNAMED" for module in ADD_OPENS]
        options += [f"-Djava.io.tmpdir={self.logs / 'scratch'}"]
        options += [f"-Dlog4j.configurationFile={conf / 'log4j.properties'}"]
        command = ["java", *options, "-cp", f"{self._flink}/*", main, "--configDir", str(conf)]
        return host.start([*command, *extra], self.logs / f"{name}.log")

    def _start_job_manager(self) -> None:
        self._java(self._manager, "job-manager", _JOB_MANAGER, [])

    def _start_pool(self, number: int) -> None:
        # It starts its workers as "python", so the environment's own must come first.
        bin_folder = str(Path(sys.executable).parent)
        module = "apache_beam.runners.worker.worker_pool_main"
        self._workers[number].start(
            [sys.executable, "-m", module, f"--service_port={_POOL_PORT}"],
            self.logs / f"worker-pool-{number}.log",
            PATH=f"{bin_folder}:{os.environ['PATH']}",
            PYTHONPATH=str(_PROJECT),
            OMP_WAIT_POLICY="PASSIVE",
            # As on machines of different sizes.
            OMP_NUM_THREADS=str(number + 1),
            HF_HUB_OFFLINE="1",
        )


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[None]:
    """Where the cluster keeps its jobs' jars, near a gigabyte a machine, until the block ends."""
    folder.mkdir(parents=True)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def flink_cluster(folder: Path, task_managers: int = 2) -> Iterator[FlinkCluster]:
    """A cluster that is ready, and gone when the block ends.

    Args:
        folder: for its configuration and logs.
        task_managers: how many, each of one slot.

    Raises:
        MissingEngineError: where Java, Maven or namespaces are missing.
        EngineError: where it does not start.
    """
    flink, beam = fetch("flink"), fetch("beam-flink")
    with _scratch(folder / "scratch"), hosts(task_managers + 1) as (manager, *workers):
        conf = folder / "conf"
        conf.mkdir(parents=True)
        config = {"manager": manager.address, "rest": _REST_PORT, "scratch": folder / "scratch"}
        (conf / "config.yaml").write_text(_CONFIG.format(**config))
        (conf / "log4j.properties").write_text(_LOGGING)
        master = f"{manager.address}:{_REST_PORT}"
        jar = beam / JOB_SERVER_JAR
        cluster = FlinkCluster(master, jar, folder, flink, manager, list(workers), {})
        cluster._start_job_manager()
        for number in range(task_managers):
            cluster._start_pool(number)
            cluster.start_task_manager(number)
        cluster.wait_for_task_managers(task_managers)
        yield cluster


def main() -> None:
    """Start a cluster and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task-managers", type=int, default=2, metavar="N")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        tempfile.TemporaryDirectory(prefix="tagmine-flink-") as folder,
        flink_cluster(Path(folder), arguments.task_managers) as cluster,
        contextlib.suppress(KeyboardInterrupt),
    ):
        print(f"logs: {folder}\n{' '.join(cluster.flags())}", flush=True)
        signal.pause()


if __name__ == "__main__":
    try:
        main()
    except EngineError as problem:
        sys.exit(f"engines.flink: {problem}")
