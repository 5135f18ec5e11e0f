//! The JSON objects of requests and answers, member by member. Tests compare them with the code that reads and writes
//! them.

use async_graphql::resolver_utils::EnumType;

use super::{
    json::{Json, object},
    schema::{Kind, Member, Object, Side, member, names},
};
use crate::api::rest::receipts::{OUTCOMES, UNDERWAY};
use clientele_domain::{
    client::constraint::{Element, LIST, MOST_CONSTRAINTS, MOST_VALUES, Selection},
    enums::{ClientState, Gender, Language, ReceiptStatus},
    notify::receipt::LONGEST_PROVIDER_ID,
};

/// The limit of a text of a client, in characters.
const TEXT: usize = 255;
/// The limit of the lists of documents and of addresses.
const MOST_MEMBERS: usize = 200;

const STATE: Kind = Kind::Choice(names::<ClientState>);
const GENDER: Kind = Kind::ChoiceOr(names::<Gender>, &["male", "female", ""]);
const CALLBACK_STATUS: Kind = Kind::Choice(|| OUTCOMES.iter().map(|(name, _)| *name).chain(UNDERWAY).collect());
const LANGUAGE: Kind = Kind::ChoiceOr(names::<Language>, &[""]);

pub const SUCCESS: Object = Object {
    name: "Success",
    description: "The answer to a change without other contents.",
    side: Side::Answer,
    is_closed: false,
    members: || {
        vec![
            member("returnCode", Kind::Integer, "Always 0.", "")
                .required()
                .example("0"),
            member("returnStatus", Kind::Text, "Always SUCCESS.", "")
                .required()
                .example("SUCCESS"),
        ]
    },
};

pub const ERROR: Object = Object {
    name: "Error",
    description: "The first of the problems of a request.",
    side: Side::Answer,
    is_closed: false,
    members: || {
        vec![
            member(
                "returnCode",
                Kind::Integer,
                "The number of the problem.",
                "UserError.code",
            )
            .required(),
            member("returnStatus", Kind::Text, "Its name.", "UserError.code").required(),
            member(
                "errorSource",
                Kind::Text,
                "What is wrong and what to do, with the path of the member; for some codes only an id.",
                "UserError.message",
            ),
        ]
    },
};

pub const CLIENT: Object = Object {
    name: "Client",
    description: "A client without its lists. Members without a value are left out.",
    side: Side::Answer,
    is_closed: false,
    members: || {
        vec![
            member("encodedKey", Kind::Key, "The permanent key.", "Client.encodedKey")
                .required()
                .example("019a6b2f3c4d70018a1b2c3d4e5f6071"),
            member("state", STATE, "The state of the client at the bank.", "Client.state")
                .required()
                .example("INACTIVE"),
            member("id", Kind::Text, "The id that people use.", "Client.clientId")
                .required()
                .example("QZT481920"),
            time("creationDate", "The time of the creation.", "Client.createdAt")
                .required()
                .example(NOW),
            time(
                "lastModifiedDate",
                "The time of the last change of the client or its lists.",
                "Client.updatedAt",
            )
            .required()
            .example(NOW),
            time("approvedDate", "The time of the approval.", "Client.approvedAt").example(NOW),
            time(
                "activationDate",
                "The time at which the client first became active.",
                "Client.activatedAt",
            ),
            time(
                "closedDate",
                "The time at which the client exited or was blacklisted.",
                "Client.closedAt",
            ),
            text("firstName", "The first name or names.", "Client.firstName")
                .required()
                .example("Ines"),
            text("lastName", "The last name.", "Client.lastName")
                .required()
                .example("Okafor"),
            text("middleName", "The middle name.", "Client.middleName").example("Ana"),
            text("homePhone", "The home phone number.", "Client.homePhone").example("7899221665"),
            text("emailAddress", "The e-mail address.", "Client.emailAddress").example("ines@example.test"),
            text("mobilePhone1", "The first mobile phone number.", "Client.mobilePhone1").example("211111111"),
            text("mobilePhone2", "The second mobile phone number.", "Client.mobilePhone2").example("122222222"),
            time(
                "birthDate",
                "The date of birth, as the time of its start.",
                "Client.birthDate",
            )
            .example("1990-04-17T00:00:00+0000"),
            member("gender", Kind::Choice(names::<Gender>), "The gender.", "Client.gender").example("FEMALE"),
            text("notes", "Notes of the bank about the client.", "Client.notes").example("Prefers letters"),
            member(
                "assignedUserKey",
                Kind::Key,
                "The key of the user in charge.",
                "Client.assignedUserKey",
            )
            .example("019a6b2f3c4d80018a1b2c3d4e5f6072"),
            member(
                "assignedBranchKey",
                Kind::Key,
                "The key of the branch in charge.",
                "Client.assignedBranchKey",
            )
            .example("019a6b2f3c4d80018a1b2c3d4e5f6073"),
            member(
                "assignedCentreKey",
                Kind::Key,
                "The key of the centre in charge.",
                "Client.assignedCentreKey",
            )
            .example("019a6b2f3c4d80018a1b2c3d4e5f6074"),
            member("loanCycle", Kind::Integer, "Always 0: loans are stored elsewhere.", "")
                .required()
                .example("0"),
            member("groupLoanCycle", Kind::Integer, "Always 0.", "")
                .required()
                .example("0"),
            member(
                "clientRole",
                Kind::Object(&ROLE_KEY),
                "The role of the client.",
                "Client.clientRole",
            )
            .required(),
            member(
                "preferredLanguage",
                Kind::Choice(names::<Language>),
                "The language of messages to the client.",
                "Client.preferredLanguage",
            )
            .required()
            .example("ENGLISH"),
        ]
    },
};

