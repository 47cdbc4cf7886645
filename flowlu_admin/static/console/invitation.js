/**
 * Take the code of an invitation from behind the `#` of the address, where no server sees it, into the form, and out of
 * the browser's history. Without this script the code is typed.
 */
const form = document.getElementById('invitation-form');

function take() {
  const code = window.location.hash.slice(1);
  if (!form || !code) return;
  window.history.replaceState(null, '', window.location.pathname);
  form.elements.code.value = code;
  form.requestSubmit();
}

// The link may be pasted where the page is open already.
window.addEventListener('hashchange', take);
take();
