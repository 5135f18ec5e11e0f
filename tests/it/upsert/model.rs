//! Random sequences of upserts through both APIs, by callers with random rights, compared with a small model of the
//! rules.
//!
//! Every run uses the same few sequences; `TEST_CASES=1000` generates that many new ones instead.

mod access;
mod generate;
mod rules;
mod wire;

use std::io::Write;

use proptest::{
    collection::vec,
    test_runner::{Config, RngSeed, TestCaseError, TestRunner},
};

use self::{generate::Step, rules::Model};
use crate::harness::{Backend, Settings, TestServer};

const CASES: u32 = 12;
const LONGEST: usize = 24;

/// Runs one sequence against a fresh server and model. Returns the numbers of accepted and refused submissions.
async fn run(backend: Backend, steps: &[Step]) -> Option<[usize; 2]> {
    let server = TestServer::start(backend, Settings::default()).await?;
    for (set, fields) in generate::sets() {
        server.define_set(set, fields).await.expect("the definitions are sound");
    }
    let mut model = Model::default();
    let mut counts = [0; 2];
    for step in steps {
        let (submission, door, access) = step.resolve(&model);
        let caller = server.as_caller(&access.rights());
        let before = server.snapshot().await;
        let answer = wire::submit(&caller, door, &submission).await;
        match model.judge(&submission, door, access) {
            Ok(mut verdict) => {
                wire::learn_keys(&mut model, &mut verdict.client, &answer, door, access);
                wire::assert_stored(&answer, door, &verdict, access);
                if verdict.unchanged {
                    assert_eq!(server.snapshot().await, before, "nothing changed, nothing is written");
                }
                model.store(verdict.client);
                counts[0] += 1;
            }
            Err(problems) => {
                wire::assert_refused(&answer, door, &problems);
                assert_eq!(server.snapshot().await, before, "a refusal must write nothing");
                counts[1] += 1;
            }
        }
    }
    wire::assert_all(&server, &model).await;
    crate::audit::assert_replayed(&server).await;
    server.stop().await;
    Some(counts)
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
        max_shrink_iters: 300,
        ..Config::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    let (done, cases) = (std::cell::Cell::new([0; 2]), config.cases);
    let outcome = TestRunner::new(config).run(&vec(Step::any(), 1..=LONGEST), |steps| {
        // On its own task, so that a failed assertion becomes a failed case, which proptest shrinks.
        let task = runtime.spawn(async move { run(backend, &steps).await });
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
        "model on {backend:?}: {cases} sequences, {stored} submissions stored, {refused} refused"
    );
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

mod random_upserts_follow_the_contract {
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
