//! Filters a list of audit records. A condition with an index leads the search, the other conditions are checked on its
//! rows. A filter is refused when the check could cover all records.

use chrono::TimeDelta;

use crate::{
    audit::{Action, Chain, Subject},
    caller::{Api, CallerKind},
    client_by::ClientBy,
};
use clientele_core::{
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::{
    db::Dialect,
    paging::{Conditions, DateTimeRange},
};

/// Limit of the time range that is scanned without an index.
const LONGEST: TimeDelta = TimeDelta::days(31);

/// Narrows a list of records. All members that are given must match.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    pub client: Option<ClientBy>,
    pub subject: Option<Subject>,
    pub subject_key: Option<String>,
    pub caller_kind: Option<CallerKind>,
    pub caller_id: Option<String>,
    pub action: Option<Action>,
    pub api: Option<Api>,
    pub at: Option<DateTimeRange>,
}

/// The condition that an index serves; the other conditions are checked on the rows found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lead {
    Chain,
    /// A few kinds of actions that are rare.
    Action,
    Caller,
    Time,
}

impl AuditFilter {
    pub(super) fn conditions(&self, dialect: Dialect) -> Conditions {
        let Self {
            client,
            subject,
            subject_key,
            caller_kind,
            caller_id,
            action,
            api,
            at,
        } = self;
        let lead = self.lead();
        let mut conditions = Conditions::new(dialect);
        if let Some(by) = client {
            conditions.text(Some(by.name()), |name| format!("a.chain = {}", by.key(name)));
        }
        self.chain_of_subject(&mut conditions);
        let mut exactly = |column: &str, text: Option<&str>| {
            if let Some(text) = text {
                let text = conditions.bind(text);
                conditions.push(format!("{} = {text}", dialect.unindexed(column)));
            }
        };
        exactly("a.subject", subject.map(Subject::as_str));
        exactly("a.caller_kind", caller_kind.map(CallerKind::as_str));
        exactly("a.action", action.filter(|_| lead != Lead::Action).map(Action::as_str));
        exactly("a.door", api.map(Api::as_str));
        conditions.text(subject_key.as_ref(), |key| {
            format!("{} = {key}", dialect.unindexed("a.subject_key"))
        });
        if let (Lead::Action, Some(action)) = (lead, action) {
            // Literal, not bound: the index has some values only, and the database must know that it applies.
            conditions.push(format!("a.action = '{}'", action.as_str()));
        }
        let caller = match lead {
            Lead::Caller => "a.caller_id".to_owned(),
            Lead::Chain | Lead::Action | Lead::Time => dialect.unindexed("a.caller_id"),
        };
        conditions.text(caller_id.as_ref(), |id| format!("{caller} = {id}"));
        let time = match lead {
            Lead::Chain => dialect.unindexed("a.recorded_at"),
            Lead::Action | Lead::Caller | Lead::Time => "a.recorded_at".to_owned(),
        };
        conditions.range(&time, *at);
        conditions
    }

    /// Adds the chain of the subject's records.
    fn chain_of_subject(&self, conditions: &mut Conditions) {
        let [definitions, users] = Chain::SHARED.map(Chain::name);
        let shared = match self.subject {
            Some(Subject::Client) => {
                return conditions.text(self.subject_key.as_ref(), |key| format!("a.chain = {key}"));
            }
            Some(Subject::CustomFieldSet | Subject::ClientRole | Subject::MessageTemplate) => Chain::Definitions,
            Some(Subject::User | Subject::Token) => Chain::Users,
            Some(Subject::History) => {
                return conditions.push(format!("a.chain IN ('{definitions}', '{users}')"));
            }
            None => {
                return conditions.text(self.subject_key.as_ref(), |key| {
                    format!("a.chain IN ({key}, '{definitions}', '{users}')")
                });
            }
        };
        conditions.push(format!("a.chain = '{}'", shared.name()));
    }

    fn lead(&self) -> Lead {
        let of_shared = self.subject.is_some_and(|subject| subject != Subject::Client);
        if self.client.is_some() || self.subject_key.is_some() || of_shared {
            Lead::Chain
        } else if self.action.is_some_and(is_rare) {
            Lead::Action
        } else if self.caller_id.is_some() {
            Lead::Caller
        } else {
            Lead::Time
        }
    }

    /// Returns a problem for a filter that could scan the whole audit log without a match. Most records are of clients;
    /// the shares of callers and APIs differ from bank to bank.
    pub(super) fn too_wide(&self) -> Option<Problem> {
        let walked = matches!(self.lead(), Lead::Caller | Lead::Time);
        let sifted = self.action.is_some() || self.api.is_some() || self.caller_kind.is_some();
        let lasts = self
            .at
            .and_then(|DateTimeRange { from, until }| Some(until?.0 - from?.0));
        if !walked || !sifted || lasts.is_some_and(|lasts| lasts <= LONGEST) {
            return None;
        }
        let message = format!(
            "action, door and callerKind are looked for record by record: give with them `at` with `from` and `until`, at \
             most {} days apart, or a client, a subjectKey or a subject other than CLIENT. The actions DELETED and ERASED \
             need nothing else.",
            LONGEST.num_days()
        );
        Some(Problem::new(ProblemCode::Invalid, path!["filter"], message))
    }
}

/// Must match the condition of the index.
fn is_rare(action: Action) -> bool {
    match action {
        Action::Deleted | Action::Erased => true,
        Action::Created | Action::Changed => false,
    }
}
