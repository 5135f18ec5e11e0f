// Starts the editor. In a file of its own because the page's security policy allows no script inside the page.
'use strict';

// What to sign in with: kept by this tab until it is closed, and by nobody else.
const KEPT = 'clientele authorization';
// So are the editor's tabs, variables and history: what is typed and asked there may be about clients.
const remembered = () => Object.keys(sessionStorage).filter((key) => key.startsWith('graphiql:'));
let signedOut = false;
const memory = {
  getItem: (key) => sessionStorage.getItem(key),
  // The editor writes a moment after something was typed, and that moment may be over when nobody is there any more.
  setItem: (key, value) => signedOut || sessionStorage.setItem(key, value),
  removeItem: (key) => sessionStorage.removeItem(key),
  clear: () => remembered().forEach((key) => sessionStorage.removeItem(key)),
  get length() { return remembered().length; },
};
const form = document.getElementById('sign');
const told = document.getElementById('told');

function authorization() {
  const value = sessionStorage.getItem(KEPT);
  return value ? { authorization: value } : {};
}

async function signIn(value) {
  if (value) sessionStorage.setItem(KEPT, value);
  const answer = await send({ query: '{ viewer { kind name passwordIsInitial } }' }).catch(() => ({}));
  const viewer = answer.data?.viewer;
  // Without authentication everybody is in, whatever they say.
  form.classList.toggle('in', Boolean(viewer));
  if (!viewer) {
    sessionStorage.removeItem(KEPT);
    if (value) told.textContent = answer.errors?.[0]?.message ?? 'The server gave no answer.';
  } else if (viewer.kind === 'ANYONE') {
    form.style.display = 'none';
  } else {
    told.textContent = `Signed in as ${viewer.name}.`;
    if (viewer.passwordIsInitial) told.textContent += ' Your password was set for you: change it with the example ChangePassword.';
  }
  return Boolean(viewer);
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  const name = document.getElementById('name').value.trim();
  const secret = document.getElementById('secret').value;
  const bytes = new TextEncoder().encode(`${name}:${secret}`);
  const value = name ? `Basic ${btoa(String.fromCharCode(...bytes))}` : `Bearer ${secret.trim()}`;
  // The editor reads the schema once: it starts anew as somebody else.
  signIn(value).then((known) => known && start());
});

document.getElementById('sign-out').addEventListener('click', () => {
  signedOut = true;
  memory.clear();
  sessionStorage.removeItem(KEPT);
  location.reload();
});

async function send({ operationName, ...request }, { headers } = {}) {
  // For a moment after a tab was chosen, the editor still names the operation of the tab before.
  if (operationName && request.query.includes(operationName)) request.operationName = operationName;
  const response = await fetch('/graphql', {
    method: 'POST',
    credentials: 'omit',
    headers: { ...authorization(), ...headers, accept: 'application/graphql-response+json, application/json', 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
  return response.json();
}

let root;
function start() {
  root?.unmount();
  root = ReactDOM.createRoot(document.getElementById('playground'));
  const defaultTabs = examples.map((query) => ({ query }));
  root.render(React.createElement(GraphiQL, { fetcher: send, storage: memory, defaultTabs, defaultEditorToolsVisibility: 'variables' }));
  if (location.hash === '#schema') showSchema();
}

// Opens the editor's explorer of the schema, which reads it as the caller who is signed in.
function showSchema() {
  const open = () => document.querySelector('button[aria-label="Show Documentation Explorer"]');
  if (open()) return open().click();
  if (!form.classList.contains('in')) {
    told.textContent = 'Sign in to read the schema.';
    return document.getElementById('name').focus();
  }
  // The editor isn't drawn yet.
  new MutationObserver((_, observer) => {
    if (open()) observer.disconnect(), open().click();
  }).observe(document.getElementById('playground'), { childList: true, subtree: true });
}
document.getElementById('schema').addEventListener('click', (event) => {
  event.preventDefault();
  showSchema();
});

// Asked at once: this tab may have signed in before, and a server without authentication takes everybody.
signIn(sessionStorage.getItem(KEPT)).then((known) => known && start());
