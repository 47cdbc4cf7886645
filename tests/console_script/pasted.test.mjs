/** The browser knows the same texts for credentials as the server does. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { looksLikeCredential } from '../../flowlu_admin/static/console/pasted.js';

const corpus = JSON.parse(readFileSync(new URL('./pasted.json', import.meta.url), 'utf8'));

for (const text of corpus.credentials) {
  test(`a credential is known: ${JSON.stringify(text)}`, () => assert.equal(looksLikeCredential(text), true));
}
for (const text of corpus.words) {
  test(`no credential: ${JSON.stringify(text)}`, () => assert.equal(looksLikeCredential(text), false));
}
