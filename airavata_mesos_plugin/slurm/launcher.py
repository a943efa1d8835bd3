"""The program text of a command: it carries the call to the provider's daemon and prints the answer.

`install` writes this text into the command files, where it runs with ``python -IS``. It imports built-in
modules only and no ``__future__``: every further import costs time that each ``squeue`` of each job pays.
"""

import _socket
import posix
import sys
import time

COMMAND = "squeue"  # install puts the real name here
SOCKET = ""  # and the real path here
PYTHON = ""  # the interpreter of the provider, for what can be answered without its daemon

SECONDS = 60.0  # for the whole conversation
LINE_LIMIT = 64  # bytes of a frame's first line
FRAME_LIMIT = 1 << 30  # bytes of one frame
CHUNK = 1 << 18

CONNECT_FAILURE = "Unable to contact slurm controller (connect failure)"
TIMED_OUT = "Socket timed out on send/recv operation"
TIMED_OUT_WHY = "Connection timed out"
ZERO_BYTES = "Zero Bytes were transmitted or received"
GARBLED = "Unexpected message received"


class Trouble(Exception):
    """The daemon does not answer: SLURM 22.05's words for it, and the reason in the system's words."""

    def __init__(self, text: str, why: str) -> None:
        super().__init__(text)
        self.text = text
        self.why = why


def encode(text: str) -> bytes:
    """The bytes that an argument had before Python decoded it."""
    return text.encode(sys.getfilesystemencoding(), "surrogateescape")


def put(descriptor: int, data: bytes) -> None:
    """Write everything; a reader that has gone is no reason to complain."""
    view = memoryview(data)
    while view:
        try:
            view = view[posix.write(descriptor, view) :]
        except OSError:
            return


def fetch(path: bytes, limit: int) -> bytes:
    """What goes back for a file that the daemon asks for: its first bytes, or why it cannot be read."""
    pieces = []
    size = 0
    try:
        descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC) if path else 0
        while size < limit:
            piece = posix.read(descriptor, min(CHUNK, limit - size))
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
    except OSError as error:
        return b"! %d\n" % (error.errno or 5)
    except ValueError:  # a NUL in the path
        return b"! 22\n"
    return b"D %d\n%b" % (size, b"".join(pieces))


def inherited() -> dict[bytes, bytes]:
    """The environment as it was when the command began.

    In the C locale Python sets LC_CTYPE for itself and its children; a job must not see that.
    """
    environ = dict(posix.environ)
    if environ.get(b"LC_CTYPE") in (b"C.UTF-8", b"C.utf8", b"UTF-8"):
        frame = fetch(b"/proc/self/environ", FRAME_LIMIT)
        if frame[:1] == b"D" and b"\0LC_CTYPE=" not in frame.replace(b"\n", b"\0", 1):
            del environ[b"LC_CTYPE"]
    return environ


def save(name: bytes, content: bytes) -> bool:
    """Write a file as the caller would; False when that did not work, which is then said."""
    try:
        descriptor = posix.open(name, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o666)
        view = memoryview(content)
        while view:
            view = view[posix.write(descriptor, view) :]
        posix.close(descriptor)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        put(2, encode(COMMAND + ": error: cannot write ") + name + encode(": " + reason + "\n"))
        return False
    return True


def confirmed(text: bytes) -> list[bytes]:
    """Ask each question of the text; the words of a call with those that were answered with yes."""
    count, *words = text.split(b"\0")
    begin = int(count)
    answered = []
    for position in range(begin, len(words) - 1, 2):
        put(1, words[position + 1])
        answer = b""
        while not answer.endswith(b"\n"):
            letter = posix.read(0, 1)
            if not letter:
                break
            answer += letter
        if answer.strip().lower() in (b"y", b"yes"):
            answered.append(words[position])
    return words[:begin] + answered if answered else []


