# SPDX-License-Identifier: MIT
"""Test of the server: check.py SERVER [--short] [--rss] [OPTION OF THE SERVER...].

--rss: what the system says of its memory counts, too; not so under sanitizers and full checks, which keep copies.

Clients that do what clients should not, and wrk and curl; the reference for every answer is the file or body itself.
"""
import hashlib
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

counts = {"passed": 0, "failed": 0, "skipped": 0}
program = os.path.abspath(sys.argv[1])
short = "--short" in sys.argv
plain = "--rss" in sys.argv and os.environ.get("OPOOL_CHECKS") != "full"
extra = [option for option in sys.argv[2:] if option not in ("--short", "--rss")]
malloc = "--memory=malloc" in extra
work = tempfile.mkdtemp()
root = os.path.join(work, "root")


def report(good, what):
    counts["passed" if good else "failed"] += 1
    if not good:
        print("FAILED:", what, flush=True)


def skip(what):
    counts["skipped"] += 1
    print("skipped:", what)


class Server:
    """A server on a port of the system's choice. Leaving the block stops it, and wants all given back."""

    def __init__(self, *options, descriptors=0, says=""):
        self.says = says
        self.errors = tempfile.TemporaryFile(dir=work)
        arguments = [program, "--port=0", "--root=" + root, "--epoch-ms=100", *extra, *options]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=self.errors,
                                        preexec_fn=lambda: descriptors and resource.setrlimit(
                                            resource.RLIMIT_NOFILE, (descriptors, descriptors)))
        line = self.process.stdout.readline().decode().split()
        self.port = int(line[-1]) if line else 0
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def end(self):
        try:
            status = self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "none: it hangs"
        self.errors.seek(0)
        return status, self.errors.read().decode()

    def __exit__(self, kind, error, trace):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status, said = self.end()
        report(status == 0 and bool(self.says) == bool(said) and self.says in said,
               f"a stop ends in good order, all objects given back: {status} {said}")
        self.process.stdout.close()
        self.errors.close()

    def connect(self, timeout=5):
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def metrics(self):
        with Client(self) as client:
            return client.ask("GET", "/metrics")[2].decode()

    def figure(self, name):
        return float(re.search(rf"^{re.escape(name)} (\S+)$", self.metrics(), re.M).group(1))

    def live(self):
        return [self.figure(f'server_live{{kind="{kind}"}}') for kind in ("connection", "request", "buffer")]

    def resident(self):
        return sum(float(value) for value in re.findall(r"^opool_pool_resident_bytes{.*} (\S+)$", self.metrics(), re.M))

    def rss(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Client:
    """A connection that is read answer by answer, so that nothing is hidden by a library."""

    def __init__(self, server, timeout=5):
        self.socket = server.connect(timeout)
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        data = self.socket.recv(65536)
        self.data += data
        return bool(data)

    def answer(self, body=True):
        """Status, head, body; the status is 0 when the connection ends before the first byte, -1 amid an answer."""
        while b"\r\n\r\n" not in self.data:
            if not self.more():
                return (-1 if self.data else 0), "", b""
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        text = head.decode()
        length = int(re.search(r"Content-Length: (\d+)", text).group(1)) if body and "100 Continue" not in text else 0
        while len(self.data) < length:
            if not self.more():
                return -1, text, self.data
        content, self.data = self.data[:length], self.data[length:]
        return int(text.split()[1]), text, content

    def ask(self, method, target, body=b"", headers="", close=False):
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        end = "Connection: close\r\n" if close else ""
        self.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{length}{end}{headers}\r\n".encode() + body)
        return self.answer(method != "HEAD")

    def ended(self):
        """Nothing more comes, and the end is no reset."""
        try:
            return not self.data and not self.more()
        except OSError:
            return False


def status_of(server, data):
    with Client(server) as client:
        client.send(data)
        status = client.answer()[0]
        return status if client.ended() else -status


def soon(condition, seconds=3.0):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def content(n, seed):
    return hashlib.shake_128(str(seed).encode()).digest(n)


def cpu_seconds(server):
    with open(f"/proc/{server.process.pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def make_root():
    os.makedirs(os.path.join(root, "folder"))
    for name, n in (("index.html", 100), ("empty.txt", 0), ("one.bin", 1), ("page.bin", 16384), ("large.bin", 3000000),
                    ("folder/a b%.txt", 5000)):
        with open(os.path.join(root, name), "wb") as file:
            file.write(content(n, name))
    with open(os.path.join(work, "secret"), "wb") as file:
        file.write(b"secret")
    os.symlink("../secret", os.path.join(root, "link"))
    os.symlink("..", os.path.join(root, "up"))
    os.mkfifo(os.path.join(root, "pipe"))


def file_bytes(name):
    with open(os.path.join(root, name), "rb") as file:
        return file.read()


# ---- what is answered


def answers(server):
    with Client(server) as client:
        for target, name in (("/", "index.html"), ("/index.html?x=../y", "index.html"), ("/empty.txt", "empty.txt"),
                             ("/one.bin", "one.bin"), ("/page.bin", "page.bin"), ("/large.bin", "large.bin"),
                             ("/folder/a%20b%25.txt", "folder/a b%.txt"), ("//folder//.//a%20b%25.txt", "folder/a b%.txt")):
            status, _, body = client.ask("GET", target)
            report(status == 200 and body == file_bytes(name), f"GET {target}: {status}, {len(body)} bytes")
        status, head, body = client.ask("HEAD", "/large.bin")
        report(status == 200 and not body and "Content-Length: 3000000" in head, f"HEAD: {head}")
        for method, target, wanted in (("POST", "/", 405), ("GET", "/echo", 405), ("DELETE", "/one.bin", 405),
                                       ("GET", "/none", 404), ("GET", "/folder", 404), ("GET", "/pipe", 404)):
            status = client.ask(method, target)[0]
            report(status == wanted, f"{method} {target}: {status}")
    for target in ("/../secret", "/folder/../../secret", "/%2e%2e/secret", "/..%2fsecret", "/link", "/up/secret",
                   "/folder/%2e%2e/index.html", "/one.bin%00", "/%", "/%2", "/%zz", "/" + "a" * 300, "http://x/secret"):
        with Client(server) as client:
            status, _, body = client.ask("GET", target)
            report(status == 404 and b"secret" not in body, f"GET {target[:40]} leads nowhere: {status} {body[:20]}")


def chunked(body, piece):
    parts = [body[i:i + piece] for i in range(0, len(body), piece)] + [b""]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


def bodies(server):
    with Client(server) as client:
        for n in (0, 1, 1000, 16367, 16368, 16369, 100000, 262144):
            body = content(n, n)
            status, _, echo = client.ask("POST", "/echo", body)
            report(status == 200 and echo == body, f"echo of {n} bytes: {status}, {len(echo)}")
            client.send(b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body, 777))
            status, _, echo = client.answer()
            report(status == 200 and echo == body, f"chunked echo of {n} bytes: {status}, {len(echo)}")
        client.send(b"POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        report(client.answer()[0] == 100, "Expect: 100-continue")
        client.send(b"abc")
        report(client.answer()[2] == b"abc", "the body after 100 Continue")
    with Client(server) as client:
        client.send(b"GET /one.bin HTTP/1.0\r\n\r\n")
        report(client.answer()[2] == file_bytes("one.bin") and client.ended(), "HTTP/1.0 ends the connection")
    with Client(server) as client:
        client.ask("GET", "/one.bin", close=True)
        report(client.ended(), "Connection: close ends it")


def pipelined(server):
    wanted, data = [], b""
    for i in range(300):
        body = content(i * 37 % 3000, i)
        data += b"POST /echo HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        data += b"GET /page.bin HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\n\r\n"
        wanted += [body, file_bytes("page.bin"), b"Not Found\n"]
    with Client(server) as client:
        sender = threading.Thread(target=client.send, args=(data,))
        sender.start()
        got = [client.answer()[2] for _ in wanted]
        sender.join()
        report(got == wanted, "900 pipelined requests are answered in order")
    with Client(server) as client:
        client.send(b"GET /one.bin HTTP/1.1\r\n\r\nNONSENSE\r\n\r\n")
        report([client.answer()[0], client.answer()[0]] == [200, 400] and client.ended(),
               "a bad request behind a good one: both are answered")


def limits(server):
    report(status_of(server, b"nonsense\r\n\r\n") == 400, "no HTTP: 400")
    report(status_of(server, b"GET / HTTP/1.1\r\nA: " + b"x" * 100000 + b"\r\n\r\n") == 431, "a long header: 431")
    many = b"".join(b"Header-%d: value\r\n" % i for i in range(2000))
    report(status_of(server, b"GET / HTTP/1.1\r\n" + many + b"\r\n") == 431, "many headers: 431")
    report(status_of(server, b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n") == 414, "a long target: 414")
    body = b"POST /%s HTTP/1.1\r\n%s\r\n\r\n"
    report(status_of(server, body % (b"echo", b"Content-Length: 262145") + b"x" * 262145) == 413, "a long body: 413")
    report(status_of(server, body % (b"echo", b"Content-Length: 99999999999")) == 413, "a body that never came: 413")
    report(status_of(server, body % (b"echo", b"Content-Length: 99999999999999999999")) == 400, "no number: 400")
    report(status_of(server, body % (b"x", b"Transfer-Encoding: chunked") + chunked(b"x" * 300000, 999)) == 413,
           "a long chunked body: 413")
    report(status_of(server, body % (b"echo", b"Content-Length: 3\r\nTransfer-Encoding: chunked")) == 400,
           "two lengths: 400")


def told_while_sending(server):
    with Client(server) as client:
        client.send(b"POST /echo HTTP/1.1\r\nContent-Length: 999999\r\n\r\n" + b"x" * 50000)
        status, sent = client.answer()[0], 0
        try:
            for sent in range(5):
                client.send(b"x" * 10000)
                time.sleep(0.02)
        except OSError:
            status = 0
        report(status == 413, f"who is told 413 while he sends is not reset: {sent} of 4")


# ---- clients that are slow, or leave


def byte_by_byte(server):
    body = content(300, "slow")
    with Client(server) as client:
        for byte in b"POST /echo HTTP/1.1\r\nContent-Length: 300\r\n\r\n" + body:
            client.send(bytes([byte]))
            time.sleep(0.0005)
        report(client.answer()[2] == body, "a request that comes byte by byte")
    with Client(server) as client:
        client.send(b"GET /large.bin HTTP/1.1\r\n\r\n" * 8) # more than the system keeps for a socket
        time.sleep(0.6)
        buffers = server.live()[2]
        report(buffers <= 12, f"a client who does not read holds few buffers: {buffers}")
        report(all(client.answer()[2] == file_bytes("large.bin") for _ in range(8)), "and reads all in the end")


def half_closed(server):
    with Client(server) as client:
        client.send(b"GET /page.bin HTTP/1.1\r\n\r\nGET /large.bin HTTP/1.1\r\n\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        report(client.answer()[2] == file_bytes("page.bin") and client.answer()[2] == file_bytes("large.bin") and
               client.ended(), "a half-closed connection gets its answers, then its end")
    with Client(server) as client:
        client.send(b"POST /echo HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf")
        client.socket.shutdown(socket.SHUT_WR)
        report(client.answer()[0] == 0, "half a request gets no answer, but an end")


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def resets(server):
    for data in (b"", b"GET /large.bin HTTP/1.1\r\n\r\n", b"GET /lar", b"POST /echo HTTP/1.1\r\nContent-Length: 9999\r\n\r\nx",
                 b"GET /large.bin HTTP/1.1\r\n\r\n" * 50):
        for _ in range(20):
            client = server.connect()
            client.sendall(data)
            reset(client)
    report(soon(lambda: server.live() == [1, 1, 1]), f"connections that are reset leave nothing: {server.live()}")


def dropped(server):
    """All at once, 1,000 at a time: each with a request that is under way and holds a buffer."""
    start = server.rss()
    peak = most = 0
    for _ in range(10):
        clients = [server.connect() for _ in range(1000)]
        for client in clients:
            client.sendall(b"POST /echo HTTP/1.1\r\nContent-Length: 20000\r\n\r\n" + b"x" * 10000)
        soon(lambda: server.live()[1] == 1001)
        peak = max(peak, server.rss())
        most = max(most, server.resident())
        for i, client in enumerate(clients):
            if i % 2:
                reset(client)
            else:
                client.close()
    report(peak - start > 8 << 20, f"1,000 clients at once hold memory: {(peak - start) >> 20} MiB")
    report(soon(lambda: server.live() == [1, 1, 1]), f"10,000 connections opened and dropped: live {server.live()}")
    if malloc:
        return
    epoch = server.figure('opool_pool_epoch{pool="io_buf_pool",id="2"}')
    reached = soon(lambda: server.figure('opool_pool_epoch{pool="io_buf_pool",id="2"}') >= epoch + 3)
    time.sleep(0.05) # the tick that began this epoch is at work
    left, resident = server.rss() - start, server.resident()
    report(reached and 0 < resident < most / 8, f"two epochs later the pools hold {resident} of {most} bytes")
    report(not plain or left < (peak - start) / 8,
           f"two epochs later the memory is back: {left >> 10} KiB of {(peak - start) >> 10} left")


# ---- limits of the whole


def idle_limits():
    with Server("--idle-ms=300", "--request-ms=600") as server:
        with Client(server) as quiet, Client(server) as late, Client(server) as unread:
            unread.send(b"GET /large.bin HTTP/1.1\r\n\r\n" * 9)
            start = time.monotonic()
            for byte in b"GET / HTTP/1.1\r\n" + b"x" * 100:
                try:
                    late.send(bytes([byte]))
                except OSError:
                    break
                if time.monotonic() - start > 0.9:
                    break
                time.sleep(0.05)
            report(late.answer()[0] == 408, "a request that takes too long: 408")
            report(quiet.ended(), "an idle connection is closed")
            report(soon(lambda: server.live() == [1, 1, 1]), f"nobody who does not read is kept: {server.live()}")


def refused_connections():
    with Server("--connections=20") as server:
        clients = [Client(server) for _ in range(20)]
        good = all(client.ask("GET", "/one.bin")[0] == 200 for client in clients)
        with Client(server) as extra_client:
            status, head, _ = extra_client.ask("GET", "/one.bin")
            report(good and status == 503 and "Retry-After" in head and extra_client.ended(), f"client 21: {status}")
        for _ in range(300):
            server.connect().close()
        report(all(client.ask("GET", "/one.bin")[0] == 200 for client in clients), "the 20 are served all the time")
        clients.pop().socket.close()

        def again():
            with Client(server) as client:
                return client.ask("GET", "/one.bin")[0] == 200
        report(soon(again), "when one leaves the next gets in")
        for client in clients:
            client.socket.close()


def few_descriptors():
    with Server("--epoch-ms=1000", descriptors=60, says="60 descriptors may be too few") as server:
        client = Client(server)
        client.ask("GET", "/one.bin")
        others = [server.connect() for _ in range(100)]
        time.sleep(0.2)
        before = cpu_seconds(server)
        time.sleep(0.5)
        used = cpu_seconds(server) - before
        report(used < 0.1, f"without descriptors it does not spin: {used} s in 0.5 s")
        report(client.ask("POST", "/echo", b"x")[2] == b"x", "who is connected is served")
        report(client.ask("GET", "/one.bin")[0] == 503, "a file without a descriptor: 503")
        client.socket.close()
        for other in others:
            other.close()
        report(soon(lambda: status_of(server, b"GET /one.bin HTTP/1.0\r\n\r\n") == 200), "and all is well after it")


def refused_buffers():
    with Server("--buffers=16", "--workers=1") as server:
        holders = []
        for _ in range(20):
            client = Client(server)
            client.send(b"POST /echo HTTP/1.1\r\nContent-Length: 30000\r\n\r\n" + b"x" * 20000)
            holders.append(client)
        time.sleep(0.3)
        with Client(server) as client:
            status = client.ask("GET", "/one.bin")[0]
            report(status in (200, 503), f"without buffers: {status}")
        statuses = []
        for client in holders:
            try:
                client.send(b"x" * 10000)
                statuses.append(client.answer()[0])
            except OSError:
                statuses.append(503)
        report(503 in statuses and set(statuses) <= {200, 503}, f"16 buffers for 20 long bodies: {sorted(statuses)}")
        for client in holders:
            client.socket.close()
        report(soon(lambda: server.live() == [1, 1, 1]), "all buffers are back")
        report(status_of(server, b"GET /large.bin HTTP/1.0\r\n\r\n") == 200, "and serve again")


# ---- load


def curl_hashes(server):
    urls = [f"{server.url}/{name}" for name in ("index.html", "one.bin", "page.bin", "large.bin")] * 5
    run = subprocess.run(["curl", "-sS", *urls], stdout=subprocess.PIPE, check=False)
    wanted = b"".join(file_bytes(url.rsplit("/", 1)[1]) for url in urls)
    report(run.returncode == 0 and hashlib.sha256(run.stdout).digest() == hashlib.sha256(wanted).digest(),
           f"what curl gets, 20 files on one connection: {len(run.stdout)} bytes of {len(wanted)}")


def under_load(server):
    wrk = shutil.which("wrk")
    if not wrk or not shutil.which("curl"):
        skip("no wrk or curl")
        return
    load = subprocess.Popen([wrk, "-t1", "-c32", "-d2s", server.url + "/page.bin"], stdout=subprocess.PIPE)
    wrong, rounds = 0, 0
    with Client(server) as client:
        while load.poll() is None:
            body = content(rounds * 4999 % 100000, rounds)
            wrong += client.ask("POST", "/echo", body)[2] != body
            wrong += client.ask("GET", "/page.bin")[2] != file_bytes("page.bin")
            rounds += 1
            if rounds % 20 == 1:
                curl_hashes(server)
    said = load.communicate()[0].decode()
    requests = int(re.search(r"(\d+) requests in", said).group(1))
    report(not wrong and rounds > 5, f"bytes under load: {wrong} wrong in {rounds} rounds")
    report(requests > 1000 and "Non-2xx" not in said and "Socket errors" not in said, f"wrk: {said}")


def asker(server, results, stop):
    """Each request whose first byte was sent is answered in full, or the server had said that it closes."""
    try:
        client = Client(server)
    except OSError:
        return
    try:
        while True:
            body = content(5000, len(results))
            status, head, echo = client.ask("POST", "/echo", body)
            results.append(status == 200 and echo == body)
            if "Connection: close" in head or status != 200:
                client.socket.close()
                if stop.is_set():
                    return
                client = Client(server)
    except OSError as error:
        # No connection any more, after the stop: nothing was accepted.
        results.append(stop.is_set() and isinstance(error, (ConnectionRefusedError, TimeoutError)) and
                       client.socket.fileno() == -1)
    finally:
        client.socket.close()


def new_asker(server, results, stop):
    """As above, with a connection for each request: some are on their way when the stop begins."""
    while not stop.is_set() or len(results) == 0:
        try:
            client = Client(server)
        except OSError:
            return
        with client:
            try:
                results.append(client.ask("GET", "/page.bin", close=True)[2] == file_bytes("page.bin"))
            except OSError:
                results.append(False)


def stop_in_the_queue():
    """The server sleeps while clients come; when it wakes the stop is there as soon as they are."""
    with Server() as server:
        old = Client(server)
        report(old.ask("GET", "/one.bin")[0] == 200, "a client of before")
        server.process.send_signal(signal.SIGSTOP)
        clients = [Client(server) for _ in range(300)]
        for client in clients:
            client.send(b"GET /page.bin HTTP/1.1\r\n\r\n")
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        time.sleep(0.05)
        try:
            server.connect(0.1).close()
            report(False, "a client is let in after the stop")
        except OSError:
            report(True, "nobody is let in after the stop")
        report(old.ask("GET", "/one.bin")[0] == 200, "who was idle at the stop may still ask")
        lost = 0
        for client in clients:
            try:
                lost += client.answer()[2] != file_bytes("page.bin")
            except OSError:
                lost += 1
            client.socket.close()
        old.socket.close()
        report(not lost, f"300 clients in the queue at the stop: {lost} lost")


def stop_under_load():
    for _ in range(2 if short else 5):
        with Server() as server:
            stop, results = threading.Event(), []
            askers = [threading.Thread(target=target, args=(server, results, stop))
                      for target in [asker] * 8 + [new_asker] * 4]
            for thread in askers:
                thread.start()
            time.sleep(0.3)
            slow = Client(server)
            slow.send(b"POST /echo HTTP/1.1\r\nContent-Length: 4\r\n\r\nab")
            time.sleep(0.05)
            server.process.send_signal(signal.SIGTERM)
            stop.set()
            time.sleep(0.5)
            slow.send(b"cd")
            report(slow.answer()[2] == b"abcd", "a request that was half read when the stop came is answered")
            slow.socket.close()
            for thread in askers:
                thread.join(10)
            report(len(results) > 100 and all(results),
                   f"SIGTERM under load: {results.count(False)} of {len(results)} lost")


# ---- figures, options


def promtool(server):
    tool = shutil.which("promtool")
    if not tool:
        skip("no promtool")
        return
    text = server.metrics()
    # This is the reader of OpenMetrics; it wants times.
    stamped = re.sub(r"^([^#\n].*)$", r"\1 1700000000", text, flags=re.M)
    with open(os.path.join(work, "metrics"), "w", encoding="utf-8") as file:
        file.write(stamped)
    run = subprocess.run([tool, "tsdb", "create-blocks-from", "openmetrics", file.name, os.path.join(work, "blocks")],
                         capture_output=True, text=True, check=False)
    report(run.returncode == 0 and text.endswith("# EOF\n"), f"promtool reads OpenMetrics: {run.stdout}{run.stderr}")
    # The other reader, of the older format, in which a counter's help stands at another name.
    run = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    others = [line for line in run.stderr.splitlines() if not line.endswith("_total no help text")]
    report(run.returncode in (0, 3) and not others, f"promtool check metrics: {others}")
    report(malloc or 'opool_pool_live{pool="conn_pool",id="0"} ' in text, "the pools' figures are among them")


def refuses(options, words):
    run = subprocess.run([program, *options], capture_output=True, text=True, timeout=10, check=False)
    lines = run.stderr.splitlines()
    report(run.returncode in (1, 2) and lines and words in run.stderr and lines[0].startswith(("server: ", program)),
           f"{options}: {run.returncode} {run.stderr}")


def usage(server):
    refuses([f"--port={server.port}"], "Address already in use")
    refuses(["--address=256.1.1.1"], "256.1.1.1 port 8080")
    refuses(["--root=/none"], "/none: No such file")
    refuses(["--memory=stack"], "pool or malloc")
    for option in ("--port=65536", "--workers=0", "--workers=65", "--buffers=-1", "--connections=x", "--body-max="):
        refuses([option], "a number from")
    refuses(["--none"], "Usage")
    refuses(["word"], "no argument")


def timed(test, *arguments):
    start = time.monotonic()
    try:
        test(*arguments)
    except Exception as error: # an answer that is none, a connection that ended: the other tests go on
        report(False, f"{test.__name__}: {error!r}")
    print(f"{time.monotonic() - start:6.1f} s  {test.__name__}", flush=True)


def main():
    make_root()
    try:
        with Server() as server:
            for test in (answers, bodies, pipelined, limits, told_while_sending, byte_by_byte, half_closed, resets, promtool, usage,
                         under_load):
                timed(test, server)
        with Server() as server:
            timed(dropped, server)
        for test in (idle_limits, refused_connections, few_descriptors, refused_buffers, stop_in_the_queue, stop_under_load):
            timed(test)
    finally:
        shutil.rmtree(work)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if counts["failed"] else 0


sys.exit(main())
