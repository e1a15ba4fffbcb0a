"""Verifies a bundle's envelope with securesystemslib: verify.py KEY BUNDLE. Prints the statement that it verified."""

import base64
import hashlib
import json
import sys

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

key_path, bundle_path = sys.argv[1:]
with open(key_path, "rb") as file:
    public = load_pem_public_key(file.read())
with open(bundle_path, "rb") as file:
    bundle = json.load(file)

# The name of a key: base64 of SHA-256 over its DER SubjectPublicKeyInfo.
spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
keyid = base64.b64encode(hashlib.sha256(spki).digest()).decode()
assert bundle["verificationMaterial"]["publicKey"]["hint"] == keyid, "the bundle names another key"

envelope = Envelope.from_dict(bundle["dsseEnvelope"])
envelope.verify([SSlibKey.from_crypto(public, keyid=keyid)], threshold=1)
assert envelope.payload_type == "application/vnd.in-toto+json", envelope.payload_type
sys.stdout.buffer.write(envelope.payload)
