// Verifies a bundle with @sigstore/verify: verify.mjs FOLDER KEY BUNDLE, where FOLDER holds node_modules.
// Prints the statement that it verified.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createHash, createPublicKey } from 'node:crypto';
import { join } from 'node:path';

const [folder, keyPath, bundlePath] = process.argv.slice(2);
const require = createRequire(join(folder, 'package.json'));
const { bundleFromJSON } = require('@sigstore/bundle');
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');

const spki = createPublicKey(readFileSync(keyPath)).export({ type: 'spki', format: 'der' });
const hint = createHash('sha256').update(spki).digest('base64');
const finder = (named) => {
  if (named !== hint) throw new Error(`the bundle names another key: ${named}`);
  return { publicKey: createPublicKey(readFileSync(keyPath)), validFor: () => true };
};
// A key of one's own needs no certificate authority, no log and no time-stamp.
const root = { mediaType: '', tlogs: [], certificateAuthorities: [], ctlogs: [], timestampAuthorities: [] };
const verifier = new Verifier(toTrustMaterial(root, finder), { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });

const bundle = bundleFromJSON(JSON.parse(readFileSync(bundlePath, 'utf8')));
verifier.verify(toSignedEntity(bundle));
process.stdout.write(bundle.content.dsseEnvelope.payload);
