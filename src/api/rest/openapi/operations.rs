//! The descriptions of the routes.

use super::{
    json::{Json, object},
    objects::{
        CLIENT, DETAILED, EXPANDED, FULL_DEFINITION, GATEWAY_CALLBACK, PATCH, RECEIPT, ROLE, SEARCH, SET, SINGLE_VALUE,
        SUBMISSION, SUCCESS, TEMPLATE, VALUE_LIST, client_input,
    },
    operation::{Answer, Body, Operation, Parameter, Place},
    schema::{Kind, Member, Object, Side, member, names},
};
use crate::api::rest::{
    definitions::{CLIENT_INFO, CLIENTS, FIELD_TYPES, ROLE_OWNERS},
    errors::codes::{self, Code},
    parameters::{OLD_SPELLINGS, SCALARS},
};
use clientele_domain::{enums::ClientState, notify::receipt::MOST_RECEIPTS};

const FORM: &str = "application/x-www-form-urlencoded";

/// Of every route: sign-in, parameters, capacity.
const ALWAYS: &[Code] = &[
    codes::INVALID_BASIC_AUTHORIZATION,
    codes::INVALID_CREDENTIALS,
    codes::UNSUPPORTED_CHARACTER_ENCODING,
    codes::PARAMETER_NOT_ALLOWED,
    codes::RATE_LIMITED,
    codes::INTERNAL_ERROR,
    codes::UNAVAILABLE,
    codes::TIMED_OUT,
];
/// Of reads: a parameter is invalid, or the answer is too large.
const INVALID: &[Code] = &[codes::INVALID_PARAMETERS];
const PERMISSION: &[Code] = &[codes::INVALID_PERMISSIONS];
/// Of routes with a body.
const BODY: &[Code] = &[
    codes::INVALID_PARAMETERS,
    codes::INVALID_PERMISSIONS,
    codes::TOO_SLOW,
    codes::BODY_TOO_LARGE,
    codes::UNSUPPORTED_CONTENT_ENCODING,
];
const JSON: &[Code] = &[codes::INVALID_JSON_SYNTAX, codes::MISSING_ENTITY_JSON];
/// Of routes that write.
const WRITE: &[Code] = &[codes::CONCURRENT_UPDATE, codes::READ_ONLY_MODE];
/// Of routes with idempotency keys.
const IDEMPOTENCY: &[Code] = &[codes::IDEMPOTENCY_KEY_USED];
const PAGE: &[Code] = &[
    codes::INVALID_PAGINATION_OFFSET_VALUE,
    codes::OUT_OF_BOUNDS_PAGINATION_OFFSET_VALUE,
    codes::INVALID_PAGINATION_LIMIT_VALUE,
    codes::OUT_OF_BOUNDS_PAGINATION_LIMIT_VALUE,
];
const NO_CLIENT: &[Code] = &[codes::INVALID_CLIENT_ID];
/// Of an empty path parameter.
const NO_ROUTE: &[Code] = &[codes::INVALID_API_OPERATION];
const NO_METHOD: &[Code] = &[codes::METHOD_NOT_IMPLEMENTED];
/// Of the members of a client.
const MEMBERS: &[Code] = &[
    codes::INVALID_CLIENT_STATE,
    codes::INVALID_CLIENT_ROLE_KEY,
    codes::INVALID_BIRTH_DATE,
    codes::DUPLICATE_CLIENT,
    codes::EMAIL_ADDRESS_FORMAT_IS_INVALID,
    codes::INVALID_LANGUAGE,
    codes::INVALID_STRING_VALUE,
];
/// Of a new id.
const NEW_ID: &[Code] = &[codes::CLIENT_ID_ALREADY_IN_USE];
/// Of the removal of a custom value.
const REMOVAL: &[Code] = &[
    codes::REQUIRED_CUSTOM_FIELD_MISSING,
    codes::INVALID_CUSTOM_FIELD_ID,
    codes::INCONSISTENT_VALUE_WITH_SET_TYPE,
];
/// Of a custom value.
const VALUE: &[Code] = &[
    codes::INCONSISTENT_VALUE_WITH_CUSTOM_FIELD_TYPE,
    codes::REQUIRED_CUSTOM_FIELD_MISSING,
    codes::INVALID_CUSTOM_FIELD_ID,
    codes::MAX_CUSTOM_FIELD_VALUE_LENGTH_EXCEEDED,
    codes::CUSTOM_FIELD_DEACTIVATED,
    codes::CUSTOM_FIELD_NOT_AVAILABLE_FOR_ENTITY,
    codes::INVALID_CUSTOM_FIELD_LINKED_ENTITY_KEY,
    codes::DEPENDENT_CUSTOM_FIELD_VALUE_REQUIRED,
    codes::INCONSISTENT_VALUE_WITH_SET_TYPE,
    codes::INCONSISTENT_CUSTOM_FIELD_VALUE_WITH_PATTERN,
    codes::DUPLICATE_UNIQUE_VALUE,
    codes::INVALID_STRING_VALUE,
];
/// Of a group.
const GROUP: &[Code] = &[codes::GROUPED_INDEXES_NOT_CONSECUTIVE];
/// Of several custom values.
const VALUES: &[Code] = &[codes::DUPLICATE_CUSTOM_FIELD_VALUES, codes::EMPTY_CUSTOM_FIELD_ID];
const LISTS: &[Code] = &[
    codes::INVALID_ID_DOCUMENT,
    codes::REQUIRED_ID_DOCUMENT_MISSING,
    codes::ADDING_OTHER_ID_DOCUMENTS_IS_DISABLED,
    codes::INVALID_ID_DOCUMENT_TEMPLATE_KEY,
    codes::INVALID_ADDRESS,
    codes::CLIENT_ROLE_DOES_NOT_ALLOW_ADDRESS,
];

