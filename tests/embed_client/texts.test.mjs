/** Every code that a portal user can meet has a sentence of its own; nothing from outside finds anything else. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { textFor, texts } from '../../tokens/static/embed/texts.js';

const CODES = [
  'invalid_request', 'invalid_session', 'invalid_token', 'token_stale', 'token_revoked', 'insufficient_scope',
  'installation_suspended', 'installation_locked', 'user_locked', 'portal_not_allowed', 'application_unknown',
  'flowlu_denied', 'not_found', 'flowlu_invalid', 'rate_limited', 'flowlu_error', 'flowlu_unavailable',
  'flowlu_timeout', 'user_mismatch', 'request_too_large',
  'method_not_allowed', 'not_acceptable', 'unsupported_media_type', 'access_denied', 'server_error',
  'network_error', 'timeout', 'bad_answer', 'sdk_unavailable', 'refresh_failed', 'not_open', 'unknown',
];

test('every code has a sentence', () => {
  for (const code of CODES) {
    assert.ok(Object.hasOwn(texts.en, code), code);
    assert.match(texts.en[code], /^[A-Z].+\.$/);
  }
});

test('every key that the page uses exists', async () => {
  const source = await readFile(new URL('../../tokens/static/embed/page.js', import.meta.url), 'utf8');
  const keys = [...source.matchAll(/'(page\.[a-z_.]+)'/g)].map((match) => match[1]);
  assert.ok(keys.length > 20);
  assert.deepEqual(keys.filter((key) => !Object.hasOwn(texts.en, key)), []);
});

test('a language that is not there, or only in part, falls back to English', () => {
  assert.equal(textFor('timeout', 'xx-YY'), texts.en.timeout);
  assert.equal(textFor('timeout', null), texts.en.timeout);
  assert.equal(textFor('timeout', 'constructor'), texts.en.timeout);
});

test('a code from outside finds only texts', () => {
  assert.equal(textFor('constructor'), texts.en.unknown);
  assert.equal(textFor(undefined), texts.en.unknown);
});

test('values are filled in and nothing else is', () => {
  assert.equal(textFor('page.accounts.range', 'en', { first: 1, last: 10, total: 34 }), '1 to 10 of 34');
  assert.equal(textFor('page.accounts.range', 'en', {}), '{first} to {last} of {total}');
});
