/**
 * The console's only script of its own for every page: `/` leads to the search, what looks like a credential is not sent
 * by one, and Escape takes away the exact time that is shown over a page. Every page works without it; the server refuses
 * the same.
 */
import { looksLikeCredential } from './pasted.js';
import './terms.js';

const field = document.getElementById('console-search');

function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches('input, textarea, select'));
}

document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || !field) return;
  event.preventDefault();
  field.focus();
  field.select();
});

document.addEventListener('submit', (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || form.getAttribute('role') !== 'search') return;
  const asked = form.querySelector('input[name="q"]');
  const notice = document.getElementById('search-refused');
  if (!asked || !notice) return;
  const refused = looksLikeCredential(asked.value);
  notice.hidden = !refused;
  if (refused) {
    event.preventDefault();
    asked.value = '';
    asked.focus();
  }
});

document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') document.body.classList.add('exact-away');
});
document.addEventListener('focusin', () => document.body.classList.remove('exact-away'));
document.addEventListener('mouseover', ({ target }) => {
  if (!target.closest('time')) document.body.classList.remove('exact-away');
});
