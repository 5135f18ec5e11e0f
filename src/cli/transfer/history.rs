//! Lines with audit records: those of removed clients, and those that continue the chain of the line before.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::super::Failure;
use super::refusal::{Refusal, unknown};
use clientele_core::json_check::{self, JsonFault, Limits};
use clientele_core::problem::ProblemCode;
use clientele_domain::audit::{ChainPart, ExportedRecord, PartEnd};
use clientele_domain::upsert::ImportedHistory;

/// The line of a client that was deleted or erased.
pub(super) fn of_removed(client_key: &str, history: &ChainPart) -> Result<String, Failure> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Removed<'a> {
        encoded_key: &'a str,
        history: &'a ChainPart,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Whole<'a> {
        removed_client: Removed<'a>,
    }
    let removed_client = Removed {
        encoded_key: client_key,
        history,
    };
    serde_json::to_string(&Whole { removed_client }).map_err(Failure::internal)
}

/// The line with further records of the client on the line before.
pub(super) fn of_part(client_key: &str, position: i64, part: &ChainPart) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct Part<'a> {
        client: &'a str,
        position: i64,
        #[serde(flatten)]
        part: &'a ChainPart,
    }
    #[derive(Serialize)]
    struct Whole<'a> {
        history: Part<'a>,
    }
    let history = Part {
        client: client_key,
        position,
        part,
    };
    serde_json::to_string(&Whole { history }).map_err(Failure::internal)
}

/// A line with audit records.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) enum ChainLine {
    History(HistoryLine),
    RemovedClient(RemovedLine),
}

/// Further records of the client on the line before.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryLine {
    pub client: String,
    position: i64,
    records: Vec<ExportedRecord>,
    #[serde(default)]
    head: Option<String>,
}

/// A client that was deleted or erased, with its first records.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RemovedLine {
    pub encoded_key: String,
    pub history: ChainPart,
}

/// Limit of the records of a line. Exports write fewer; earlier ones wrote all records of an erased client in one line.
const MOST_RECORDS: usize = 100_000;
/// Limit of the JSON values of such a line. A record has at most 14.
const MOST_VALUES: usize = 14 * MOST_RECORDS + 100;

/// Reads a line with audit records in the form in which an export writes it; none if it is another line. Such a line
/// can have more values than any client.
pub(super) fn read(text: &str) -> Option<Result<ChainLine, Refusal>> {
    let beginnings = ["{\"history\":", "{\"removedClient\":"];
    if !beginnings.iter().any(|beginning| text.starts_with(beginning)) {
        return None;
    }
    let limits = Limits {
        values: MOST_VALUES,
        list_length: MOST_RECORDS,
    };
    // A record takes far more memory than its text.
    if let Err(JsonFault::TooManyValues { .. } | JsonFault::TooLong { .. }) = json_check::check(text, limits) {
        let message = format!("The line has more than {MOST_RECORDS} records: export again, to split them into lines.");
        return Some(Err(Refusal::new(ProblemCode::TooMany, "", message)));
    }
    serde_json::from_str(text).ok().map(Ok)
}

/// Reads a line in any form.
pub(super) fn parsed(history: Json) -> Result<ChainLine, Refusal> {
    let Json::Object(mut members) = history else {
        return Err(Refusal::malformed("history", "history must be an object."));
    };
    let Some(Json::String(client)) = members.remove("client") else {
        return Err(Refusal::malformed(
            "history.client",
            "client must be the key of a client.",
        ));
    };
    let position = members.remove("position").and_then(|position| position.as_i64());
    let position = position.ok_or_else(|| Refusal::malformed("history.position", "position must be a number."));
    let line = position.and_then(|position| {
        let ChainPart { records, head } = part(Json::Object(members), "history")?;
        Ok((position, records, head))
    });
    match line {
        Ok((position, records, head)) => Ok(ChainLine::History(HistoryLine {
            client,
            position,
            records,
            head,
        })),
        Err(refusal) => Err(refusal.of(&client)),
    }
}

/// Reads a line in any form.
pub(super) fn parsed_removed(removed: Json) -> Result<ChainLine, Refusal> {
    let Json::Object(mut members) = removed else {
        return Err(Refusal::malformed("removedClient", "removedClient must be an object."));
    };
    let Some(Json::String(encoded_key)) = members.remove("encodedKey") else {
        let message = "encodedKey must have 1 to 32 letters and digits.";
        return Err(Refusal::malformed("removedClient.encodedKey", message));
    };
    let history = members.remove("history").unwrap_or_default();
    if let Some(name) = members.keys().next() {
        return Err(unknown(&format!("removedClient.{name}")).of(&encoded_key));
    }
    match part(history, "removedClient.history") {
        Ok(history) => Ok(ChainLine::RemovedClient(RemovedLine { encoded_key, history })),
        Err(refusal) => Err(refusal.of(&encoded_key)),
    }
}

