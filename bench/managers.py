"""What is measured: bare processes, rpm and PM2, each behind the same few verbs.

Every manager has a home of its own below the bench's temporary folder and is ended by `end()`.
"""
import json
import os
import signal
import subprocess
from pathlib import Path

BENCH = Path(__file__).resolve().parent


class Manager:
    """A manager driven by its command line; rpm and PM2 have the same words."""

    def __init__(self, name, command, home_variable, folder):
        self.name = name
        self.command = command
        self.home = folder / name
        self.home.mkdir(parents=True)
        self.environment = {**os.environ, home_variable: str(self.home), "NO_COLOR": "1"}
        self.mark = f"{home_variable}={self.home}".encode()

    def run(self, *words, cwd=None, check=True):
        done = subprocess.run([*self.command, *words], env=self.environment, cwd=cwd, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
        if check and done.returncode != 0:
            raise RuntimeError(f"{self.name} {' '.join(words)}: {done.stderr or done.stdout}")
        return done

    def start(self, apps):
        """Starts apps described as ecosystem entries; returns without waiting for the command."""
        path = self.home / "bench.json"
        path.write_text(json.dumps({"apps": apps}))
        return subprocess.Popen([*self.command, "start", str(path)], env=self.environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def forget(self):
        """Deletes every app; the manager itself stays."""
        self.run("delete", "all", check=False)

    def pids(self):
        return [app["pid"] for app in json.loads(self.run("jlist").stdout)]

    def own(self):
        """The manager's own processes."""
        raise NotImplementedError

    def pss_kib(self):
        """Proportional set size of the manager itself, in KiB."""
        return sum(pss_kib(pid) for pid in self.own())

    def end(self):
        self.run("kill", check=False)
        for pid in self.own():
            os.kill(pid, signal.SIGKILL)


class Rpm(Manager):
    def __init__(self, folder):
        self.binary = Path(os.environ.get("RPM", BENCH.parent / "target/release/rpm")).resolve()
        super().__init__("rpm", [str(self.binary)], "RPM_HOME", folder)

    def own(self):
        return [pid for pid in all_pids() if executable(pid) == self.binary and self.marks(pid)]

    def marks(self, pid):
        """Whether keeper or daemon `pid` belongs to this home."""
        text = read_bytes(f"/proc/{pid}/environ") + read_bytes(f"/proc/{pid}/cmdline")
        return str(self.home).encode() in text


class Pm2(Manager):
    def __init__(self, folder):
        script = BENCH / ".cache/node_modules/pm2/bin/pm2"
        super().__init__("pm2", ["node", str(script)], "PM2_HOME", folder)
        self.environment["PM2_DISABLE_VERSION_CHECK"] = "1"

    def own(self):
        try:
            pid = int((self.home / "pm2.pid").read_text())
        except (FileNotFoundError, ValueError):
            return []
        return [pid] if self.mark in read_bytes(f"/proc/{pid}/environ") else []


class Bare:
    """Processes of the bench itself."""

    name = "bare"

    def __init__(self):
        self.children = []

    def start(self, *words, **environment):
        child = subprocess.Popen(words, env={**os.environ, **environment}, start_new_session=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        self.children.append(child)
        return child

    def forget(self):
        for child in self.children:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        self.children = []

    end = forget


def all_pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def executable(pid):
    try:
        return Path(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return None


def read_bytes(path):
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def pss_kib(pid):
    for line in read_bytes(f"/proc/{pid}/smaps_rollup").decode().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
