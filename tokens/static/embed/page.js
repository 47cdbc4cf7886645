/**
 * Our own embedded page: who you are, what is approved, and your CRM accounts, through the current-user API.
 *
 * Everything from outside enters the page as text. What was shown stays when a later call fails, unless that one says
 * that access is stopped; the notice above it says what happened and offers what can be done.
 */
import { FlowluClient, FlowluClientError } from './flowlu-client.js';
import { createFlowluSdk } from './flowlu-sdk.js';
import { textFor, wordsFor } from './texts.js';

const ACCOUNTS = { module: 'crm', model: 'account', action: 'list' };
const PAGE_SIZE = 10;
const CHECK_EVERY_MS = 15_000;
const CHECKS_AT_MOST = 20; // five minutes of looking by itself, then only on request
// What may pass by itself: looking for an approval goes on after these.
const PASSING = new Set([
  'network_error', 'timeout', 'bad_answer', 'rate_limited', 'flowlu_error', 'flowlu_unavailable', 'flowlu_timeout',
]);

// What no retry of this page can mend: access is stopped, although the session itself may be alive.
const STOPPED = new Set([
  'token_revoked', 'user_locked', 'user_mismatch', 'installation_locked', 'installation_suspended',
  'portal_not_allowed', 'origin_not_allowed', 'application_unknown',
]);

const app = document.getElementById('app');
const at = (id) => document.getElementById(id);
const launch = app.dataset;
const { lang: language } = document.documentElement; // the service has chosen among those that the page speaks
// English is not the same in London and New York: the browser's own variant, where it has one of this language.
const region = navigator.languages.find((tag) => tag.split('-')[0] === language) ?? language;
const say = (key, values) => textFor(key, language, values);

const client = new FlowluClient({
  apiBase: launch.apiBase,
  sdk: createFlowluSdk({
    scriptUrl: launch.sdkUrl,
    hints: {
      portal: launch.portal || null,
      language: launch.language || null,
      app_id: launch.appId || null,
      app_version: launch.appVersion || null,
      integration_point: launch.integrationPoint || null,
    },
  }),
});

// Every action takes a number; what comes back for an older one is dropped, so a slow answer never overwrites a newer one.
let turn = 0;
let page = 1;
let total = null;
let checks = 0;
let checkTimer = null;
let checkDue = false;

// --- showing ---

function setStatus(tone, text) {
  at('status').dataset.tone = tone;
  at('status').textContent = text;
}

function showNotice(tone, text, { detail = '', label = '', action = null } = {}) {
  at('notice').dataset.tone = tone;
  at('notice-text').textContent = text;
  at('notice-detail').textContent = detail;
  at('notice-detail').hidden = !detail;
  at('notice-action').textContent = label;
  at('notice-action').hidden = !action;
  at('notice-action').onclick = action;
  at('notice').hidden = false;
  // The button that led here may be far below: what happened must not stay out of sight.
  at('notice').scrollIntoView({ block: 'nearest' });
}

function hideNotice() {
  const focused = at('notice').contains(document.activeElement);
  at('notice').hidden = true;
  if (focused) at('status').focus(); // a button that goes away must not take the keyboard's place with it
}

function showProblem(error, retry) {
  const code = error instanceof FlowluClientError ? error.code : 'unknown';
  stopChecking();
  const wait = error.retryAfter ? ` ${say('page.retry_after', { count: error.retryAfter })}` : '';
  const offers = {
    // A click, never the page by itself, asks for new tokens after a revocation.
    token_revoked: ['page.connect_again', () => connect({ fresh: true })],
    user_mismatch: ['page.connect_again', () => connect()],
    invalid_session: ['page.connect_again', () => connect()],
    not_open: ['page.connect', () => connect()],
  };
  const [label, action] = offers[code] ?? ['page.try_again', retry];
  showNotice('problem', say(code) + wait, { detail: say('page.code', { code }), label: say(label), action });
  if (STOPPED.has(code)) {
    const focused = at('accounts').contains(document.activeElement);
    clearAccounts();
    showAccountsMessage('page.accounts.not_shown');
    if (focused) at('notice-action').focus();
  }
  if (code === 'installation_suspended') showInstallation('suspended');
  if (client.session === null) setStatus('problem', say('page.not_connected'));
  else if (STOPPED.has(code)) setStatus('problem', say('page.stopped'));
  else setStatus('good', say('page.connected'));
}

function showSession(session) {
  at('user-name').textContent = session.user?.name || session.user?.id || '';
  at('user-role').textContent = say(session.user?.is_portal_admin ? 'page.portal_administrator' : 'page.portal_user');
  at('portal').textContent = session.portal ?? '';
  showInstallation(session.installation?.status);
  showApproved(session.permissions);
  if (session.application?.name) at('application').textContent = session.application.name;
  at('connected').hidden = false;
}

