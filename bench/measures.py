"""How it is measured. Times are read from stamps that the started programs write themselves on the
clock all processes share, so that the bench's own waiting costs and blurs nothing.
"""
import os
import signal
import socket
import statistics
import subprocess
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent
NATIVE = BENCH / ".cache/native"
HELLO = BENCH / "hello.js"
PRIMARY = BENCH / "primary.js"
PATIENCE_S = 30


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Stamps:
    """A file to which started programs append the time they were there at."""

    def __init__(self, folder, name):
        self.path = folder / f"{name}.stamps"
        self.path.write_text("")

    def wait(self, count):
        """The stamps, in nanoseconds, once there are `count`."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            lines = self.path.read_text().split("\n")[:-1]
            if len(lines) >= count:
                return [int(line) for line in lines]
            time.sleep(0.005)
        raise RuntimeError(f"{self.path.name}: fewer than {count} after {PATIENCE_S} s")


def hello_app(name, port, stamps=None, **more):
    environment = {"PORT": str(port), **({"STAMP": str(stamps.path)} if stamps else {})}
    return {"name": name, "script": str(HELLO), "env": environment, **more}


def native_app(name, *words, **more):
    return {"name": name, "script": str(NATIVE), "args": list(words), "interpreter": "none", **more}


def start_ten(manager, folder):
    """Seconds from the command to the last of 10 Node apps accepting; the daemon is warm."""
    results = []
    for turn in range(3):
        stamps, ports = Stamps(folder, f"ten-{manager.name}-{turn}"), free_ports(10)
        began = time.monotonic_ns()
        if manager.name == "bare":
            for port in ports:
                manager.start("node", str(HELLO), PORT=str(port), STAMP=str(stamps.path))
        else:
            command = manager.start([hello_app(f"h{i}", port, stamps) for i, port in enumerate(ports)])
        results.append((max(stamps.wait(10)) - began) / 1e9)
        if manager.name != "bare":
            command.wait(PATIENCE_S)
        manager.forget()
    return statistics.median(results)


def list_warm(manager, _folder):
    """Milliseconds of one `ls` with 10 apps, median of 15."""
    ports = free_ports(10)
    manager.start([hello_app(f"h{i}", port) for i, port in enumerate(ports)]).wait(PATIENCE_S)
    times = []
    for _ in range(15):
        began = time.monotonic()
        manager.run("ls")
        times.append((time.monotonic() - began) * 1e3)
    manager.forget()
    return statistics.median(times)


def sleeper(name, **more):
    return {"name": name, "script": "/bin/sleep", "args": ["100000"], "interpreter": "none",
            "exec_mode": "fork", **more}


def sleepers(manager, count):
    """Starts so many `sleep`s, and lets the manager come to rest."""
    manager.start([sleeper("sleeper", instances=count, merge_logs=True)]).wait(PATIENCE_S)
    time.sleep(2)


def thousand(manager):
    """The same with a thousand apps of one `sleep`."""
    manager.start([sleeper(f"sleeper{number}", min_uptime=100) for number in range(1000)]).wait(PATIENCE_S)
    time.sleep(2)


def list_times(manager, count):
    """Milliseconds of each of `count` runs of `ls`."""
    times = []
    for _ in range(count):
        began = time.monotonic()
        manager.run("ls")
        times.append((time.monotonic() - began) * 1e3)
    return sorted(times)


def list_thousand(manager, _folder):
    thousand(manager)
    times = list_times(manager, 100)
    manager.forget()
    return times[94]


def idle_thousand(manager, _folder):
    """Percent of a core that the manager's own processes use in 20 s in which nobody asks anything."""
    thousand(manager)
    before, began = cpu_seconds(manager), time.monotonic()
    time.sleep(20)
    percent = (cpu_seconds(manager) - before) / (time.monotonic() - began) * 100
    manager.forget()
    return percent


def pss_thousand(manager, _folder):
    """MiB PSS of the manager's own processes with a thousand apps, looked at once."""
    thousand(manager)
    manager.run("ls")
    mebibytes = manager.pss_kib() / 1024
    manager.forget()
    return mebibytes


