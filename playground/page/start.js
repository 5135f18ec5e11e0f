// Starts the editor. In a file of its own because the page's security policy allows no script inside the page.
'use strict';

const welcome = `# Welcome to clientele.
#
# Ctrl-Enter runs the query, Ctrl-Space suggests what
# may stand here, and the book at the top left explains
# every type, field and rule.

query NewestClients {
  clients(first: 10) {
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

async function send(request, { headers } = {}) {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: { ...headers, accept: 'application/graphql-response+json, application/json', 'content-type': 'application/json' },
    body: JSON.stringify(request),
  });
  return response.json();
}

const place = document.getElementById('playground');

if (window.React && window.ReactDOM && window.GraphiQL) {
  const editor = React.createElement(GraphiQL, { fetcher: send, defaultQuery: welcome, defaultEditorToolsVisibility: 'variables' });
  ReactDOM.createRoot(place).render(editor);
} else {
  const sorry = document.createElement('p');
  sorry.textContent =
    "The editor's files could not be loaded from the internet. To have a playground that works offline, run " +
    '"npm ci && npm run build" in the folder playground and build the server again.';
  place.replaceChildren(sorry);
}
