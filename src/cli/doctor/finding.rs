//! A finding of a check, as a line of text or as JSON.

use serde::Serialize;

use super::super::Failure;
use super::link::{self, Link};
use crate::version;
use clientele_core::text::escaped;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Status {
    Ok,
    /// It works, and should be changed.
    Warning,
    /// The server doesn't start, or a part of it doesn't work.
    Problem,
    Skipped,
}

#[derive(Clone, Debug)]
pub(super) struct Finding {
    check: &'static str,
    pub status: Status,
    /// Sentences without a capital letter at their beginning.
    found: String,
    to_do: String,
    link: Link,
}

impl Finding {
    pub fn ok(check: &'static str, link: Link, found: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, link, found, "")
    }

    pub fn warning(check: &'static str, link: Link, found: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self::new(check, Status::Warning, link, found, to_do)
    }

    pub fn problem(check: &'static str, link: Link, found: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self::new(check, Status::Problem, link, found, to_do)
    }

    pub fn skipped(check: &'static str, link: Link, found: impl Into<String>) -> Self {
        Self::new(check, Status::Skipped, link, found, "")
    }

    pub fn defect(check: &'static str) -> Self {
        let found = "the check failed, which is a defect of this program.";
        Self::problem(
            check,
            link::DOCTOR,
            found,
            "Report it with the lines on standard error.",
        )
    }

    fn new(
        check: &'static str,
        status: Status,
        link: Link,
        found: impl Into<String>,
        to_do: impl Into<String>,
    ) -> Self {
        let mut found: String = found.into();
        if !found.ends_with('.') {
            found.push('.');
        }
        Self {
            check,
            status,
            found,
            to_do: to_do.into(),
            link,
        }
    }

    /// One line of printable characters.
    pub fn line(&self) -> String {
        let status = match self.status {
            Status::Ok => "OK",
            Status::Warning => "WARNING",
            Status::Problem => "PROBLEM",
            Status::Skipped => "SKIPPED",
        };
        let Self {
            check, found, to_do, ..
        } = self;
        let separator = if to_do.is_empty() { "" } else { " " };
        let text = escaped(&format!("{check}: {found}{separator}{to_do}")).into_owned();
        format!("{status:<8} {text} See {}\n", self.link.as_str())
    }
}

/// All findings as one JSON object.
pub(super) fn json(findings: &[Finding]) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct Report<'a> {
        version: &'a str,
        findings: Vec<Entry<'a>>,
    }
    #[derive(Serialize)]
    struct Entry<'a> {
        check: &'a str,
        status: Status,
        found: &'a str,
        #[serde(rename = "toDo", skip_serializing_if = "str::is_empty")]
        to_do: &'a str,
        documentation: &'a str,
    }
    let findings = findings.iter().map(|finding| Entry {
        check: finding.check,
        status: finding.status,
        found: &finding.found,
        to_do: &finding.to_do,
        documentation: finding.link.as_str(),
    });
    let report = Report {
        version: version::TEXT,
        findings: findings.collect(),
    };
    let json = serde_json::to_string_pretty(&report).map_err(Failure::internal)?;
    Ok(json + "\n")
}
