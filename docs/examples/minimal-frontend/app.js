/** Lists the CRM accounts of whoever opened the page in a portal. Tokens stay between the SDK and the two modules. */
import { SDK_URL, SERVICE } from '/settings.js';

const [{ FlowluClient }, { createFlowluSdk }, { textFor }] = await Promise.all(
  ['flowlu-client.js', 'flowlu-sdk.js', 'texts.js'].map((name) => import(`${SERVICE}/static/embed/${name}`)),
);
const client = new FlowluClient({ apiBase: `${SERVICE}/api/v1`, sdk: createFlowluSdk({ scriptUrl: SDK_URL }) });
const ACCOUNTS = { module: 'crm', model: 'account', action: 'list' };
const at = (id) => document.getElementById(id);
const say = (code) => { at('status').textContent = code ? textFor(code, navigator.language.slice(0, 2)) : ''; };

async function show() {
  try {
    const { user, portal } = client.session ?? (await client.open());
    at('who').textContent = `Accounts for ${user.name} on ${portal}`;
    const { allowed, error } = await client.permissions(ACCOUNTS); // asked first, so that no call is made to be refused
    if (!allowed) return say(error);
    const { items } = await client.call('crm', 'account', 'list', { params: { page: 1, limit: 20 } });
    at('accounts').replaceChildren(...items.map(({ name }) => {
      const line = document.createElement('li');
      line.textContent = name; // what came from outside enters the page as text
      return line;
    }));
    say(null);
  } catch (error) {
    say(error.code);
  }
}

at('again').addEventListener('click', show);
await show();