/// The time of the examples.
const NOW: &str = "2031-05-02T09:30:00+0000";

const fn time(name: &'static str, description: &'static str, graphql: &'static str) -> Member {
    member(name, Kind::Timestamp, description, graphql)
}

const fn text(name: &'static str, description: &'static str, graphql: &'static str) -> Member {
    member(name, Kind::Text, description, graphql)
}

const ROLE_KEY: Object = Object {
    name: "ClientRoleKey",
    description: "A client role by its key.",
    side: Side::Answer,
    is_closed: false,
    members: || {
        vec![
            member("encodedKey", Kind::Key, "The key of the role.", "ClientRole.encodedKey")
                .required()
                .example("d9df8bc78a0234ccc934a845c"),
        ]
    },
};

pub const EXPANDED: Object = Object {
    name: "ExpandedClient",
    description: "A client with its lists, in their order.",
    side: Side::Answer,
    is_closed: false,
    members: expanded,
};

pub const DETAILED: Object = Object {
    name: "DetailedClient",
    description: "A client with its lists, as reads with `fullDetails=true` answer it.",
    side: Side::Answer,
    is_closed: false,
    members: || {
        let groups = member(
            "groupKeys",
            Kind::NoList,
            "Always empty: groups are stored elsewhere.",
            "",
        );
        expanded().into_iter().chain([groups.required()]).collect()
    },
};

fn expanded() -> Vec<Member> {
    vec![
        member("client", Kind::Object(&CLIENT), "", "UpsertClientPayload.client").required(),
        member(
            "customInformation",
            Kind::List(&CUSTOM_VALUE),
            "The custom values that the caller may view.",
            "Client.customInformation",
        )
        .required(),
        member(
            "idDocuments",
            Kind::List(&DOCUMENT),
            "The identification documents.",
            "Client.idDocuments",
        )
        .required(),
        member(
            "addresses",
            Kind::List(&ADDRESS),
            "The address: at most one.",
            "Client.addresses",
        )
        .required(),
    ]
}

const CUSTOM_VALUE: Object = Object {
    name: "CustomValue",
    description: "The value of a custom field, with its definition.",
    side: Side::Answer,
    is_closed: false,
    members: || {
        vec![
            member(
                "encodedKey",
                Kind::Key,
                "The key of the value.",
                "CustomFieldValue.encodedKey",
            )
            .required()
            .example("019a6b2f3c4d70018a1b2c3d4e5f6075"),
            member("parentKey", Kind::Key, "The key of the client.", "Client.encodedKey")
                .required()
                .example("019a6b2f3c4d70018a1b2c3d4e5f6071"),
            member(
                "customFieldKey",
                Kind::Key,
                "The key of the field.",
                "CustomField.encodedKey",
            )
            .required()
            .example("019a6b2f3c4d70018a1b2c3d4e5f6076"),
            member(
                "customField",
                Kind::Object(&DEFINITION),
                "The field.",
                "CustomFieldValue.field",
            )
            .required(),
            text("value", "The value. Links have none.", "CustomFieldValue.value").example("LOW"),
            text(
                "linkedEntityKeyValue",
                "The key of the linked object.",
                "CustomFieldValue.linkedKey",
            ),
            member("indexInList", Kind::Integer, "The position in the list, from 0.", "")
                .required()
                .example("0"),
            text("customFieldID", "The id of the field.", "CustomField.fieldId")
                .required()
                .example("risk_band"),
            member(
                "customFieldSetGroupIndex",
                Kind::Integer,
                "The group in a grouped set, from 0; -1 in another set.",
                "CustomFieldValue.groupIndex",
            )
            .required()
            .example("-1"),
        ]
    },
};