class Conversation:
    """One request and its answer."""

    def __init__(self, path: str, seconds: float, words: list[bytes]) -> None:
        self.path = path
        self.words = words
        self.pause = 0.0
        self.again: list[bytes] = []
        self.sent = False
        self.deadline = time.monotonic() + seconds
        self.buffer = b""
        # Standard streams may be closed: the connection must not take the place of one of them.
        while posix.open("/dev/null", posix.O_RDWR) < 3:
            pass
        self.socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)

    def limit(self) -> None:
        """Let the next call on the socket wait for what is left of the time."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Trouble(TIMED_OUT, TIMED_OUT_WHY)
        self.socket.settimeout(left)

    def connect(self) -> None:
        self.limit()
        try:
            self.socket.connect(self.path)
        except TimeoutError as error:
            raise Trouble(TIMED_OUT, TIMED_OUT_WHY) from error
        except OSError as error:
            raise Trouble(CONNECT_FAILURE, error.strerror or str(error)) from error

    def send(self, data: bytes) -> None:
        self.limit()
        try:
            self.socket.sendall(data)
        except TimeoutError as error:
            raise Trouble(TIMED_OUT, TIMED_OUT_WHY) from error
        except OSError as error:
            raise Trouble(ZERO_BYTES, error.strerror or str(error)) from error

    def receive(self) -> bytes:
        self.limit()
        try:
            data = self.socket.recv(CHUNK)
        except TimeoutError as error:
            raise Trouble(TIMED_OUT, TIMED_OUT_WHY) from error
        except OSError as error:
            raise Trouble(ZERO_BYTES, error.strerror or str(error)) from error
        if not data:
            raise Trouble(ZERO_BYTES, "Connection closed before the answer was complete")
        return data

    def line(self) -> list[bytes]:
        """The words of the next frame's first line."""
        while b"\n" not in self.buffer:
            if len(self.buffer) > LINE_LIMIT:
                raise Trouble(GARBLED, "Protocol error")
            self.buffer += self.receive()
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.split(b" ")

    def payload(self, size: int) -> bytes:
        """The bytes that follow a frame's first line."""
        pieces = [self.buffer]
        have = len(self.buffer)
        while have < size:
            piece = self.receive()
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces)
        self.buffer = data[size:]
        return data[:size]

    def run(self) -> int:
        """Hold the conversation; the command's exit code."""
        self.connect()
        argv = b"\0".join([encode(COMMAND), *self.words])
        try:
            cwd = posix.getcwdb()
        except OSError:  # the directory has been removed
            cwd = b""
        variables = inherited()
        if COMMAND == "sbatch":
            mask = posix.umask(0)
            posix.umask(mask)
            variables[b"SLURM_UMASK"] = b"%04o" % mask
        environ = b"\0".join([name + b"=" + value for name, value in variables.items()])
        self.send(
            b"airavata-mesos 1 %d %d %d\n%b%b%b" % (len(argv), len(cwd), len(environ), argv, cwd, environ)
        )
        self.sent = True
        output = []
        errors = []
        questions = b""
        saved = True
        while True:
            kind, *numbers = self.line()
            if not all(word.isdigit() and len(word) < 11 for word in numbers):
                raise Trouble(GARBLED, "Protocol error")
            amounts = [int(word) for word in numbers]
            if len(amounts) != (2 if kind in (b"F", b"A", b"S") else 1) or max(amounts) > FRAME_LIMIT:
                raise Trouble(GARBLED, "Protocol error")
            if kind == b"O":
                output.append(self.payload(amounts[0]))
            elif kind == b"E":
                errors.append(self.payload(amounts[0]))
            elif kind == b"A":
                self.again = self.payload(amounts[0]).split(b"\0")
                self.pause = amounts[1] / 1000
            elif kind == b"Q":
                questions = self.payload(amounts[0])
            elif kind == b"S" and COMMAND == "scontrol":
                name = self.payload(amounts[0])
                saved = save(name, self.payload(amounts[1]))
            elif kind == b"X":
                # Nothing is shown before all of it is here: half a table would be a wrong answer.
                put(2, b"".join(errors))
                if not saved:
                    return 1
                put(1, b"".join(output))
                if questions:
                    self.again = confirmed(questions)
                return amounts[0] & 255
            elif kind == b"F" and COMMAND == "sbatch":
                self.send(fetch(self.payload(amounts[0]), amounts[1]))
            else:
                raise Trouble(GARBLED, "Protocol error")


