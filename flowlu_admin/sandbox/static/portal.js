/**
 * The portal's window: opens the application in the iframe and answers the SDK inside it.
 *
 * It answers one window and one origin only, the application's, and keeps the token pair in memory.
 */
'use strict';

const iframe = document.getElementById('application');
const { portal, user, language, origin } = iframe.dataset;
const CHANNEL = 'flowlu-sandbox';

let context = null;
let refreshing = null;
let opened = false;

function say(text) {
  document.getElementById('said').textContent = text;
}

async function post(path, values) {
  const response = await fetch(`/portal-session/${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(values),
    credentials: 'omit',
  });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error);
  return body;
}

/** A launch brings no token: the pair stays here until the SDK in the iframe asks for it. */
async function open() {
  context = await post('launch', { portal, user_id: user, language });
  opened = true;
  document.getElementById('launch').submit();
  say('The application is open with a new pair of tokens.');
}

/** One refresh at a time: a refresh token works once, so a second caller takes the first one's pair. */
function refresh() {
  refreshing ??= post('refresh', { refresh_token: context.auth.refresh_token })
    .then((pair) => {
      context.auth = pair;
      return pair;
    })
    .finally(() => {
      refreshing = null;
    });
  return refreshing;
}

async function rest({ path, method, parameters }) {
  if (!/^\/?[a-z0-9_]+\/[a-z0-9_]+\/[a-z0-9_]+(\/[0-9]+)?$/.test(path)) throw new Error('This is no REST method.');
  const url = `/${portal}/api/v1/module/${path.replace(/^\//, '')}`;
  const encoded = new URLSearchParams(parameters);
  const headers = { Authorization: `Bearer ${context.auth.access_token}` };
  const response = await (method === 'POST'
    ? fetch(url, { method, headers, body: encoded, credentials: 'omit' })
    : fetch(`${url}?${encoded}`, { headers, credentials: 'omit' }));
  return { status: response.status, body: await response.json() };
}

const ANSWERS = {
  context: async () => {
    say('The application asked for its context and has the pair of tokens.');
    return context;
  },
  refresh: async () => {
    const pair = await refresh();
    say('The application had its pair refreshed: the old access token is dead.');
    return pair;
  },
  rest,
};

window.addEventListener('message', async (event) => {
  if (event.source !== iframe.contentWindow || event.origin !== origin) return;
  const message = event.data;
  if (message?.channel !== CHANNEL || !opened || !Object.hasOwn(ANSWERS, message.ask)) return;
  const answer = { channel: CHANNEL, answers: message.id };
  try {
    answer.value = await ANSWERS[message.ask](message.values ?? {});
  } catch (error) {
    answer.error = error.message;
    say(`Asked by the application, refused: ${error.message}`);
  }
  iframe.contentWindow.postMessage(answer, origin);
});

function onClick(id, action) {
  document.getElementById(id).addEventListener('click', async () => {
    try {
      await action();
    } catch (error) {
      say(error.message);
    }
  });
}

onClick('reload', open);
onClick('refresh', async () => {
  await refresh();
  say('The portal refreshed the pair by itself: the access token that the application holds is dead.');
});
onClick('expire', async () => {
  await post('expire', { access_token: context.auth.access_token });
  say('The access token has expired. The application can refresh it.');
});
onClick('remove', async () => {
  const { tokens_ended: ended } = await post('remove', { portal });
  setInstalled(false);
  say(`The application is removed from this portal: ${ended} pairs of tokens are dead, and nobody was told.`);
});
onClick('install', async () => {
  await post('install', { portal });
  setInstalled(true);
  await open();
});

function setInstalled(installed) {
  for (const id of ['reload', 'refresh', 'expire', 'remove']) document.getElementById(id).hidden = !installed;
  document.getElementById('install').hidden = installed;
}

if (iframe.dataset.installed === 'yes') open().catch((error) => say(error.message));
else say('The application is not installed on this portal.');