const DOCUMENT: Object = Object {
    name: "IdDocument",
    description: "An identification document.",
    side: Side::Answer,
    is_closed: false,
    members: || {
        vec![
            member(
                "encodedKey",
                Kind::Key,
                "The key of the document.",
                "IdDocument.encodedKey",
            )
            .required()
            .example("019a6b2f3c4d70018a1b2c3d4e5f6077"),
            member("clientKey", Kind::Key, "The key of the client.", "Client.encodedKey")
                .required()
                .example("019a6b2f3c4d70018a1b2c3d4e5f6071"),
            text("documentType", "The kind of document.", "IdDocument.documentType")
                .required()
                .example("Passport"),
            text("documentId", "The number of the document.", "IdDocument.documentId")
                .required()
                .example("X1234567"),
            text(
                "issuingAuthority",
                "The authority that issued it.",
                "IdDocument.issuingAuthority",
            )
            .example("Test Office"),
            time(
                "validUntil",
                "The last day on which it is valid, as the time of its start.",
                "IdDocument.validUntil",
            )
            .example("2034-01-31T00:00:00+0000"),
            member("indexInList", Kind::Integer, "The position in the list, from 0.", "")
                .required()
                .example("0"),
            member(
                "identificationDocumentTemplateKey",
                Kind::Key,
                "The key of the template that the document names.",
                "IdDocument.templateKey",
            ),
        ]
    },
};

const ADDRESS: Object = Object {
    name: "Address",
    description: "A postal address.",
    side: Side::Answer,
    is_closed: false,
    members: || {
        vec![
            member("encodedKey", Kind::Key, "The key of the address.", "Address.encodedKey")
                .required()
                .example("019a6b2f3c4d70018a1b2c3d4e5f6078"),
            member("parentKey", Kind::Key, "The key of the client.", "Client.encodedKey")
                .required()
                .example("019a6b2f3c4d70018a1b2c3d4e5f6071"),
            text("line1", "The first line.", "Address.line1").example("1 Test Lane"),
            text("line2", "The second line.", "Address.line2"),
            text("city", "The city.", "Address.city").example("Exampleton"),
            text("region", "The region.", "Address.region"),
            text("postcode", "The postcode.", "Address.postcode"),
            text("country", "The country.", "Address.country").example("Nowhere"),
            member(
                "latitude",
                Kind::Number,
                "Degrees from -90 (south) to 90 (north).",
                "Address.latitude",
            ),
            member(
                "longitude",
                Kind::Number,
                "Degrees from -180 (west) to 180 (east).",
                "Address.longitude",
            ),
            member("indexInList", Kind::Integer, "Always 0.", "")
                .required()
                .example("0"),
        ]
    },
};

const DEFINITION: Object = Object {
    name: "CustomField",
    description: "A custom field, as it is next to each of its values.",
    side: Side::Answer,
    is_closed: false,
    members: definition,
};

fn definition() -> Vec<Member> {
    vec![
        member(
            "encodedKey",
            Kind::Key,
            "The key of the field.",
            "CustomField.encodedKey",
        )
        .required()
        .example("019a6b2f3c4d70018a1b2c3d4e5f6076"),
        text("id", "The id of the field.", "CustomField.fieldId")
            .required()
            .example("risk_band"),
        text("name", "The display name.", "CustomField.name")
            .required()
            .example("Risk band"),
        member("type", Kind::Choice(|| vec!["CLIENT_INFO"]), "Always CLIENT_INFO.", "")
            .required()
            .example("CLIENT_INFO"),
        member(
            "dataType",
            Kind::Choice(data_types),
            "The type of the values.",
            "CustomField.type",
        )
        .required()
        .example("SELECTION"),
        member(
            "isRequired",
            Kind::Boolean,
            "True if every client must have a value.",
            "CustomField.required",
        )
        .required()
        .example("false"),
        member(
            "state",
            Kind::Choice(|| vec!["NORMAL", "DEACTIVATED"]),
            "A deactivated field takes no new values.",
            "CustomField.state",
        )
        .required()
        .example("NORMAL"),
        member(
            "unique",
            Kind::Boolean,
            "True if no two clients can have one value.",
            "CustomField.unique",
        )
        .required()
        .example("false"),
        member(
            "valueLength",
            Kind::Choice(|| vec!["SHORT", "LONG"]),
            "Of a text: 255 or 2,048 characters.",
            "CustomField.maxLength",
        ),
        text("description", "The purpose of the field.", "CustomField.description"),
        text(
            "validationPattern",
            "The form of a text, in which # is a digit, @ a letter and $ either.",
            "CustomField.pattern",
        ),
    ]
}

fn data_types() -> Vec<&'static str> {
    vec![
        "STRING",
        "SELECTION",
        "NUMBER",
        "CHECKBOX",
        "DATE",
        "CLIENT_LINK",
        "USER_LINK",
        "GROUP_LINK",
    ]
}

