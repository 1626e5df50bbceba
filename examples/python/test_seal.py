"""The sealing against codeferry's test vectors. Opening is the workers' part: it is here to
show that what seal makes can be opened."""

import base64
import json
import os
import pathlib
import unittest

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from seal import additional_data, key_id, message_key, parse_public_key, raw, seal

HERE = pathlib.Path(__file__).parent
FILE = os.environ.get("CODEFERRY_VECTORS", HERE / "../../messages/wire/testdata/sealed.json")
VECTORS = json.loads(pathlib.Path(FILE).read_text(encoding="utf-8"))


def unseal(vector: dict, body: dict) -> dict:
    private = base64.urlsafe_b64decode(vector["private"].removeprefix("codeferry-private-") + "=")
    box = base64.b64decode(body["sealed"]["box"])
    enc, nonce, text = box[:32], box[32:44], box[44:]
    shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(enc))
    key = message_key(shared, enc, raw(parse_public_key(vector["public"])))
    secret = json.loads(AESGCM(key).decrypt(nonce, text, additional_data(vector["subject"], body["id"])))
    plain = body | secret | secret.get("extra", {})
    return {name: value for name, value in plain.items() if name not in ("sealed", "extra")}


class SealTest(unittest.TestCase):
    def test_vectors(self):
        self.assertTrue(VECTORS)
        for vector in VECTORS:
            with self.subTest(vector["subject"]):
                key = parse_public_key(vector["public"])
                self.assertEqual(key_id(key), vector["keyId"])
                self.assertEqual(unseal(vector, vector["body"]), vector["plain"])

                sealed = seal(key, vector["subject"], vector["plain"])
                self.assertFalse({"to", "payload", "ip"} & sealed.keys())
                self.assertEqual(unseal(vector, sealed), vector["plain"])

    def test_what_is_no_public_key_is_refused(self):
        for text in ("", VECTORS[0]["private"], VECTORS[0]["public"] + "A", "codeferry-public-!"):
            with self.assertRaisesRegex(ValueError, "no public key"):
                parse_public_key(text)


if __name__ == "__main__":
    unittest.main()
