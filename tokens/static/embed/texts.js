/**
 * What a portal user reads: for every error code of the service and of the client, what happened and what to do.
 *
 * One table per language; a missing entry falls back to English, so that a language can be added a part at a time.
 * `{name}` is filled in by textFor. Keys with `page.` belong to our own page, all others are error codes.
 */

const en = {
  // Errors of the service
  invalid_request: 'The service did not understand this request. Reload the page; if it happens again, tell the vendor of this application.',
  invalid_session: 'Your session has ended. Reload the page to connect again.',
  invalid_token: 'Flowlu does not accept your sign-in for this application any more. Reload the portal and open the application again.',
  token_stale: 'Flowlu does not take your sign-in any more and it could not be renewed. Reload the portal and open the application again.',
  token_revoked: 'Your access through this service was revoked, by you or by an operator of the application’s vendor. You can connect again; if you are refused, ask the vendor.',
  insufficient_scope: 'An operator of the application’s vendor has yet to approve this kind of access, or has withdrawn it.',
  installation_suspended: 'The vendor has suspended this application on your portal. Nothing is lost. Ask your portal administrator or the vendor when it comes back.',
  installation_locked: 'The vendor has locked this application for your portal. Ask your portal administrator to contact the vendor.',
  user_locked: 'The vendor has locked your access to this application. Ask your portal administrator to contact the vendor.',
  portal_not_allowed: 'This application is not offered on your portal. Ask the vendor of the application.',
  application_unknown: 'This service does not know the application you opened. Tell the vendor of the application.',
  flowlu_denied: 'Flowlu does not let you see or do this. Ask your portal administrator for the right to it.',
  not_found: 'Flowlu has no such record; it may have been deleted. Go back and choose another one.',
  flowlu_invalid: 'Flowlu did not accept what was entered. Check the marked fields and try again.',
  rate_limited: 'Too many requests at once. Wait a little and try again.',
  flowlu_error: 'Flowlu answered in a way this service does not understand. Try again in a few minutes.',
  flowlu_unavailable: 'Your portal cannot be reached at the moment. Try again in a few minutes.',
  flowlu_timeout: 'Your portal took too long to answer. Try again.',
  user_mismatch: 'Another user is signed in to the portal now. Connect again to go on as that user.',
  request_too_large: 'This is more than the service takes at once. Send less and try again.',
  method_not_allowed: 'The service does not take this request. Reload the page; if it happens again, tell the vendor of this application.',
  not_acceptable: 'The service does not take this request. Reload the page; if it happens again, tell the vendor of this application.',
  unsupported_media_type: 'The service does not take this request. Reload the page; if it happens again, tell the vendor of this application.',
  access_denied: 'This address is not open to you. Reload the portal and open the application again.',
  server_error: 'Something failed in the service; its operators can see it. Try again in a few minutes.',
  // Errors of the client and of the SDK
  network_error: 'The service cannot be reached. Check your connection and try again.',
  timeout: 'The service took too long to answer. Try again.',
  bad_answer: 'The service answered in a way this page does not understand. Try again in a few minutes.',
  sdk_unavailable: 'The portal did not answer this page. Open it inside a Flowlu portal; if it is there already, reload the portal.',
  refresh_failed: 'The portal could not renew your sign-in. Reload the portal and open the application again.',
  not_open: 'This page is not connected. Connect to go on.',
  unknown: 'Something went wrong. Reload the page; if it happens again, tell the vendor of this application.',
  // Our own page
  'page.connecting': 'Connecting to your portal…',
  'page.connected': 'Connected.',
  'page.stopped': 'Access is stopped.',
  'page.not_connected': 'Not connected.',
  'page.not_embedded': 'Open this page inside a Flowlu portal: choose the application there, and it shows up connected to your account.',
  'page.portal_administrator': 'Portal administrator',
  'page.portal_user': 'Portal user',
  'page.status.pending_approval': 'Waiting for approval',
  'page.status.active': 'Active',
  'page.status.suspended': 'Suspended',
  'page.status.uninstalled': 'Uninstalled',
  'page.nothing_approved': 'Nothing is approved yet.',
  'page.accounts.loading': 'Loading accounts…',
  'page.accounts.pending': 'An operator of the application’s vendor has yet to approve access to CRM accounts, or has withdrawn it.',
  'page.accounts.checking': 'This page looks again by itself every few seconds. Last looked at {time}.',
  'page.accounts.stopped': 'This page has stopped looking by itself. Last looked at {time}.',
  'page.accounts.still_pending': 'Not approved.',
  'page.accounts.empty': 'There are no CRM accounts that you may see.',
  'page.accounts.loaded': 'CRM accounts loaded.',
  'page.accounts.failed': 'The accounts could not be loaded.',
  'page.accounts.not_shown': 'Accounts are not shown while access is stopped.',
  'page.accounts.range': '{first} to {last} of {total}',
  'page.accounts.range_open': '{first} to {last}',
  'page.accounts.organisation': 'Organisation',
  'page.accounts.contact': 'Contact',
  'page.accounts.unnamed': '(no name)',
  'page.retry_after': 'You can try again in {seconds} seconds.',
  'page.code': 'For the vendor: {code}',
  'page.try_again': 'Try again',
  'page.connect': 'Connect',
  'page.connect_again': 'Connect again',
  'page.disconnecting': 'Disconnecting…',
  'page.disconnected': 'Disconnected. The copy of your access that this page handed over is deleted.',
};

export const texts = { en };

/** The sentence for a code, in the language (`pt-BR` counts as `pt`) or in English; never empty. */
export function textFor(code, language = 'en', values = {}) {
  const table = tableOf(language);
  const text = own(table, code) ?? own(en, code) ?? own(table, 'unknown') ?? en.unknown;
  return text.replace(/\{(\w+)\}/g, (place, name) => (Object.hasOwn(values, name) ? String(values[name]) : place));
}

function tableOf(language) {
  const code = String(language ?? '').toLowerCase().split(/[-_]/)[0];
  return own(texts, code) ?? en;
}

// Codes and languages come from outside: `constructor` must not find what every object has.
function own(table, key) {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}