pub const FULL_DEFINITION: Object = Object {
    name: "CustomFieldDefinition",
    description: "A custom field with its set, its options and its roles.",
    side: Side::Answer,
    is_closed: false,
    members: || {
        let more = vec![
            member("isDefault", Kind::Boolean, "Always true: forms show every field.", "")
                .required()
                .example("true"),
            member(
                "customFieldSet",
                Kind::Object(&OWN_SET),
                "The set of the field.",
                "CustomField.set",
            )
            .required(),
            member(
                "indexInList",
                Kind::Integer,
                "The position in the set, from 0.",
                "CustomFieldSet.fields",
            )
            .required()
            .example("0"),
            member(
                "customFieldSelectionOptions",
                Kind::List(&OPTION),
                "The active options of a selection.",
                "CustomField.options",
            )
            .required(),
            member(
                "customFieldProductSettings",
                Kind::List(&ROLE_SETTINGS),
                "The client roles that the field is available to; empty for all.",
                "CustomField.clientRoles",
            )
            .required(),
        ];
        definition().into_iter().chain(more).collect()
    },
};

fn own_set() -> Vec<Member> {
    vec![
        member(
            "encodedKey",
            Kind::Key,
            "The key of the set.",
            "CustomFieldSet.encodedKey",
        )
        .required()
        .example("019a6b2f3c4d70018a1b2c3d4e5f6079"),
        text("id", "The id of the set.", "CustomFieldSet.setId")
            .required()
            .example("kyc"),
        text("name", "The display name.", "CustomFieldSet.name")
            .required()
            .example("Know your customer"),
        member("type", Kind::Choice(|| vec!["CLIENT_INFO"]), "Always CLIENT_INFO.", "")
            .required()
            .example("CLIENT_INFO"),
        member(
            "usage",
            Kind::Choice(|| vec!["SINGLE", "GROUPED"]),
            "One value for each field, or one in each group.",
            "CustomFieldSet.usage",
        )
        .required()
        .example("SINGLE"),
        member(
            "indexInList",
            Kind::Integer,
            "The position among the sets.",
            "CustomFieldSet.position",
        )
        .required()
        .example("0"),
    ]
}

const OWN_SET: Object = Object {
    name: "CustomFieldSetSummary",
    description: "The set of a custom field.",
    side: Side::Answer,
    is_closed: false,
    members: own_set,
};

pub const SET: Object = Object {
    name: "CustomFieldSet",
    description: "A set of custom fields.",
    side: Side::Answer,
    is_closed: false,
    members: || {
        let fields = member(
            "customFields",
            Kind::List(&FULL_DEFINITION),
            "The fields.",
            "CustomFieldSet.fields",
        );
        own_set().into_iter().chain([fields.required()]).collect()
    },
};

const OPTION: Object = Object {
    name: "CustomFieldOption",
    description: "An option of a selection.",
    side: Side::Answer,
    is_closed: false,
    members: || {
        vec![
            member(
                "encodedKey",
                Kind::Key,
                "The key of the option.",
                "CustomFieldOption.encodedKey",
            )
            .required()
            .example("019a6b2f3c4d70018a1b2c3d4e5f607a"),
            text("value", "The value.", "CustomFieldOption.value")
                .required()
                .example("LOW"),
            text(
                "score",
                "A number that the bank gives to the option.",
                "CustomFieldOption.score",
            ),
            member(
                "constraint",
                Kind::Object(&OPTION_CONSTRAINT),
                "The values of the parent field that the option is available for; absent for all.",
                "CustomFieldOption.forValues",
            ),
        ]
    },
};

const OPTION_CONSTRAINT: Object = Object {
    name: "OptionConstraint",
    description: "The values of another field that an option is available for.",
    side: Side::Answer,
    is_closed: false,
    members: || {
        vec![
            member(
                "customFieldKey",
                Kind::Key,
                "The key of the other field.",
                "CustomField.parentFieldId",
            )
            .required(),
            member("values", Kind::Texts, "Its values.", "CustomFieldOption.forValues").required(),
        ]
    },
};

const ROLE_SETTINGS: Object = Object {
    name: "CustomFieldRole",
    description: "A client role that a field is available to.",
    side: Side::Answer,
    is_closed: false,
    members: || {
        vec![
            member(
                "linkType",
                Kind::Choice(|| vec!["CLIENT_ROLE"]),
                "Always CLIENT_ROLE.",
                "",
            )
            .required(),
            member("productKey", Kind::Key, "The key of the role.", "ClientRole.encodedKey").required(),
            member("isDefault", Kind::Boolean, "Always true.", "").required(),
            member(
                "isRequired",
                Kind::Boolean,
                "True if its clients must have a value.",
                "CustomFieldRole.required",
            )
            .required(),
        ]
    },
};

