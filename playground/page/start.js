// Starts the editor. In a file of its own because the page's security policy allows no script inside the page.
'use strict';

const welcome = `# Welcome to clientele.
#
# Ctrl-Enter runs the query, Ctrl-Space suggests what
# may stand here, and the book at the top left explains
# every type, field and rule.

query NewestClients {
  clients(first: 10, orderBy: { field: CREATED_AT, direction: DESC }) {
    nodes {
      clientId
      fullName
      state
      emailAddress
      addresses {
        line1
        city
        country
      }
      idDocuments {
        documentType
        documentId
        validUntil
      }
      customInformation {
        value
        field {
          name
        }
      }
    }
  }
}

# Nobody there yet? Take the # signs off this mutation,
# put the cursor in it and run it: it creates a client.
#
# With "encodedKey" in "client" it would update that
# client instead. Then a list that is given replaces the
# whole list; a list that is left out stays as it is.
#
# mutation CreateClient {
#   upsertClient(
#     input: {
#       client: { firstName: "Ines", lastName: "Okafor" }
#       addresses: [
#         { line1: "12 Harbour Road", city: "Porto" }
#       ]
#       idDocuments: [
#         { documentType: "Passport", documentId: "X12345" }
#       ]
#     }
#   ) {
#     created
#     client {
#       encodedKey
#       clientId
#       version
#     }
#     userErrors {
#       code
#       path
#       message
#     }
#   }
# }
`;

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
    if (viewer.passwordIsInitial) told.textContent += ' This password was made by somebody else: changePassword gives you your own.';
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

async function send(request, { headers } = {}) {
  const response = await fetch('/graphql', {
    method: 'POST',
    credentials: 'omit',
    headers: { ...authorization(), ...headers, accept: 'application/graphql-response+json, application/json', 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
  return response.json();
}

const place = document.getElementById('playground');

let root;
function start() {
  if (window.React && window.ReactDOM && window.GraphiQL) {
    root?.unmount();
    root = ReactDOM.createRoot(place);
    root.render(React.createElement(GraphiQL, { fetcher: send, storage: memory, defaultQuery: welcome, defaultEditorToolsVisibility: 'variables' }));
    return;
  }
  const sorry = document.createElement('p');
  sorry.textContent =
    "The editor's files could not be loaded from the internet. To have a playground that works offline, run " +
    '"npm ci && npm run build" in the folder playground and build the server again.';
  place.replaceChildren(sorry);
}

// Asked at once: this tab may have signed in before, and a server without authentication takes everybody.
signIn(sessionStorage.getItem(KEPT)).then((known) => known && start());
