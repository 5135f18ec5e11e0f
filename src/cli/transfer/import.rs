//! Stores the clients of a file, many at a time.
//!
//! Another run skips the clients that are stored, so that an import that was stopped goes on where it ended.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value as Json;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::task::{JoinHandle, spawn_blocking};

use super::super::{Failure, print, store};
use super::history::{self, OpenChain};
use super::line::{Header, Line};
use super::lines::{LINES, Lines, Part};
use super::progress::Progress;
use super::refusal::Refusal;
use super::report::{References, Report, entry, not_kept};
use super::{FORMAT, VERSION};
use crate::services::Services;
use clientele_core::error::Error;
use clientele_core::problem::{Problem, ProblemCode};
use clientele_core::scalar::is_key;
use clientele_domain::caller::Caller;
use clientele_domain::custom_field::UpsertCustomFieldSet;
use clientele_domain::definitions::Definitions;
use clientele_domain::upsert::{
    CheckedClients, CheckedHistories, ImportRules, Imported, ImportedClient, ImportedHistory, ONLY_STORED,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct Source {
    /// The file to read; - is standard input.
    #[arg(value_name = "FILE|-")]
    pub(super) file: PathBuf,
    /// Write the lines that are refused to this file: number, code, path, message and the key or id of the client. By
    /// default they are written to standard error.
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Replace the report if it exists.
    #[arg(long)]
    pub(super) force: bool,
}

pub(super) async fn read(services: &Services, mut lines: Lines, report: &mut Report) -> Result<(), Failure> {
    let mut import = Import {
        services,
        report,
        operator: Caller::operator(),
        is_empty: false,
        number: 0,
        rules: None,
        waiting: Vec::new(),
        histories: Vec::new(),
        chain: OpenChain::default(),
        checking: None,
        stored: 0,
        known: 0,
        removed: 0,
        without_records: 0,
        unverified: 0,
        refused: HashSet::new(),
        references: References::default(),
        lost: 0,
        end: None,
    };
    import.is_empty = is_empty(services, &import.operator)
        .await
        .map_err(|error| import.stopped(&error))?;
    let (mut progress, mut bytes) = (Progress::new(), 0);
    while let Some(part) = import.next(&mut lines).await? {
        let part = part.map_err(|error| Failure::new(format!("can't read the file: {error}")))?;
        bytes += part.bytes as u64;
        for line in part.lines {
            import.line(line).await?;
        }
        import.go_on().await?;
        progress.show(import.stored + import.known, lines.total.map(|total| (bytes, total)));
    }
    drop(progress);
    import.store_all().await?;
    if import.end.is_some() {
        import.check_references().await?;
    }
    import.finish()
}

/// Returns true if no client is stored.
async fn is_empty(services: &Services, operator: &Caller) -> Result<bool, Error> {
    let mut snapshot = services.clients.snapshot(operator).await?;
    let is_empty = snapshot.is_empty().await?;
    snapshot.end().await?;
    Ok(is_empty)
}

/// A task that checks clients, with the numbers of their lines, and the audit records on the lines between.
type Checking = JoinHandle<(
    Vec<u64>,
    Result<CheckedClients, Error>,
    Vec<u64>,
    Result<CheckedHistories, Error>,
)>;

struct Import<'a> {
    services: &'a Services,
    report: &'a mut Report,
    operator: Caller,
    /// True if no client was stored before: then the file's definitions replace those of the same ids.
    is_empty: bool,
    /// The number of the line.
    number: u64,
    /// None before the first line.
    rules: Option<ImportRules>,
    /// The clients to store next, with the numbers of their lines.
    waiting: Vec<(u64, ImportedClient)>,
    /// The lines between them with audit records.
    histories: Vec<(u64, ImportedHistory)>,
    chain: OpenChain,
    /// The clients before them, which a task checks while those before are stored.
    checking: Option<Checking>,
    stored: u64,
    known: u64,
    /// The removed clients whose keys and records are stored.
    removed: u64,
    /// The clients that were stored, of a file with histories, without records of it.
    without_records: u64,
    /// The audit records that couldn't be verified.
    unverified: u64,
    /// The keys of refused clients whose records can come next.
    refused: HashSet<String>,
    references: References,
    /// The references that lead to no client.
    lost: u64,
    /// The numbers of clients and of removed clients that the last line states.
    end: Option<(u64, Option<u64>)>,
}