const BLACKLISTED: &[Code] = &[codes::BLACKLISTED_CLIENT_NOT_EDITABLE];

const SUCCEEDED: &[Answer] = &[Answer {
    name: "success",
    summary: "The change is stored.",
    kind: Kind::Object(&SUCCESS),
}];
const STORED: Answer = Answer {
    name: "expanded",
    summary: "The client with its lists.",
    kind: Kind::Object(&EXPANDED),
};
const BARE: Answer = Answer {
    name: "bare",
    summary: "The client alone.",
    kind: Kind::Object(&CLIENT),
};
const PAGES: &[Answer] = &[
    Answer {
        name: "bare",
        summary: "The clients alone.",
        kind: Kind::List(&CLIENT),
    },
    Answer {
        name: "detailed",
        summary: "With fullDetails=true.",
        kind: Kind::List(&DETAILED),
    },
];

const fn json(kind: Kind) -> Option<Body> {
    Some(Body {
        kind,
        is_required: true,
        others: &[],
        example: None,
    })
}

pub static LIST: Operation = Operation {
    id: "listClients",
    summary: "List clients",
    description: "All filters must hold. Names are compared exactly. The clients are in the order of creation.",
    permission: "VIEW_CLIENT",
    graphql: "Query.clients",
    parameters: || {
        let filter = |name, kind, description, graphql| query(member(name, kind, description, graphql));
        let filters = [
            query(
                member(
                    "firstName",
                    Kind::Text,
                    "The exact first name.",
                    "ClientFilter.firstName",
                )
                .example("Ines"),
            ),
            query(member("lastName", Kind::Text, "The exact last name.", "ClientFilter.lastName").example("Okafor")),
            filter(
                "idDocument",
                Kind::Text,
                "The number of an identification document.",
                "ClientFilter.documentId",
            ),
            filter("birthDate", Kind::Date, "The date of birth.", "ClientFilter.birthDate"),
            filter(
                "branchId",
                Kind::Text,
                "The key of the branch in charge.",
                "ClientFilter.assignedBranchKey",
            ),
            filter(
                "centreId",
                Kind::Text,
                "The key of the centre in charge.",
                "ClientFilter.assignedCentreKey",
            ),
            filter(
                "creditOfficerUsername",
                Kind::Text,
                "The key of the user in charge.",
                "ClientFilter.assignedUserKey",
            ),
            filter(
                "state",
                Kind::Choice(names::<ClientState>),
                "The state.",
                "ClientFilter.states",
            ),
            Parameter {
                is_deprecated: true,
                ..query(member(
                    "birthdate",
                    Kind::Date,
                    "An older spelling of birthDate.",
                    "ClientFilter.birthDate",
                ))
            },
        ];
        filters.into_iter().chain(page()).collect()
    },
    body: None,
    answers: PAGES,
    codes: &[
        ALWAYS,
        INVALID,
        PERMISSION,
        PAGE,
        &[codes::INVALID_CLIENT_STATE, codes::INVALID_BIRTH_DATE],
    ],
};

