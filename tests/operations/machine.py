"""The machines of the page: a folder that stands for /, a loopback address for each name, and programs for services."""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from page import fits

HERE = Path(__file__).parent
# No name is a part of a later one.
NAMES = ["clientele", "pool", "db", "lb", "a", "b"]
END = "\x1e"
# The longest block, an upgrade, waits for two drained servers.
BLOCK_SECONDS = 90
PATHS = re.compile(r"(?<![\w.-])(?<![\w.-]/)/(etc|var|run|root|usr/bin/clientele)\b")


class Machine:
    def __init__(self, program, older):
        self.root = Path(tempfile.mkdtemp(prefix="operations."))
        self.root.chmod(0o711)
        network = f"127.{random.randrange(1, 255)}.{random.randrange(255)}"
        self.addresses = {f"{name}.bank.test": f"{network}.{at}" for at, name in enumerate(NAMES, 1)}
        # What stands for words of the page, and the token of each database.
        self.values, self.tokens = {}, {}
        for folder in ["bin", "root", "run", "usr/bin", "etc/clientele", "etc/pgbouncer", "etc/haproxy",
                       "etc/logrotate.d", "etc/postgresql/15/main", "etc/systemd/system/clientele.service.d",
                       "var/lib/clientele", "var/lib/postgresql/15", "var/lib/logrotate",
                       "var/backups/postgresql", "var/log", "run/postgresql"]:
            (self.root / folder).mkdir(parents=True)
        for folder in ["run/postgresql", "var/lib/postgresql/15", "var/backups/postgresql", "var/log"]:
            shutil.chown(self.root / folder, "postgres")
        self.program, self.older = program, older
        self.use(program)
        self.environment = {
            "PATH": f"{HERE / 'programs'}:{os.environ['PATH']}",
            "HOME": str(self.root / "root"), "LC_ALL": "C.UTF-8", "TZ": "UTC", "OPERATIONS": str(self.root),
            "HOST": "", "NEWER": program, "ADDRESS_A": self.address("a"), "ADDRESS_B": self.address("b"),
            "HAPROXY": f"{self.address('lb')}:8080",
        }

    def address(self, name):
        return self.addresses[f"{name}.bank.test"]

    def use(self, program, *hosts):
        """Installs a program on machines: that without a name unless there are some."""
        for link in [f"clientele-{host}" for host in hosts] or ["clientele"]:
            link = self.root / "usr/bin" / link
            link.unlink(missing_ok=True)
            link.symlink_to(program)

    def place(self, text):
        """A text of the page with the folders, addresses and values of this test."""
        for name, value in self.values.items():
            text = text.replace(name, value)
        for name, address in self.addresses.items():
            text = text.replace(f"DNS:{name}", f"IP:{address}").replace(name, address)
        text = text.replace("127.0.0.1", self.address("clientele")).replace("0.0.0.0:", f"{self.address('clientele')}:")
        text = text.replace("10.0.0.0/8", "127.0.0.0/8")
        return PATHS.sub(lambda path: f"{self.root}{path[0]}", text)

    def unplace(self, text):
        """An output of this test as the page has it."""
        text = text.replace(str(self.root), "")
        for name, address in self.addresses.items():
            text = text.replace(address, name)
        for name, value in self.values.items():
            text = text.replace(value, name)
        return text

    def write(self, path, text, mode=0o644):
        file = self.root / path.lstrip("/")
        file.write_text(self.place(text))
        file.chmod(mode)
        return file

    def remove(self, path):
        (self.root / path.lstrip("/")).unlink(missing_ok=True)

    def read(self, path):
        return (self.root / path.lstrip("/")).read_text()

    def run(self, command):
        """Runs a command of the test itself, as written on the page, and returns its output."""
        process = subprocess.Popen(["bash", "-euo", "pipefail", "-c", self.place(command)], env=self.environment,
                                   text=True, cwd=self.root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, start_new_session=True)
        with process, Deadline(process) as deadline:
            output, errors = process.communicate()
        if deadline.expired or process.returncode != 0:
            raise AssertionError(self.unplace(f"{command}\n{deadline.message()}{output}{errors}"))
        return self.unplace(output)

    def warnings(self):
        """The last warnings and errors in the logs of all services."""
        lines = []
        for log in sorted((self.root / "var/log").glob("*.log")):
            found = re.findall(r".*\b(?:WARN|ERROR|FATAL|ALERT)\b.*", log.read_text(errors="replace"))
            lines += [f"{log.name}: {line[:300]}" for line in found[-10:]]
        return self.unplace("\n".join(lines))

    def close(self):
        """Ends all processes that were started, by their ids."""
        data = self.root / "var/lib/postgresql/15/main"
        if (data / "postmaster.pid").exists():
            self._end(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
        for file in (self.root / "run").glob("*.pid"):
            self._end(int(file.read_text()), signal.SIGKILL)
        shutil.rmtree(self.root, ignore_errors=True)

    def _end(self, pid, kind):
        try:
            # Another process can have got the number since.
            if str(self.root) not in os.readlink(f"/proc/{pid}/cwd"):
                return
            os.kill(pid, kind)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and os.path.exists(f"/proc/{pid}/exe"):
                time.sleep(0.05)
        except OSError:
            pass


class Deadline:
    """Kills a process, the leader of its group, with all of the group after BLOCK_SECONDS in a `with` block."""

    def __init__(self, process):
        self.process, self.expired = process, False
        self.timer = threading.Timer(BLOCK_SECONDS, self._expire)

    def _expire(self):
        self.expired = True
        # The group remains while one of its processes does.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def message(self):
        return f"The commands took longer than {BLOCK_SECONDS} s.\n" if self.expired else ""

    def __enter__(self):
        self.timer.start()
        return self

    def __exit__(self, *_):
        self.timer.cancel()
        self.timer.join()


class Shell:
    """A shell in which the blocks of a section run in order, up to the first failure."""

    def __init__(self, machine, prelude):
        self.machine = machine
        self.errors = open(machine.root / "errors", "w+")
        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], env=machine.environment, cwd=machine.root / "root", text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, start_new_session=True)
        self._feed("set -euo pipefail\n")
        self.run(prelude)

    def _feed(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def run(self, block):
        """Runs a block and returns its output."""
        script = self.machine.root / "run/block"
        script.write_text(self.machine.place(block))
        output = ""
        with Deadline(self.process) as deadline:
            # Commands must not read the next ones.
            self._feed(f". {script} </dev/null; printf '\\036'\n")
            while not output.endswith(END):
                read = self.process.stdout.read(1)
                if not read:
                    break
                output += read
        if not output.endswith(END):
            reason = deadline.message() or f"The command failed with status {self.process.wait()}.\n"
            self.errors.seek(0)
            raise AssertionError(f"{reason}{self.machine.unplace(output + self.errors.read())}")
        return self.machine.unplace(output[:-1])

    def expect(self, block, expected):
        found = self.run(block)
        if not fits(expected, found):
            self.errors.seek(0)
            raise AssertionError(f"the output is:\n{found}\n{self.machine.unplace(self.errors.read())}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.errors.close()
