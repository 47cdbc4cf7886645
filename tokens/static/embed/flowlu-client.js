/**
 * The current-user API of a Flowlu custom application, as one small ES module without dependencies.
 *
 *     const client = new FlowluClient({ apiBase: '/api/v1', sdk: createFlowluSdk() });
 *     await client.open();
 *     if (await client.may({ module: 'crm', model: 'account', action: 'list' })) {
 *       const page = await client.call('crm', 'account', 'list', { params: { limit: 20 } });
 *     }
 *
 * The session token lives in a private field of this object and nowhere else: not in storage, an address, a log,
 * an error or a property. Everything that can go wrong is a FlowluClientError with a `code`; texts.js has a plain
 * sentence for each. docs/embed-client.md shows how to use this in a frontend of your own.
 */

const DEFAULT_TIMEOUT_MS = 35_000; // the service answers within 30 s; a little more, so that its own answer wins
const READ_ACTIONS = new Set(['list', 'get']); // every other action writes, whatever its HTTP verb at Flowlu is
const NAME = /^[a-z0-9_]+$/;
const RECORD_ID = /^[0-9]+$/;
const ERROR_CODE = /^[a-z][a-z0-9_]{0,63}$/;
const REQUEST_ID = /^[0-9a-f]{32}$/;
// The service refuses these too; refused here, a token put among the parameters by mistake never enters an address.
const REFUSED_PARAMETERS = new Set([
  'access_token', 'refresh_token', 'api_key', 'module', 'model', 'action', 'id', '_method',
]);

/** What every method of FlowluClient rejects with. `code` is stable; `message` is for logs, never for users. */
export class FlowluClientError extends Error {
  constructor(
    code,
    { status = 0, description = '', requiredScope = null, retryAfter = null, fields = null, requestId = null } = {},
  ) {
    super(description ? `${code}: ${description}` : code);
    this.name = 'FlowluClientError';
    this.code = code;
    /** HTTP status, 0 when there was no answer. */
    this.status = status;
    this.description = description;
    /** With `insufficient_scope`: the smallest scope that would do. */
    this.requiredScope = requiredScope;
    /** With `rate_limited`: seconds to wait, if known. */
    this.retryAfter = retryAfter;
    /** With `invalid_request` and `flowlu_invalid`: the field names with what is wrong. */
    this.fields = fields;
    /** Names the request in the log of the service, where it answered: for whoever is asked about the error. */
    this.requestId = requestId;
  }
}

export class FlowluClient {
  #apiBase;
  #sdk;
  #fetch;
  #timeoutMs;
  #sessionToken = null;
  #session = null;
  #opening = null;
  #recovery = null;
  // Counts sessions and hand-overs: an answer to a call that left under an older one asks for a retry, not a refresh.
  #epoch = 0;

  /**
   * `sdk` is any object with `context()` → `{portal, app_id, app_version, language, integration_point, access_token,
   * refresh_token, expires_at}` and `refresh()` → `{access_token, refresh_token, expires_at}`; flowlu-sdk.js makes one.
   */
  constructor({ apiBase, sdk, fetch = (...args) => globalThis.fetch(...args), timeoutMs = DEFAULT_TIMEOUT_MS }) {
    this.#apiBase = String(apiBase).replace(/\/+$/, '');
    this.#sdk = sdk;
    this.#fetch = fetch;
    this.#timeoutMs = timeoutMs;
  }

  /** Who and what this session is: user, portal, installation, application, permissions, expires_at; null before open(). */
  get session() {
    return this.#session;
  }