const CLIENT_FORM: Object = Object {
    name: "ClientForm",
    description: "A new client, as a form with the members of `ClientInput`.",
    side: Side::Parameter,
    is_closed: false,
    members: || {
        client_parameters()
            .into_iter()
            .map(|parameter| parameter.member)
            .collect()
    },
};

pub static CREATE: Operation = Operation {
    id: "createClient",
    summary: "Create a client",
    description: "From JSON with its lists; or without a body and a Content-Type from parameters of the URL, or from \
                  a form with the same members: then the answer is the client alone. JSON and parameters exclude each \
                  other. JSON with `client.encodedKey` changes that client.",
    permission: "CREATE_CLIENT; EDIT_CLIENT for a change",
    graphql: "Mutation.upsertClient",
    parameters: || [client_parameters(), vec![idempotency_key()]].concat(),
    body: Some(Body {
        kind: Kind::Object(&SUBMISSION),
        is_required: false,
        others: &[(FORM, Kind::Object(&CLIENT_FORM))],
        example: None,
    }),
    answers: &[STORED, BARE],
    codes: &[
        ALWAYS,
        BODY,
        JSON,
        WRITE,
        IDEMPOTENCY,
        MEMBERS,
        NEW_ID,
        VALUE,
        GROUP,
        VALUES,
        LISTS,
        BLACKLISTED,
        &[codes::FIELD_IS_NOT_EDITABLE, codes::INVALID_CLIENT_KEY],
    ],
};

pub static SEARCH_CLIENTS: Operation = Operation {
    id: "searchClients",
    summary: "Search clients by constraints",
    description: "Finds the clients for which all constraints hold, in the order of creation.",
    permission: "VIEW_CLIENT",
    graphql: "Query.clients",
    parameters: page,
    body: json(Kind::Object(&SEARCH)),
    answers: PAGES,
    codes: &[ALWAYS, BODY, JSON, PAGE],
};

pub static SHOW: Operation = Operation {
    id: "getClient",
    summary: "Read a client",
    description: "",
    permission: "VIEW_CLIENT",
    graphql: "Query.client",
    parameters: || vec![client_id(), full_details()],
    body: None,
    answers: &[
        BARE,
        Answer {
            name: "detailed",
            summary: "With fullDetails=true.",
            kind: Kind::Object(&DETAILED),
        },
    ],
    codes: &[ALWAYS, INVALID, PERMISSION, NO_CLIENT],
};