def complain(trouble: Trouble, path: str, sent: bool) -> int:
    """Say what SLURM says when nobody answers, and where to look; the exit code."""
    lines = ["slurm_load_jobs error: " + trouble.text]
    if COMMAND == "sbatch":
        lines = ["sbatch: error: Batch job submission failed: " + trouble.text]
        if sent:
            lines.append(
                "sbatch: error: the job may have been submitted all the same;"
                " look with squeue before submitting it again"
            )
    elif COMMAND == "scancel":
        ids = [text for word in sys.argv[1:] for text in word.split(",") if text.isdigit()]
        if ids:
            lines = ["scancel: error: Kill job error on job id " + text + ": " + trouble.text for text in ids]
    elif COMMAND == "sinfo":
        lines = ["slurm_load_partitions: " + trouble.text]
    elif COMMAND == "sacct":
        lines = ["sacct: error: Problem talking to the database: " + trouble.why]
    elif COMMAND == "srun":
        lines = ["srun: error: Unable to allocate resources: " + trouble.text]
    elif COMMAND == "scontrol" and sys.argv[1:] == ["ping"]:
        put(1, b"Slurmctld(primary) at localhost is DOWN\n")
    lines.append(
        COMMAND + ": error: the provider daemon does not answer at " + path + " (" + trouble.why + ");"
        " start it with: airavata-mesos serve\n"
    )
    put(2, encode("\n".join(lines)))
    return 8 if COMMAND == "scancel" else 1


def ask_the_ledger(path: str, trouble: Trouble) -> None:
    """Let the provider's own interpreter read the ledger; return when there is none."""
    words = [PYTHON, "-I", "-m", "airavata_mesos_plugin.slurm.offline", path, trouble.why, *sys.argv[1:]]
    try:
        posix.execv(PYTHON, [encode(word) for word in words])
    except (OSError, ValueError):
        return


def converse(path: str, seconds: float) -> int:
    """Hold one conversation after the other; the exit code of the last."""
    words = [encode(text) for text in sys.argv[1:]]
    patience = time.monotonic() + seconds
    waiting = False
    while True:
        conversation = Conversation(path, seconds, words)
        try:
            code = conversation.run()
        except Trouble as trouble:
            if waiting and time.monotonic() < patience:
                time.sleep(1)  # the job is safe with the daemon, which may just be starting again
                continue
            if COMMAND == "sacct" and PYTHON:
                ask_the_ledger(path, trouble)
            return complain(trouble, path, conversation.sent and not waiting)
        finally:
            conversation.socket.close()
        if not conversation.again:
            return code
        waiting = conversation.pause > 0
        words = conversation.again
        time.sleep(conversation.pause)
        patience = time.monotonic() + seconds


def main() -> None:
    """Run the command and end the process at once, without the interpreter's clean-up."""
    code = 1
    try:
        path = posix.environ.get(b"AIRAVATA_MESOS_SOCKET", b"").decode(errors="surrogateescape") or SOCKET
        try:
            seconds = float(posix.environ.get(b"AIRAVATA_MESOS_TIMEOUT", b""))
        except ValueError:
            seconds = SECONDS
        code = converse(path, seconds if 0 < seconds <= 86400 else SECONDS)
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:
        put(2, encode(COMMAND + ": error: internal fault of the command: " + repr(error) + "\n"))
    posix._exit(code)


if __name__ == "__main__":
    main()
