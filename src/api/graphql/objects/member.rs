//! The members of a client: addresses and identification documents.

use std::borrow::Cow;

use entity::{address, id_document};

use crate::api::graphql::global_id::GlobalId;
use graphql_server::object::{Field, FieldKind, Object};

pub struct Address;

impl Object for Address {
    const NAME: &'static str = "Address";
    const DESCRIPTION: &'static str = "An address of a client.";
    const IS_NODE: bool = true;
    type Row<'a> = &'a address::Model;
    const FIELDS: &'static [Field<Self>] = &[
        Field {
            name: "id",
            description: "The global id.",
            kind: FieldKind::Id(|row| {
                GlobalId::Address {
                    client_key: row.client_key.clone(),
                    key: row.encoded_key.clone(),
                }
                .encode()
            }),
        },
        Field {
            name: "encodedKey",
            description: "The key that the address is matched by when it is submitted again.",
            kind: FieldKind::Text(|row| Cow::Borrowed(&row.encoded_key)),
        },
        Field {
            name: "line1",
            description: "The first line.",
            kind: FieldKind::MaybeText(|row| row.line1.as_deref()),
        },
        Field {
            name: "line2",
            description: "The second line.",
            kind: FieldKind::MaybeText(|row| row.line2.as_deref()),
        },
        Field {
            name: "city",
            description: "The city.",
            kind: FieldKind::MaybeText(|row| row.city.as_deref()),
        },
        Field {
            name: "region",
            description: "The region.",
            kind: FieldKind::MaybeText(|row| row.region.as_deref()),
        },
        Field {
            name: "postcode",
            description: "The postcode.",
            kind: FieldKind::MaybeText(|row| row.postcode.as_deref()),
        },
        Field {
            name: "country",
            description: "The country.",
            kind: FieldKind::MaybeText(|row| row.country.as_deref()),
        },
        Field {
            name: "latitude",
            description: "Degrees, from -90 (south) to 90 (north).",
            kind: FieldKind::MaybeFloat(|row| row.latitude),
        },
        Field {
            name: "longitude",
            description: "Degrees, from -180 (west) to 180 (east).",
            kind: FieldKind::MaybeFloat(|row| row.longitude),
        },
    ];
}

pub struct IdDocument;

impl Object for IdDocument {
    const NAME: &'static str = "IdDocument";
    const DESCRIPTION: &'static str = "An identification document of a client.";
    const IS_NODE: bool = true;
    type Row<'a> = &'a id_document::Model;
    const FIELDS: &'static [Field<Self>] = &[
        Field {
            name: "id",
            description: "The global id.",
            kind: FieldKind::Id(|row| {
                GlobalId::IdDocument {
                    client_key: row.client_key.clone(),
                    key: row.encoded_key.clone(),
                }
                .encode()
            }),
        },
        Field {
            name: "encodedKey",
            description: "The key that the document is matched by when it is submitted again.",
            kind: FieldKind::Text(|row| Cow::Borrowed(&row.encoded_key)),
        },
        Field {
            name: "documentType",
            description: "What kind of document it is.",
            kind: FieldKind::Text(|row| Cow::Borrowed(&row.document_type)),
        },
        Field {
            name: "documentId",
            description: "The document's number.",
            kind: FieldKind::Text(|row| Cow::Borrowed(&row.document_id)),
        },
        Field {
            name: "issuingAuthority",
            description: "Who issued it.",
            kind: FieldKind::MaybeText(|row| row.issuing_authority.as_deref()),
        },
        Field {
            name: "validUntil",
            description: "The last day on which it is valid.",
            kind: FieldKind::MaybeDate(|row| row.valid_until),
        },
    ];
}