pub static CHANGE_CLIENT: Operation = Operation {
    id: "changeClient",
    summary: "Change a client",
    description: "Members that are left out stay, null or an empty text clears, and a list replaces the stored one.",
    permission: "EDIT_CLIENT",
    graphql: "Mutation.upsertClient",
    parameters: || vec![client_id(), idempotency_key()],
    body: Some(Body {
        kind: Kind::Object(&SUBMISSION),
        is_required: true,
        others: &[],
        example: Some(resubmission),
    }),
    answers: &[STORED],
    codes: &[
        ALWAYS,
        BODY,
        JSON,
        WRITE,
        IDEMPOTENCY,
        NO_CLIENT,
        MEMBERS,
        VALUE,
        GROUP,
        VALUES,
        LISTS,
        BLACKLISTED,
        &[
            codes::FIELD_IS_NOT_EDITABLE,
            codes::INCONSISTENT_IDENTIFIER_WITH_JSON,
            codes::INVALID_CLIENT_KEY,
        ],
    ],
};

pub static PATCH_CLIENT: Operation = Operation {
    id: "patchClient",
    summary: "Change members of a client",
    description: "Changes only the members of `client` that are present, also the id and the state. Lists are ignored.",
    permission: "EDIT_CLIENT; CHANGE_STATE for the state",
    graphql: "Mutation.upsertClient",
    parameters: || vec![client_id(), idempotency_key()],
    body: json(Kind::Object(&PATCH)),
    answers: SUCCEEDED,
    codes: &[
        ALWAYS,
        BODY,
        JSON,
        WRITE,
        IDEMPOTENCY,
        NO_CLIENT,
        NO_METHOD,
        MEMBERS,
        NEW_ID,
        BLACKLISTED,
        &[codes::INVALID_CLIENT_STATE_TRANSITION],
    ],
};

pub static DELETE: Operation = Operation {
    id: "deleteClient",
    summary: "Delete a client",
    description: "A body is ignored.",
    permission: "DELETE_CLIENT",
    graphql: "Mutation.deleteClient",
    parameters: || vec![client_id(), idempotency_key()],
    body: None,
    answers: SUCCEEDED,
    codes: &[
        ALWAYS,
        BODY,
        WRITE,
        IDEMPOTENCY,
        NO_CLIENT,
        NO_METHOD,
        &[codes::LINKED_BY_CUSTOM_FIELD],
    ],
};

pub static CHANGE_VALUES: Operation = Operation {
    id: "changeCustomValues",
    summary: "Change custom values of a client",
    description: "Values that aren't listed stay.",
    permission: "EDIT_CLIENT",
    graphql: "Mutation.upsertClient",
    parameters: || vec![client_id(), idempotency_key()],
    body: json(Kind::Object(&VALUE_LIST)),
    answers: SUCCEEDED,
    codes: &[
        ALWAYS,
        BODY,
        JSON,
        WRITE,
        IDEMPOTENCY,
        NO_CLIENT,
        VALUE,
        GROUP,
        VALUES,
        BLACKLISTED,
    ],
};

pub static CHANGE_VALUE: Operation = Operation {
    id: "changeCustomValue",
    summary: "Change one custom value of a client",
    description: "",
    permission: "EDIT_CLIENT",
    graphql: "Mutation.upsertClient",
    parameters: || vec![client_id(), field_id("risk_band"), idempotency_key()],
    body: json(Kind::Object(&SINGLE_VALUE)),
    answers: SUCCEEDED,
    codes: &[ALWAYS, BODY, JSON, WRITE, IDEMPOTENCY, NO_CLIENT, VALUE, BLACKLISTED],
};

pub static REMOVE_VALUE: Operation = Operation {
    id: "deleteCustomValue",
    summary: "Delete one custom value of a client",
    description: "A value that isn't there is a success. A body is ignored.",
    permission: "EDIT_CLIENT",
    graphql: "Mutation.upsertClient",
    parameters: || vec![client_id(), field_id("risk_band"), idempotency_key()],
    body: None,
    answers: SUCCEEDED,
    codes: &[ALWAYS, BODY, WRITE, IDEMPOTENCY, NO_CLIENT, REMOVAL, BLACKLISTED],
};

