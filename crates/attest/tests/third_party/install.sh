#!/bin/sh
# Installs the verifiers that tests/third_party.rs runs into a folder: `sh install.sh FOLDER`, then
# `PROBITY_THIRD_PARTY=FOLDER cargo test -p attest`. Does nothing where these very versions are there already.
#
# @sigstore/verify 3.1.1 is the newest that runs on Node 20; 4.x wants Node 22.22 or newer.
set -eu
python='securesystemslib==1.6.0 cryptography==50.0.2 cffi==2.1.1 pycparser==3.12'
node='@sigstore/verify@3.1.1 @sigstore/bundle@4.0.0 @sigstore/core@3.2.1 @sigstore/protobuf-specs@0.5.2'

[ $# -eq 1 ] || { echo "usage: sh install.sh FOLDER" >&2; exit 2; }
for tool in openssl python3 node npm sha256sum; do
    command -v "$tool" > /dev/null || { echo "install.sh: $tool is missing; install it and try again" >&2; exit 1; }
done
mkdir -p "$1"
cd "$1"

if [ "$(cat venv/installed 2> /dev/null)" != "$python" ]; then
    rm -rf venv
    python3 -m venv venv
    # Word splitting is meant: one word a package.
    venv/bin/pip install --quiet --disable-pip-version-check --only-binary :all: $python
    echo "$python" > venv/installed
fi
if [ "$(cat node_modules/installed 2> /dev/null)" != "$node" ]; then
    rm -rf node_modules package.json package-lock.json
    echo '{"private": true}' > package.json
    npm install --silent --no-audit --no-fund --ignore-scripts --save-exact $node
    echo "$node" > node_modules/installed
fi
