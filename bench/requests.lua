-- The requests of bench/run, for wrk. MODE chooses one: three, one, page, upsert. CLIENTS is the number of seeded clients.
local mode, clients = os.getenv("MODE"), tonumber(os.getenv("CLIENTS"))

local scalars = "id encodedKey clientId state firstName middleName lastName birthDate gender emailAddress homePhone "
  .. "mobilePhone1 preferredLanguage createdAt updatedAt version clientRole{name} "
local collections = "addresses{id encodedKey line1 line2 city region postcode country latitude longitude} "
  .. "idDocuments{id encodedKey documentType documentId issuingAuthority validUntil} "
  .. "customInformation{id encodedKey value linkedKey number date checked option{value} field{fieldId name type}}"
local documents = {
  three = "query($id:String!){client(by:{clientId:$id}){firstName lastName emailAddress}}",
  one = "query($id:String!){client(by:{clientId:$id}){" .. scalars .. collections .. "}}",
  page = "{clients(first:50){nodes{" .. scalars .. collections .. "} pageInfo{endCursor}}}",
  upsert = "mutation($input:UpsertClientInput!){upsertClient(input:$input){client{encodedKey version} userErrors{code}}}",
}

-- Replaces the address, both documents and the custom field values.
local upsert = [[{"matchOn":"CLIENT_ID","client":{"clientId":"SEED%08d","firstName":"A%d","lastName":"B"},
"addresses":[{"line1":"L%d","city":"C"}],
"idDocuments":[{"documentType":"Passport","documentId":"P%d"},{"documentType":"Licence","documentId":"L%d"}],
"customInformation":[{"fieldId":"seed_risk","value":"LOW"},{"fieldId":"seed_income","value":"%d"},{"fieldId":"seed_remark","value":"r%d"}]}]]

local threads, number = 0, 0

function setup(thread)
  thread:set("seed", threads)
  threads = threads + 1
end

function init()
  math.randomseed(seed + 7)
end

function request()
  number = number + 1
  local client = math.random(0, clients - 1)
  local variables = "{}"
  if mode == "upsert" then
    variables = '{"input":' .. upsert:format(client, number, number, number, number, number, number) .. "}"
  elseif mode ~= "page" then
    variables = ('{"id":"SEED%08d"}'):format(client)
  end
  local body = ('{"query":"%s","variables":%s}'):format(documents[mode], variables)
  return wrk.format("POST", "/graphql", { ["content-type"] = "application/json" }, body)
end

-- One wrong answer invalidates the figures.
function response(status, _, body)
  if status ~= 200 or body:find('"errors"') or body:find('"code"') then
    io.stderr:write("a request failed: ", body:sub(1, 300), "\n")
    os.exit(1)
  end
end