pub const ROLE: Object = Object {
    name: "ClientRole",
    description: "A client role.",
    side: Side::Answer,
    is_closed: false,
    members: || {
        vec![
            member("encodedKey", Kind::Key, "The key of the role.", "ClientRole.encodedKey")
                .required()
                .example("d9df8bc78a0234ccc934a845c"),
            text("id", "The id of the role.", "ClientRole.roleId")
                .required()
                .example("client"),
            text("name", "The display name.", "ClientRole.name")
                .required()
                .example("Client"),
            text("description", "The purpose of the role.", "ClientRole.description"),
            member("clientType", Kind::Choice(|| vec!["CLIENT"]), "Always CLIENT.", "")
                .required()
                .example("CLIENT"),
            member(
                "canOpenAccounts",
                Kind::Boolean,
                "Always true: accounts are stored elsewhere.",
                "",
            )
            .required()
            .example("true"),
            member("canGuarantee", Kind::Boolean, "Always true.", "")
                .required()
                .example("true"),
            member(
                "requireID",
                Kind::Boolean,
                "True if its clients must have an identification document.",
                "ClientRole.requiresIdDocument",
            )
            .required()
            .example("false"),
            member(
                "useDefaultAddress",
                Kind::Boolean,
                "True if its clients can have an address.",
                "ClientRole.allowsAddresses",
            )
            .required()
            .example("true"),
            time("creationDate", "The time of the creation.", ""),
        ]
    },
};

pub const TEMPLATE: Object = Object {
    name: "IdDocumentTemplate",
    description: "A template of identification documents.",
    side: Side::Answer,
    is_closed: false,
    members: || {
        vec![
            member(
                "encodedKey",
                Kind::Key,
                "The key of the template.",
                "IdDocumentTemplate.encodedKey",
            )
            .required()
            .example("019a6b2f3c4d70018a1b2c3d4e5f607b"),
            text(
                "documentType",
                "The kind of its documents.",
                "IdDocumentTemplate.documentType",
            )
            .required()
            .example("Passport"),
            text(
                "issuingAuthority",
                "The authority of its documents.",
                "IdDocumentTemplate.issuingAuthority",
            )
            .example("Test Office"),
            text(
                "documentIdTemplate",
                "The form of the number, in which # is a digit, @ a letter and $ either.",
                "IdDocumentTemplate.pattern",
            )
            .example("@#######"),
            member(
                "mandatoryForClients",
                Kind::Boolean,
                "True if every client must have such a document.",
                "IdDocumentTemplate.mandatory",
            )
            .required()
            .example("false"),
            member(
                "allowAttachments",
                Kind::Boolean,
                "Always false: attachments are stored elsewhere.",
                "",
            )
            .required()
            .example("false"),
        ]
    },
};

pub const SUBMISSION: Object = Object {
    name: "Submission",
    description: "A client to create or to change, and the lists to replace. A list that is left out or null stays, \
                  and `[]` empties it. Unknown members are ignored.",
    side: Side::Request,
    is_closed: false,
    members: || {
        vec![
            member(
                "client",
                Kind::Object(&CLIENT_INPUT),
                "The members of the client. Those left out stay; null or an empty text clears.",
                "UpsertClientInput.client",
            ),
            member(
                "idDocuments",
                Kind::List(&DOCUMENT_INPUT),
                "All documents that the client has afterwards.",
                "UpsertClientInput.idDocuments",
            )
            .at_most(MOST_MEMBERS),
            member(
                "addresses",
                Kind::List(&ADDRESS_INPUT),
                "The address that the client has afterwards. Only the first is stored.",
                "UpsertClientInput.addresses",
            )
            .at_most(MOST_MEMBERS),
            member(
                "customInformation",
                Kind::List(&VALUE_INPUT),
                "All custom values that the client has afterwards.",
                "UpsertClientInput.customInformation",
            )
            .at_most(MOST_VALUES),
        ]
    },
};

const CLIENT_INPUT: Object = Object {
    name: "ClientInput",
    description: "The members of a client that a request can set. A new client needs firstName and lastName.",
    side: Side::Request,
    is_closed: false,
    members: client_input,
};