pub static CHANGE_GROUPED_VALUE: Operation = Operation {
    id: "changeGroupedValue",
    summary: "Change one custom value in a group",
    description: "The index after the last one begins a new group.",
    permission: "EDIT_CLIENT",
    graphql: "Mutation.upsertClient",
    parameters: || vec![client_id(), field_id("card_number"), group_index(), idempotency_key()],
    body: json(Kind::Object(&SINGLE_VALUE)),
    answers: SUCCEEDED,
    codes: &[
        ALWAYS,
        BODY,
        JSON,
        WRITE,
        IDEMPOTENCY,
        NO_CLIENT,
        VALUE,
        GROUP,
        BLACKLISTED,
    ],
};

pub static REMOVE_GROUPED_VALUE: Operation = Operation {
    id: "deleteGroupedValue",
    summary: "Delete one custom value of a group",
    description: "A group whose last value is deleted closes its gap. A body is ignored.",
    permission: "EDIT_CLIENT",
    graphql: "Mutation.upsertClient",
    parameters: || vec![client_id(), field_id("card_number"), group_index(), idempotency_key()],
    body: None,
    answers: SUCCEEDED,
    codes: &[ALWAYS, BODY, WRITE, IDEMPOTENCY, NO_CLIENT, REMOVAL, BLACKLISTED],
};

pub static RECORD_RECEIPTS: Operation = Operation {
    id: "recordReceipts",
    summary: "Record delivery receipts",
    description: "Not a part of the legacy API: SMS gateways and mail servers report the outcomes of messages. \
                  Accepts receipts as JSON, a gateway's callback in Twilio's form, and a mail server's report: a \
                  whole e-mail as message/rfc822, or its body as multipart/report.",
    permission: "RECORD_RECEIPTS",
    graphql: "",
    parameters: Vec::new,
    body: Some(Body {
        kind: Kind::OneOrList(&RECEIPT, MOST_RECEIPTS),
        is_required: true,
        others: &[
            (FORM, Kind::Object(&GATEWAY_CALLBACK)),
            ("message/rfc822", Kind::Text),
            ("multipart/report", Kind::Text),
        ],
        example: None,
    }),
    answers: SUCCEEDED,
    codes: &[ALWAYS, BODY, JSON, WRITE],
};

pub static SETS: Operation = Operation {
    id: "listCustomFieldSets",
    summary: "List the sets of custom fields",
    description: "With the definitions of their fields.",
    permission: "",
    graphql: "Query.customFieldSets",
    parameters: || {
        let types = "The type of the fields. Only CLIENT_INFO, the default, has sets.";
        vec![query(
            member("type", Kind::Choice(|| FIELD_TYPES.to_vec()), types, "").example(CLIENT_INFO),
        )]
    },
    body: None,
    answers: &[Answer {
        name: "sets",
        summary: "The sets.",
        kind: Kind::List(&SET),
    }],
    codes: &[ALWAYS, INVALID],
};

pub static FIELD: Operation = Operation {
    id: "getCustomField",
    summary: "Read the definition of a custom field",
    description: "",
    permission: "",
    graphql: "Query.customField",
    parameters: || {
        let named = member(
            "field",
            Kind::Text,
            "The id or the key of the field.",
            "CustomFieldBy.fieldId",
        );
        vec![path(named.example("risk_band"))]
    },
    body: None,
    answers: &[Answer {
        name: "definition",
        summary: "The field.",
        kind: Kind::Object(&FULL_DEFINITION),
    }],
    codes: &[ALWAYS, INVALID, NO_ROUTE, &[codes::INVALID_CUSTOM_FIELD_ID]],
};

pub static ROLES: Operation = Operation {
    id: "listClientRoles",
    summary: "List the client roles",
    description: "",
    permission: "",
    graphql: "Query.clientRoles",
    parameters: || {
        let owners = "CLIENTS, the default, or GROUPS, of which there are none.";
        vec![query(
            member("for", Kind::Choice(|| ROLE_OWNERS.to_vec()), owners, "").example(CLIENTS),
        )]
    },
    body: None,
    answers: &[Answer {
        name: "roles",
        summary: "The roles.",
        kind: Kind::List(&ROLE),
    }],
    codes: &[ALWAYS, INVALID],
};