/// Reads the records of a line.
pub(super) fn part(json: Json, scope: &str) -> Result<ChainPart, Refusal> {
    let Json::Object(mut members) = json else {
        return Err(Refusal::malformed(
            scope,
            "history must be an object with a list of records.",
        ));
    };
    let Some(Json::Array(records)) = members.remove("records") else {
        return Err(Refusal::malformed(
            format!("{scope}.records"),
            "records must be a list.",
        ));
    };
    let head = match members.remove("head") {
        None | Some(Json::Null) => None,
        Some(Json::String(head)) => Some(head),
        Some(_) => return Err(Refusal::malformed(format!("{scope}.head"), "head must be a text.")),
    };
    if let Some(name) = members.keys().next() {
        return Err(unknown(&format!("{scope}.{name}")));
    }
    let records = records.into_iter().enumerate().map(|(index, record)| {
        serde_json::from_value(record).map_err(|_| {
            let message = "A member of the record is missing, doesn't exist or has a value of the wrong type: import \
                the file as it was exported.";
            Refusal::malformed(format!("{scope}.records.{index}"), message)
        })
    });
    Ok(ChainPart {
        records: records.collect::<Result<_, _>>()?,
        head,
    })
}

/// A chain whose further records must be on the next line.
struct Open {
    client_key: String,
    /// The number of the line with its last records.
    line: u64,
    /// The version on the client's line.
    version: Option<i64>,
    end: PartEnd,
}

/// The chain that the next line must continue, if there is one.
#[derive(Default)]
pub(super) struct OpenChain(Option<Open>);

impl OpenChain {
    /// Starts the chain of a client, after `end` was called for the chain before.
    pub fn start(&mut self, line: u64, client_key: &str, version: Option<i64>, part: &ChainPart) {
        self.set(line, client_key, version, part, None);
    }

    fn set(&mut self, line: u64, client_key: &str, version: Option<i64>, part: &ChainPart, after: Option<&PartEnd>) {
        let end = part.end(after).filter(|_| !part.is_last());
        self.0 = end.map(|end| Open {
            client_key: client_key.to_owned(),
            line,
            version,
            end,
        });
    }

    /// Continues the chain with a line. One that doesn't fit ends it.
    pub fn go_on(&mut self, number: u64, line: HistoryLine) -> Result<ImportedHistory, Refusal> {
        let HistoryLine {
            client,
            position,
            records,
            head,
        } = line;
        let open = self.0.take();
        let open = open.filter(|open| open.client_key == client && position.checked_sub(1) == Some(open.end.position));
        let Some(Open { version, end, .. }) = open else {
            let message = "The records don't continue those of the line before: import the file as it was exported.";
            return Err(Refusal::new(ProblemCode::Invalid, "history.position", message).of(&client));
        };
        let part = ChainPart { records, head };
        self.set(number, &client, version, &part, Some(&end));
        Ok(ImportedHistory {
            client_key: client,
            version,
            after: Some(end),
            part,
        })
    }

    /// Returns the line that should have been continued, and the reason to refuse the file.
    pub fn end(&mut self) -> Option<(u64, Refusal)> {
        let Open { client_key, line, .. } = self.0.take()?;
        let message = "The line with further records of this client is missing. Import the file as it was exported: a \
            client that is stored without them gets them.";
        Some((
            line,
            Refusal::new(ProblemCode::Invalid, "history", message).of(&client_key),
        ))
    }
}

/// The line about clients without records in the file.
pub(super) fn without_records(clients: u64) -> String {
    format!("clients stored whose records the file doesn't have: {clients}\n")
}

/// The line about records whose keys this program doesn't have.
pub(super) fn unverified(records: u64) -> String {
    format!(
        "records of the history that couldn't be verified, because their keys, or those of the records before, aren't \
         known here: {records}. To verify them, add the keys that sealed them to audit.previous_keys, and import into \
         an empty database\n"
    )
}

#[cfg(test)]
mod tests {
    use super::{ChainLine, MOST_RECORDS, read};

    #[test]
    fn records_of_a_line_are_limited() {
        let record = r#"{"at":"2026-01-31T09:30:00Z","caller":{"kind":"","id":"","name":""},"door":"","requestId":"",
            "action":"","contents":"","salt":"","digest":"","hmac":"","keyId":""}"#;
        for (count, is_read) in [(MOST_RECORDS, true), (MOST_RECORDS + 1, false)] {
            let records = vec![record; count].join(",");
            let line =
                format!(r#"{{"removedClient":{{"encodedKey":"k","history":{{"records":[{records}],"head":""}}}}}}"#);
            let found = read(&line).expect("a line of records");
            let lengths = found.map(|line| match line {
                ChainLine::RemovedClient(line) => line.history.records.len(),
                _ => 0,
            });
            match is_read {
                true => assert_eq!(lengths, Ok(count)),
                false => assert_eq!(
                    lengths.map_err(|refusal| refusal.message),
                    Err("The line has more than 100000 records: export again, to split them into lines.".to_owned())
                ),
            }
        }
    }
}
