// Stores what the examples of the OpenAPI document name: custom fields, a template and the client of the examples.
export async function furnish({ address, authorization }) {
  const send = async (path, body) => {
    const headers = { authorization, 'content-type': 'application/json' };
    const response = await fetch(`${address}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    const text = await response.text();
    if (!response.ok || text.includes('"userErrors":[{')) throw new Error(`not furnished: ${path}: ${text}`);
  };
  const document = await (await fetch(`${address}/api/openapi.json`)).json();
  await send('/graphql', {
    query: `mutation {
      kyc: upsertCustomFieldSet(input: {
        set: { setId: "kyc", name: "Know your customer" }
        fields: [
          { fieldId: "risk_band", name: "Risk band", type: SELECTION
            options: [{ value: "LOW" }, { value: "HIGH", score: "2" }] }
          { fieldId: "reviewer", name: "Reviewer", type: SELECTION, parentFieldId: "risk_band"
            description: "Who reviews"
            options: [{ value: "Board", forValues: ["HIGH"] }] clientRoles: [{ clientRole: { roleId: "client" } }] }
          { fieldId: "file", name: "File", type: TEXT, pattern: "@##" }
        ]
      }) { userErrors { message } }
      cards: upsertCustomFieldSet(input: {
        set: { setId: "cards", name: "Cards", usage: GROUPED }
        fields: [{ fieldId: "card_number", name: "Card number", type: TEXT }]
      }) { userErrors { message } }
      template: upsertIdDocumentTemplate(input: {
        templateId: "passport", documentType: "Passport", issuingAuthority: "Test Office", pattern: "@#######"
      }) { userErrors { message } }
    }`,
  });
  const example = document.paths['/api/clients'].post.requestBody.content['application/json'].example;
  const id = document.paths['/api/clients/{id}'].get.parameters[0].example;
  await send('/api/clients', { ...example, client: { ...example.client, id } });
}
