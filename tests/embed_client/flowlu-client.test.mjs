/**
 * The embed client over real HTTP: one refresh however many calls go stale, one retry, no session opened behind the
 * user's back, and no token anywhere but in the header and body that carry it.
 */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { inspect } from 'node:util';

import { FlowluClient, FlowluClientError } from '../../tokens/static/embed/flowlu-client.js';
import { makeSdk, refusal, REQUEST_ID, startService } from './service.mjs';

const running = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((service) => service.stop()));
});

async function given(options = {}) {
  const service = await startService(options);
  running.push(service);
  const sdk = makeSdk(service, options);
  const client = new FlowluClient({ apiBase: service.apiBase, sdk, timeoutMs: options.timeoutMs });
  return { service, sdk, client };
}

const failsWith = (code) => (error) => {
  assert.ok(error instanceof FlowluClientError);
  assert.equal(error.code, code);
  return true;
};
const listAccounts = (client) => client.call('crm', 'account', 'list', { params: { page: 1 } });

test('open says who the user is and keeps the session token to itself', async () => {
  const { service, client } = await given();
  const session = await client.open();
  assert.equal(session, client.session);
  assert.deepEqual(session.user, { id: '7', name: 'Alice', is_portal_admin: false });
  assert.equal(session.portal, 'acme.flowlu.com');
  assert.equal(session.installation.status, 'active');
  assert.deepEqual(session.permissions.approved, ['crm.read']);
  assert.deepEqual(service.seen[0].body, {
    portal: 'acme.flowlu.com', app_id: 'app', app_version: '1.0.0', language: 'en', integration_point: null,
    access_token: 'access-1', expires_at: '2030-01-01 00:00:00',
  });
  assert.throws(() => { session.user.id = '8'; }, TypeError);
});

test('parallel openings are one', async () => {
  const { service, client } = await given();
  await Promise.all([client.open(), client.open(), client.open()]);
  assert.equal(service.opened, 1);
});

test('a call carries the session in a header, its parameters in the query and no cookie or referrer', async () => {
  const { service, client } = await given();
  await client.open();
  const answer = await client.call('crm', 'account', 'list', {
    params: { page: 2, filter: { type: 2, owner: undefined }, order_by: { asc: ['name'] } },
  });
  assert.deepEqual(answer.items, [{ id: '1', name: 'Acme' }]);
  const seen = service.seen.at(-1);
  assert.equal(seen.method, 'GET');
  assert.equal(seen.path, '/flowlu/crm/account/list');
  assert.equal(decodeURIComponent(seen.query), '?page=2&filter[type]=2&order_by[asc][]=name');
  assert.equal(seen.headers['x-session-token'], 'session-1-secret');
  assert.equal(seen.headers.cookie, undefined);
  assert.equal(seen.headers.referer, undefined);
});

test('every action but list and get is posted', async () => {
  const { service, client } = await given();
  await client.open();
  await client.call('crm', 'account', 'update', { id: '12', body: { name: 'New' } });
  await client.call('crm', 'account', 'delete', { id: 12 });
  const [update, remove] = service.seen.slice(-2);
  assert.deepEqual([update.method, update.path, update.body], ['POST', '/flowlu/crm/account/update/12', { name: 'New' }]);
  assert.deepEqual([remove.method, remove.path, remove.body], ['POST', '/flowlu/crm/account/delete/12', {}]);
});

for (const [what, call] of [
  ['a path in a name', (client) => client.call('crm', '../session', 'list')],
  ['an id that is not a number', (client) => client.call('crm', 'account', 'get', { id: '1/2' })],
  ['a body for a read', (client) => client.call('crm', 'account', 'list', { body: {} })],
  ['a token among the parameters', (client) => client.call('crm', 'account', 'list', { params: { access_token: 'x' } })],
  ['half a call for may', (client) => client.may({ module: 'crm' })],
]) {
  test(`${what} is refused before anything is sent`, async () => {
    const { service, client } = await given();
    await client.open();
    await assert.rejects(call(client), failsWith('invalid_request'));
    assert.equal(service.seen.length, 1);
  });
}

test('may is a boolean and false unless the service says true', async () => {
  const { service, client } = await given();
  await client.open();
  assert.equal(await client.may({ module: 'crm', model: 'account', action: 'list' }), true);
  assert.equal(await client.may({ module: 'fin', model: 'invoice', action: 'list' }), false);
  service.overrides.push(() => [200, { approved: [] }]);
  assert.equal(await client.may({ module: 'crm', model: 'account', action: 'list' }), false);
});

