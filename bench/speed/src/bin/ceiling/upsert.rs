//! The input of an upsert, and what is computed from it before it is stored.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::digest;
use serde::Deserialize;
use uuid::Uuid;

use crate::answer::Row;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upsert<'a> {
    #[serde(borrow)]
    pub client: Names<'a>,
    pub addresses: Vec<Address<'a>>,
    pub id_documents: Vec<Document<'a>>,
    pub custom_information: Vec<Value<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Names<'a> {
    pub client_id: &'a str,
    pub first_name: &'a str,
    pub last_name: &'a str,
}

#[derive(Deserialize)]
pub struct Address<'a> {
    pub line1: &'a str,
    pub city: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Document<'a> {
    pub document_type: &'a str,
    pub document_id: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Value<'a> {
    pub field_id: &'a str,
    pub value: &'a str,
}

pub fn new_key() -> String {
    Uuid::now_v7().simple().to_string()
}

/// Returns the digest that the history has of these contents.
pub fn digest_of(contents: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, contents.as_bytes()))
}

/// The texts by which a client is searched. Knows only ASCII, which all invented clients are in.
pub struct SearchTexts {
    pub first_name: String,
    pub last_name: String,
    pub city: Option<String>,
    pub words: String,
    pub text: String,
    /// The folded types and numbers of the documents.
    pub documents: Vec<(String, String)>,
}

impl SearchTexts {
    /// Computes them from the input and the stored row, which has the columns [`crate::answer::CLIENT`].
    pub fn of(input: &Upsert, row: &impl Row) -> Self {
        let lower = str::to_ascii_lowercase;
        let letters = |text: &str| -> String { lower(text).chars().filter(char::is_ascii_alphanumeric).collect() };
        let documents = input.id_documents.iter();
        let documents = documents.map(|document| (lower(document.document_type), letters(document.document_id)));
        let documents: Vec<(String, String)> = documents.collect();
        let names = [Some(input.client.first_name), row.text(4), Some(input.client.last_name)];
        let names: Vec<String> = names.into_iter().flatten().flat_map(words).collect();
        let mailbox = row.text(8).map(|address| address.split('@').next().unwrap_or(address));
        let own: Vec<String> = [mailbox, row.text(1)].into_iter().flatten().flat_map(words).collect();
        let numbers = [9, 10, 11].map(|column| row.text(column)).into_iter().flatten();
        let numbers = numbers.map(|number| number.chars().filter(char::is_ascii_digit).collect::<String>());
        let of_documents = documents.iter().map(|(_, number)| number.clone());
        let lettered = own.iter().cloned().chain(of_documents.clone());
        let lettered = lettered.filter(|word| !word.contains(|character: char| character.is_ascii_digit()));
        Self {
            first_name: lower(input.client.first_name),
            last_name: lower(input.client.last_name),
            city: input.addresses.first().map(|address| lower(address.city)),
            words: joined(names.iter().cloned().chain(lettered)),
            text: joined(
                names
                    .iter()
                    .cloned()
                    .chain(own.iter().cloned())
                    .chain(numbers)
                    .chain(of_documents),
            ),
            documents,
        }
    }
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect()
}

/// Joins the words with spaces, each word once.
fn joined(words: impl Iterator<Item = String>) -> String {
    let mut kept: Vec<String> = Vec::new();
    for word in words {
        if !kept.contains(&word) {
            kept.push(word);
        }
    }
    kept.join(" ")
}
