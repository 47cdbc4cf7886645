/** Every code that a portal user can meet has a sentence of its own; nothing from outside finds anything else. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { textFor, texts, wordsFor } from '../../tokens/static/embed/texts.js';

const CODES = [
  'invalid_request', 'invalid_session', 'invalid_token', 'token_stale', 'token_revoked', 'insufficient_scope',
  'installation_suspended', 'installation_locked', 'user_locked', 'portal_not_allowed', 'origin_not_allowed',
  'application_unknown', 'flowlu_denied', 'not_found', 'flowlu_invalid', 'rate_limited', 'flowlu_error', 'flowlu_unavailable',
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
  for (const [language, table] of Object.entries(texts)) {
    assert.deepEqual(keys.filter((key) => !Object.hasOwn(table, key)), [], language);
  }
});

test('every language has the same keys, and words for the same scopes', () => {
  assert.deepEqual(Object.keys(texts), ['en', 'es', 'pt', 'ru']);
  for (const table of Object.values(texts)) assert.deepEqual(Object.keys(table), Object.keys(texts.en));
  assert.equal(textFor('timeout', 'pt-BR'), texts.pt.timeout);
  assert.equal(wordsFor('CRM, all of it', 'es'), 'CRM, por completo');
  assert.equal(wordsFor('CRM, all of it', 'en'), 'CRM, all of it');
  assert.match(
    wordsFor('See products and prices. Also create, change and delete products and prices.', 'ru'),
    /^Видеть товары и цены\. Также /,
  );
});

test('words of operators of their own are shown as they wrote them', () => {
  assert.equal(wordsFor('Our own words', 'ru'), 'Our own words');
  assert.equal(wordsFor('constructor', 'ru'), 'constructor');
  assert.equal(wordsFor('', 'ru'), '');
  assert.equal(wordsFor(undefined, 'ru'), undefined);
});

test('numbers and plurals are those of the language', () => {
  const wait = (count, language) => textFor('page.retry_after', language, { count });
  assert.equal(wait(1, 'en'), 'You can try again in 1 second.');
  assert.equal(wait(3600, 'en'), 'You can try again in 3,600 seconds.');
  assert.equal(wait(1, 'ru'), 'Вы можете попробовать снова через 1 секунду.');
  assert.equal(wait(3, 'ru'), 'Вы можете попробовать снова через 3 секунды.');
  assert.equal(wait(11, 'ru'), 'Вы можете попробовать снова через 11 секунд.');
  assert.equal(wait(1, 'es'), 'Puede intentarlo de nuevo dentro de 1 segundo.');
  assert.equal(wait(30, 'pt'), 'Você pode tentar novamente em 30 segundos.');
  assert.match(textFor('page.retry_after', 'ru'), /\{count\}/);
  assert.equal(
    textFor('page.accounts.range', 'pt', { first: 1001, last: 1010, total: 12345 }), '1.001 a 1.010 de 12.345',
  );
});

test('a language that is not there falls back to English', () => {
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
