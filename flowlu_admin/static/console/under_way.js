/**
 * Keeps what is under way up to date: asks for the page anew every few seconds, and puts its part in place of the old one.
 * When nothing is under way any more the page is loaded anew, with all that is said of the outcome. Without this script a
 * reload shows the same.
 */
const PART = '[data-under-way]';
const EVERY_MS = 3000;

async function look() {
  if (document.hidden) return true;
  const answer = await fetch(location.href, { credentials: 'same-origin', redirect: 'manual', cache: 'no-store' });
  if (!answer.ok) return false;
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const now = page.querySelector(PART);
  if (!now) {
    location.reload();
    return false;
  }
  document.querySelector(PART).replaceWith(document.adoptNode(now));
  return true;
}

async function keepLooking() {
  // What fails, as while a server is restarted, is tried again; after a sign-out nothing is.
  const more = await look().catch(() => true);
  if (more) setTimeout(keepLooking, EVERY_MS);
}

if (document.querySelector(PART)) setTimeout(keepLooking, EVERY_MS);
