# SPDX-License-Identifier: MIT
"""Test of the server: check.py SERVER [--short] [--valgrind] [--rss] [OPTION OF THE SERVER...].

--short: fifteen seconds. --rss: what the system says of its memory counts, too; not so under sanitizers and full
checks, which keep copies.

Clients that do what clients should not, and wrk and curl; the reference for every answer is the file or body itself.
"""
import hashlib
import os
import random
import re
import resource
import select
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
under = ["valgrind", "-q", "--leak-check=full", "--error-exitcode=99"] if "--valgrind" in sys.argv else []
extra = [option for option in sys.argv[2:] if option not in ("--short", "--rss", "--valgrind")]
malloc = "--memory=malloc" in extra
LIMIT = 120 # seconds until a test gives up: no answer takes long, but the machine may be busy
# However long the machine keeps a client from his turn, the server waits for him, but where a test is of just that.
PATIENCE = ("--idle-ms=600000", "--request-ms=600000", "--linger-ms=50000")
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
        arguments = [*under, program, "--port=0", "--root=" + root, "--epoch-ms=100", *PATIENCE, *extra, *options]
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
            status = self.process.wait(LIMIT)
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

    def connect(self, timeout=LIMIT):
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def metrics(self):
        with Client(self) as client:
            return client.ask("GET", "/metrics")[2].decode()

    def figure(self, name):
        """Equal to nothing when the server is not able to say: 503."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.metrics(), re.M)
        return float(found.group(1) if found else "nan")

    def live(self):
        return [self.figure(f'server_live{{kind="{kind}"}}') for kind in ("connection", "request", "buffer")]

    def resident(self):
        return sum(float(value) for value in re.findall(r"^opool_pool_resident_bytes{.*} (\S+)$", self.metrics(), re.M))

    def rss(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Client:
    """A connection that is read answer by answer, so that nothing is hidden by a library."""

    most = 65536 # bytes of a read

    def __init__(self, server, window=0):
        self.data = b""
        self.socket = socket.socket()
        if window: # before the connection is there, else it does not count
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.socket.settimeout(LIMIT)
        self.socket.connect(("127.0.0.1", server.port))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        data = self.socket.recv(self.most)
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


def soon(condition):
    until = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def get(name):
    return f"GET /{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def post(length, body=b""):
    """Of `length` bytes, as many as there are."""
    return b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length + body


def content(n, seed):
    return hashlib.shake_128(str(seed).encode()).digest(n)


def cpu_seconds(process):
    return time.clock_gettime(~process.pid << 3 | 2) # what clock_getcpuclockid makes of a process


def rests(server):
    """It uses little of the time that one who never waits gets beside it, whatever the machine has left for both. What
    it had to do may not be done yet: ask again, `soon`."""
    with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as busy:
        try:
            start, busy_start = cpu_seconds(server.process), cpu_seconds(busy)
            time.sleep(0.5)
            return cpu_seconds(server.process) - start < (cpu_seconds(busy) - busy_start) / 4
        finally:
            busy.kill()


def kernel_figures(name, default):
    """What the system is set to, or what it mostly is where it does not say."""
    try:
        with open("/proc/sys/net/" + name, encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return default


def socket_bytes():
    """Of what a server has not read, and of what it has sent, the system keeps no more for it."""
    return kernel_figures("ipv4/tcp_rmem", [6 << 20])[-1] + kernel_figures("ipv4/tcp_wmem", [4 << 20])[-1]


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
                             ("/folder/a%20b%25.txt", "folder/a b%.txt"),
                             ("//folder//.//a%20b%25.txt", "folder/a b%.txt")):
            status, _, body = client.ask("GET", target)
            report(status == 200 and body == file_bytes(name), f"GET {target}: {status}, {len(body)} bytes")
        status, head, body = client.ask("HEAD", "/large.bin")
        report(status == 200 and not body and "Content-Length: 3000000" in head, f"HEAD: {head}")
        for method, target, wanted in (("POST", "/", "GET, HEAD"), ("GET", "/echo", "POST"),
                                       ("DELETE", "/one.bin", "GET, HEAD"), ("HEAD", "/echo", "POST")):
            status, head, _ = client.ask(method, target)
            report(status == 405 and f"\r\nAllow: {wanted}\r\n" in head + "\r\n", f"{method} {target}: {status}, {head}")
        for method, target, wanted in (("GET", "/none", 404), ("GET", "/folder", 404), ("GET", "/pipe", 404)):
            status = client.ask(method, target)[0]
            report(status == wanted, f"{method} {target}: {status}")
        for target, name in (("http://x/one.bin", "one.bin"), ("http://x:80/page.bin?q", "page.bin")):
            report(client.ask("GET", target)[2] == file_bytes(name), f"GET {target}: the absolute form")
        report(client.ask("POST", "http://x/echo?q", b"abc")[2] == b"abc", "a body for the absolute form")
    for target in ("/../secret", "/folder/../../secret", "/%2e%2e/secret", "/..%2fsecret", "/link", "/up/secret",
                   "/folder/%2e%2e/index.html", "/one.bin%00", "/%", "/%2", "/%zz", "/" + "a" * 300, "http://x/secret"):
        with Client(server) as client:
            status, _, body = client.ask("GET", target)
            report(status == 404 and b"secret" not in body, f"GET {target[:40]} leads nowhere: {status} {body[:20]}")


def pipe_is_not_opened(server):
    with subprocess.Popen(["sh", "-c", ": >pipe"], cwd=root) as waits:
        try:
            time.sleep(0.1)
            with Client(server) as client:
                report(client.ask("GET", "/pipe")[0] == 404, "a pipe is no file")
            time.sleep(0.1)
            report(waits.poll() is None, "who waits to write to it still does")
        finally:
            waits.kill()


def chunked(body, piece):
    parts = [body[i:i + piece] for i in range(0, len(body), piece)] + [b""]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


def bodies(server):
    with Client(server) as client:
        for n in (0, 1, 1000, 16367, 16368, 16369, 100000, 262144):
            body = content(n, n)
            status, _, echo = client.ask("POST", "/echo", body)
            report(status == 200 and echo == body, f"echo of {n} bytes: {status}, {len(echo)}")
            client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body, 777))
            status, _, echo = client.answer()
            report(status == 200 and echo == body, f"chunked echo of {n} bytes: {status}, {len(echo)}")
        client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
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
        data += post(len(body), body) + get("page.bin") + get("none")
        wanted += [body, file_bytes("page.bin"), b"Not Found\n"]
    with Client(server) as client:
        sender = threading.Thread(target=client.send, args=(data,))
        sender.start()
        got = [client.answer()[2] for _ in wanted]
        sender.join()
        report(got == wanted, "900 pipelined requests are answered in order")
    with Client(server) as client:
        client.send(get("one.bin") + b"NONSENSE\r\n\r\n")
        report([client.answer()[0], client.answer()[0]] == [200, 400] and client.ended(),
               "a bad request behind a good one: both are answered")


def limits(server):
    report(status_of(server, b"nonsense\r\n\r\n") == 400, "no HTTP: 400")
    for version, hosts, wanted in ((b"1.1", b"", 400), (b"1.1", b"Host: x\r\nhOST: x\r\n", 400),
                                   (b"1.0", b"Host: x\r\n" * 2, 400),
                                   (b"2.0", b"Host: x\r\n", 505), (b"0.9", b"", 505)):
        status = status_of(server, b"GET /one.bin HTTP/" + version + b"\r\n" + hosts + b"\r\n")
        report(status == wanted, f"HTTP/{version} with {hosts}: {status}")
    report(status_of(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") in (400, 505), "HTTP/2: not understood")
    report(status_of(server, b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") == 405, "CONNECT: 405")
    report(status_of(server, b"GET one.bin HTTP/1.1\r\nHost: x\r\n\r\n") == 400, "no target: 400")
    report(status_of(server, b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 100000 + b"\r\n\r\n") == 431,
           "a long header: 431")
    many = b"".join(b"Header-%d: value\r\n" % i for i in range(2000))
    report(status_of(server, b"GET / HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n") == 431, "many headers: 431")
    report(status_of(server, b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n") == 414, "a long target: 414")
    body = b"POST /%s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n"
    report(status_of(server, body % (b"echo", b"Content-Length: 262145") + b"x" * 262145) == 413, "a long body: 413")
    report(status_of(server, body % (b"echo", b"Content-Length: 99999999999")) == 413, "a body that never came: 413")
    report(status_of(server, body % (b"echo", b"Content-Length: 99999999999999999999")) == 400, "no number: 400")
    report(status_of(server, body % (b"x", b"Transfer-Encoding: chunked") + chunked(b"x" * 300000, 999)) == 413,
           "a long chunked body: 413")


def disputed_ends(server):
    """Requests of which two servers could think that they end at different places: one of them reads the rest as
    another request, of somebody else."""
    coding = b"Transfer-Encoding: "
    for headers, wanted in ((b"Content-Length: 3\r\n" + coding + b"chunked", 400),
                            (coding + b"chunked\r\nContent-Length: 3", 400),
                            (b"Content-Length: 3\r\nContent-Length: 3", 400),
                            (b"Content-Length: 3\r\nContent-Length: 4", 400), (b"Content-Length: 3, 3", 400),
                            (b"Content-Length: +3", 400), (b"Content-Length: -3", 400), (b"Content-Length: 0x3", 400),
                            (b"Content-Length: 3 3", 400), (b"Content-Length:", 400), (b"Content-Length : 3", 400),
                            (b"Content-Length\t: 3", 400),
                            (b"Transfer-Encoding : chunked", 400), (coding + b"chunked\r\n" + coding + b"chunked", 400),
                            (coding + b"gzip, chunked", 501), (coding + b"chunked, identity", 501),
                            (coding + b"xchunked", 501), (coding + b"chunkedx", 501), (coding + b"\x0bchunked", 501),
                            (coding + b"chunked; a=" + b"x" * 30, 501), (coding + b"identity", 501),
                            (coding + b"identity\r\n" + coding + b"chunked", 501),
                            (coding + b"chunked\r\n" + coding + b"identity", 501)):
        status = status_of(server, b"POST /echo HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        report(status == wanted, f"{headers}: {status}")
    old = b"POST /echo HTTP/1.0\r\n" + coding + b"chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    report(status_of(server, old) == 400, "HTTP/1.0 knows no coding: 400")
    for piece in (b"ffffffffffffffff\r\n", b"10000000000000003\r\n", b"0x3\r\n", b"-3\r\n", b"\r\n", b"3\r\nabcd\r\n"):
        status = status_of(server, b"POST /echo HTTP/1.1\r\nHost: x\r\n" + coding + b"chunked\r\n\r\n" + piece +
                           b"0\r\n\r\n")
        report(status == 400, f"a chunk that begins {piece}: {status}")
    with Client(server) as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\ntransfer-ENCODING:  Chunked  \r\n\r\n"
                    b"3;name=value\r\nabc\r\n0\r\nHost: y\r\nContent-Length: 9\r\nTransfer-Encoding: gzip\r\n\r\n" + get("one.bin"))
        report(client.answer()[2] == b"abc" and client.answer()[2] == file_bytes("one.bin"),
               "headers behind a body, and what a chunk is called, change nothing")


def slow_but_steady():
    """Who sends all the time is not idle, however long his request takes."""
    with Server("--idle-ms=1000") as server:
        gaps, status = [1], 0
        while status != 200 and max(gaps) > 0.5: # we were held up ourselves: that is no answer
            with Client(server) as client:
                client.send(post(100, b"x" * 10))
                gaps, last = [], time.monotonic()
                try:
                    for _ in range(90):
                        time.sleep(0.015)
                        client.send(b"x")
                        gaps.append(time.monotonic() - last)
                        last += gaps[-1]
                    status = client.answer()[0]
                except OSError:
                    status = 0
                gaps.append(time.monotonic() - last)
        report(status == 200, f"a body for 1.4 s with a limit of 1 s between bytes: {status}, {max(gaps)} s at most")


def told_while_sending(server):
    with Client(server) as client:
        client.send(post(999999, b"x" * 50000))
        status, sent = client.answer()[0], 0
        try:
            for sent in range(5):
                client.send(b"x" * 10000)
                time.sleep(0.005)
        except OSError:
            status = 0
        report(status == 413, f"who is told 413 while he sends is not reset: {sent} of 4")


# ---- clients that are slow, or leave


def byte_by_byte(server):
    body = content(300, "slow")
    with Client(server) as client:
        for byte in post(300, body):
            client.send(bytes([byte]))
            time.sleep(0.0005)
        report(client.answer()[2] == body, "a request that comes byte by byte")
    with Client(server) as client:
        client.send(get("large.bin") * 8) # more than the system keeps for a socket
        time.sleep(0.6)
        few = soon(lambda: server.live()[2] <= 6)
        report(few, f"a client who does not read a file holds few buffers: {server.live()}")
        report(all(client.answer()[2] == file_bytes("large.bin") for _ in range(8)), "and reads all in the end")


def sends_without_reading(server):
    if socket_bytes() > 128 << 20:
        skip(f"this system keeps {socket_bytes()} bytes for a socket: too many to wait until it takes no more")
        return
    body, little = content(60000, "unread"), 1 << 16
    requests = socket_bytes() * 5 // 4 // len(body) # and so much for the client, which is far less than the quarter
    with Client(server, window=little) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, little)
        sender = threading.Thread(target=client.send, args=(post(len(body), body) * requests,))
        sender.start()
        time.sleep(0.5)
        few = soon(lambda: server.live()[2] <= 12)
        report(sender.is_alive() and few, f"who sends and does not read is held back: {server.live()}")
        report(all(client.answer()[2] == body for _ in range(requests)), "and gets all answers in the end")
        sender.join()


def half_closed(server):
    with Client(server) as client:
        client.send(get("page.bin") + get("large.bin"))
        client.socket.shutdown(socket.SHUT_WR)
        report(client.answer()[2] == file_bytes("page.bin") and client.answer()[2] == file_bytes("large.bin") and
               client.ended(), "a half-closed connection gets its answers, then its end")
    with Client(server) as client:
        client.send(post(100, b"half"))
        client.socket.shutdown(socket.SHUT_WR)
        report(client.answer()[0] == 0, "half a request gets no answer, but an end")


def reset(client):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def resets(server):
    for data in (b"", get("large.bin"), b"GET /lar", post(9999, b"x"), get("large.bin") * 50):
        for _ in range(20):
            client = server.connect()
            client.sendall(data)
            reset(client)
    report(soon(lambda: server.live() == [1, 1, 1]), f"connections that are reset leave nothing: {server.live()}")


def crowd(server):
    """Many who send and read in pieces of any size, with requests of any kind one behind the other; some break off."""
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    clients = [Piecemeal(server, dice) for _ in range(100)]
    until = time.monotonic() + LIMIT
    while not all(client.over for client in clients) and time.monotonic() < until:
        poll = select.poll()
        for client in clients:
            if not client.over:
                poll.register(client.socket, select.POLLIN | (select.POLLOUT if client.data else 0))
        ready = dict(poll.poll(1000))
        for client in clients:
            if not client.over and client.socket.fileno() in ready:
                client.step(dice)
    wrong = sum(not client.good() for client in clients)
    report(not wrong, f"{wrong} of 100 clients in pieces got something else, seed {seed}")
    report(soon(lambda: server.live() == [1, 1, 1]), f"the crowd leaves nothing: {server.live()}")


class Piecemeal:
    """A client of `crowd`: a few requests, and what their answers must be."""

    def __init__(self, server, dice):
        self.wanted, self.data, self.got = [], b"", b""
        for _ in range(dice.randrange(1, 8)):
            kind, body = dice.randrange(4), dice.randbytes(dice.choice((0, 1, 300, 16368, 40000)))
            self.wanted.append((body, body, file_bytes("page.bin"), b"Not Found\n")[kind])
            self.data += (post(len(body), body),
                          b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body, 5000),
                          get("page.bin"), get("none"))[kind]
        self.leaves_at = dice.randrange(len(self.data)) if dice.randrange(5) == 0 else -1
        self.leaves = self.over = False
        self.socket = server.connect()
        self.socket.setblocking(False)

    def step(self, dice):
        try:
            if self.data and dice.randrange(2):
                self.data = self.data[self.socket.send(self.data[:dice.choice((1, 50, 3000, 100000))]):]
                if not self.data:
                    self.socket.shutdown(socket.SHUT_WR)
            else:
                more = self.socket.recv(dice.choice((1, 50, 3000, 100000)))
                self.got += more
                self.over = not more
        except BlockingIOError:
            return
        except OSError:
            self.over = True
        if len(self.data) <= self.leaves_at:
            self.leaves = self.over = True
        if self.over:
            reset(self.socket) if self.leaves else self.socket.close()

    def good(self):
        """All answers, in order, and nothing behind them; of who broke off nothing is known."""
        if self.leaves:
            return True
        rest = self.got
        for body in self.wanted:
            head, _, rest = rest.partition(b"\r\n\r\n")
            if b"\r\nContent-Length: %d" % len(body) not in head or rest[:len(body)] != body:
                return False
            rest = rest[len(body):]
        return not rest


def small_window(server):
    """Each write of the server is a partial one."""
    with Client(server, window=1) as client:
        body = content(200000, "window")
        client.send(post(len(body), body) + get("page.bin"))
        client.most = 999
        report(client.answer()[2] == body and client.answer()[2] == file_bytes("page.bin"), "a window of a few bytes")


def epoch(server):
    return server.figure('opool_pool_epoch{pool="io_buf_pool",id="2"}')


def dropped(server):
    """All at once, 1,000 at a time: each with a request that is under way and holds a buffer."""
    warm = [server.connect() for _ in range(20)] # what a first use brings in is no leak
    for client in warm:
        client.sendall(post(20000, b"x" * 10000))
    soon(lambda: server.live()[1] == 21)
    for client in warm:
        client.close()
    soon(lambda: server.live() == [1, 1, 1])
    start = server.rss()
    peak = most = 0
    for _ in range(10):
        clients = [server.connect() for _ in range(1000)]
        for client in clients:
            client.sendall(post(20000, b"x" * 10000))
        held = soon(lambda: server.live()[1] == 1001 and server.live()[2] > 1000)
        report(held, f"1,000 requests are under way: {server.live()}")
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
    # The tick that ends the second epoch begins a third one, and is at work then.
    until = epoch(server) + 3

    def pools_hold_little():
        return 0 < server.resident() < most / 8

    def memory_is_back():
        return not plain or server.rss() - start < (peak - start) / 8

    soon(lambda: pools_hold_little() and memory_is_back() or epoch(server) > until)
    report(pools_hold_little(), f"two epochs later the pools hold {server.resident()} of {most} bytes")
    report(memory_is_back(),
           f"two epochs later the memory is back: {server.rss() - start} bytes of {peak - start} are left")


def kept_waiting(server):
    """A client with a connection on which blank lines, and nothing else, keep coming."""
    with Client(server) as client:
        try:
            while not select.select([client.socket], [], [], 0.05)[0]:
                client.send(b"\r\n")
            return client.more()
        except OSError:
            return False


def cut_off():
    """Who was refused and stays."""
    with Server("--linger-ms=100") as server:
        with Client(server) as client:
            client.send(b"nonsense\r\n\r\n")
            report(client.answer()[0] == 400, "who stays is refused as others are")
            report(soon(lambda: server.live()[0] == 1), f"and is not kept: {server.live()}")


# ---- limits of the whole


def idle_limits():
    with Server("--idle-ms=2000", "--request-ms=500") as server:
        with Client(server) as quiet, Client(server) as late, Client(server) as unread:
            unread.send(get("large.bin") * 9)
            blank = threading.Thread(target=kept_waiting, args=(server,), daemon=True)
            blank.start()
            late.send(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
            while not select.select([late.socket], [], [], 0.05)[0]:
                late.send(b"x")
            report(late.answer()[0] == 408, "a request that takes too long: 408")
            late.socket.close()
            report(quiet.ended(), "an idle connection is closed")
            blank.join(LIMIT)
            report(not blank.is_alive(), "one on which blank lines come is closed, too")
            report(soon(lambda: server.live() == [1, 1, 1]), f"nobody who does not read is kept: {server.live()}")


def gets_in(server):
    try:
        with Client(server) as client:
            return client.ask("GET", "/one.bin")[0] == 200
    except OSError: # turned away without an answer
        return False


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

        report(soon(lambda: gets_in(server)), "when one leaves the next gets in")
        for client in clients:
            client.socket.close()


def hung_up(client):
    client.setblocking(False)
    try:
        return not client.recv(1)
    except BlockingIOError:
        return False
    except OSError:
        return True


def few_descriptors():
    with Server("--epoch-ms=60000", descriptors=60, says="descriptors may be too few") as server:
        client = Client(server)
        client.ask("GET", "/one.bin")
        others = [server.connect() for _ in range(100)]
        report(soon(lambda: rests(server)), "without descriptors it does not spin")
        report(client.ask("POST", "/echo", b"x")[2] == b"x", "who is connected is served")
        report(soon(lambda: client.ask("GET", "/one.bin")[0] == 503), "a file without a descriptor: 503")
        client.socket.close()
        report(soon(lambda: any(hung_up(other) for other in others)), "who finds no room is turned away")
        for other in others:
            other.close()
        report(soon(lambda: gets_in(server)), "and all is well after it")


def no_descriptors():
    """Not even the one that is kept to turn clients away: they stay in the queue, and do not keep the server awake."""
    with Server("--epoch-ms=60000") as server:
        client = Client(server)
        client.ask("GET", "/one.bin")
        before = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        others = [Client(server) for _ in range(10)]
        for other in others:
            other.send(get("one.bin"))
        report(soon(lambda: rests(server)), "without any descriptor it does not spin")
        report(client.ask("POST", "/echo", b"x")[2] == b"x", "who is connected is served then, too")
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, before)
        report(all(other.answer()[0] == 200 for other in others), "who waited in the queue is served after it")
        for one in [client, *others]:
            one.socket.close()


def refused_buffers():
    with Server("--buffers=16", "--workers=1") as server:
        holders = []
        for _ in range(20):
            client = Client(server)
            client.send(post(30000, b"x" * 20000))
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


def fetch_eight(client, statuses):
    status = 200
    while status == 200 and len(statuses) < 8:
        status, _, body = client.answer()
        statuses.append(status if status != 200 or body == file_bytes("large.bin") else -1)


def scarce_buffers():
    """Who is told 200 gets all of the file, though there may be no buffer for it at times; 503 is the last answer."""
    with Server("--buffers=8") as server:
        clients = [Client(server) for _ in range(10)]
        statuses = [[] for _ in clients]
        for client in clients:
            client.send(get("large.bin") * 8) # more than the system keeps for a socket
        time.sleep(0.3)
        threads = [threading.Thread(target=fetch_eight, args=both) for both in zip(clients, statuses)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        for client in clients:
            client.socket.close()
        last = [status[-1] for status in statuses if status]
        report(len(last) == 10 and [200] in [status[:1] for status in statuses] and set(last) <= {200, 503},
               f"80 files through 8 buffers: {statuses}")


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
    seconds = 1 if short else 5
    load = subprocess.Popen([wrk, "-t1", "-c32", f"-d{seconds}s", f"--timeout={LIMIT}s", server.url + "/page.bin"],
                            stdout=subprocess.PIPE)
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
    report(not wrong and rounds, f"bytes under load: {wrong} wrong in {rounds} rounds")
    report(requests and "Non-2xx" not in said and "Socket errors" not in said, f"wrk: {said}")


def each_works():
    """Clients who come all at once are dealt out to all threads."""
    with Server("--workers=4") as server:
        threads = os.listdir(f"/proc/{server.process.pid}/task")
        report(len(threads) > 4, f"4 workers are threads: {len(threads)} with the first")

        def shares():
            server.process.send_signal(signal.SIGSTOP)
            clients = [server.connect() for _ in range(100)]
            server.process.send_signal(signal.SIGCONT)
            for client in clients:
                client.close()
            return [server.figure(f'server_worker_connections_total{{worker="{i}"}}') for i in range(4)]

        report(soon(lambda: all(shares())), f"4 workers have clients: {shares()}")


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


def refuses_clients(server):
    try:
        server.connect(0.2).close()
        return False
    except OSError:
        return True


# Who is idle at a stop is waited for until the machine has let him ask; he ends the connection himself.
GRACE = ("--grace-ms=40000", "--drain-ms=50000")


def stop_in_the_queue():
    """The server sleeps while clients come; when it wakes the stop is there as soon as they are."""
    with Server(*GRACE) as server:
        old = Client(server)
        report(old.ask("GET", "/one.bin")[0] == 200, "a client of before")
        server.process.send_signal(signal.SIGSTOP)
        clients = [Client(server) for _ in range(min(300, kernel_figures("core/somaxconn", [4096])[0]))]
        for client in clients:
            client.send(get("page.bin"))
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGCONT)
        report(soon(lambda: refuses_clients(server)), "nobody is let in after the stop")
        report(old.ask("GET", "/one.bin")[0] == 200, "who was idle at the stop may still ask")
        lost = 0
        for client in clients:
            try:
                lost += client.answer()[2] != file_bytes("page.bin")
            except OSError:
                lost += 1
            client.socket.close()
        old.socket.close()
        report(not lost, f"{len(clients)} clients in the queue at the stop: {lost} lost")


def stop_under_load():
    for _ in range(2 if short else 5):
        with Server(*GRACE) as server:
            stop, results = threading.Event(), []
            askers = [threading.Thread(target=target, args=(server, results, stop))
                      for target in [asker] * 8 + [new_asker] * 4]
            for thread in askers:
                thread.start()
            time.sleep(0.3)
            slow = Client(server)
            slow.send(post(4, b"ab"))
            time.sleep(0.05)
            server.process.send_signal(signal.SIGTERM)
            stop.set()
            time.sleep(0.5)
            slow.send(b"cd")
            report(slow.answer()[2] == b"abcd", "a request that was half read when the stop came is answered")
            slow.socket.close()
            for thread in askers:
                thread.join(LIMIT)
            report(results and all(results),
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
    run = subprocess.run([*under, program, *options], capture_output=True, text=True, timeout=LIMIT, check=False)
    lines = run.stderr.splitlines()
    report(run.returncode in (1, 2) and lines and words in run.stderr and lines[0].startswith(("server: ", program)),
           f"{options}: {run.returncode} {run.stderr}")


def usage(server):
    refuses([f"--port={server.port}"], "Address already in use")
    refuses(["--address=a..b"], "a..b port 8080") # no name at all: nobody is asked, who may be long in answering
    refuses(["--root=/none"], "/none: No such file")
    refuses(["--memory=stack"], "pool or malloc")
    for option in ("--port=65536", "--workers=0", "--workers=65", "--buffers=-1", "--connections=x", "--body-max=",
                   "--idle-ms=+500", "--epoch-ms= 99", "--drain-ms=99999999999999999999", "--linger-ms=0x9"):
        refuses([option], "a number from")
    refuses(["--none"], "Usage")
    refuses(["word"], "no argument")
    run = subprocess.run([program, "--port=0", "--workers=64"], capture_output=True, text=True, timeout=LIMIT,
                         check=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30)))
    report(run.returncode == 1 and "worker: Too many open files" in run.stderr and not run.stdout,
           f"no descriptors for all workers: {run.returncode} {run.stderr}")
    with open("/dev/full", "wb") as full:
        for option in ("--help", "--port=0"):
            run = subprocess.run([program, option], stdout=full, stderr=subprocess.DEVNULL, timeout=LIMIT, check=False)
            report(run.returncode == 1, f"{option}, and nobody can be told: {run.returncode}")


def timed(test, *arguments):
    start = time.monotonic()
    try:
        test(*arguments)
    except Exception as error: # an answer that is none, a connection that ended: the other tests go on
        report(False, f"{test.__name__}: {error!r}")
    print(f"{time.monotonic() - start:6.1f} s  {test.__name__}", flush=True)


def many_descriptors():
    """For the clients, and for the servers, who say so when they may have too few."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1)) # what has been started ends, what has been made goes
    many_descriptors()
    make_root()
    try:
        with Server() as server:
            for test in (answers, pipe_is_not_opened, bodies, pipelined, limits, disputed_ends, told_while_sending,
                         byte_by_byte, sends_without_reading, half_closed, small_window, crowd, resets, promtool, usage,
                         under_load):
                timed(test, server)
        with Server("--epoch-ms=400") as server:
            timed(dropped, server)
        if not malloc:
            with Server("--memory=malloc") as server:
                for test in (answers, bodies, crowd):
                    timed(test, server)
        for test in (idle_limits, slow_but_steady, cut_off, each_works, refused_connections, few_descriptors, no_descriptors,
                     refused_buffers, scarce_buffers, stop_in_the_queue, stop_under_load):
            timed(test)
    finally:
        shutil.rmtree(work)
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if counts["failed"] else 0


sys.exit(main())
