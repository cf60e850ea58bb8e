"""A proxy that records the frames of the remoting protocol that pass through it.

For each client and each kind of frame it keeps one frame of each shape: the same fields, body or not, the same result.
Kinds, named after the code of the request:

    request-N   a client asks             response-N      the server's answer to it
    push-N      the server asks           push-answer-N   the client's answer to it
"""

import ipaddress
import json
import os
import re
import socket
import struct
import threading

from harness.install import REPOSITORY
from harness.remoting import frame, read_frame, split_frame

SHAPES_MAX = 4
BINARY = 1


class Recorder:
    def __init__(self):
        self.client = None  # to whom the connections of the unnamed listeners belong
        self.lock = threading.Lock()  # guards kept
        self.kept = {}  # (client, kind) → {shape: frame}

    def forward(self, listen, target, client=None):
        """Forwards connections from one (host, port) to another. They belong to `client`, or to who is recorded at the time."""
        listener = socket.create_server(listen)
        threading.Thread(target=self._accept, args=(listener, target, client), daemon=True).start()

    def _accept(self, listener, target, client):
        while True:
            near, _ = listener.accept()
            try:
                far = socket.create_connection(target)
            except OSError:
                near.close()
                continue
            asked = {}
            for source, sink, ask, answer in ((near, far, "request", "push-answer"), (far, near, "push", "response")):
                pump = (source, sink, client or self.client, ask, answer, asked)
                threading.Thread(target=self._pump, args=pump, daemon=True).start()

    def _pump(self, source, sink, client, ask, answer, asked):
        """Passes frames on until a side closes. `asked` is shared by both directions: (kind of ask, opaque) → code."""
        other_ask = "push" if ask == "request" else "request"
        try:
            while True:
                data = read_frame(source)
                header = Header(data)
                if header.is_answer:
                    code = asked.pop((other_ask, header.opaque), None)
                    if code is not None:
                        self._keep(client, f"{answer}-{code}", header.shape, data)
                else:
                    asked[ask, header.opaque] = header.code
                    self._keep(client, f"{ask}-{header.code}", header.shape, data)
                sink.sendall(data)
        except OSError:
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # it is closed already

    def _keep(self, client, kind, shape, data):
        with self.lock:
            shapes = self.kept.setdefault((client, kind), {})
            if len(shapes) < SHAPES_MAX:
                shapes.setdefault(shape, data)


class Header:
    """The fields of a frame's header that the recorder goes by."""

    def __init__(self, data):
        header, body = split_frame(data)
        if data[4] == BINARY:
            self.code, _, _, self.opaque, flag, remark = struct.unpack(">hBhiii", header[:17])
            names = binary_names(header[17 + remark + 4:])
        else:
            fields = json.loads(header)
            self.code, self.opaque, flag = fields["code"], fields["opaque"], fields["flag"]
            names = sorted(fields.get("extFields") or {})
        self.is_answer = flag & 1 == 1
        self.shape = (flag, self.code if self.is_answer else None, tuple(names), members(body))


def members(body):
    """What a JSON body has in it; that there is a body, when it is another one or has keys that are no JSON."""
    try:
        return tuple(sorted(name for name, value in json.loads(body).items() if value))
    except (ValueError, AttributeError):
        return bool(body)


def binary_names(fields):
    names = []
    while fields:
        name_end = 2 + int.from_bytes(fields[:2])
        names.append(fields[2:name_end].decode())
        fields = fields[name_end + 4 + int.from_bytes(fields[name_end:name_end + 4]):]
    return sorted(names)


class Scrubber:
    """Makes a frame one that could have been recorded on any machine."""

    def __init__(self):
        self.addresses = own_addresses()
        self.secrets = [socket.gethostname(), os.path.expanduser("~"), os.getcwd(), os.fspath(REPOSITORY)]

    def scrub(self, data):
        """The frame with 127.0.0.1 for this machine's address, which clients put into client and message ids; or None when
        something of this machine is left."""
        header, body = split_frame(data)
        if data[4] != BINARY:  # in the binary form it would change lengths
            header = self._loopback(header)
        if body.startswith(b"{"):
            body = self._loopback(body)
        for address in self.addresses:
            for packed, loopback in in_hex(address):
                header, body = header.replace(packed, loopback), body.replace(packed, loopback)
        clean = frame(header, body, data[4])
        return None if self._tells(clean) else clean

    def _loopback(self, text):
        for address in self.addresses:
            text = text.replace(str(address).encode(), b"127.0.0.1")
        return text

    def _tells(self, data):
        addresses = re.findall(rb"(?<![\d.])\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\d.])", data)
        packed = [packed for address in self.addresses for packed, _ in in_hex(address)]
        return (any(not address.startswith(b"127.") for address in addresses) or any(text in data for text in packed)
                or any(re.search(rb"\b" + re.escape(secret.encode()) + rb"\b", data) for secret in self.secrets))


def in_hex(address):
    """How message ids write an address, in either byte order, and what to write instead."""
    for loopback in (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")):
        if loopback.version == address.version:
            yield address.packed.hex().upper().encode(), loopback.packed.hex().upper().encode()
            yield address.packed[::-1].hex().upper().encode(), loopback.packed[::-1].hex().upper().encode()


def own_addresses():
    """This machine's addresses that are not of loopback."""
    names = {host[4][0] for host in socket.getaddrinfo(socket.gethostname(), None)}
    # Nothing is sent to these addresses, which are for documentation; connecting chooses the address that would send.
    for family, anywhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((anywhere, 9))
                names.add(probe.getsockname()[0])
            except OSError:
                pass  # no network of this kind
    addresses = {ipaddress.ip_address(name.partition("%")[0]) for name in names}
    return {address for address in addresses if not address.is_loopback}
