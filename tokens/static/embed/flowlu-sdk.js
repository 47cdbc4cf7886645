/**
 * The one place that knows the names of Flowlu's JS SDK.
 *
 * Flowlu documents what its SDK does, not what its parts are called. The names here are those of the sibling product's
 * SDK (global `ACloudMiniApp`), and where its documentation leaves a shape open, both readings are taken.
 */
import { FlowluClientError } from './flowlu-client.js';

const ANSWER_WITHIN_MS = 8_000;

/**
 * Gives the `sdk` object for FlowluClient.
 *
 * `scriptUrl`: loads the SDK from there unless the page has it already.
 * `hints`: launch values (`portal`, `app_id`, `app_version`, `language`, `integration_point`), used only where the SDK
 * says nothing. They prove nothing: the service learns who the user is from Flowlu, by the token.
 */
export function createFlowluSdk({ scriptUrl = '', hints = {}, timeoutMs = ANSWER_WITHIN_MS } = {}) {
  let frame = null;
  let refreshed = null; // {replaces, pair}: the SDK's context may go on showing the pair that the page was opened with

  async function connect() {
    if (!globalThis.ACloudMiniApp && scriptUrl) await loadScript(scriptUrl);
    const app = globalThis.ACloudMiniApp?.App ?? globalThis.ACloudMiniApp;
    if (typeof app?.initializeFrame !== 'function') throw unavailable('the SDK is not on this page');
    return app.initializeFrame();
  }

  async function readContext() {
    frame ??= connect();
    return (await frame).getContext();
  }

  async function renew() {
    const app = globalThis.ACloudMiniApp?.App ?? globalThis.ACloudMiniApp;
    const replaces = (await readContext())?.auth?.access_token;
    const oauth2 =
      (await frame).rest?.oauth2 ?? (app?.OAuth2 ?? globalThis.ACloudMiniApp.OAuth2)?.getInstance?.();
    if (typeof oauth2?.refresh !== 'function') throw new FlowluClientError('refresh_failed');
    const pair = pairOf(await oauth2.refresh()) ?? pairOf(oauth2);
    if (pair === null) throw new FlowluClientError('refresh_failed');
    refreshed = { replaces, pair };
    return pair;
  }

  return {
    async context() {
      const context = await within(timeoutMs, readContext(), 'sdk_unavailable').catch((error) => {
        frame = null; // a later attempt starts anew
        throw error;
      });
      const shown = pairOf(context?.auth);
      // A context with yet another token is newer than what was refreshed here: the SDK also refreshes by itself.
      const pair = refreshed && shown?.access_token === refreshed.replaces ? refreshed.pair : shown;
      if (!pair) throw unavailable('the SDK gave no access token');
      return {
        portal: textOf(context.domain) ?? hints.portal ?? null,
        app_id: textOf(context.app?.id) ?? hints.app_id ?? null,
        app_version: textOf(context.app?.version) ?? hints.app_version ?? null,
        language: textOf(context.language) ?? hints.language ?? null,
        integration_point: textOf(context.placement?.code ?? context.placement?.id) ?? hints.integration_point ?? null,
        ...pair,
      };
    },
    async refresh() {
      return within(timeoutMs, renew(), 'refresh_failed');
    },
  };
}

function pairOf(value) {
  const access = textOf(value?.access_token ?? value?.accessToken);
  if (access === null) return null;
  return {
    access_token: access,
    refresh_token: textOf(value.refresh_token ?? value.refreshToken),
    expires_at: textOf(value.expires_at ?? value.expiresAt),
  };
}

function textOf(value) {
  if (typeof value === 'string') return value === '' ? null : value;
  return typeof value === 'number' ? String(value) : null;
}

function unavailable(description) {
  return new FlowluClientError('sdk_unavailable', { description });
}

/** The SDK talks to the portal's window, which may never answer. What it throws is replaced: it may hold anything. */
async function within(milliseconds, work, code) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new FlowluClientError(code, { description: 'no answer in time' })), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    throw error instanceof FlowluClientError ? error : new FlowluClientError(code);
  } finally {
    clearTimeout(timer);
  }
}

function loadScript(url) {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = url;
    script.addEventListener('load', () => resolve());
    script.addEventListener('error', () => {
      script.remove();
      reject(unavailable('the SDK did not load'));
    });
    document.head.append(script);
  });
}
