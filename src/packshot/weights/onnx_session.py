"""ONNX networks, run by onnxruntime in a process of their own.

A file that looks like any other may hold a loop without end, ask for all memory, or crash the
runtime; so there are limits on time and (on Linux, on a CPU) on memory, and only the child dies:
`python -m packshot.weights.onnx_session FILE cuda|cpu`, which then answers one array with another.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import weakref
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from packshot.errors import ModelLoadError, PackshotError
from packshot.weights.onnx_file import check_onnx

if TYPE_CHECKING:
    import numpy as np

TIMEOUT_SECONDS = 300
"""For loading a network, and for each answer. BiRefNet takes 20 s for a picture on two cores."""
MEMORY_BYTES, MEMORY_PER_FILE_BYTE = 8 * 2**30, 16
"""Most memory of the process: a network's activations are larger than its weights."""
INSTALL = 'pip install "packshot[onnx]"'
_MOST_ANSWER_BYTES = 2**28
_MOST_HEADER_BYTES = 2**20


@dataclass(frozen=True)
class Port:
    """An input or output of a network."""

    name: str
    type: str
    """As onnxruntime has it, such as "tensor(float)"."""
    shape: list[int | str | None]
    """Names and None stand for sizes that the file leaves open."""


class OnnxSession:
    """A network with one input, of which the first output is read.

    Attributes:
        inputs, outputs: what the file declares.
    """

    def __init__(self, path: Path, *, cuda: bool = True) -> None:
        """Judge a file and load it, on a GPU if there is one and `cuda` allows it.

        Raises:
            ModelLoadError: it is no ONNX network that onnxruntime runs within the limits.
            PackshotError: onnxruntime is not installed.
        """
        require_onnxruntime()
        check_onnx(path)
        self.path = path
        # Not resolved: beside a link of the hub's cache lie those of the network's other files.
        command = [sys.executable, "-P", "-m", __name__, os.path.abspath(path)]
        self._child = subprocess.Popen(
            [*command, "cuda" if cuda else "cpu"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        weakref.finalize(self, _end, self._child)
        told = self._hear()
        self.inputs, self.outputs = (
            [Port(*port) for port in told[kind]] for kind in ("inputs", "outputs")
        )

    def run(self, array: np.ndarray) -> np.ndarray:
        """The first output for the only input.

        Raises:
            ModelLoadError: the network fails, takes longer than `TIMEOUT_SECONDS` or too much memory.
        """
        assert self._child.stdin and self._child.stdout
        with contextlib.suppress(OSError):  # it has died, which is told below
            _send(self._child.stdin, {}, array)
        told = self._hear()
        return _array(self._child.stdout, told)

    def _hear(self) -> dict[str, Any]:
        """The child's next message."""
        child, late = self._child, threading.Event()
        assert child.stdout

        def kill() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(TIMEOUT_SECONDS, kill)
        timer.start()
        try:
            told = _header(child.stdout)
        finally:
            timer.cancel()
        if late.is_set():
            fault = f"it took longer than {TIMEOUT_SECONDS / 60:.0f} minutes"
        elif told is None:
            fault = "it crashed, or needs too much memory"
        elif "fault" in told:
            fault = told["fault"]
        else:
            return told
        raise ModelLoadError(
            f"{self.path} cannot be run by onnxruntime ({fault}). Copy it again, or use another."
        )


def require_onnxruntime() -> None:
    """Raise `PackshotError` if onnxruntime is not installed."""
    if not find_spec("onnxruntime"):
        raise PackshotError(
            f"ONNX models are run by onnxruntime, which is not installed: {INSTALL}"
        )


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.communicate()


def _send(stream: IO[bytes], header: dict[str, Any], array: np.ndarray | None = None) -> None:
    """A line of JSON, then an array's bytes."""
    if array is not None:
        header = header | {"dtype": array.dtype.str, "shape": array.shape}
    stream.write(json.dumps(header).encode() + b"\n")
    if array is not None:
        stream.write(array.tobytes())
    stream.flush()


def _header(stream: IO[bytes]) -> dict[str, Any] | None:
    """The next message's line; None if there is no other."""
    line = stream.readline(_MOST_HEADER_BYTES)
    told: dict[str, Any] | None = json.loads(line) if line.endswith(b"\n") else None
    return told


def _array(stream: IO[bytes], header: dict[str, Any]) -> np.ndarray:
    import numpy as np

    dtype, shape = np.dtype(header["dtype"]), header["shape"]
    data = stream.read(int(np.prod(shape, dtype=object)) * dtype.itemsize)
    return np.frombuffer(data, dtype).reshape(shape)


def _serve(path: Path, cuda: bool, asked: IO[bytes], answers: IO[bytes]) -> None:
    """The child: load, tell the ports, then answer."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is said by what is raised
    wanted = [*(["CUDAExecutionProvider"] if cuda else []), "CPUExecutionProvider"]
    available = onnxruntime.get_available_providers()
    providers = [name for name in wanted if name in available]
    if providers[0] == "CPUExecutionProvider":
        _limit_memory(path.stat().st_size)
    session = onnxruntime.InferenceSession(path, options, providers=providers)
    ports = {"inputs": session.get_inputs(), "outputs": session.get_outputs()}
    _send(
        answers,
        {kind: [(p.name, p.type, p.shape) for p in found] for kind, found in ports.items()},
    )
    while header := _header(asked):
        answer = session.run(None, {ports["inputs"][0].name: _array(asked, header)})[0]
        _send(answers, {}, _plain(answer))


def _plain(answer: Any) -> np.ndarray:
    """An answer as numbers of a bounded size."""
    import numpy as np

    if not isinstance(answer, np.ndarray) or answer.dtype.kind not in "fiub":
        raise ValueError("it answers with something other than numbers")
    if answer.nbytes > _MOST_ANSWER_BYTES:
        raise ValueError(f"it answers with {answer.nbytes / 1e9:.0f} GB")
    return answer


def _limit_memory(size: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit; that on time still holds
        return
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = min(MEMORY_BYTES + MEMORY_PER_FILE_BYTE * size, machine * 3 // 4)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    with contextlib.suppress(ValueError):  # nor has macOS
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _main() -> None:
    # What a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        _serve(Path(sys.argv[1]), sys.argv[2] == "cuda", sys.stdin.buffer, answers)
    except Exception as error:  # the runtime's own kinds, one a fault
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        with contextlib.suppress(OSError):
            _send(answers, {"fault": reason[:300]})


if __name__ == "__main__":
    _main()
