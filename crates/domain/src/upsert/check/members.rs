//! Checks identification documents and addresses, which are matched by their keys.

use std::collections::HashMap;

use async_graphql::MaybeUndefined;
use entity::{Member, address, id_document};

use super::ValidationContext;
use crate::definitions::fits;
use crate::member::{Problems, Scalars, keep};
use crate::upsert::{AddressInput, IdDocumentInput};
use clientele_core::{
    path,
    problem::{Message, ProblemCode},
    scalar::{Date, new_key},
    text::is_blank,
};

const MOST_DOCUMENTS: usize = 200;
const MOST_ADDRESSES: usize = 200;

/// `stored` are the client's documents; none for a new client.
pub(super) fn id_documents(
    sent: &MaybeUndefined<Vec<IdDocumentInput>>,
    client_key: &str,
    stored: Option<&[id_document::Model]>,
    context: &ValidationContext<'_>,
    problems: &mut Problems,
) -> Option<Vec<id_document::Model>> {
    let is_new = context.stored.is_none() && sent.is_undefined();
    let list = problems
        .list("idDocuments", sent, MOST_DOCUMENTS)
        .or(is_new.then_some(&[][..]))?;
    let mut matches = Matches::new("idDocuments", stored.unwrap_or_default());
    let mut documents = Vec::with_capacity(list.len());
    for (index, document) in list.iter().enumerate() {
        let IdDocumentInput {
            encoded_key,
            document_type,
            document_id,
            issuing_authority,
            valid_until,
            template_key,
        } = document;
        let found = matches.find(encoded_key, index, problems);
        let known = found.is_ok();
        let before = found.unwrap_or_default();
        let mut member = Scalars {
            scope: path!["idDocuments", index].to_vec(),
            problems,
        };
        let stored = before.cloned().unwrap_or_default();
        let mut required = |name, sent: &MaybeUndefined<String>, stored: &str| {
            // The members that an unknown document omits may be stored.
            if known || !sent.is_undefined() {
                member.required(name, sent, stored)
            } else {
                String::new()
            }
        };
        let mut document = id_document::Model {
            client_key: client_key.to_owned(),
            encoded_key: before.map_or_else(new_key, |before| before.encoded_key.clone()),
            position: index as i32,
            document_type: required("documentType", document_type, &stored.document_type),
            document_id: required("documentId", document_id, &stored.document_id),
            issuing_authority: member.text("issuingAuthority", issuing_authority, stored.issuing_authority),
            valid_until: keep(valid_until, stored.valid_until, |date: Date| date.0),
            template_key: keep(template_key, stored.template_key, |key| key).filter(|key| !key.is_empty()),
        };
        if known {
            member.template(&mut document, before, !issuing_authority.is_undefined(), context);
        }
        documents.push(document);
    }
    let demands = context.exported.is_none();
    for template in &context.definitions.document_templates {
        let is_it = |document: &id_document::Model| document.template_key.as_ref() == Some(&template.encoded_key);
        if demands && template.active && template.is_mandatory && !documents.iter().any(is_it) {
            let id = &template.template_id;
            let message = format!("A client needs an identification document of the template {id}.");
            problems.add(ProblemCode::Required, path!["idDocuments"], message);
        }
    }
    Some(documents)
}

/// A client has one address: the others in the list are ignored and not read. A list that is too long is refused.
pub(super) fn addresses(
    sent: &MaybeUndefined<Vec<AddressInput>>,
    client_key: &str,
    stored: &[address::Model],
    problems: &mut Problems,
) -> Option<Vec<address::Model>> {
    let list = problems.list("addresses", sent, MOST_ADDRESSES)?;
    let Some(first) = list.first() else {
        return Some(Vec::new());
    };
    let AddressInput {
        encoded_key,
        line1,
        line2,
        city,
        region,
        postcode,
        country,
        latitude,
        longitude,
    } = first;
    let before = Matches::new("addresses", stored)
        .find(encoded_key, 0, problems)
        .unwrap_or_default();
    let stored = before.cloned().unwrap_or_else(|| address::Model {
        client_key: client_key.to_owned(),
        encoded_key: new_key(),
        ..address::Model::default()
    });
    let mut member = Scalars {
        scope: path!["addresses", 0].to_vec(),
        problems,
    };
    Some(vec![address::Model {
        line1: member.text("line1", line1, stored.line1),
        line2: member.text("line2", line2, stored.line2),
        city: member.text("city", city, stored.city),
        region: member.text("region", region, stored.region),
        postcode: member.text("postcode", postcode, stored.postcode),
        country: member.text("country", country, stored.country),
        latitude: member.degrees("latitude", latitude, stored.latitude, 90.0),
        longitude: member.degrees("longitude", longitude, stored.longitude, 180.0),
        client_key: stored.client_key,
        encoded_key: stored.encoded_key,
        position: 0,
    }])
}