/// Also the parameters with which a client can be created.
pub fn client_input() -> Vec<Member> {
    let input = |name, description, graphql| text(name, description, graphql).at_most(TEXT);
    vec![
        member(
            "encodedKey",
            Kind::Key,
            "The key of the client to change; absent for a new one.",
            "ClientInput.encodedKey",
        ),
        text(
            "id",
            "The id of a new client. It can be changed only by PATCH. Absent or empty: generated.",
            "ClientInput.clientId",
        )
        .at_most(32),
        member(
            "state",
            STATE,
            "The state. It can be changed only by PATCH.",
            "ChangeClientStateInput.state",
        ),
        input(
            "firstName",
            "The first name or names. It can't be cleared.",
            "ClientInput.firstName",
        )
        .example("Ines"),
        input(
            "lastName",
            "The last name. It can't be cleared.",
            "ClientInput.lastName",
        )
        .example("Okafor"),
        input("middleName", "The middle name.", "ClientInput.middleName").example("Ana"),
        input("homePhone", "The home phone number.", "ClientInput.homePhone").example("7899221665"),
        input(
            "emailAddress",
            "One e-mail address without a display name.",
            "ClientInput.emailAddress",
        )
        .example("ines@example.test"),
        input(
            "mobilePhone1",
            "The first mobile phone number.",
            "ClientInput.mobilePhone1",
        )
        .example("211111111"),
        input(
            "mobilePhone2",
            "The second mobile phone number.",
            "ClientInput.mobilePhone2",
        )
        .example("122222222"),
        member(
            "birthDate",
            Kind::Date,
            "The date of birth: yyyy-MM-dd, alone or at the start of a timestamp, whose zone is ignored.",
            "ClientInput.birthDate",
        )
        .example("1990-04-17"),
        member("gender", GENDER, "The gender.", "ClientInput.gender").example("FEMALE"),
        text("notes", "Notes of the bank about the client.", "ClientInput.notes")
            .at_most(65_535)
            .example("Prefers letters"),
        member(
            "assignedUserKey",
            Kind::Key,
            "The key of the user in charge.",
            "ClientInput.assignedUserKey",
        )
        .example("019a6b2f3c4d80018a1b2c3d4e5f6072"),
        member(
            "assignedBranchKey",
            Kind::Key,
            "The key of the branch in charge.",
            "ClientInput.assignedBranchKey",
        )
        .example("019a6b2f3c4d80018a1b2c3d4e5f6073"),
        member(
            "assignedCentreKey",
            Kind::Key,
            "The key of the centre in charge.",
            "ClientInput.assignedCentreKey",
        )
        .example("019a6b2f3c4d80018a1b2c3d4e5f6074"),
        member(
            "clientRole",
            Kind::Object(&ROLE_INPUT),
            "The role. Null, or absent for a new client: the default role.",
            "ClientInput.clientRole",
        ),
        member(
            "preferredLanguage",
            LANGUAGE,
            "The language of messages to the client. Null: ENGLISH.",
            "ClientInput.preferredLanguage",
        )
        .example("ENGLISH"),
    ]
}

const ROLE_INPUT: Object = Object {
    name: "ClientRoleInput",
    description: "A client role by its key.",
    side: Side::Request,
    is_closed: false,
    members: || {
        vec![
            member(
                "encodedKey",
                Kind::Key,
                "The key of the role.",
                "ClientRoleBy.encodedKey",
            )
            .example("d9df8bc78a0234ccc934a845c"),
        ]
    },
};

pub const PATCH: Object = Object {
    name: "Patch",
    description: "The members of a client to change. All others stay.",
    side: Side::Request,
    is_closed: false,
    members: || vec![member("client", Kind::Object(&CLIENT_PATCH), "", "UpsertClientInput.client").required()],
};

const CLIENT_PATCH: Object = Object {
    name: "ClientPatch",
    description: "The members to change. Those left out or null stay, and a blank text clears.",
    side: Side::Request,
    is_closed: false,
    members: || {
        let all = client_input().into_iter().filter(|member| member.name != "encodedKey");
        let patched = all.map(|member| Member {
            example: if member.name == "notes" { member.example } else { "" },
            ..member
        });
        let role = text(
            "clientRoleId",
            "The role by its id, unless clientRole names one.",
            "ClientRoleBy.roleId",
        );
        patched
            .filter(|member| member.name != "clientRole")
            .chain([
                member(
                    "clientRole",
                    Kind::Object(&ROLE_PATCH),
                    "The role by its key.",
                    "ClientInput.clientRole",
                ),
                role,
            ])
            .collect()
    },
};

const ROLE_PATCH: Object = Object {
    name: "ClientRolePatch",
    description: "A client role by its key. Without a key, the role stays.",
    side: Side::Request,
    is_closed: false,
    members: || {
        vec![member(
            "encodedKey",
            Kind::Key,
            "The key of the role.",
            "ClientRoleBy.encodedKey",
        )]
    },
};

const DOCUMENT_INPUT: Object = Object {
    name: "IdDocumentInput",
    description: "An identification document. A stored one is named by its key, and its members that are left out \
                  stay.",
    side: Side::Request,
    is_closed: false,
    members: || {
        let input = |name, description, graphql| text(name, description, graphql).at_most(TEXT);
        vec![
            member(
                "encodedKey",
                Kind::Key,
                "The key of a stored document; absent for a new one.",
                "IdDocumentInput.encodedKey",
            ),
            input(
                "documentType",
                "The kind of document. Required.",
                "IdDocumentInput.documentType",
            )
            .example("Passport"),
            input(
                "documentId",
                "The number of the document. Required.",
                "IdDocumentInput.documentId",
            )
            .example("X1234567"),
            input(
                "issuingAuthority",
                "The authority that issued it.",
                "IdDocumentInput.issuingAuthority",
            )
            .example("Test Office"),
            member(
                "validUntil",
                Kind::Date,
                "The last day on which it is valid.",
                "IdDocumentInput.validUntil",
            )
            .example("2034-01-31"),
            member(
                "identificationDocumentTemplateKey",
                Kind::Key,
                "The key of the template that the document must fit.",
                "IdDocumentInput.templateKey",
            ),
        ]
    },
};

