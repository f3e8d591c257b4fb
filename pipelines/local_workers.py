"""Beam's local worker processes, and what to do when one of them dies."""

from __future__ import annotations

import threading

from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    BeamFnControlServicer,
    SubprocessSdkWorkerHandler,
    WorkerHandler,
)
from apache_beam.runners.portability.local_job_service import SubprocessSdkWorker


class WorkerDiedError(RuntimeError):
    """A local worker process ended in the middle of its work."""


# In the place of Beam's own handler, which waits for the answers of a dead process for ever.
@WorkerHandler.register_environment(python_urns.SUBPROCESS_SDK, bytes)
class _WatchedWorkerHandler(SubprocessSdkWorkerHandler):
    def start_worker(self) -> None:
        self.worker = SubprocessSdkWorker(
            self._worker_command_line, self.control_address, self.provision_info, self.worker_id
        )
        self.worker_thread = threading.Thread(name="run_worker", target=self._watch)
        self.worker_thread.start()

    def stop_worker(self) -> None:
        # For one that has not connected yet, which would wait for work that does not come.
        self.control_conn.push(BeamFnControlServicer._DONE_MARKER)
        self.worker_thread.join()

    def _watch(self) -> None:
        try:
            self.worker.run()
        except RuntimeError as error:
            self._give_up(WorkerDiedError(str(error)))

    def _give_up(self, died: WorkerDiedError) -> None:
        push = self.control_conn.push

        def refuse(request):
            if request is BeamFnControlServicer._DONE_MARKER:
                return push(request)
            raise died

        self.control_conn.push = refuse
        self.control_conn.abort(died)
        for future in list(self.control_conn._futures_by_id.values()):
            # Who reads what a bundle puts out looks for an answer, not for an exception.
            future.set(beam_fn_api_pb2.InstructionResponse(error=str(died)))