impl Scalars<'_> {
    /// Checks that a new or changed document fits its template. It gets the template's authority if it names none.
    fn template(
        &mut self,
        document: &mut id_document::Model,
        before: Option<&id_document::Model>,
        has_authority: bool,
        context: &ValidationContext<'_>,
    ) {
        let own = |document: &id_document::Model| id_document::Model {
            position: 0,
            valid_until: None,
            ..document.clone()
        };
        if before.map(own) == Some(own(document)) {
            return;
        }
        let Some(key) = &document.template_key else {
            if context.exported.is_none() && !context.settings.other_id_documents {
                let message = Message::from("A document must name one of the templates by ")
                    .member("templateKey")
                    .text(".");
                self.refuse(ProblemCode::Blank, "templateKey", message);
            }
            return;
        };
        let is_exported = context.exported.is_some();
        let is_kept = is_exported || before.is_some_and(|before| before.template_key == document.template_key);
        let template = context.definitions.document_template_of_key(key);
        let Some(template) = template.filter(|template| template.active || is_kept) else {
            let message = Message::from("There is no identification document template with this key: leave ")
                .member("templateKey")
                .text(" out.");
            return self.refuse(ProblemCode::NotFound, "templateKey", message);
        };
        if is_exported {
            return;
        }
        let id = &template.template_id;
        // A blank member has been refused already.
        if !is_blank(&document.document_type) && document.document_type != template.document_type {
            let message = format!("The template {id} needs the documentType {}.", template.document_type);
            self.refuse(ProblemCode::Invalid, "documentType", message);
        }
        if let Some(authority) = &template.issuing_authority {
            if !has_authority && document.issuing_authority.is_none() {
                document.issuing_authority = Some(authority.clone());
            } else if document.issuing_authority.as_ref() != Some(authority) {
                let message = format!("The template {id} needs the issuingAuthority {authority}.");
                self.refuse(ProblemCode::Invalid, "issuingAuthority", message);
            }
        }
        if let Some(pattern) = template
            .pattern
            .as_ref()
            .filter(|pattern| !is_blank(&document.document_id) && !fits(pattern, &document.document_id))
        {
            let message = format!("The template {id} needs a number of the form {pattern}.");
            self.refuse(ProblemCode::PatternMismatch, "documentId", message);
        }
    }

    fn degrees(
        &mut self,
        name: &'static str,
        sent: &MaybeUndefined<f64>,
        stored: Option<f64>,
        most: f64,
    ) -> Option<f64> {
        let degrees = keep(sent, stored, |degrees| degrees);
        if degrees != stored && degrees.is_some_and(|degrees| !(-most..=most).contains(&degrees)) {
            self.refuse(
                ProblemCode::Invalid,
                name,
                Message::of_member(name, format!(" must be from -{most} to {most} degrees.")),
            );
        }
        degrees
    }
}

/// The stored members by key. Each can be named once.
struct Matches<'a, M> {
    list: &'static str,
    stored: HashMap<&'a str, (&'a M, bool)>,
}

impl<'a, M: Member> Matches<'a, M> {
    fn new(list: &'static str, stored: &'a [M]) -> Self {
        Self {
            list,
            stored: stored
                .iter()
                .map(|member| (member.encoded_key(), (member, false)))
                .collect(),
        }
    }

    /// Returns the stored member that `key` names; none for a new member. An error has been reported already.
    fn find(
        &mut self,
        key: &MaybeUndefined<String>,
        index: usize,
        problems: &mut Problems,
    ) -> Result<Option<&'a M>, Reported> {
        let MaybeUndefined::Value(key) = key else {
            return Ok(None);
        };
        let list = self.list;
        let (code, message) = match self.stored.get_mut(key.as_str()) {
            Some((member, named)) if !*named => {
                *named = true;
                return Ok(Some(member));
            }
            Some(_) => {
                let message = format!("The key {key} is named twice: each member of {list} may be named once.");
                (ProblemCode::Duplicate, message)
            }
            None => {
                let message = format!(
                    "The key {} isn't one of this client's {list}: leave encodedKey out to add a new member.",
                    shown(key)
                );
                (ProblemCode::NotOwned, message)
            }
        };
        problems.add(code, path![list, index, "encodedKey"], message);
        Err(Reported)
    }
}

/// The member is unknown and reported, so that its omitted members can't be checked.
struct Reported;

/// Returns a key for an error message. A text without the form of a key is left out: it can be anything, and long.
fn shown(key: &str) -> &str {
    if clientele_core::scalar::is_key(key) {
        key
    } else {
        "given"
    }
}
