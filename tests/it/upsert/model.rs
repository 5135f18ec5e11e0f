//! Random sequences of requests on clients through both APIs, by callers with random rights, compared with a small
//! model of the rules: upserts, lists of them, PATCH, single values, states, removals, and changes of definitions.
//!
//! Every run uses the same few sequences; `TEST_CASES=1000` generates that many new ones instead.

mod access;
mod answers;
mod definitions;
mod generate;
mod rules;
mod wire;

use std::{io::Write, panic::AssertUnwindSafe};

use clientele::{client::ClientSettings, enums::ClientState};
use futures_util::FutureExt;
use proptest::{
    collection::vec,
    test_runner::{Config, RngSeed, TestCaseError, TestRunner},
};
use serde_json::{Value, json};

use self::{
    access::Access,
    definitions::{Change, Definitions},
    generate::{Removal, Request, Step, Submission, Target, Way},
    rules::Model,
};
use crate::{
    audit::{KeptVersions, assert_replayed},
    harness::{Backend, Settings, TestServer},
};

const CASES: u32 = 16;
const LONGEST: usize = 30;

/// The numbers of accepted and refused submissions.
type Counts = [usize; 2];

/// A sequence that is under way.
struct Run {
    server: TestServer,
    model: Model,
    versions: KeptVersions,
    counts: Counts,
}

impl Run {
    async fn sequence(&mut self, steps: &[Step]) {
        self.model.definitions.define(&self.server).await;
        for step in steps {
            self.step(step).await;
            self.versions.keep(&self.server).await;
        }
        answers::assert_all(&self.server, &mut self.model).await;
        assert_replayed(&self.server).await;
        self.versions.assert_found(&self.server).await;
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::One(request) => self.one(request).await,
            Step::Many(requests, access, validate_only) => self.many(requests, *access, *validate_only).await,
            Step::Define(change) => self.define(*change).await,
            Step::Remove(target, how, access) => self.remove(target, *how, *access).await,
        }
    }

    async fn one(&mut self, request: &Request) {
        let sent = request.resolve(&self.model);
        let caller = self.server.as_caller(&sent.access.rights());
        let before = self.server.snapshot().await;
        let answer = wire::submit(&caller, &self.model, &sent).await;
        let mut verdict = match self.model.judge(&sent) {
            Ok(verdict) => verdict,
            Err(problems) if sent.way.is_rest() => {
                answers::assert_refused(&answer, &problems, &sent);
                return self.refused(before).await;
            }
            Err(problems) => {
                if !answers::is_forbidden(&answer, &problems) {
                    let result = payload(&answer.body);
                    answers::assert_user_errors(&result["userErrors"], &problems, &[], &sent);
                }
                return self.refused(before).await;
            }
        };
        let is_unchanged = verdict.unchanged || sent.validate_only;
        match sent.way {
            Way::Post => {
                answers::learn(&mut self.model, &mut verdict.client, &answer.body, true);
                answers::assert_posted(&answer, &verdict, &sent, &self.model);
            }
            Way::Upsert => {
                let result = payload(&answer.body);
                if !sent.validate_only {
                    answers::learn(&mut self.model, &mut verdict.client, &result["client"], false);
                }
                answers::assert_result(result, &verdict, &sent, &self.model);
            }
            Way::State => answers::assert_user_errors(&payload(&answer.body)["userErrors"], &[], &[], &sent),
            Way::Patch | Way::PatchValue | Way::PatchValues | Way::DeleteValue => {
                let success = json!({ "returnCode": 0, "returnStatus": "SUCCESS" });
                assert!(
                    answer.status == 200 && answer.body == success,
                    "{sent:#?}\n{}",
                    answer.text
                );
            }
        }
        if is_unchanged {
            assert_eq!(self.server.snapshot().await, before, "{sent:#?}\nit must write nothing");
        }
        if !sent.validate_only {
            if !matches!(sent.way, Way::Post | Way::Upsert) {
                let is_rest = self.counts[0].is_multiple_of(2);
                answers::assert_read(&self.server, &mut self.model, &mut verdict.client, is_rest).await;
            }
            self.model.store(verdict.client);
        }
        self.counts[0] += 1;
    }

    async fn refused(&mut self, before: crate::harness::Snapshot) {
        assert_eq!(self.server.snapshot().await, before, "a refusal must write nothing");
        self.counts[1] += 1;
    }

    /// Each client of a list sees what earlier ones have stored.
    async fn many(&mut self, requests: &[Request], access: Access, validate_only: bool) {
        let resolve = |request: &Request| request.by(access).resolve(&self.model);
        let mut all: Vec<Submission> = requests.iter().map(resolve).collect();
        let before = self.server.snapshot().await;
        let caller = self.server.as_caller(&access.rights());
        let answer = wire::submit_many(&caller, &self.model, &all, validate_only).await;
        if !access.may_try(Way::Upsert) {
            let code = &answer.body["errors"][0]["extensions"]["code"];
            assert!(code == "FORBIDDEN", "{}", answer.text);
            return self.refused(before).await;
        }
        let payload = payload(&answer.body);
        assert_eq!(payload["userErrors"], json!([]), "{}", answer.text);
        let results = payload["results"].as_array().cloned().unwrap_or_default();
        assert_eq!(results.len(), all.len(), "{}", answer.text);
        let mut is_unchanged = true;
        for (index, (sent, result)) in all.iter_mut().zip(&results).enumerate() {
            sent.validate_only |= validate_only;
            match self.model.judge(sent) {
                Ok(mut verdict) => {
                    if !sent.validate_only {
                        answers::learn(&mut self.model, &mut verdict.client, &result["client"], false);
                    }
                    answers::assert_result(result, &verdict, sent, &self.model);
                    if !sent.validate_only {
                        is_unchanged &= verdict.unchanged;
                        self.model.store(verdict.client);
                    }
                    self.counts[0] += 1;
                }
                Err(problems) => {
                    let steps = ["clients".to_owned(), index.to_string()];
                    answers::assert_user_errors(&result["userErrors"], &problems, &steps, sent);
                    assert!(result["client"].is_null() && result["created"] == false, "{result:#}");
                    self.counts[1] += 1;
                }
            }
        }
        if is_unchanged {
            assert_eq!(self.server.snapshot().await, before, "it must write nothing");
        }
    }

    async fn define(&mut self, change: Change) {
        let before = self.server.snapshot().await;
        self.model.definitions.change(change);
        let effect = self.model.effect(change);
        let definitions = &self.model.definitions;
        match change {
            Change::State(field)
            | Change::Option(field, _)
            | Change::Required(field)
            | Change::Unique(field)
            | Change::Length(field) => {
                let set = definitions::SETS[definitions::set_of(field)];
                let payload = definitions.define_set(&self.server, set).await;
                answers::assert_effect(&self.server, &payload, effect.as_ref());
            }
            Change::Template(_) => {
                for template in &definitions.templates {
                    crate::harness::graphql::define_document_template(&self.server, template.input()).await;
                }
            }
            Change::Addresses(role) | Change::Documents(role) => {
                let role = definitions.role(role).expect("a role of the model");
                crate::harness::graphql::define_role(&self.server, role.input()).await;
            }
        }
        if effect.is_some_and(|effect| effect.is_refused) {
            self.model.definitions.change(change);
            self.refused(before).await;
        }
    }

    async fn remove(&mut self, target: &Target, how: Removal, access: Access) {
        let name = target.name(how, &self.model);
        let before = self.server.snapshot().await;
        let answer = wire::remove(&self.server.as_caller(&access.rights()), &name, how).await;
        match self.model.remove(&name, how, access) {
            Ok(()) => {
                match how {
                    Removal::Rest => assert_eq!(answer.status, 200, "{}", answer.text),
                    _ => assert_eq!(payload(&answer.body)["userErrors"], json!([]), "{}", answer.text),
                }
                self.counts[0] += 1;
            }
            Err(problem) => {
                let problems = [problem];
                if how == Removal::Rest {
                    answers::assert_refused(&answer, &problems, &name);
                } else if !answers::is_forbidden(&answer, &problems) {
                    answers::assert_user_errors(&payload(&answer.body)["userErrors"], &problems, &[], &name);
                }
                self.refused(before).await;
            }
        }
    }
}

