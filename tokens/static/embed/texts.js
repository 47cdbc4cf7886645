/**
 * What a portal user reads: for every error code of the service and of the client, what happened and what to do.
 *
 * tables.js has them in English, Spanish, Portuguese and Russian. `{name}` is filled in by textFor. Keys with `page.`
 * belong to our own page, all others are error codes.
 */
import { texts, words } from './tables.js';

export { texts };

/**
 * The sentence for a code, in the language (`pt-BR` counts as `pt`) or in English; never empty.
 *
 * Numbers among the values are written as the language writes them; `count` also chooses between singular and plural.
 */
export function textFor(code, language = 'en', values = {}) {
  const known = languageOf(language);
  const text = own(texts[known], code) ?? texts[known].unknown;
  return inNumber(text, known, values.count).replace(/\{(\w+)\}/g, (place, name) => (
    Object.hasOwn(values, name) ? written(values[name], known) : place
  ));
}

/** What a scope is called or allows, as the shipped catalogue says it, in the language; other texts as they are. */
export function wordsFor(text, language = 'en') {
  return own(words[languageOf(language)], text) ?? text;
}

function inNumber(text, language, count) {
  if (typeof text === 'string') return text;
  return own(text, new Intl.PluralRules(language).select(Number(count))) ?? text.other;
}

function written(value, language) {
  return typeof value === 'number' ? new Intl.NumberFormat(language).format(value) : String(value);
}

function languageOf(language) {
  const code = String(language ?? '').toLowerCase().split(/[-_]/)[0];
  return Object.hasOwn(texts, code) ? code : 'en';
}

// Codes and languages come from outside: `constructor` must not find what every object has.
function own(table, key) {
  return Object.hasOwn(table, key) ? table[key] : undefined;
}