test('five calls that go stale at once share one refresh and one hand-over, and each is sent again once', async () => {
  const { service, sdk, client } = await given();
  await client.open();
  service.accepted.delete('access-1');
  // None is answered before all are there: one that came after the hand-over would find a fresh token.
  service.overrides.push(async () => {
    while (service.count('GET', '/flowlu/crm/account/list') < 5) await new Promise((resolve) => setTimeout(resolve, 2));
    return undefined;
  });
  const answers = await Promise.all(Array.from({ length: 5 }, () => listAccounts(client)));
  assert.equal(answers.length, 5);
  assert.equal(sdk.refreshes, 1);
  assert.equal(service.count('PUT', '/session/token'), 1);
  assert.equal(service.count('GET', '/flowlu/crm/account/list'), 10);
});

test('a stale answer that arrives after the hand-over asks for a retry, not for a second refresh', async () => {
  const { service, sdk, client } = await given();
  await client.open();
  service.accepted.delete('access-1');
  let held = true;
  service.overrides.push(async (seen) => {
    if (!seen.query.includes('slow') || !held) return undefined;
    held = false;
    while (service.count('PUT', '/session/token') === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await new Promise((resolve) => setTimeout(resolve, 30));
    return refusal(401, 'token_stale');
  });
  await Promise.all([listAccounts(client), client.call('crm', 'account', 'list', { params: { search: 'slow' } })]);
  assert.equal(sdk.refreshes, 1);
});

test('a write that was refused as stale is sent again once', async () => {
  const { service, client } = await given();
  await client.open();
  service.accepted.delete('access-1');
  await client.call('crm', 'account', 'create', { body: { name: 'New' } });
  assert.equal(service.count('POST', '/flowlu/crm/account/create'), 2);
});

test('a second stale answer is thrown', async () => {
  const { service, sdk, client } = await given();
  await client.open();
  service.overrides.push((seen) => (seen.path.startsWith('/flowlu') ? refusal(401, 'token_stale') : undefined));
  await assert.rejects(listAccounts(client), failsWith('token_stale'));
  assert.equal(sdk.refreshes, 1);
  assert.equal(service.count('GET', '/flowlu/crm/account/list'), 2);
});

test('a failed write that may have been taken is not sent again', async () => {
  const { service, client } = await given();
  await client.open();
  service.overrides.push((seen) => (seen.path.startsWith('/flowlu') ? refusal(504, 'flowlu_timeout') : undefined));
  await assert.rejects(client.call('crm', 'account', 'create', { body: {} }), failsWith('flowlu_timeout'));
  assert.equal(service.count('POST', '/flowlu/crm/account/create'), 1);
});

test('a refused hand-over reaches every waiting call', async () => {
  const { service, client } = await given({ accepts: false });
  await client.open();
  service.accepted.delete('access-1');
  const outcomes = await Promise.allSettled([listAccounts(client), listAccounts(client)]);
  assert.deepEqual(outcomes.map((one) => one.reason.code), ['invalid_token', 'invalid_token']);
});

test('what the SDK throws at a refresh is replaced', async () => {
  const { service, sdk, client } = await given();
  await client.open();
  service.accepted.delete('access-1');
  sdk.refresh = () => Promise.reject(new Error('refresh-1-secret was refused'));
  await assert.rejects(listAccounts(client), (error) => {
    failsWith('refresh_failed')(error);
    assert.doesNotMatch(inspect(error), /secret/);
    return true;
  });
});

test('an expired session is opened again once, for all calls together', async () => {
  const { service, client } = await given();
  await client.open();
  service.sessions.clear();
  await Promise.all([listAccounts(client), listAccounts(client), listAccounts(client)]);
  assert.equal(service.opened, 2);
});

test('a session that expires again at once is not opened a third time', async () => {
  const { service, client } = await given();
  await client.open();
  service.overrides.push((seen) => (seen.path.startsWith('/flowlu') ? refusal(401, 'invalid_session') : undefined));
  await assert.rejects(listAccounts(client), failsWith('invalid_session'));
  assert.equal(service.opened, 2);
});

test('an expired session whose token ran out as well takes one refresh', async () => {
  const { service, sdk, client } = await given();
  await client.open();
  service.sessions.clear();
  service.accepted.delete('access-1');
  await listAccounts(client);
  assert.equal(sdk.refreshes, 1);
  assert.equal(service.opened, 2);
});

test('a waiting write is not sent as another user who signed in meanwhile', async () => {
  const { service, client } = await given();
  await client.open();
  service.sessions.clear();
  service.userOf = () => '8';
  await assert.rejects(client.call('crm', 'account', 'create', { body: {} }), failsWith('user_mismatch'));
  assert.equal(service.count('POST', '/flowlu/crm/account/create'), 1);
  assert.equal(client.session, null);
  assert.equal(service.sessions.size, 0);
});

test('a launch with a token that ran out takes one refresh, and no more', async () => {
  const { service, sdk, client } = await given({ accepts: false });
  service.accepted.clear();
  await assert.rejects(client.open(), failsWith('invalid_token'));
  assert.equal(sdk.refreshes, 1);
  assert.equal(service.count('POST', '/session'), 2);
});

test('a revoked token is not renewed unless asked to', async () => {
  const { service, sdk, client } = await given();
  await client.open();
  await client.forget();
  await assert.rejects(client.open(), failsWith('token_revoked'));
  assert.equal(sdk.refreshes, 0);
  await client.open({ fresh: true });
  assert.equal(sdk.refreshes, 1);
  assert.equal(service.seen.at(-1).body.access_token, 'access-2');
});

test('forget deletes the stored token and ends the session', async () => {
  const { service, client } = await given();
  await client.open();
  await client.forget();
  assert.deepEqual(service.seen.slice(1).map((one) => [one.method, one.path]), [['DELETE', '/session/token'], ['DELETE', '/session']]);
  assert.equal(client.session, null);
  await assert.rejects(listAccounts(client), failsWith('not_open'));
});

test('close ends the session, twice is no error, and a late call does not open it again', async () => {
  const { service, client } = await given();
  await client.open();
  let release;
  const closed = new Promise((resolve) => { release = resolve; });
  service.overrides.push(async (seen) => {
    if (!seen.path.startsWith('/flowlu')) return undefined;
    await closed;
    return refusal(401, 'invalid_session');
  });
  const late = assert.rejects(listAccounts(client), failsWith('invalid_session'));
  await client.close();
  await client.close();
  release();
  await late;
  assert.equal(service.opened, 1);
  assert.equal(service.count('DELETE', '/session'), 1);
});

for (const [says, options] of [['does not', { storesRefreshTokens: false }], ['does not say that it does', {}]]) {
  test(`no refresh token is sent while the application ${says} store them`, async () => {
    const { service, client } = await given(options);
    await client.open();
    service.accepted.delete('access-1');
    await listAccounts(client);
    service.sessions.clear();
    await listAccounts(client);
    assert.equal(service.seen.some((one) => one.text.includes('refresh')), false);
  });
}

test('refresh tokens are handed over where the application stores them, and never with the first request', async () => {
  const { service, client } = await given({ storesRefreshTokens: true });
  await client.open();
  assert.equal(service.seen[0].text.includes('refresh'), false);
  assert.deepEqual([service.seen[1].method, service.seen[1].path], ['PUT', '/session/token']);
  assert.equal(service.seen[1].body.refresh_token, 'refresh-1-secret');
  assert.equal(service.seen.length, 2);
  service.accepted.delete('access-1');
  await listAccounts(client);
  assert.equal(service.count('PUT', '/session/token'), 2);
  assert.equal(service.seen.findLast((one) => one.method === 'PUT').body.refresh_token, 'refresh-2-secret');
});

test('what the service refreshes is never refreshed through the SDK, whose refresh token may be spent', async () => {
  const { service, sdk, client } = await given({ storesRefreshTokens: true, refreshedBy: 'server' });
  await client.open();
  service.accepted.delete('access-1');
  await assert.rejects(listAccounts(client), failsWith('refresh_failed'));
  service.sessions.clear();
  await assert.rejects(listAccounts(client), failsWith('refresh_failed'));
  assert.equal(sdk.refreshes, 0);
});

test('a session opens even when the hand-over of its refresh token fails', async () => {
  const { service, client } = await given({ storesRefreshTokens: true });
  service.overrides.push((seen) => (seen.method === 'PUT' ? refusal(503, 'flowlu_unavailable') : undefined));
  assert.equal((await client.open()).portal, 'acme.flowlu.com');
});

test('a refusal carries its status, scope, fields and time to wait', async () => {
  const { service, client } = await given();
  await client.open();
  service.overrides.push((seen) => (seen.query.includes('a=1')
    ? refusal(403, 'insufficient_scope', { required_scope: 'crm.accounts.read' })
    : refusal(429, 'rate_limited', { fields: { page: ['too many'] } }, { 'Retry-After': '7' })));
  await assert.rejects(client.call('crm', 'account', 'list', { params: { a: 1 } }), (error) => {
    assert.deepEqual([error.code, error.status, error.requiredScope], ['insufficient_scope', 403, 'crm.accounts.read']);
    assert.equal(error.description, 'about insufficient_scope');
    return true;
  });
  await assert.rejects(listAccounts(client), (error) => {
    assert.deepEqual([error.code, error.retryAfter, error.fields], ['rate_limited', 7, { page: ['too many'] }]);
    assert.equal(error.requestId, REQUEST_ID);
    return true;
  });
});

test('a service that is down is a network error, at once and without a status', async () => {
  const { service, client } = await given();
  await client.open();
  await service.stop();
  await assert.rejects(listAccounts(client), (error) => {
    assert.deepEqual([error.code, error.status], ['network_error', 0]);
    return true;
  });
  assert.notEqual(client.session, null);
});

test('a redirect is not followed', async () => {
  const { service, client } = await given();
  await client.open();
  service.overrides.push(() => [302, undefined, { Location: '/api/v1/elsewhere' }]);
  await assert.rejects(listAccounts(client), failsWith('network_error'));
  assert.equal(service.count('GET', '/elsewhere'), 0);
});

test('a service that does not answer is a timeout', async () => {
  const { service, client } = await given({ timeoutMs: 60 });
  service.overrides.push(() => 'handled');
  await assert.rejects(client.open(), failsWith('timeout'));
});

test('a service that stops in the middle of an answer is a timeout', async () => {
  const { service, client } = await given({ timeoutMs: 60 });
  service.overrides.push((seen, response) => {
    response.writeHead(200, { 'Content-Type': 'application/json' }).write('{"items":');
    return 'handled';
  });
  await assert.rejects(client.open(), failsWith('timeout'));
});

for (const [what, answer] of [
  ['a page of a proxy', [502, '<html>Bad gateway</html>', { 'Content-Type': 'text/html' }]],
  ['a page with status 200', [200, '<html>Sign in</html>']],
  ['an empty answer', [200, '']],
  ['an error without a code', [400, { detail: 'no' }]],
  ['a code that is a sentence', [400, { error: 'Something is <b>wrong</b>' }]],
]) {
  test(`${what} is a bad answer`, async () => {
    const { service, client } = await given();
    await client.open();
    service.overrides.push(() => answer);
    await assert.rejects(listAccounts(client), failsWith('bad_answer'));
  });
}

test('an opening without a session token is a bad answer', async () => {
  const { service, client } = await given();
  service.overrides.push(() => [201, { user: { id: '7' } }]);
  await assert.rejects(client.open(), failsWith('bad_answer'));
  assert.equal(client.session, null);
});

test('no token is to be seen on the client, in an address or in an error that repeats it', async () => {
  const { service, client } = await given({ storesRefreshTokens: true });
  service.overrides.push((seen) => {
    if (seen.method === 'POST' && seen.path === '/session') return undefined;
    const said = `${seen.headers['x-session-token']} ${seen.text}`;
    return refusal(400, 'invalid_request', { error_description: said, fields: { access_token: said } });
  });
  await client.open();
  const failure = await client.call('crm', 'account', 'create', { body: {} }).catch((error) => error);
  const shown = [
    JSON.stringify(client), JSON.stringify(client.session),
    inspect(client, { showHidden: true, depth: Infinity }), inspect(client.session, { depth: Infinity }),
    inspect(failure, { showHidden: true, depth: Infinity }), JSON.stringify(failure), failure.stack,
    ...service.seen.map((one) => one.url),
  ].join('\n');
  assert.doesNotMatch(shown, /secret|access-1/);
  assert.match(failure.description, /\[removed\]/);
  assert.deepEqual(Object.keys(client), []);
});
