"""A private cluster of PostgreSQL, for the measurements and proofs of this folder."""

import glob
import os
import shutil
import subprocess
import sys

TICKS = os.sysconf("SC_CLK_TCK")
# PostgreSQL refuses to run as root.
AS_SERVER = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []


def fail(message, status=1):
    print(f"{os.path.basename(sys.argv[0])}: {message}", file=sys.stderr)
    sys.exit(status)


def binaries():
    initdb = shutil.which("initdb") or max(glob.glob("/usr/lib/postgresql/*/bin/initdb"), default=None)
    if initdb is None:
        fail("initdb was not found: install PostgreSQL's server.", 69)
    return os.path.dirname(os.path.realpath(initdb))


class Cluster:
    """A PostgreSQL whose socket is in a private folder."""

    def __init__(self, folder, name):
        self.data, self.socket = os.path.join(folder, name), os.path.join(folder, f"{name}.socket")
        os.mkdir(self.socket)
        if AS_SERVER:
            shutil.chown(folder, "postgres")
            shutil.chown(self.socket, "postgres")
        self.url = f"postgres://clientele@localhost/postgres?host={self.socket}"

    def run(self, *command):
        done = subprocess.run([*AS_SERVER, os.path.join(binaries(), command[0]), *command[1:]], cwd="/",
                              capture_output=True, text=True)
        if done.returncode != 0:
            fail(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")

    def create(self):
        self.run("initdb", "-D", self.data, "-U", "clientele", "-A", "trust", "-E", "UTF8", "--locale=C")

    def start(self):
        options = f"-k '{self.socket}' -c listen_addresses='' -c max_connections=200"
        log = os.path.join(self.data, "log")
        # Its output must not be the pipe of `run`, which would wait for the end of the cluster.
        command = [*AS_SERVER, os.path.join(binaries(), "pg_ctl"), "-D", self.data, "-l", log, "-w", "-o", options,
                   "start"]
        if subprocess.run(command, cwd="/", stdout=subprocess.DEVNULL).returncode != 0:
            fail(f"the cluster can't be started: {open(log).read()}")
        with open(os.path.join(self.data, "postmaster.pid")) as file:
            self.pid = int(file.readline())

    def stop(self):
        command = [*AS_SERVER, os.path.join(binaries(), "pg_ctl"), "-D", self.data, "-m", "immediate", "stop"]
        subprocess.run(command, cwd="/", capture_output=True)

    def cpu(self):
        """The CPU time of all its processes, in seconds."""
        ended, running = times(self.pid)
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as children:
            return ended + running + sum(times(int(child))[1] for child in children.read().split())


def times(pid):
    """The CPU time of the ended children of a process, and its own."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0, 0
    return sum(map(int, fields[13:15])) / TICKS, sum(map(int, fields[11:13])) / TICKS