/// The payload of a document with one mutation.
fn payload(body: &Value) -> &Value {
    let payload = body["data"].as_object().and_then(|data| data.values().next());
    payload.unwrap_or_else(|| panic!("a payload: {body:#}"))
}

/// Runs one sequence against a fresh server and model.
async fn run(backend: Backend, definitions: Definitions, steps: &[Step]) -> Option<Counts> {
    let clients = ClientSettings {
        first_state: ClientState::parse(definitions.first_state).expect("a state"),
        other_id_documents: definitions.other_documents,
        ..ClientSettings::default()
    };
    let settings = Settings {
        clients,
        ..Settings::default()
    };
    let server = TestServer::start(backend, settings).await?;
    let mut run = Run {
        server,
        model: Model::new(definitions),
        versions: KeptVersions::default(),
        counts: [0; 2],
    };
    // A failed case is shrunk in many runs: none may keep its connections.
    let outcome = AssertUnwindSafe(run.sequence(steps)).catch_unwind().await;
    run.server.stop().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
    Some(run.counts)
}

/// Runs the property on one database, and reports the number of tries.
fn property(backend: Backend) {
    let cases = std::env::var("TEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(CASES),
        rng_seed: if cases.is_some() {
            RngSeed::Random
        } else {
            RngSeed::Fixed(2)
        },
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let (done, cases) = (std::cell::Cell::new([0; 2]), config.cases);
    let sequences = (Definitions::any(), vec(Step::any(), 1..=LONGEST));
    let outcome = TestRunner::new(config).run(&sequences, |(definitions, steps)| {
        // On its own task, so that a failed assertion becomes a failed case, which proptest shrinks.
        let task = runtime.spawn(async move { run(backend, definitions, &steps).await });
        match runtime.block_on(task) {
            Ok(counts) => {
                let ([a, b], [c, d]) = (done.get(), counts.unwrap_or_default());
                done.set([a + c, b + d]);
                Ok(())
            }
            Err(failure) => Err(TestCaseError::fail(match failure.into_panic().downcast::<String>() {
                Ok(message) => *message,
                Err(_) => "the case panicked".to_owned(),
            })),
        }
    });
    let [stored, refused] = done.get();
    let _ = writeln!(
        std::io::stderr(),
        "model on {backend:?}: {cases} sequences, {stored} requests carried out, {refused} refused"
    );
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

mod random_requests_follow_the_contract {
    use super::{Backend, property};

    #[test]
    fn sqlite() {
        property(Backend::Sqlite);
    }

    #[test]
    fn postgres() {
        property(Backend::Postgres);
    }
}