pub static DOCUMENT_TEMPLATES: Operation = Operation {
    id: "listIdDocumentTemplates",
    summary: "List the templates of identification documents",
    description: "Only the active ones.",
    permission: "",
    graphql: "Query.idDocumentTemplates",
    parameters: Vec::new,
    body: None,
    answers: &[Answer {
        name: "templates",
        summary: "The templates.",
        kind: Kind::List(&TEMPLATE),
    }],
    codes: &[ALWAYS, INVALID],
};

/// The parameters that create a client, with their older spellings.
fn client_parameters() -> Vec<Parameter> {
    let members = client_input();
    let known = |name: &str| members.iter().find(|member| member.name == name).cloned();
    let scalars = SCALARS
        .iter()
        .filter_map(|name| known(name))
        .map(|member| (member, false));
    let old = OLD_SPELLINGS.iter().filter_map(|(old, name)| {
        let named = known(name)?;
        Some((Member { name: old, ..named }, true))
    });
    // Without examples: a request has either these or a body.
    let parameters = scalars.chain(old).map(|(member, is_deprecated)| Parameter {
        place: Place::Query,
        member: Member { example: "", ..member },
        is_deprecated,
    });
    parameters.collect()
}

/// A change of the client of the examples, whose other members and lists stay.
fn resubmission() -> Json {
    let client = object([
        ("encodedKey", "019a6b2f3c4d70018a1b2c3d4e5f6071".into()),
        ("middleName", "Ana".into()),
    ]);
    let address = object([
        ("encodedKey", "019a6b2f3c4d70018a1b2c3d4e5f6078".into()),
        ("line1", "1 Test Lane".into()),
    ]);
    object([("client", client), ("addresses", [address].into_iter().collect())])
}

const fn parameter(place: Place, member: Member) -> Parameter {
    Parameter {
        place,
        member,
        is_deprecated: false,
    }
}

const fn query(member: Member) -> Parameter {
    parameter(Place::Query, member)
}

const fn path(member: Member) -> Parameter {
    parameter(Place::Path, member.required())
}

fn client_id() -> Parameter {
    let id = member(
        "id",
        Kind::Text,
        "The id or the encodedKey of the client.",
        "ClientBy.clientId",
    );
    path(id.example("QZT481920"))
}

fn field_id(example: &'static str) -> Parameter {
    let id = member(
        "field",
        Kind::Text,
        "The id of the custom field.",
        "CustomFieldValueInput.fieldId",
    );
    path(id.example(example))
}

fn group_index() -> Parameter {
    let index = member(
        "group",
        Kind::Integer,
        "The index of the group, from 0. -1 stands for none.",
        "CustomFieldValueInput.groupIndex",
    );
    path(index.example("0"))
}

fn idempotency_key() -> Parameter {
    let key = member(
        "Idempotency-Key",
        Kind::Text,
        "Makes it safe to repeat the request within 24 hours: 1 to 255 printable ASCII characters, bare or in \
         double quotes.",
        "UpsertClientInput.idempotencyKey",
    );
    parameter(Place::Header, key)
}

fn full_details() -> Parameter {
    let choice = Kind::Choice(|| vec!["true", "false"]);
    query(member("fullDetails", choice, "true adds the lists of each client.", ""))
}

fn page() -> Vec<Parameter> {
    let number =
        |name, description, graphql, example| query(member(name, Kind::Integer, description, graphql).example(example));
    vec![
        full_details(),
        number(
            "offset",
            "The number of clients to skip, from 0.",
            "Query.clients.after",
            "0",
        ),
        number(
            "limit",
            "The largest number of clients to return: from 1 to 1,000, 50 by default.",
            "Query.clients.first",
            "50",
        ),
    ]
}
