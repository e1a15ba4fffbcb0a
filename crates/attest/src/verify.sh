#!/bin/sh
# Verifies a bundle and the files that it is about. Needs OpenSSL 3, GNU coreutils and GNU sed; nothing of Probity.
#
#   sh verify.sh KEY BUNDLE FOLDER
#
# KEY     the signer's public key in PEM. Take it from a place that you trust, not from the pack.
# BUNDLE  for instance report.sigstore.json
# FOLDER  where the files lie
set -eu
key=$1 bundle=$2 folder=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The bundle has one spelling (keys sorted, no white space), so that sed can take it apart.
field() { sed -n 's/^.*"'"$1"'":"\([A-Za-z0-9+/=.-]*\)".*$/\1/p' "$bundle"; }
field payload | base64 -d > "$work/payload"
field sig | base64 -d > "$work/sig"

# What was signed is DSSE's encoding of the type and the payload.
type=application/vnd.in-toto+json
{ printf 'DSSEv1 %d %s %d ' "${#type}" "$type" "$(wc -c < "$work/payload")"; cat "$work/payload"; } > "$work/pae"
case $(openssl pkey -pubin -in "$key" -noout -text) in
    *ED25519*) openssl pkeyutl -verify -pubin -inkey "$key" -rawin -in "$work/pae" -sigfile "$work/sig" >&2 ;;
    *) openssl dgst -sha256 -verify "$key" -signature "$work/sig" "$work/pae" >&2 ;;
esac

# The statement's subjects come last in it; each file must have the digest that was signed. What this does not take
# apart, --strict refuses.
sed 's/^.*"subject":\[//; s/\]}$//; s/},{/}\n{/g' "$work/payload" |
    sed 's/^{"digest":{"sha256":"\([0-9a-f]\{64\}\)"},"name":"\([^"]*\)"}$/\1  \2/' > "$work/sums"
cd "$folder"
sha256sum --check --strict "$work/sums"
