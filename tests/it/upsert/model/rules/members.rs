//! The rules of documents and addresses.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{ADDRESSES, Client, DOCUMENTS, Members, Model, Problems, Stored, add};
use crate::upsert::model::generate::{Member, Sent, Submission};

impl Model {
    /// A list becomes the collection. What is demanded is demanded of lists, and of new clients.
    pub(super) fn members(
        &self,
        client: &mut Client,
        sent: &Submission,
        present: Option<&Client>,
        problems: &mut Problems,
    ) {
        let role = self.role_after(present, &sent.client);
        let is_new = present.is_none() && sent.documents == Sent::Absent;
        let is_new = is_new || present.is_none() && sent.way.is_rest() && sent.documents == Sent::Null;
        let documents = list(&sent.documents, sent, DOCUMENTS, "idDocuments", problems);
        if let Some(documents) = documents.or(is_new.then_some(&[])) {
            let stored = std::mem::take(&mut client.documents);
            client.documents = replaced(documents, &stored, DOCUMENTS, "idDocuments", problems);
            for (index, document) in client.documents.iter_mut().enumerate() {
                self.template(index, &documents[index], document, &stored, problems);
            }
            for template in self
                .definitions
                .templates
                .iter()
                .filter(|template| template.is_mandatory)
            {
                let key = json!(format!("{}Key", template.id));
                let has_it = |document: &Stored| document.members.get("templateKey") == Some(&key);
                if template.is_active && !client.documents.iter().any(has_it) {
                    add(problems, DOCUMENTS, 951, "REQUIRED", "idDocuments");
                }
            }
            if role.needs_document && client.documents.is_empty() {
                add(problems, DOCUMENTS, 951, "REQUIRED", "idDocuments");
            }
        }
        if let Some(addresses) = list(&sent.addresses, sent, ADDRESSES, "addresses", problems) {
            // Only the first one counts.
            let first = &addresses[..addresses.len().min(1)];
            let before = client.address.take();
            client.address = replaced(first, before.as_slice(), ADDRESSES, "addresses", problems).pop();
            if !role.allows_addresses && client.address.is_some() && client.address != before {
                add(problems, ADDRESSES, 1151, "NOT_AVAILABLE", "addresses");
            }
        }
    }

    /// A new or changed document must fit the template that it names, and name one if others are forbidden.
    fn template(&self, index: usize, sent: &Member, document: &mut Stored, before: &[Stored], problems: &mut Problems) {
        let before = before.iter().find(|before| Some(&before.key) == sent.key.as_ref());
        // A key that isn't the client's own is refused, and the rest of the document not compared.
        if sent.key.is_some() && (before.is_none() || document.key.is_empty()) {
            return;
        }
        let compared = |stored: &Stored| {
            let mut members = stored.members.clone();
            members.remove("validUntil");
            members
        };
        if before.map(compared) == Some(compared(document)) {
            return;
        }
        let at = |member: &str| format!("idDocuments.{index}.{member}");
        let Some(key) = document.members.get("templateKey") else {
            if !self.definitions.other_documents {
                add(problems, DOCUMENTS, 952, "BLANK", at("templateKey"));
            }
            return;
        };
        let is_kept = before.is_some_and(|before| before.members.get("templateKey") == Some(key));
        let mut templates = self.definitions.templates.iter();
        let named = templates.find(|template| *key == format!("{}Key", template.id));
        let Some(template) = named.filter(|template| template.is_active || is_kept) else {
            return add(problems, DOCUMENTS, 953, "NOT_FOUND", at("templateKey"));
        };
        let kind = document.members.get("documentType");
        if !is_blank(kind) && kind != Some(&json!("Passport")) {
            add(problems, DOCUMENTS, 950, "INVALID", at("documentType"));
        }
        if let Some(authority) = template.authority.map(|authority| json!(authority)) {
            let stored = document.members.get("issuingAuthority");
            let is_sent = sent
                .members
                .get("issuingAuthority")
                .is_some_and(|sent| *sent != Sent::Absent);
            if stored.is_none() && !is_sent {
                document.members.insert("issuingAuthority", authority);
            } else if stored != Some(&authority) {
                add(problems, DOCUMENTS, 950, "INVALID", at("issuingAuthority"));
            }
        }
        let number = document.members.get("documentId");
        if !is_blank(number) && number == Some(&json!("22")) {
            add(problems, DOCUMENTS, 950, "PATTERN_MISMATCH", at("documentId"));
        }
    }
}

/// Absent stays; null counts as absent on the legacy route and is refused in GraphQL.
pub(super) fn list<'a, T>(
    sent: &'a Sent<Vec<T>>,
    all: &Submission,
    rank: u8,
    name: &str,
    problems: &mut Problems,
) -> Option<&'a [T]> {
    match sent {
        Sent::Value(list) => Some(list),
        Sent::Null if !all.way.is_rest() => {
            add(problems, rank, 0, "NULL_LIST", name);
            None
        }
        Sent::Null | Sent::Absent => None,
    }
}

/// Members match by key and keep it.
fn replaced(sent: &[Member], stored: &[Stored], rank: u8, list: &str, problems: &mut Problems) -> Vec<Stored> {
    let rest = if rank == DOCUMENTS { 950 } else { 1150 };
    let mut named = HashSet::new();
    let replace = |(index, Member { key, members }): (usize, &Member)| {
        let own = key
            .as_ref()
            .and_then(|key| stored.iter().find(|member| member.key == *key));
        let twice = own.is_some_and(|own| !named.insert(own.key.clone()));
        if twice {
            add(problems, rank, rest, "DUPLICATE", format!("{list}.{index}.encodedKey"));
        } else if key.is_some() && own.is_none() {
            add(problems, rank, rest, "NOT_OWNED", format!("{list}.{index}.encodedKey"));
        }
        let mut member = own.filter(|_| !twice).cloned().unwrap_or_default();
        for (name, sent) in members {
            overlay(&mut member.members, name, sent);
            if is_too_long(sent) {
                add(problems, rank, rest, "TOO_LONG", format!("{list}.{index}.{name}"));
            }
            if matches!(sent, Sent::Value(Value::Number(degrees)) if degrees.as_f64() > Some(90.0)) {
                add(problems, rank, rest, "INVALID", format!("{list}.{index}.{name}"));
            }
        }
        for name in ["documentType", "documentId"] {
            if rank == DOCUMENTS && is_blank(member.members.get(name)) {
                add(problems, rank, rest, "BLANK", format!("{list}.{index}.{name}"));
            }
        }
        member
    };
    sent.iter().enumerate().map(replace).collect()
}

pub(super) fn overlay(stored: &mut Members, name: &'static str, sent: &Sent<Value>) {
    match sent {
        Sent::Absent => {}
        Sent::Value(value) if value != "" && !is_too_long(sent) => {
            stored.insert(name, value.clone());
        }
        Sent::Value(_) | Sent::Null => {
            stored.remove(name);
        }
    }
}

pub(super) fn is_blank(text: Option<&Value>) -> bool {
    text.and_then(Value::as_str).is_none_or(|text| text.trim().is_empty())
}

pub(super) fn is_too_long(sent: &Sent<Value>) -> bool {
    matches!(sent, Sent::Value(Value::String(text)) if text.chars().count() > 255)
}