  toJSON() {
    return { session: this.#session };
  }

  /**
   * Opens a session with the tokens of the SDK and gives `session`. Parallel calls share one opening.
   * `fresh` has the SDK refresh the tokens first: needed after forget(), since a revoked token is not taken again.
   */
  async open({ fresh = false } = {}) {
    this.#opening ??= this.#openSession({ fresh }).finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  /** Reads the session again (an approval or a suspension may have changed it) and gives `session`. */
  async refreshSession() {
    const answer = await this.#send('GET', '/session');
    this.#session = describe(answer, this.#session);
    return this.#session;
  }

  /** The approved scopes and, when a call is named, also `allowed`, `scope`, `error` and `required_scope` for it. */
  async permissions({ module, model, action } = {}) {
    let query = '';
    if (module !== undefined) {
      requireNames(module, model, action);
      query = `?${new URLSearchParams({ module, model, action })}`;
    }
    const answer = await this.#send('GET', `/permissions${query}`);
    if (this.#session !== null && Array.isArray(answer?.approved)) {
      const { approved, described } = answer;
      this.#session = freeze({ ...this.#session, permissions: structuredClone({ approved, described }) });
    }
    return answer;
  }

  /** Whether the service would let this call through. True is no promise: Flowlu may still refuse it to this user. */
  async may({ module, model, action }) {
    const answer = await this.permissions({ module, model, action });
    return answer?.allowed === true;
  }

  /**
   * Calls Flowlu as the current user and gives the body of its `response`.
   * `params` may be nested: `{filter: {type: 2}, order_by: {asc: ['name']}}`. Only writes have a `body`.
   */
  async call(module, model, action, { id, params, body } = {}) {
    requireNames(module, model, action);
    if (id !== undefined && !RECORD_ID.test(String(id))) {
      throw new FlowluClientError('invalid_request', { description: 'a record id is made of digits' });
    }
    const reads = READ_ACTIONS.has(action);
    if (reads && body !== undefined) {
      throw new FlowluClientError('invalid_request', { description: `${action} takes params, no body` });
    }
    const path = ['/flowlu', module, model, action, ...(id === undefined ? [] : [id])].join('/');
    const query = queryOf(params);
    return this.#send(reads ? 'GET' : 'POST', query ? `${path}?${query}` : path, reads ? undefined : (body ?? {}));
  }

  /** Ends this session; the stored tokens stay. Does nothing when there is none. */
  async close() {
    await Promise.allSettled([this.#opening, this.#recovery]);
    await this.#end();
  }

  /** Deletes what the service stores of this user's tokens, then ends the session. Flowlu itself is not told. */
  async forget() {
    try {
      await this.#send('DELETE', '/session/token');
    } catch (error) {
      // An expired session is opened again to say this; then a token that was revoked meanwhile is refused there.
      if (error.code !== 'token_revoked') throw error;
    }
    await this.close().catch(() => {}); // without its token the session can do nothing, ended or not
  }

  async #end() {
    const sessionToken = this.#sessionToken;
    this.#sessionToken = null; // dropped first: whatever the service answers, this page cannot act any more
    this.#session = null;
    this.#epoch += 1;
    if (sessionToken === null) return;
    try {
      await this.#exchange('DELETE', '/session', { sessionToken });
    } catch (error) {
      if (error.code !== 'invalid_session') throw error; // it had ended already, which is what was asked for
    }
  }

  async #openSession({ fresh }) {
    let pair = fresh ? await this.#ask('refresh') : null;
    for (;;) {
      const launch = { ...(await this.#ask('context')), ...pair };
      const body = {
        portal: launch.portal,
        app_id: launch.app_id,
        app_version: launch.app_version ?? null,
        language: launch.language ?? null,
        integration_point: launch.integration_point ?? null,
        access_token: launch.access_token,
        expires_at: launch.expires_at ?? null,
      };
      let answer;
      try {
        answer = await this.#exchange('POST', '/session', { body });
      } catch (error) {
        // The pair the page was opened with may have run out since: one refresh, one more attempt.
        if (error.code !== 'invalid_token' || pair !== null) throw error;
        this.#leaveRefreshingToTheService();
        pair = await this.#ask('refresh');
        continue;
      }
      if (typeof answer?.session_token !== 'string' || answer.session_token === '') {
        throw new FlowluClientError('bad_answer', { status: 201, description: 'no session in the answer' });
      }
      this.#sessionToken = answer.session_token;
      this.#session = describe(answer);
      this.#epoch += 1;
      // Only this answer tells whether the application stores refresh tokens, so the first request never carries one.
      // The session works without it: a failure here is left to the next hand-over.
      if (this.#storesRefreshTokens() && launch.refresh_token) await this.#handOver(launch).catch(() => {});
      return this.#session;
    }
  }

  #storesRefreshTokens() {
    return this.#session?.application?.stores_refresh_tokens === true;
  }

  /** What the SDK still holds is spent where the service refreshes: used again, it would end the whole sign-in. */
  #leaveRefreshingToTheService() {
    if (this.#session?.application?.refreshed_by === 'server') throw new FlowluClientError('refresh_failed');
  }

  async #handOver(pair) {
    const body = { access_token: pair.access_token, expires_at: pair.expires_at ?? null };
    if (this.#storesRefreshTokens() && pair.refresh_token) body.refresh_token = pair.refresh_token;
    await this.#exchange('PUT', '/session/token', { body, sessionToken: this.#sessionToken });
  }

  /**
   * Sends one request of this session; after `token_stale` and `invalid_session` puts things right and sends it again,
   * each at most once. That is safe for writes too: both codes say that nothing was passed on to Flowlu for it.
   */
  async #send(method, path, body) {
    const recovered = new Set();
    for (;;) {
      if (this.#recovery !== null) await this.#recovery.catch(() => {}); // sent now, it would only be refused
      const sessionToken = this.#sessionToken;
      if (sessionToken === null) throw new FlowluClientError('not_open', { description: 'open() comes first' });
      const epoch = this.#epoch;
      try {
        return await this.#exchange(method, path, { body, sessionToken });
      } catch (error) {
        const recoverable = error.code === 'token_stale' || error.code === 'invalid_session';
        // Without a session token, close() came in between: what was ended on purpose is not opened again.
        if (!recoverable || recovered.has(error.code) || this.#sessionToken === null) throw error;
        recovered.add(error.code);
        if (epoch === this.#epoch) await this.#recover(error.code);
      }
    }
  }

  /** Parallel calls that fail together share one recovery: the SDK's refresh token may be good for one use only. */
  #recover(code) {
    this.#recovery ??= (code === 'token_stale' ? this.#renewToken() : this.#reopen()).finally(() => {
      this.#recovery = null;
    });
    return this.#recovery;
  }

  async #renewToken() {
    this.#leaveRefreshingToTheService();
    const pair = await this.#ask('refresh');
    try {
      await this.#handOver(pair);
      this.#epoch += 1;
    } catch (error) {
      if (error.code !== 'invalid_session') throw error;
      await this.#reopen();
    }
  }

  /** Opens a session in place of an expired one, for the same user only: a waiting write must not run as another. */
  async #reopen() {
    const before = this.#session;
    const after = await this.open();
    if (after.portal === before?.portal && after.user?.id === before?.user?.id) return;
    await this.#end().catch(() => {});
    throw new FlowluClientError('user_mismatch', { description: 'another user is signed in at the portal now' });
  }

  /** Asks the SDK; what it throws is replaced, since a foreign error text may hold anything. */
  async #ask(what) {
    let answer;
    try {
      answer = await this.#sdk[what]();
    } catch (error) {
      if (error instanceof FlowluClientError) throw error;
      throw new FlowluClientError(what === 'refresh' ? 'refresh_failed' : 'sdk_unavailable');
    }
    if (typeof answer?.access_token !== 'string' || answer.access_token === '') {
      throw new FlowluClientError(what === 'refresh' ? 'refresh_failed' : 'sdk_unavailable', {
        description: 'the SDK gave no access token',
      });
    }
    return answer;
  }

