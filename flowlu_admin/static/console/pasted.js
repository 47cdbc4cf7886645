/**
 * Whether a text that somebody typed or pasted looks like a credential: the same as `installations/pasted.py`, asked
 * before anything leaves the browser. One corpus holds both (tests/console_script/pasted.json).
 */
const MIXED = String.raw`(?:(?=[\w-]*\d)(?=[\w-]*[A-Za-z])|(?=[\w-]*[a-z])(?=[\w-]*[A-Z]))`;
const CASED = new RegExp(
  [
    String.raw`(?<![\w-])(?![a-z0-9-]+\.[a-z])${MIXED}[\w-]{40,}`,
    String.raw`(?<![\w+=-])(?=[\w+=-]*\d)(?=[\w+=-]*[a-z])(?=[\w+=-]*[A-Z])[\w+=-]{32,}`,
    String.raw`(?<![\w-])(?=\d*[A-Fa-f])(?=[A-Fa-f]*\d)[0-9A-Fa-f]{20,}(?![\w-])`,
    String.raw`(?<![\w-])(?=\d*[A-Z])(?=[A-Z]*\d)[0-9A-Z]{20,}(?![\w-])`,
    String.raw`(?<![\w-])fls_[\w-]{8,}`,
    String.raw`(?<![\w-])eyJ[\w-]{5,}\.`,
  ].join('|'),
);
const NAMED = new RegExp(
  [
    String.raw`(?:access_token|refresh_token|session_token|api_?key|client_secret)["']?\s*[=:]`,
    String.raw`(?:password|secret)\s*=`,
    String.raw`\bbearer\s+[\w.~+/=-]{16,}`,
  ].join('|'),
  'i',
);

export function looksLikeCredential(text) {
  return CASED.test(text) || NAMED.test(text);
}