impl Import<'_> {
    /// Returns the next lines. While there are none yet, stores the clients before them.
    async fn next(&mut self, lines: &mut Lines) -> Result<Option<io::Result<Part>>, Failure> {
        match lines.read.try_recv() {
            Ok(part) => Ok(Some(part)),
            Err(TryRecvError::Disconnected) => Ok(None),
            Err(TryRecvError::Empty) => {
                self.store_all().await?;
                Ok(lines.read.recv().await)
            }
        }
    }

    async fn line(&mut self, line: Option<Result<Line, Refusal>>) -> Result<(), Failure> {
        self.number += 1;
        let Some(line) = line else { return Ok(()) };
        if self.rules.is_none() {
            return self.first(line);
        }
        if self.end.is_some() {
            let message = "The line is after the last one, which has the number of clients: import other files by \
                themselves.";
            let refusal = Refusal::new(ProblemCode::Invalid, "", message);
            return self.report.refuse(self.number, &[refusal]);
        }
        if !matches!(line, Ok(Line::History(_)))
            && let Some((number, refusal)) = self.chain.end()
        {
            self.report.refuse(number, &[refusal])?;
        }
        match line {
            Ok(Line::Client(client)) => {
                if let (Some(key), Some(part), Some(ImportRules::Stored)) = (client.key(), &client.history, self.rules)
                {
                    self.chain.start(self.number, key, Some(client.version()), part);
                }
                self.waiting.push((self.number, *client));
                Ok(())
            }
            Ok(Line::History(_) | Line::Removed(_)) if self.rules != Some(ImportRules::Stored) => {
                let refusal = Refusal::new(ProblemCode::Invalid, "", ONLY_STORED);
                self.report.refuse(self.number, &[refusal])
            }
            Ok(Line::History(line)) => match self.chain.go_on(self.number, line) {
                Ok(history) => {
                    self.histories.push((self.number, history));
                    Ok(())
                }
                Err(refusal) => self.report.refuse(self.number, &[refusal]),
            },
            Ok(Line::Removed(line)) => {
                self.chain.start(self.number, &line.encoded_key, None, &line.history);
                let history = ImportedHistory {
                    client_key: line.encoded_key,
                    version: None,
                    after: None,
                    part: line.history,
                };
                self.histories.push((self.number, history));
                Ok(())
            }
            Ok(Line::End { clients, removed }) => {
                self.end = Some((clients, removed));
                Ok(())
            }
            Ok(Line::Header(_)) => {
                let message = "Only the first line can name the format.";
                self.report
                    .refuse(self.number, &[Refusal::new(ProblemCode::Invalid, "format", message)])
            }
            Ok(definition) => {
                self.store_all().await?;
                self.define(definition).await
            }
            Err(refusal) => self.report.refuse(self.number, &[refusal]),
        }
    }

    /// The first line must name the format and a version that this program reads.
    fn first(&mut self, line: Result<Line, Refusal>) -> Result<(), Failure> {
        match line {
            Ok(Line::Header(Header {
                format,
                version,
                stored,
                fault,
            })) if format == FORMAT => {
                if version != VERSION {
                    return Err(Failure::new(format!(
                        "the file has version {version} of the format, and this program reads version {VERSION}: use \
                         the version of the program that wrote it"
                    )));
                }
                if let Some(sentence) = fault {
                    return Err(Failure::new(sentence));
                }
                self.rules = Some(if stored { ImportRules::Stored } else { ImportRules::New });
                Ok(())
            }
            _ => Err(Failure::new(format!(
                "the first line must be {{\"format\":\"{FORMAT}\",\"version\":{VERSION}}}: the file is not one that \
                 `clientele export` writes"
            ))),
        }
    }

    /// Stores a definition. In a database with clients, one that exists stays as it is.
    async fn define(&mut self, mut definition: Line) -> Result<(), Failure> {
        let (services, operator, now) = (self.services, &self.operator, store::now());
        let known = services
            .definitions
            .current()
            .await
            .map_err(|error| self.stopped(&error))?;
        let exists = match &mut definition {
            Line::Role(role) => known.roles.iter().any(|known| known.role_id == role.role_id),
            Line::DocumentTemplate(template) => {
                let mut ids = known.document_templates.iter().map(|known| &known.template_id);
                ids.any(|id| *id == template.template_id)
            }
            Line::Set(set) => {
                if !self.is_empty {
                    // Then it comes last, and no other set is moved.
                    set.set.position = None;
                }
                known.sets.iter().any(|known| known.set_id == set.set.set_id)
            }
            Line::Template(template) => known.template(&template.template_id).is_some(),
            _ => true,
        };
        if exists && !self.is_empty {
            return match &definition {
                Line::Set(set) if self.rules == Some(ImportRules::Stored) => self.compare(set, &known),
                _ => Ok(()),
            };
        }
        let fields = &services.custom_fields;
        let outcome = match &definition {
            Line::Role(role) => fields.upsert_role(operator, role, now).await,
            Line::DocumentTemplate(template) => fields.upsert_document_template(operator, template, now).await,
            Line::Set(set) => fields.upsert_set(operator, set, now).await,
            Line::Template(template) if self.rules == Some(ImportRules::Stored) => {
                services.templates.import(operator, template, now).await
            }
            Line::Template(template) => services.templates.upsert(operator, template, now).await,
            _ => return Ok(()),
        };
        let problems = match outcome.map_err(|error| self.stopped(&error))? {
            Ok(_) => return Ok(()),
            Err(problems) => problems,
        };
        self.refuse_definition(&reasons(&problems, None))
    }

    /// Compares a set with the stored one, whose fields get the values of an export unchecked: they must have the same
    /// form.
    fn compare(&mut self, sent: &UpsertCustomFieldSet, known: &Definitions) -> Result<(), Failure> {
        let stored = known.sets.iter().find(|set| set.set_id == sent.set.set_id);
        let usage = sent.set.usage.map(|usage| usage.as_str());
        let mut others = Vec::new();
        if stored.is_some_and(|stored| usage.is_some_and(|usage| usage != stored.usage)) {
            others.push(("customFieldSet.set.usage".to_owned(), "set", "usage"));
        }
        for (index, field) in sent.fields.value().into_iter().flatten().enumerate() {
            let Some(stored) = known.field(&field.field_id) else {
                continue;
            };
            if stored.set.set_id != sent.set.set_id {
                others.push((format!("customFieldSet.fields.{index}.fieldId"), "field", "set"));
            }
            if field.kind.is_some_and(|kind| kind != stored.kind) {
                others.push((format!("customFieldSet.fields.{index}.type"), "field", "type"));
            }
        }
        if others.is_empty() {
            return Ok(());
        }
        let refusal = |(path, what, member): (String, &str, &str)| {
            let message = format!("The stored {what} has another {member}: make both equal.");
            Refusal::new(ProblemCode::Invalid, path, message)
        };
        self.refuse_definition(&others.into_iter().map(refusal).collect::<Vec<_>>())
    }

    fn refuse_definition(&mut self, reasons: &[Refusal]) -> Result<(), Failure> {
        self.report.refuse(self.number, reasons)?;
        self.report.flush()?;
        Err(Failure::new(format!(
            "the definition on line {} is refused, so that its clients can't be stored",
            self.number
        )))
    }

    /// Begins to check the waiting clients, and stores those before them meanwhile.
    async fn go_on(&mut self) -> Result<(), Failure> {
        let (numbers, list): (Vec<u64>, Vec<ImportedClient>) = self.waiting.drain(..).unzip();
        let (lines, histories): (Vec<u64>, Vec<ImportedHistory>) = self.histories.drain(..).unzip();
        let next = (!list.is_empty() || !histories.is_empty()).then(|| {
            let (clients, operator) = (self.services.clients.clone(), self.operator.clone());
            let (rules, now) = (self.rules.unwrap_or(ImportRules::New), store::now());
            tokio::spawn(async move {
                let checked = clients.check_import(&operator, list, rules, now).await;
                let histories = clients.check_histories(&operator, histories, now).await;
                (numbers, checked, lines, histories)
            })
        });
        match std::mem::replace(&mut self.checking, next) {
            Some(checking) => self.store(checking).await,
            None => Ok(()),
        }
    }

    /// Stores the waiting clients, and those before them.
    async fn store_all(&mut self) -> Result<(), Failure> {
        self.go_on().await?;
        self.go_on().await
    }

    async fn store(&mut self, checking: Checking) -> Result<(), Failure> {
        let (numbers, checked, lines, histories) = checking.await.map_err(Failure::internal)?;
        let checked = checked.map_err(|error| self.stopped(&error))?;
        let imported = self.services.clients.import(&self.operator, &checked).await;
        let imported = imported.map_err(|error| self.stopped(&error))?;
        let last = checked.list().last().map(|last| last.key().map(str::to_owned));
        let list = numbers.iter().zip(checked.list()).zip(imported).enumerate();
        for (index, ((number, client), imported)) in list {
            let id = client
                .key()
                .or(client.input.client.client_id.value().map(String::as_str));
            match imported {
                Imported::Stored => {
                    self.stored += 1;
                    let has_records = checked.has_records(index);
                    self.without_records += u64::from(self.rules == Some(ImportRules::Stored) && !has_records);
                }
                Imported::Known => self.known += 1,
                Imported::Refused(problems) => {
                    self.refused.extend(client.key().map(str::to_owned));
                    self.report.refuse(*number, &reasons(&problems, id))?;
                    continue;
                }
            }
            self.unverified += checked.unverified(index);
            for (key, problem) in checked.references(client) {
                let entry = entry(*number, &reason(&problem, id));
                self.references.keep(key, &entry).map_err(not_kept)?;
            }
        }
        // The next clients needn't wait for this memory to be free.
        spawn_blocking(move || drop(checked));
        self.store_histories(&lines, histories).await?;
        // Only records of the last client can come next.
        if let Some(last) = last {
            self.refused.retain(|key| last.as_ref() == Some(key));
        }
        self.report.flush()
    }

    /// Stores audit records whose clients are stored.
    async fn store_histories(
        &mut self,
        lines: &[u64],
        checked: Result<CheckedHistories, Error>,
    ) -> Result<(), Failure> {
        let checked = checked.map_err(|error| self.stopped(&error))?;
        let clients = &self.services.clients;
        let imported = clients.import_histories(&self.operator, &checked, &self.refused).await;
        let imported = imported.map_err(|error| self.stopped(&error))?;
        for ((number, (line, unverified)), imported) in lines.iter().zip(checked.list()).zip(imported) {
            match imported {
                Imported::Refused(problems) => {
                    let id = Some(line.client_key.as_str()).filter(|key| is_key(key));
                    self.report.refuse(*number, &reasons(&problems, id))?;
                    continue;
                }
                Imported::Stored => {
                    self.without_records += u64::from(line.is_removed() && line.part.records.is_empty());
                }
                Imported::Known => {}
            }
            self.unverified += unverified;
            self.removed += u64::from(line.is_removed());
        }
        Ok(())
    }

    /// Reports the references that lead to no client.
    async fn check_references(&mut self) -> Result<(), Failure> {
        let Some(mut lines) = self.references.lines().map_err(not_kept)? else {
            return Ok(());
        };
        loop {
            let lines: io::Result<Vec<String>> = lines.by_ref().take(LINES).collect();
            let lines = lines.map_err(not_kept)?;
            if lines.is_empty() {
                return self.report.flush();
            }
            let kept: Result<Vec<(String, Json)>, _> = lines.iter().map(|line| serde_json::from_str(line)).collect();
            let kept = kept.map_err(Failure::internal)?;
            let keys = kept.iter().map(|(key, _)| key.as_str()).collect();
            let stored = self.services.clients.stored_keys(&self.operator, keys).await;
            let stored = stored.map_err(|error| self.stopped(&error))?;
            for (_, entry) in kept.iter().filter(|(key, _)| !stored.contains(key)) {
                self.lost += 1;
                self.report.write(entry)?;
            }
        }
    }

    fn stopped(&self, error: &Error) -> Failure {
        Failure::new(format!(
            "the import stopped: {}; {}. Run it again: clients that are stored are skipped",
            error.kind(),
            self.summary()
        ))
    }

    fn summary(&self) -> String {
        format!(
            "clients stored: {}; stored before: {}; lines refused: {}",
            self.stored, self.known, self.report.refused
        )
    }

    fn finish(self) -> Result<(), Failure> {
        print(&format!("{}\n", self.summary()))?;
        if self.without_records > 0 {
            print(&history::without_records(self.without_records))?;
        }
        if self.unverified > 0 {
            print(&history::unverified(self.unverified))?;
        }
        if self.rules.is_none() {
            return Err(Failure::new("the file is empty"));
        }
        match self.end {
            None => Err(Failure::new(
                "the file has no last line with the number of clients: it was cut off, or is still being written",
            )),
            Some(_) if self.report.refused > 0 => {
                let lines = self.report.refused;
                let sentence = format!("lines that were refused: {lines}. Correct them and run the import again");
                Err(Failure::new(sentence))
            }
            Some(_) if self.lost > 0 => Err(Failure::new(format!(
                "references that lead to no client: {}. Import these clients too, or correct the references",
                self.lost
            ))),
            Some((clients, _)) if clients != self.stored + self.known => Err(Failure::new(format!(
                "the last line states {clients} clients, and the file has {}",
                self.stored + self.known
            ))),
            Some((_, Some(removed))) if removed != self.removed => Err(Failure::new(format!(
                "the last line states {removed} removed clients, and the file has {}",
                self.removed
            ))),
            Some(_) => Ok(()),
        }
    }
}

fn reasons(problems: &[Problem], id: Option<&str>) -> Vec<Refusal> {
    problems.iter().map(|problem| reason(problem, id)).collect()
}

fn reason(problem: &Problem, id: Option<&str>) -> Refusal {
    let path: Vec<String> = problem.path.iter().map(ToString::to_string).collect();
    Refusal {
        id: id.map(str::to_owned),
        ..Refusal::new(problem.code, path.join("."), problem.message.to_string())
    }
}