const ADDRESS_INPUT: Object = Object {
    name: "AddressInput",
    description: "A postal address. A stored one is named by its key, and its members that are left out stay.",
    side: Side::Request,
    is_closed: false,
    members: || {
        let input = |name, description, graphql| text(name, description, graphql).at_most(TEXT);
        vec![
            member(
                "encodedKey",
                Kind::Key,
                "The key of the stored address; absent for a new one.",
                "AddressInput.encodedKey",
            ),
            input("line1", "The first line.", "AddressInput.line1").example("1 Test Lane"),
            input("line2", "The second line.", "AddressInput.line2"),
            input("city", "The city.", "AddressInput.city").example("Exampleton"),
            input("region", "The region.", "AddressInput.region"),
            input("postcode", "The postcode.", "AddressInput.postcode"),
            input("country", "The country.", "AddressInput.country").example("Nowhere"),
            member(
                "latitude",
                Kind::Number,
                "Degrees from -90 (south) to 90 (north), optionally in quotes.",
                "AddressInput.latitude",
            ),
            member(
                "longitude",
                Kind::Number,
                "Degrees from -180 (west) to 180 (east), optionally in quotes.",
                "AddressInput.longitude",
            ),
        ]
    },
};

const VALUE_INPUT: Object = Object {
    name: "CustomValueInput",
    description: "The value of a custom field: linkedEntityKeyValue if the field is a link, otherwise value.",
    side: Side::Request,
    is_closed: false,
    members: || {
        let named = vec![
            text(
                "customFieldID",
                "The id of the field. Required.",
                "CustomFieldValueInput.fieldId",
            )
            .example("risk_band"),
            member(
                "customFieldSetGroupIndex",
                Kind::Integer,
                "The group of a field of a grouped set: 0, 1, 2…, optionally in quotes. -1 counts as absent.",
                "CustomFieldValueInput.groupIndex",
            ),
        ];
        named.into_iter().chain(value_input()).collect()
    },
};

fn value_input() -> Vec<Member> {
    vec![
        member(
            "value",
            Kind::Custom,
            "The value: a number or its digits, a date as yyyy-MM-dd, TRUE or FALSE, the value of an option, or a \
             text.",
            "CustomFieldValueInput.value",
        )
        .example("LOW"),
        member(
            "linkedEntityKeyValue",
            Kind::Text,
            "The key of the linked client, user or group.",
            "CustomFieldValueInput.linkedKey",
        ),
    ]
}

pub const SINGLE_VALUE: Object = Object {
    name: "SingleValue",
    description: "The value of the custom field in the path.",
    side: Side::Request,
    is_closed: false,
    members: value_input,
};

pub const VALUE_LIST: Object = Object {
    name: "CustomValueList",
    description: "Custom values to change. All others stay. A `client` next to them must be empty.",
    side: Side::Request,
    is_closed: false,
    members: || {
        let values = "The values. Those of a grouped set without an index form one new group.";
        vec![
            member(
                "customInformation",
                Kind::List(&VALUE_INPUT),
                values,
                "UpsertClientInput.customInformation",
            )
            .required()
            .at_most(MOST_VALUES),
        ]
    },
};

pub const RECEIPT: Object = Object {
    name: "Receipt",
    description: "The outcome of a message. It has either `messageId` or `providerId`.",
    side: Side::Request,
    is_closed: true,
    members: || {
        vec![
            member(
                "messageId",
                Kind::Text,
                "The `encodedKey` of the message or its Message-ID. A receipt with any other text is accepted and \
                 changes nothing.",
                "Message.encodedKey",
            )
            .alternative()
            .example("019a6b2f3c4d70018a1b2c3d4e5f6071"),
            member(
                "providerId",
                Kind::Text,
                "The id that the SMS gateway gave the message.",
                "Message.providerId",
            )
            .alternative()
            .at_most(LONGEST_PROVIDER_ID),
            member(
                "status",
                Kind::Choice(|| ReceiptStatus::ALL.map(ReceiptStatus::as_str).to_vec()),
                "The outcome.",
                "Message.state",
            )
            .required()
            .example("BOUNCED"),
            member(
                "permanent",
                Kind::Boolean,
                "True if a bounce means that the recipient gets no message at all. False by default.",
                "",
            ),
            member("reason", Kind::Text, "The provider's words.", "Message.detail"),
            member(
                "at",
                Kind::Text,
                "The time of the event, as RFC 3339.",
                "Message.deliveredAt",
            )
            .example("2026-11-22T12:00:00Z"),
        ]
    },
};

