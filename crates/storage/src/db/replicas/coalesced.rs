//! Asks a question once for all who wait for its answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use tokio::sync::broadcast;

/// A question of which at most one is in flight. Clones share it.
#[derive(Clone)]
pub(super) struct Coalesced<T> {
    question: Arc<dyn Fn() -> BoxFuture<'static, T> + Send + Sync>,
    state: Arc<Mutex<State<T>>>,
}

struct State<T> {
    /// Receives the answer to the next question.
    next: Option<broadcast::Sender<T>>,
    /// True while a task asks, and until it has no next question.
    is_asking: bool,
}

impl<T: Clone + Send + 'static> Coalesced<T> {
    /// `question` must have a time limit, because the next one waits for its end.
    pub fn new(question: impl Fn() -> BoxFuture<'static, T> + Send + Sync + 'static) -> Self {
        Self {
            question: Arc::new(question),
            state: Arc::new(Mutex::new(State {
                next: None,
                is_asking: false,
            })),
        }
    }

    /// The answer to a question that is asked after this call. None if the question panics.
    pub async fn ask(&self) -> Option<T> {
        let mut answer = {
            let mut state = self.state();
            let answer = state.next.get_or_insert_with(|| broadcast::Sender::new(1)).subscribe();
            if !std::mem::replace(&mut state.is_asking, true) {
                tokio::spawn(Asking(self.clone()).run());
            }
            answer
        };
        answer.recv().await.ok()
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that asks.
struct Asking<T: Clone + Send + 'static>(Coalesced<T>);

impl<T: Clone + Send + 'static> Asking<T> {
    async fn run(self) {
        loop {
            let next = {
                let mut state = self.0.state();
                let Some(next) = state.next.take() else {
                    state.is_asking = false;
                    return;
                };
                next
            };
            // Those who asked may all be gone.
            let _ = next.send((self.0.question)().await);
        }
    }
}

impl<T: Clone + Send + 'static> Drop for Asking<T> {
    /// After a panic, or when the runtime ends: no read must wait for an answer.
    fn drop(&mut self) {
        let mut state = self.0.state();
        if std::mem::replace(&mut state.is_asking, false) {
            state.next = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    };

    use futures_util::{FutureExt, future::join_all};
    use tokio::sync::Semaphore;

    use super::Coalesced;

    /// A question that waits for a permit, and whose answer is its number.
    fn numbered() -> (Coalesced<u32>, Arc<Semaphore>, Arc<AtomicU32>) {
        let (gate, asked) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicU32::new(0)));
        let (of_question, count) = (gate.clone(), asked.clone());
        let question = Coalesced::new(move || {
            let (gate, number) = (of_question.clone(), count.fetch_add(1, SeqCst) + 1);
            async move {
                gate.acquire().await.expect("it stays open").forget();
                number
            }
            .boxed()
        });
        (question, gate, asked)
    }

    #[tokio::test]
    async fn those_who_ask_during_a_question_share_the_next_one() {
        let (question, gate, asked) = numbered();
        let first = tokio::spawn({
            let question = question.clone();
            async move { question.ask().await }
        });
        while asked.load(SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // The question in flight may have been answered before these began: it is no answer for them.
        let mut later = Box::pin(join_all((0..100).map(|_| question.ask())));
        assert!((&mut later).now_or_never().is_none());
        gate.add_permits(1);
        assert_eq!(first.await.expect("no panic"), Some(1));
        gate.add_permits(1);
        assert_eq!(later.await, vec![Some(2); 100]);
        assert_eq!(asked.load(SeqCst), 2);
    }

    #[tokio::test]
    async fn a_question_is_asked_for_those_who_stay() {
        let (question, gate, asked) = numbered();
        assert!(question.ask().now_or_never().is_none());
        gate.add_permits(2);
        assert_eq!(question.ask().await, Some(1));
        assert_eq!(question.ask().await, Some(2));
        assert_eq!(asked.load(SeqCst), 2);
    }

    #[tokio::test]
    async fn a_panic_is_no_answer_and_the_next_question_is_asked() {
        let count = Arc::new(AtomicU32::new(0));
        let question = Coalesced::new(move || {
            let number = count.fetch_add(1, SeqCst);
            async move {
                assert!(number > 0, "a defect");
                number
            }
            .boxed()
        });
        assert_eq!(question.ask().await, None);
        assert_eq!(question.ask().await, Some(1));
    }
}
