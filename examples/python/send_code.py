"""An auth service publishes a verification code, and waits until codeferry's stream has
stored it:

    python send_code.py --channel sms --to +8613012345678 --type SignIn --key user-1 --code 123456
"""

import argparse
import asyncio
import json
import logging
import os
import sys
import uuid
from datetime import datetime, timedelta, timezone

import nats
from nats.js.errors import APIError, NoStreamResponseError

from seal import parse_public_key, seal

TRIES = 3
CONNECT = 5  # seconds


class PublishError(Exception):
    """A code was not stored, or is in doubt."""


async def publish(nc, subject, message, public_key=None, timeout=2.0):
    """Publishes a message and returns the stream's acknowledgement. It is repeated with the
    same Nats-Msg-Id if no acknowledgement comes, so the stream stores it once."""
    js = nc.jetstream()
    body = json.dumps(seal(public_key, subject, message) if public_key else message).encode()
    error = None
    for _ in range(TRIES):
        try:
            return await js.publish(subject, body, timeout=timeout, headers={"Nats-Msg-Id": message["id"]})
        except (nats.errors.Error, OSError) as e:
            why = refused(e, subject)
            if why and not error:
                raise PublishError(f"not stored: {why}") from e
            error = e  # it may be stored, or be on its way to the replicas
            await asyncio.sleep(0.5)
    raise PublishError(f"in doubt: no acknowledgement after {TRIES} tries ({error}); publish it again with --id {message['id']}") from error


def refused(error, subject):
    """Says why this try was certainly not stored, if the error says so."""
    if isinstance(error, APIError):
        return f"the stream refuses it: {error.description}"
    if isinstance(error, NoStreamResponseError):
        return f"no stream takes {subject}; check its tokens, or create the streams with codeferry provision"
    return None


async def connect(server):
    """A service connects once, and keeps the connection."""
    connecting = nats.connect(
        server,
        user=os.environ.get("NATS_USER"),
        password=os.environ.get("NATS_PASSWORD"),
        inbox_prefix="_INBOX_publisher",  # the one that docs/roles.md permits to a publisher
        name="auth",
        max_reconnect_attempts=-1,
        error_cb=warn,
    )
    try:
        return await asyncio.wait_for(connecting, CONNECT)  # nats-py itself never gives up
    except (nats.errors.Error, OSError, asyncio.TimeoutError) as e:
        raise PublishError(f"not stored: no connection to NATS within {CONNECT} s") from e


async def warn(error):
    logging.warning("nats: %s", error)


async def main(args):
    public_key = parse_public_key(args.seal) if args.seal else None
    subject = f"codeferry.send.{args.app}.{args.channel}.{args.type}.{args.key}"
    now = datetime.now(timezone.utc)
    message = {
        "id": args.id,  # made together with the code, and kept for the repeats
        "to": args.to,
        "type": args.type,
        "payload": {"code": args.code},
        "createdAt": now.isoformat(),
        "expiresAt": (now + timedelta(minutes=10)).isoformat(),
    }

    async with await connect(args.server) as nc:
        ack = await publish(nc, subject, message, public_key, args.timeout)
    print(f"{'already stored' if ack.duplicate else 'stored'}: {message['id']}, {ack.stream} {ack.seq}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Publish a verification code to codeferry.")
    parser.add_argument("--server", default=os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
    parser.add_argument("--app", default="default")
    parser.add_argument("--channel", default="sms")
    parser.add_argument("--type", default="SignIn")
    parser.add_argument("--key", default="user-1")
    parser.add_argument("--to", required=True)
    parser.add_argument("--code", required=True)
    parser.add_argument("--id", default=str(uuid.uuid4()))
    parser.add_argument("--seal", metavar="KEY", help="the workers' public key")
    parser.add_argument("--timeout", type=float, default=2.0, metavar="SECONDS", help="of one try")
    try:
        asyncio.run(main(parser.parse_args()))
    except (PublishError, ValueError) as e:
        sys.exit(str(e))
