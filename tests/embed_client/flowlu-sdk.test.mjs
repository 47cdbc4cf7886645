/** The SDK adapter: both shapes that the SDK's documentation leaves open, a silent portal, and the newest pair. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';

import { createFlowluSdk } from '../../tokens/static/embed/flowlu-sdk.js';

afterEach(() => {
  delete globalThis.ACloudMiniApp;
});

const CONTEXT = {
  https: true, language: 'es', domain: 'acme.flowlu.com', account: { id: '5' }, app: { id: 'app', version: '1.2.0' },
  auth: { access_token: 'a1', refresh_token: 'r1', expires_at: '2030-01-01 00:00:00' },
  placement: { id: '3', code: 'crm_account_tab', props: {} }, ratelimit: { limit: 2 },
};
const NEW_PAIR = { access_token: 'a2', refresh_token: 'r2', expires_at: '2030-01-02 00:00:00' };

function install({ context = CONTEXT, oauth2 = { refresh: async () => NEW_PAIR }, wrap = (App) => ({ App }) } = {}) {
  const frame = { getContext: () => context, rest: { oauth2 } };
  globalThis.ACloudMiniApp = wrap({ initializeFrame: async () => frame });
  return frame;
}

for (const [what, options] of [
  ['under ACloudMiniApp.App', {}],
  ['as ACloudMiniApp itself', { wrap: (App) => App }],
  ['with a context that comes later', { context: Promise.resolve(CONTEXT) }],
]) {
  test(`the context is read from the SDK ${what}`, async () => {
    install(options);
    assert.deepEqual(await createFlowluSdk().context(), {
      portal: 'acme.flowlu.com', app_id: 'app', app_version: '1.2.0', language: 'es',
      integration_point: 'crm_account_tab', access_token: 'a1', refresh_token: 'r1', expires_at: '2030-01-01 00:00:00',
    });
  });
}

test('launch values fill gaps and override nothing', async () => {
  install({ context: { ...CONTEXT, app: undefined, placement: undefined } });
  const hints = { portal: 'evil.flowlu.com', app_id: 'hinted', integration_point: 'menu' };
  const context = await createFlowluSdk({ hints }).context();
  assert.deepEqual([context.portal, context.app_id, context.integration_point], ['acme.flowlu.com', 'hinted', 'menu']);
});

for (const [what, oauth2] of [
  ['the pair', { refresh: async () => NEW_PAIR }],
  ['the pair in other words', { refresh: () => ({ accessToken: 'a2', refreshToken: 'r2', expiresAt: '2030-01-02 00:00:00' }) }],
  ['nothing but keeps it', {
    accessToken: 'a1',
    async refresh() {
      Object.assign(this, { accessToken: 'a2', refreshToken: 'r2', expiresAt: '2030-01-02 00:00:00' });
    },
  }],
]) {
  test(`a refresh that gives ${what} is understood and used from then on`, async () => {
    install({ oauth2 });
    const sdk = createFlowluSdk();
    assert.deepEqual(await sdk.refresh(), NEW_PAIR);
    assert.equal((await sdk.context()).access_token, 'a2');
  });
}

test('the refresh is found at OAuth2.getInstance too', async () => {
  install({ oauth2: undefined });
  globalThis.ACloudMiniApp.OAuth2 = { getInstance: () => ({ refresh: async () => NEW_PAIR }) };
  assert.deepEqual(await createFlowluSdk().refresh(), NEW_PAIR);
});

test('a context that moved on by itself wins over an older refresh', async () => {
  const frame = install();
  const sdk = createFlowluSdk();
  await sdk.refresh();
  frame.getContext = () => ({ ...CONTEXT, auth: { access_token: 'a3' } });
  assert.equal((await sdk.context()).access_token, 'a3');
});

for (const [what, prepare] of [
  ['missing', () => {}],
  ['silent', () => { globalThis.ACloudMiniApp = { App: { initializeFrame: () => new Promise(() => {}) } }; }],
  ['without a token', () => install({ context: { ...CONTEXT, auth: null } })],
  ['throwing', () => { globalThis.ACloudMiniApp = { App: { initializeFrame() { throw new Error('r1 is bad'); } } }; }],
]) {
  test(`an SDK that is ${what} is sdk_unavailable`, async () => {
    prepare();
    await assert.rejects(createFlowluSdk({ timeoutMs: 40 }).context(), (error) => {
      assert.equal(error.code, 'sdk_unavailable');
      assert.doesNotMatch(error.message, /r1/);
      return true;
    });
  });
}

test('after a failure the next attempt starts anew', async () => {
  const sdk = createFlowluSdk({ timeoutMs: 40 });
  await assert.rejects(sdk.context());
  install();
  assert.equal((await sdk.context()).portal, 'acme.flowlu.com');
});

for (const [what, oauth2] of [
  ['rejects', { refresh: () => Promise.reject(new Error('r1')) }],
  ['never answers', { refresh: () => new Promise(() => {}) }],
  ['gives nothing', { refresh: async () => null }],
]) {
  test(`a refresh that ${what} is refresh_failed`, async () => {
    install({ oauth2 });
    await assert.rejects(createFlowluSdk({ timeoutMs: 40 }).refresh(), { code: 'refresh_failed' });
  });
}