function showInstallation(status = '') {
  const tones = { active: 'good', pending_approval: 'waiting', suspended: 'problem', uninstalled: 'problem' };
  at('installation').dataset.tone = tones[status] ?? 'waiting';
  at('installation').textContent = tones[status] ? say(`page.status.${status}`) : status;
}

function showApproved(permissions) {
  const scopes = permissions?.described ?? [];
  at('approved-none').textContent = say('page.nothing_approved');
  at('approved-none').hidden = scopes.length > 0;
  at('approved').replaceChildren(...scopes.map((scope) => {
    const item = element('li', wordsFor(scope.title, language) || scope.scope);
    if (scope.allows) item.append(element('span', wordsFor(scope.allows, language), 'quiet'));
    item.append(element('code', scope.scope, 'quiet'));
    return item;
  }));
}

function showPending() {
  clearAccounts(); // what an approval that was withdrawn let through
  at('accounts-pending-text').textContent = say('page.accounts.pending');
  at('accounts-message').hidden = true;
  at('accounts-pending').hidden = false;
}

function showAccounts(answer) {
  const items = Array.isArray(answer?.items) ? answer.items : [];
  const counted = Number.parseInt(answer?.total_result ?? answer?.total, 10);
  total = Number.isNaN(counted) ? null : counted;
  const focused = document.activeElement === at('accounts-check');
  at('accounts-pending').hidden = true;
  at('accounts-list').hidden = items.length === 0 && page === 1;
  showAccountsMessage(items.length === 0 ? 'page.accounts.empty' : null);
  at('accounts-rows').replaceChildren(...items.map((account) => {
    const row = document.createElement('tr');
    row.append(
      element('td', account.name || say('page.accounts.unnamed')),
      element('td', kindOf(account.type)),
      element('td', account.id, 'number'),
    );
    return row;
  }));
  const first = (page - 1) * PAGE_SIZE + 1;
  const values = { first, last: first + items.length - 1, total };
  at('accounts-range').textContent =
    items.length === 0 ? '' : say(total === null ? 'page.accounts.range_open' : 'page.accounts.range', values);
  setEnabled(at('accounts-previous'), page > 1);
  setEnabled(at('accounts-next'), total === null ? items.length === PAGE_SIZE : page * PAGE_SIZE < total);
  if (focused) at('status').focus();
}

/** Takes the accounts away, and with them the buttons that ask for more of them. */
function clearAccounts() {
  page = 1;
  total = null;
  at('accounts-list').hidden = true;
  at('accounts-pending').hidden = true;
  at('accounts-rows').replaceChildren();
  at('accounts-range').textContent = '';
}

function showAccountsMessage(key) {
  at('accounts-message').textContent = key ? say(key) : '';
  at('accounts-message').hidden = !key;
}

/** Flowlu: 1 is an organisation, 2 a contact. */
function kindOf(type) {
  const kinds = { 1: 'page.accounts.organisation', 2: 'page.accounts.contact' };
  return Object.hasOwn(kinds, String(type)) ? say(kinds[type]) : String(type ?? '');
}

function element(name, text, className = '') {
  const made = document.createElement(name);
  made.textContent = String(text ?? '');
  if (className) made.className = className;
  return made;
}

/** aria-disabled instead of disabled: a button at the end of the list keeps the keyboard's focus. */
function setEnabled(button, enabled) {
  button.setAttribute('aria-disabled', String(!enabled));
}

// --- doing ---

/** Runs one action of the user or of the page; no rejection leaves here. */
async function run(action, retry) {
  const mine = ++turn;
  const current = () => mine === turn;
  at('accounts').setAttribute('aria-busy', 'true');
  try {
    await action(current);
  } catch (error) {
    if (!current()) return;
    if (error.code === 'insufficient_scope' && client.session !== null) {
      waitForApproval();
      // What was approved when the page was opened may have been withdrawn since.
      client.permissions(ACCOUNTS).then(() => { if (current()) showApproved(client.session?.permissions); }, () => {});
    } else {
      if (at('accounts-list').hidden && at('accounts-pending').hidden) showAccountsMessage('page.accounts.failed');
      showProblem(error, retry);
    }
  } finally {
    if (current()) at('accounts').setAttribute('aria-busy', 'false');
  }
}

function connect({ fresh = false } = {}) {
  return run(async (current) => {
    stopChecking();
    setStatus('busy', say('page.connecting'));
    if (client.session !== null) await client.close().catch(() => {}); // an old session ends by itself as well
    const session = await client.open({ fresh });
    if (!current()) return;
    hideNotice();
    setStatus('good', say('page.connected'));
    showSession(session);
    checks = 0;
    await loadIfAllowed(current);
  }, () => connect({ fresh }));
}

function showAccountsPage(number) {
  return run(async (current) => {
    await loadPage(current, number);
  }, () => showAccountsPage(number));
}

