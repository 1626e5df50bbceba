"""A fake of nats-py: what the example uses of it, over a connection to a real server. It is
for a machine that does not reach PyPI; make clients OFFICIAL=1 runs nats-py itself."""

import asyncio
import json
import uuid
from types import SimpleNamespace
from urllib.parse import urlsplit

from . import errors
from .js import errors as js_errors


async def connect(server, user, password, inbox_prefix, name, max_reconnect_attempts, error_cb):
    options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "name": name, "lang": "fake", "version": "0"}
    if user:
        options.update({"user": user, "pass": password})
    url = urlsplit(server)
    while True:
        try:
            connection = Connection(inbox_prefix, *await asyncio.open_connection(url.hostname, url.port))
            await connection.open(options)
            return connection
        except (OSError, errors.Error) as e:
            await error_cb(e)
            if max_reconnect_attempts >= 0:
                raise
            await asyncio.sleep(2)


class Connection:
    def __init__(self, inbox_prefix, reader, writer):
        self.reader, self.writer = reader, writer
        self.inbox = f"{inbox_prefix}.{uuid.uuid4().hex}"
        self.waiting = {}

    async def open(self, options):
        await self.reader.readline()  # INFO
        self.writer.write(f"CONNECT {json.dumps(options)}\r\nSUB {self.inbox}.* 1\r\nPING\r\n".encode())
        if (answer := await self.reader.readline()) != b"PONG\r\n":
            self.writer.close()
            raise errors.Error(answer.decode().strip())
        self.task = asyncio.create_task(self.read())

    async def read(self):
        while line := (await self.reader.readline()).split():
            if line[0] == b"PING":
                self.writer.write(b"PONG\r\n")
            elif line[0] in (b"MSG", b"HMSG"):
                data = await self.reader.readexactly(int(line[-1]) + 2)
                headers = int(line[-2]) if line[0] == b"HMSG" else 0
                if reply := self.waiting.get(line[1].decode()):
                    reply.set_result((data[:headers], data[headers:-2]))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        self.writer.close()

    def jetstream(self):
        return self

    async def publish(self, subject, payload, timeout, headers):
        to = f"{self.inbox}.{uuid.uuid4().hex}"
        reply = self.waiting[to] = asyncio.get_running_loop().create_future()
        head = ("NATS/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n").encode()
        self.writer.write(f"HPUB {subject} {to} {len(head)} {len(head) + len(payload)}\r\n".encode() + head + payload + b"\r\n")
        try:
            head, data = await asyncio.wait_for(reply, timeout)
        except asyncio.TimeoutError:
            raise errors.TimeoutError("nats: timeout") from None
        finally:
            del self.waiting[to]
        if head.startswith(b"NATS/1.0 503"):
            raise js_errors.NoStreamResponseError
        ack = json.loads(data)
        if "error" in ack:
            raise js_errors.APIError(ack["error"]["description"])
        return SimpleNamespace(stream=ack["stream"], seq=ack["seq"], duplicate=ack.get("duplicate"))
