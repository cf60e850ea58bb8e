"""A tiny client of the remoting protocol: one request, one answer, JSON headers."""

import itertools
import json
import socket
import struct
from typing import NamedTuple

# A client of this version (V5_3_3) is answered in standard JSON.
VERSION = 479
UPDATE_TOPIC, GET_ROUTE, GET_HA_STATUS = 17, 105, 907
_opaques = itertools.count(1)


class Answer(NamedTuple):
    code: int
    remark: str | None
    fields: dict
    body: bytes


class Connection:
    def __init__(self, address, timeout_s=5):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout_s)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, code, fields=None, body=b"", version=VERSION):
        opaque = next(_opaques)
        header = {"code": code, "language": "JAVA", "version": version, "opaque": opaque, "flag": 0, "extFields": fields or {}}
        self.socket.sendall(frame(json.dumps(header).encode(), body))
        while True:
            header, body = split_frame(read_frame(self.socket))
            answer = json.loads(header)
            if answer["opaque"] == opaque and answer["flag"] & 1:
                return Answer(answer["code"], answer.get("remark"), answer.get("extFields") or {}, body)


def ask(address, code, fields=None, body=b"", version=VERSION):
    with Connection(address) as connection:
        return connection.ask(code, fields, body, version)


def route(name_server, topic):
    """The route of a topic, or None when the name server does not have it or does not answer."""
    try:
        answer = ask(name_server, GET_ROUTE, {"topic": topic})
    except OSError:
        return None
    return json.loads(answer.body) if answer.code == 0 else None


def broker_addresses(name_server, topic, broker_name):
    """Broker id → address of one group in the route of a topic."""
    for broker in (route(name_server, topic) or {}).get("brokerDatas", []):
        if broker["brokerName"] == broker_name:
            return {int(broker_id): address for broker_id, address in broker["brokerAddrs"].items()}
    return {}


def slaves_in_sync(broker):
    """How many slaves follow this master closely."""
    answer = ask(broker, GET_HA_STATUS)
    return json.loads(answer.body)["inSyncSlaveNums"] if answer.code == 0 else 0


def frame(header, body=b"", form=0):
    return struct.pack(">II", 4 + len(header) + len(body), form << 24 | len(header)) + header + body


def split_frame(data):
    """Header and body of a whole frame."""
    header_end = 8 + (int.from_bytes(data[4:8]) & 0xFFFFFF)
    return data[8:header_end], data[header_end:]


def read_frame(source):
    """The next whole frame, its length included."""
    length = _read(source, 4)
    return length + _read(source, int.from_bytes(length))


def _read(source, size):
    data = bytearray()
    while len(data) < size:
        part = source.recv(size - len(data))
        if not part:
            raise ConnectionResetError("closed by the peer")
        data += part
    return bytes(data)