  async #exchange(method, path, { body, sessionToken } = {}) {
    const headers = { Accept: 'application/json' };
    if (sessionToken) headers['X-Session-Token'] = sessionToken;
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), this.#timeoutMs);
    const fetch = this.#fetch;
    let response;
    let text;
    try {
      response = await fetch(this.#apiBase + path, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: abort.signal,
        credentials: 'omit',
        cache: 'no-store',
        referrerPolicy: 'no-referrer',
        redirect: 'error',
      });
      text = await response.text();
    } catch {
      throw new FlowluClientError(abort.signal.aborted ? 'timeout' : 'network_error');
    } finally {
      clearTimeout(timer);
    }
    if (response.status === 204) return null;
    if (response.ok) return parse(text, response.status);
    const secrets = [sessionToken, body?.access_token, body?.refresh_token];
    throw refusal(parse(without(text, secrets), response.status), response);
  }
}

/** The answer's public part. Fields are picked, so that a token in an answer never becomes a property. */
function describe(answer, previous = null) {
  const { user, portal, installation, application, permissions, expires_at, token } = { ...previous, ...answer };
  const session = { user, portal, installation, application: application ?? null, permissions, expires_at };
  if (token) session.token = { state: token.state, expires_at: token.expires_at };
  return freeze(structuredClone(session));
}

function freeze(value) {
  if (value !== null && typeof value === 'object') Object.values(Object.freeze(value)).forEach(freeze);
  return value;
}

function parse(text, status) {
  try {
    return JSON.parse(text);
  } catch {
    throw new FlowluClientError('bad_answer', { status, description: 'the answer is not JSON' });
  }
}

/** The service never repeats a token; whatever stands between it and this page (a proxy's error page) might. */
function without(text, secrets) {
  return secrets.filter(Boolean).reduce((rest, secret) => {
    return rest.replaceAll(JSON.stringify(secret).slice(1, -1), '[removed]');
  }, text);
}

function refusal(answer, response) {
  const { status } = response;
  if (typeof answer?.error !== 'string' || !ERROR_CODE.test(answer.error)) {
    return new FlowluClientError('bad_answer', { status, description: 'the answer names no error' });
  }
  return new FlowluClientError(answer.error, {
    status,
    description: typeof answer.error_description === 'string' ? answer.error_description : '',
    requiredScope: answer.required_scope ?? null,
    retryAfter: seconds(response.headers.get('Retry-After')),
    fields: answer.fields ?? null,
    requestId: REQUEST_ID.test(answer.request_id) ? answer.request_id : null,
  });
}

/** Retry-After is seconds or a date (RFC 9110 §10.2.3). */
function seconds(value) {
  if (value === null) return null;
  if (/^\d+$/.test(value)) return Number(value);
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, Math.ceil((at - Date.now()) / 1000));
}

function requireNames(...names) {
  if (names.every((name) => typeof name === 'string' && NAME.test(name))) return;
  throw new FlowluClientError('invalid_request', {
    description: 'module, model and action are made of a-z, 0-9 and _',
  });
}

function queryOf(params) {
  const query = new URLSearchParams();
  const add = (name, value) => {
    if (value === undefined || value === null) return;
    if (Array.isArray(value)) value.forEach((item) => add(`${name}[]`, item));
    else if (typeof value === 'object') Object.entries(value).forEach(([key, item]) => add(`${name}[${key}]`, item));
    else query.append(name, typeof value === 'boolean' ? Number(value) : value);
  };
  for (const [name, value] of Object.entries(params ?? {})) {
    if (REFUSED_PARAMETERS.has(name)) {
      throw new FlowluClientError('invalid_request', { description: `${name} is not a parameter` });
    }
    add(name, value);
  }
  return query.toString();
}
