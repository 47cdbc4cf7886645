/**
 * The sandbox's stand-in for the JS SDK, with the names that the sibling product documents.
 *
 * It uses no cookie and no storage, so it works with third-party cookies blocked. All that it knows comes from the portal's
 * window; it talks to that window only if it is the parent and has the origin that this script came from.
 */
(() => {
  'use strict';

  const CHANNEL = 'flowlu-sandbox';
  const CONTEXT_WITHIN_MS = 5_000;
  const ANSWER_WITHIN_MS = 20_000;

  // Portals are opened as localhost, whatever name this script was asked for under.
  const home = new URL(document.currentScript.src);
  if (home.hostname === '127.0.0.1') home.hostname = 'localhost';
  const targetOrigin = home.origin;

  const waiting = new Map();
  let lastId = 0;

  window.addEventListener('message', (event) => {
    if (event.source !== window.parent || event.origin !== targetOrigin) return;
    const message = event.data;
    if (message?.channel !== CHANNEL || !waiting.has(message.answers)) return;
    const { resolve, reject } = waiting.get(message.answers);
    waiting.delete(message.answers);
    if (message.error === undefined) resolve(message.value);
    else reject(new Error(`The portal refused: ${message.error}`));
  });

  function ask(what, values, within = ANSWER_WITHIN_MS) {
    if (window.parent === window) {
      return Promise.reject(new Error('This page is not inside a portal: open it from the sandbox portal.'));
    }
    lastId += 1;
    const id = lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(new Error(`No portal answered within ${within / 1000} seconds (expected at ${targetOrigin}).`));
      }, within);
      const settle = (settled) => (value) => {
        clearTimeout(timer);
        settled(value);
      };
      waiting.set(id, { resolve: settle(resolve), reject: settle(reject) });
      window.parent.postMessage({ channel: CHANNEL, id, ask: what, values }, targetOrigin);
    });
  }

  class OAuth2 {
    static #instance = null;
    #auth;
    events = {};

    constructor(auth) {
      this.#auth = auth;
    }

    static initialize(auth) {
      OAuth2.#instance = new OAuth2(auth);
      return OAuth2.#instance;
    }

    static getInstance() {
      if (OAuth2.#instance === null) throw new Error('OAuth2 is not initialized: call initializeFrame() first.');
      return OAuth2.#instance;
    }

    get accessToken() {
      return this.#auth.access_token;
    }

    get refreshToken() {
      return this.#auth.refresh_token;
    }

    /** The text has no zone; it is UTC. */
    get expiresAt() {
      const text = this.#auth.expires_at;
      return text ? new Date(`${text.replace(' ', 'T')}Z`) : null;
    }

    async refresh() {
      this.#auth = await ask('refresh');
      this.events?.onRefresh?.({ ...this.#auth });
      return { ...this.#auth };
    }
  }

  class Rest {
    constructor(oauth2) {
      this.oauth2 = oauth2;
    }

    async get(method, { filter = {}, ...others } = {}) {
      const parameters = Object.entries(others).map(([name, value]) => [name, String(value)]);
      for (const [name, value] of Object.entries(filter)) {
        parameters.push([`filter[${name}]`, typeof value === 'object' ? JSON.stringify(value) : String(value)]);
      }
      return this.#call('GET', method, parameters);
    }

    async post(method, data = {}) {
      return this.#call('POST', method, Object.entries(data).map(([name, value]) => [name, String(value)]));
    }

    async #call(method, path, parameters) {
      let answer = await ask('rest', { method, path, parameters });
      if (answer.status === 401) {
        await this.oauth2.refresh();
        answer = await ask('rest', { method, path, parameters });
      }
      return answer.body;
    }
  }

  class Frame {
    #context;
    events = {};

    constructor(context) {
      this.#context = context;
      this.rest = new Rest(OAuth2.initialize({ ...context.auth }));
    }

    get https() {
      return this.#context.https;
    }

    get domain() {
      return this.#context.domain;
    }

    get language() {
      return this.#context.language;
    }

    get targetOrigin() {
      return targetOrigin;
    }

    /** Gives the context with the newest pair; it may be awaited. */
    getContext() {
      const { accessToken, refreshToken } = this.rest.oauth2;
      const expiresAt = this.rest.oauth2.expiresAt;
      return {
        ...structuredClone(this.#context),
        auth: {
          access_token: accessToken,
          refresh_token: refreshToken,
          expires_at: expiresAt === null ? null : expiresAt.toISOString().slice(0, 19).replace('T', ' '),
        },
      };
    }
  }

  let initializing = null;

  /** Gives the frame, the same one every time. Rejects when no portal answers; a later call tries anew. */
  function initializeFrame() {
    initializing ??= ask('context', {}, CONTEXT_WITHIN_MS)
      .then((context) => new Frame(context))
      .catch((error) => {
        initializing = null;
        throw error;
      });
    return initializing;
  }

  window.ACloudMiniApp = Object.freeze({ initializeFrame, Frame, OAuth2 });
})();