function checkAgain() {
  return run(async (current) => {
    stopChecking();
    setStatus('busy', say('page.accounts.loading'));
    const session = await client.refreshSession();
    if (!current()) return;
    hideNotice();
    showSession(session);
    checks = 0;
    if (!(await loadIfAllowed(current)) && current()) setStatus('good', say('page.accounts.still_pending'));
  }, checkAgain);
}

/** Asks first, so that no call is made that is known to be refused. */
async function loadIfAllowed(current) {
  const allowed = await isAllowed();
  if (!current()) return false;
  showApproved(client.session?.permissions);
  if (!allowed) {
    waitForApproval();
    return false;
  }
  await loadPage(current, page);
  return true;
}

/** False while the approval is missing; any other reason (a lock, a suspension, a revocation) is thrown. */
async function isAllowed() {
  const answer = await client.permissions(ACCOUNTS);
  if (answer?.allowed === true) return true;
  if (answer?.error && answer.error !== 'insufficient_scope') throw new FlowluClientError(answer.error);
  return false;
}

async function loadPage(current, number) {
  stopChecking();
  if (at('accounts-list').hidden) showAccountsMessage('page.accounts.loading');
  const { module, model, action } = ACCOUNTS;
  const answer = await client.call(module, model, action, { params: { page: number, limit: PAGE_SIZE } });
  if (!current()) return;
  page = number;
  hideNotice();
  showAccounts(answer);
  setStatus('good', say('page.accounts.loaded'));
}

function waitForApproval() {
  hideNotice();
  showPending();
  setStatus('good', say('page.connected'));
  noteCheck();
  scheduleCheck(CHECK_EVERY_MS);
}

function noteCheck() {
  const time = new Date().toLocaleTimeString(region);
  at('accounts-checked').textContent = say(
    checks < CHECKS_AT_MOST ? 'page.accounts.checking' : 'page.accounts.stopped', { time },
  );
}

// Looking for an approval by itself: one small request, only while somebody can see the page, and not for ever.

function scheduleCheck(delay) {
  stopChecking();
  if (checks >= CHECKS_AT_MOST) return;
  checkTimer = setTimeout(() => {
    checkTimer = null;
    if (document.hidden) checkDue = true;
    else lookForApproval();
  }, delay);
}

function stopChecking() {
  clearTimeout(checkTimer);
  checkTimer = null;
  checkDue = false;
}

async function lookForApproval() {
  checkDue = false;
  checks += 1;
  const mine = turn; // an action of the user that starts meanwhile makes this answer void
  let delay = CHECK_EVERY_MS;
  try {
    const allowed = await isAllowed();
    if (mine !== turn) return;
    showApproved(client.session?.permissions);
    if (allowed) {
      await run(async (current) => {
        const session = await client.refreshSession();
        if (!current()) return;
        showSession(session);
        await loadPage(current, 1);
      }, checkAgain);
      return;
    }
  } catch (error) {
    if (mine !== turn) return;
    if (!PASSING.has(error.code)) {
      showProblem(error, checkAgain);
      return;
    }
    delay = Math.max(delay, (error.retryAfter ?? 0) * 1000);
  }
  noteCheck();
  scheduleCheck(delay);
}

function disconnect() {
  return run(async () => {
    stopChecking();
    setStatus('busy', say('page.disconnecting'));
    await client.forget();
    confirmDisconnect(false);
    at('connected').hidden = true;
    clearAccounts();
    setStatus('problem', say('page.not_connected'));
    showNotice('info', say('page.disconnected'), {
      label: say('page.connect_again'),
      action: () => connect({ fresh: true }), // the token that was revoked is not taken again
    });
    at('notice-action').focus();
  }, disconnect);
}

function confirmDisconnect(open) {
  at('disconnect').setAttribute('aria-expanded', String(open));
  at('disconnect-confirm').hidden = !open;
  (open ? at('disconnect-yes') : at('disconnect')).focus();
}

// --- starting ---

at('accounts-check').addEventListener('click', checkAgain);
for (const [id, step] of [['accounts-previous', -1], ['accounts-next', 1]]) {
  at(id).addEventListener('click', () => {
    const busy = at('accounts').getAttribute('aria-busy') === 'true';
    if (!busy && at(id).getAttribute('aria-disabled') !== 'true') showAccountsPage(page + step);
  });
}
at('disconnect').addEventListener('click', () => confirmDisconnect(at('disconnect-confirm').hidden));
at('disconnect-yes').addEventListener('click', disconnect);
at('disconnect-no').addEventListener('click', () => confirmDisconnect(false));
at('disconnect-confirm').addEventListener('keydown', (event) => {
  if (event.key === 'Escape') confirmDisconnect(false);
});
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && checkDue) lookForApproval();
});

if (window.parent === window) {
  // Opened directly there is no portal to ask, so the SDK is not even loaded.
  setStatus('problem', say('page.not_connected'));
  showNotice('info', say('page.not_embedded'));
} else {
  connect();
}