pub const GATEWAY_CALLBACK: Object = Object {
    name: "GatewayCallback",
    description: "The status callback of an SMS gateway in Twilio's format, as a form. Other fields are ignored.",
    side: Side::Parameter,
    is_closed: false,
    members: || {
        let id = |name, description| {
            member(name, Kind::Text, description, "Message.providerId").at_most(LONGEST_PROVIDER_ID)
        };
        let status = |name, description| member(name, CALLBACK_STATUS, description, "Message.state");
        vec![
            id(
                "MessageSid",
                "The id that the SMS gateway gave the message. Required, unless SmsSid is given.",
            ),
            id("SmsSid", "An older name of MessageSid."),
            status("MessageStatus", "The status. Required, unless SmsStatus is given."),
            status("SmsStatus", "An older name of MessageStatus."),
            member(
                "ErrorCode",
                Kind::Text,
                "The gateway's code of a failure.",
                "Message.detail",
            ),
        ]
    },
};

pub const SEARCH: Object = Object {
    name: "Search",
    description: "The constraints, all of which must hold. An empty list finds all clients.",
    side: Side::Request,
    is_closed: false,
    members: || {
        vec![
            member(LIST, Kind::List(&CONSTRAINT), "", "ClientFilter.and")
                .required()
                .at_most(MOST_CONSTRAINTS),
        ]
    },
};

const CONSTRAINT: Object = Object {
    name: "FilterConstraint",
    description: "A comparison of one member or custom field of a client.",
    side: Side::Request,
    is_closed: false,
    members: || {
        vec![
            member(
                "filterSelection",
                Kind::Selection,
                "A selection, or with dataFieldType CUSTOM the id of a custom field.",
                "",
            )
            .required()
            .example("LAST_NAME"),
            member("filterElement", Kind::Choice(names::<Element>), "The comparison.", "")
                .required()
                .example("STARTS_WITH"),
            member("value", Kind::Custom, "The value, or the start of BETWEEN.", "").example("oka"),
            member(
                "secondValue",
                Kind::Custom,
                "The end of BETWEEN, which includes both ends.",
                "",
            ),
            member("values", Kind::Customs, "The values of IN.", "").at_most(MOST_VALUES),
            member(
                "dataFieldType",
                Kind::Choice(|| vec!["NATIVE", "CUSTOM"]),
                "NATIVE by default.",
                "CustomFieldCondition.fieldId",
            ),
            member(
                "dataItemType",
                Kind::Choice(|| vec!["CLIENT"]),
                "CLIENT, if it is given.",
                "",
            ),
        ]
    },
};

/// The selections of a search, each with its counterpart in `ClientFilter`.
pub fn selections() -> Json {
    let items = Selection::items().iter();
    items.map(|item| (item.name, selection(item.value).into())).collect()
}

fn selection(selection: Selection) -> &'static str {
    match selection {
        Selection::EncodedKey => "ClientBy.encodedKey",
        Selection::Id => "ClientBy.clientId",
        Selection::FirstName => "ClientFilter.firstName",
        Selection::LastName => "ClientFilter.lastName",
        Selection::State => "ClientFilter.states",
        Selection::BirthDate => "ClientFilter.born",
        Selection::EmailAddress => "ClientFilter.email",
        Selection::HomePhone | Selection::MobilePhone1 | Selection::MobilePhone2 => "ClientFilter.phone",
        Selection::Address => "ClientFilter.city",
        Selection::Role => "ClientFilter.clientRoleId",
        Selection::Branch => "ClientFilter.assignedBranchKey",
        Selection::Centre => "ClientFilter.assignedCentreKey",
        Selection::User => "ClientFilter.assignedUserKey",
        Selection::CreatedAt => "ClientFilter.createdAt",
        Selection::UpdatedAt => "ClientFilter.updatedAt",
        Selection::FullName => "Query.clients.search",
        Selection::MiddleName
        | Selection::Gender
        | Selection::PreferredLanguage
        | Selection::Notes
        | Selection::ApprovedAt
        | Selection::ActivatedAt
        | Selection::ClosedAt
        | Selection::LoanCycle
        | Selection::GroupLoanCycle => "",
    }
}

/// The selections as a schema that names them.
pub fn selection_schema() -> Json {
    object([
        ("type", "string".into()),
        (
            "description",
            "The selections of members, each with its counterpart in GraphQL.".into(),
        ),
        ("enum", names::<Selection>().into_iter().map(Json::from).collect()),
        ("x-graphql", selections()),
    ])
}