def cpu_seconds(manager):
    """utime and stime (proc_pid_stat(5)) of the manager's own processes."""
    ticks = 0
    for pid in manager.own():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def list_flooded(manager, folder):
    """The slowest of 20 `ls` while an app prints all it can onto a full disk of 1 MiB and a reader of
    its log is stopped. The disk is a tmpfs: needs root."""
    disk = folder / "full"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "bench", str(disk)], check=True)
    try:
        app = {"name": "flood", "script": "/usr/bin/yes", "interpreter": "none", "rotate": False,
               "out_file": str(disk / "flood.log"), "log_full": "drop"}
        manager.start([app]).wait(PATIENCE_S)
        reader = subprocess.Popen([*manager.command, "logs", "flood"], env=manager.environment,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        reader.stdout.read(1)
        reader.send_signal(signal.SIGSTOP)
        slowest = list_times(manager, 20)[-1]
        reader.kill()
        reader.wait()
        manager.forget()
        return slowest
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def memory(manager, count):
    """MiB PSS of the manager's own processes while so many `sleep`s run."""
    if count:
        # PM2 goes on settling after its command returned.
        sleepers(manager, count)
    mebibytes = manager.pss_kib() / 1024
    manager.forget()
    return mebibytes


def crash(manager, folder):
    """Milliseconds from SIGKILL to the replacement's first instruction, median of 15."""
    stamps = Stamps(folder, f"crash-{manager.name}")
    words = ["stamp", str(stamps.path)]
    if manager.name == "bare":
        manager.start(str(NATIVE), "keep", str(NATIVE), *words)
    else:
        manager.start([native_app("stamp", *words, max_restarts=1000)]).wait(PATIENCE_S)
    times = []
    for turn in range(1, 16):
        stamps.wait(turn)
        # Long enough that no manager takes it for a crash loop.
        time.sleep(0.15)
        victim = child_of(manager)
        began = time.monotonic_ns()
        os.kill(victim, signal.SIGKILL)
        times.append((stamps.wait(turn + 1)[turn] - began) / 1e6)
    manager.forget()
    return statistics.median(times)


def child_of(manager):
    if manager.name != "bare":
        return manager.pids()[0]
    leader = manager.children[0].pid
    return int(Path(f"/proc/{leader}/task/{leader}/children").read_text().split()[0])


def sleeps(manager, folder, count=300):
    """Starts of small programs per second, `count` of them in one command."""
    stamps = Stamps(folder, f"sleeps-{manager.name}")
    words = ["stamp", str(stamps.path)]
    began = time.monotonic_ns()
    if manager.name == "bare":
        manager.start(str(NATIVE), "many", str(count), str(NATIVE), *words)
    else:
        app = native_app("many", *words, instances=count, exec_mode="fork", merge_logs=True)
        command = manager.start([app])
    seconds = (max(stamps.wait(count)) - began) / 1e9
    if manager.name != "bare":
        command.wait(PATIENCE_S)
    manager.forget()
    return count / seconds


def load(port, seconds, fresh, kept):
    words = [str(NATIVE), "load", str(port), str(seconds), str(fresh), str(kept)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def two_workers(manager, port):
    """Two workers of hello.js on one port; `bare` means node's own cluster."""
    if manager.name == "bare":
        manager.start("node", str(PRIMARY), PORT=str(port))
    else:
        app = hello_app("web", port, instances=2, exec_mode="cluster")
        manager.start([app]).wait(PATIENCE_S)
    until_accepting(port)


def until_accepting(port):
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError(f"nobody listens on {port}")


def connections(manager, _folder, kept=0):
    """Answers per second of 2 workers to 16 clients: a connection each, or one kept by each."""
    [port] = free_ports(1)
    two_workers(manager, port)
    load(port, 1, 0 if kept else 16, kept).wait()
    seconds = 4
    client = load(port, seconds, 0 if kept else 16, kept)
    answers, failures = map(int, client.communicate()[0].split())
    manager.forget()
    if failures:
        raise RuntimeError(f"{manager.name}: {failures} failed requests without any reload")
    return answers / seconds


def reload(manager, _folder):
    """Three reloads of 2 workers under 8 + 8 clients: (failed requests, seconds of one reload)."""
    [port] = free_ports(1)
    two_workers(manager, port)
    client = load(port, 15, 8, 8)
    time.sleep(1)
    began = time.monotonic()
    for _ in range(3):
        manager.run("reload", "web")
    seconds = (time.monotonic() - began) / 3
    _, failures = map(int, client.communicate()[0].split())
    manager.forget()
    return failures, seconds
