/**
 * A small HTTP server that answers as the current-user API does, so that the client is tested over a real connection.
 *
 * It keeps every request it saw (`seen`), knows which access tokens Flowlu takes (`accepted`), and answers like the
 * service: sessions by the header X-Session-Token, errors as {error, error_description}.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';

const PERMISSIONS = {
  approved: ['crm.read'],
  described: [{ scope: 'crm.read', code: 'crm', level: 'read', title: 'CRM', allows: 'Read everything in CRM' }],
};

export async function startService({ storesRefreshTokens, refreshedBy = 'frontend' } = {}) {
  const service = {
    seen: [],
    accepted: new Set(['access-1']),
    revoked: new Set(),
    sessions: new Map(), // session token → access token
    userOf: () => '7',
    overrides: [], // functions (request) → [status, body, headers] | undefined; asked first
    opened: 0,
  };

  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    const url = new URL(request.url, 'http://service');
    const seen = {
      method: request.method,
      path: url.pathname.replace('/api/v1', ''),
      query: url.search,
      url: request.url,
      headers: request.headers,
      text,
      body: text ? JSON.parse(text) : null,
    };
    service.seen.push(seen);
    for (const override of service.overrides) {
      const answer = await override(seen, response);
      if (answer === 'handled') return;
      if (answer) return send(response, ...answer);
    }
    send(response, ...answerTo(seen));
  });

  function answerTo({ method, path, query, headers, body }) {
    if (method === 'POST' && path === '/session') {
      if (service.revoked.has(body.access_token)) return refusal(401, 'token_revoked');
      if (!service.accepted.has(body.access_token)) return refusal(401, 'invalid_token');
      service.opened += 1;
      const sessionToken = `session-${service.opened}-secret`;
      service.sessions.set(sessionToken, body.access_token);
      return [201, { session_token: sessionToken, ...state() }];
    }
    const sessionToken = headers['x-session-token'];
    if (!service.sessions.has(sessionToken)) return refusal(401, 'invalid_session');
    const accessToken = service.sessions.get(sessionToken);
    if (path === '/session/token' && method === 'PUT') {
      if (!service.accepted.has(body.access_token)) return refusal(401, 'invalid_token');
      service.sessions.set(sessionToken, body.access_token);
      return [204];
    }
    if (path === '/session/token' && method === 'DELETE') {
      service.revoked.add(accessToken);
      return [204];
    }
    if (path === '/session' && method === 'DELETE') {
      service.sessions.delete(sessionToken);
      return [204];
    }
    if (path === '/session') return [200, { ...state(), token: { state: 'active', expires_at: null } }];
    if (path === '/permissions') {
      const allowed = query.includes('module=crm');
      const error = allowed ? null : 'insufficient_scope';
      return [200, { ...PERMISSIONS, allowed, scope: allowed ? 'crm.read' : null, error, required_scope: null }];
    }
    if (service.revoked.has(accessToken)) return refusal(401, 'token_revoked');
    if (!service.accepted.has(accessToken)) return refusal(401, 'token_stale');
    return [200, { items: [{ id: '1', name: 'Acme' }], total_result: 1, page: 1 }];
  }

  function state() {
    return {
      expires_at: '2030-01-01T00:00:00Z',
      user: { id: service.userOf(), name: 'Alice', is_portal_admin: false },
      portal: 'acme.flowlu.com',
      installation: { id: '1', status: 'active' },
      permissions: PERMISSIONS,
      ...(storesRefreshTokens === undefined
        ? {}
        : { application: { id: 'app', name: 'App', stores_refresh_tokens: storesRefreshTokens, refreshed_by: refreshedBy } }),
    };
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  service.apiBase = `http://127.0.0.1:${server.address().port}/api/v1`;
  service.count = (method, path) => service.seen.filter((one) => one.method === method && one.path === path).length;
  service.stop = () => {
    // Again and again: a connection that was on its way arrives after the first round, and close() waits for it.
    const kick = setInterval(() => server.closeAllConnections(), 10);
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve)).finally(() => clearInterval(kick));
  };
  return service;
}

export const REQUEST_ID = 'c1a1'.repeat(8);

export function refusal(status, error, more = {}, headers = {}) {
  return [status, { error, error_description: `about ${error}`, request_id: REQUEST_ID, ...more }, headers];
}

function send(response, status, body, headers = {}) {
  if (body === undefined) return response.writeHead(status, headers).end();
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(text);
}

/** An SDK whose refresh gives access-2, access-3, … and takes a moment, as the way through the portal's window does. */
export function makeSdk(service, { accepts = true } = {}) {
  let number = 1;
  const pair = () => ({
    access_token: `access-${number}`,
    refresh_token: `refresh-${number}-secret`,
    expires_at: '2030-01-01 00:00:00',
  });
  const sdk = {
    refreshes: 0,
    async context() {
      return {
        portal: 'acme.flowlu.com', app_id: 'app', app_version: '1.0.0', language: 'en', integration_point: null,
        ...pair(),
      };
    },
    async refresh() {
      sdk.refreshes += 1;
      await new Promise((resolve) => setTimeout(resolve, 20));
      number += 1;
      if (accepts) service.accepted.add(`access-${number}`);
      return pair();
    },
  };
  return sdk;
}
