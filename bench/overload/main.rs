//! Measures a server at ten times its capacity: `cargo bench --bench overload [-- SECONDS [ARGUMENT…]]`, with the
//! seconds of one measurement and the server's arguments.
//!
//! A separate process serves pages of invented clients from SQLite on one core. The callers use another core and never
//! sleep, so that neither their work nor waking them takes CPU time from the server. First, increasing numbers of
//! callers send requests without a pause, to find the number with the most pages per second. Then two loads run in
//! turns, so that a temporary slowdown of the machine affects both. The first load is those callers, whose rate is the
//! peak. The second is ten times as many requests per second on a thousand connections, regardless of unanswered
//! earlier ones; the run fails when they can't be sent. Before these turns, a thousand requests are sent at once, which
//! must all be answered. Each time counts from when the request was due, and every answer is awaited. Last, ten
//! thousand idle connections: the cost of each, and the response time of a query meanwhile.
//!
//! Targets: goodput of at least 0.80 of the peak, as the median of the turns, and every refusal within 100 ms. The
//! results are printed and have no other effect. An answer with errors, a status other than 200 and 503, or a closed
//! connection ends the run. Needs two cores, taskset, and 12,000 open files for each process (ulimit -n).

mod caller;
mod resting;
mod server;

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use self::{
    caller::{Caller, Outcome},
    server::Server,
};

/// The numbers of callers to try for the peak.
const CALLERS: [usize; 5] = [4, 8, 16, 32, 64];
/// An odd number of turns has a median.
const TURNS: usize = 7;
const WANTED_GOODPUT: f64 = 0.8;
const WANTED_REFUSAL: Duration = Duration::from_millis(100);
const TIMES: f64 = 10.0;
const CONNECTIONS: usize = 1_000;
/// The time until the queue is recognised as a standing one: before that, all requests wait, as in a burst.
const SETTLE: Duration = Duration::from_secs(3);
/// The wait for the last answers.
const PATIENCE: Duration = Duration::from_secs(10);
const PAGE: &str = "{clients(first:50){nodes{id,clientId,state,firstName,lastName,emailAddress,addresses{line1,city},\
                    idDocuments{documentType,documentId},customInformation{value,field{name}}}}}";

type Shared = Rc<RefCell<Outcome>>;

async fn callers(server: &Server, count: usize, document: &str, outcome: &Shared) -> Vec<Caller> {
    let mut callers = Vec::with_capacity(count);
    for _ in 0..count {
        callers.push(Caller::connect(&server.address, document, outcome).await);
    }
    callers
}

fn valid(outcome: &Shared) {
    if let Some(failure) = &outcome.borrow().failure {
        panic!("{failure}");
    }
}

/// The result of a closed loop.
struct Rate {
    /// Pages per second.
    pages: f64,
    /// CPU time of the server per page.
    cost: Duration,
}

/// CPU time of both sides during a measurement.
struct Spent {
    server: Duration,
    callers: Duration,
}

impl Spent {
    fn so_far(server: &Server) -> Self {
        Self {
            server: server.cpu(),
            callers: server::cpu(std::process::id()),
        }
    }

    fn since(&self, server: &Server) -> Self {
        let now = Self::so_far(server);
        Self {
            server: now.server - self.server,
            callers: now.callers - self.callers,
        }
    }
}

/// Runs `count` callers that repeat the request as soon as it is answered.
async fn closed_loop(server: &Server, count: usize, time: Duration) -> Rate {
    let outcome = Shared::default();
    let callers = callers(server, count, PAGE, &outcome).await;
    let before = Spent::so_far(server);
    let start = Instant::now();
    while start.elapsed() < time {
        for caller in callers.iter().filter(|caller| caller.waits() == 0) {
            caller.send(Instant::now());
        }
        tokio::task::yield_now().await;
        valid(&outcome);
    }
    let (answered, refused) = (outcome.borrow().answered.len(), outcome.borrow().refused.len());
    assert_eq!(refused, 0, "{count} callers are served");
    Rate {
        pages: answered as f64 / start.elapsed().as_secs_f64(),
        cost: before.since(server).server / u32::try_from(answered).unwrap_or(u32::MAX).max(1),
    }
}

/// The number of callers with the most pages per second.
async fn best(server: &Server, time: Duration) -> usize {
    let mut best = (0.0, 0);
    for count in CALLERS {
        let rate = closed_loop(server, count, time).await;
        println!(
            "{count:4} callers {:8.0} pages/s, {:.0?} of the server each",
            rate.pages, rate.cost
        );
        if rate.pages > best.0 {
            best = (rate.pages, count);
        }
    }
    best.1
}

/// The result of a fixed request rate.
struct Offered {
    sent: usize,
    /// Requests for which no connection was idle.
    unsent: usize,
    /// Pages answered during the load.
    in_time: usize,
    /// CPU time during the load.
    spent: Spent,
    outcome: Outcome,
}

/// Sends `rate` requests per second for `time`, each on an idle connection, and waits for the last answer. The same
/// rate is sent for [`SETTLE`] before, without being measured.
async fn offer(server: &Server, rate: f64, time: Duration) -> Offered {
    let outcome = Shared::default();
    let callers = callers(server, CONNECTIONS, PAGE, &outcome).await;
    let (mut sent, mut unsent, mut turn) = (0, 0, 0);
    let (mut start, mut is_settled) = (Instant::now(), false);
    let mut before = Spent::so_far(server);
    while !is_settled || start.elapsed() < time {
        tokio::task::yield_now().await;
        valid(&outcome);
        if !is_settled && start.elapsed() >= SETTLE {
            (sent, unsent, is_settled) = (0, 0, true);
            outcome.take();
            before = Spent::so_far(server);
            start = Instant::now();
        }
        let due = (start.elapsed().as_secs_f64() * rate) as usize;
        while sent + unsent < due {
            let when = start + Duration::from_secs_f64((sent + unsent) as f64 / rate);
            let free = (turn..turn + CONNECTIONS).find(|turn| callers[turn % CONNECTIONS].waits() == 0);
            match free {
                Some(free) if callers[free % CONNECTIONS].send(when) => {
                    sent += 1;
                    turn = free % CONNECTIONS + 1;
                }
                _ => unsent += 1,
            }
        }
    }
    let in_time = outcome.borrow().answered.len();
    let spent = before.since(server);
    while callers.iter().any(|caller| caller.waits() > 0) {
        assert!(start.elapsed() < time + PATIENCE, "a request has no answer");
        tokio::task::yield_now().await;
        valid(&outcome);
    }
    Offered {
        sent,
        unsent,
        in_time,
        spent,
        outcome: outcome.take(),
    }
}

/// Sends one request on each of many connections at once.
async fn burst(server: &Server) {
    let outcome = Shared::default();
    let callers = callers(server, CONNECTIONS, PAGE, &outcome).await;
    let start = Instant::now();
    for caller in &callers {
        assert!(caller.send(Instant::now()), "the connection takes a request");
    }
    while callers.iter().any(|caller| caller.waits() > 0) {
        assert!(start.elapsed() < PATIENCE, "a request has no answer");
        tokio::task::yield_now().await;
        valid(&outcome);
    }
    let Outcome {
        mut answered, refused, ..
    } = outcome.take();
    println!("burst       {}", times(&mut answered));
    println!(
        "            {:8} refused: {}",
        refused.len(),
        verdict(refused.is_empty())
    );
}

/// One turn of the two loads.
struct Turn {
    peak: Rate,
    /// Pages per second at ten times the peak rate.
    goodput: f64,
    /// The cost of a refusal, in pages.
    refusal: f64,
    outcome: Outcome,
}

async fn turn(server: &Server, callers: usize, time: Duration) -> Turn {
    let peak = closed_loop(server, callers, time).await;
    let Offered {
        sent,
        unsent,
        in_time,
        spent,
        outcome,
    } = offer(server, peak.pages * TIMES, time).await;
    let seconds = time.as_secs_f64();
    let (offered, goodput) = (sent as f64 / seconds, in_time as f64 / seconds);
    assert!(offered / peak.pages > TIMES * 0.9, "the callers were too slow to tell");
    // CPU time not spent on pages is spent on refusals.
    let pages = peak.cost.as_secs_f64() * outcome.answered.len() as f64;
    let each = (spent.server.as_secs_f64() - pages).max(0.0) / outcome.refused.len().max(1) as f64;
    let refusal = each / peak.cost.as_secs_f64();
    println!(
        "overload    {goodput:8.0} pages/s of {offered:.0} requests/s, {:.2} of the peak {:.0}; {unsent} found no \
         connection; {:.2} cores of the server, {:.2} of the callers; a refusal costs {refusal:.3} of a page",
        goodput / peak.pages,
        peak.pages,
        spent.server.as_secs_f64() / seconds,
        spent.callers.as_secs_f64() / seconds,
    );
    Turn {
        peak,
        goodput,
        refusal,
        outcome,
    }
}

async fn overload(server: &Server, callers: usize, time: Duration) {
    let mut turns = Vec::with_capacity(TURNS);
    for _ in 0..TURNS {
        turns.push(turn(server, callers, time).await);
    }
    let ratio = median(turns.iter().map(|turn| turn.goodput / turn.peak.pages));
    let met = verdict(ratio >= WANTED_GOODPUT);
    println!("goodput     {ratio:8.2} of the peak: {met}");
    let refusal = median(turns.iter().map(|turn| turn.refusal));
    println!("refusal     {refusal:8.3} of a page");
    let (mut answered, mut refused) = (Vec::new(), Vec::new());
    for turn in turns {
        answered.extend(turn.outcome.answered);
        refused.extend(turn.outcome.refused);
    }
    println!("answered    {}", times(&mut answered));
    println!("refused     {}", times(&mut refused));
    let in_time = refused.iter().filter(|&&time| time <= WANTED_REFUSAL).count();
    println!(
        "            {:8.4} of them within {WANTED_REFUSAL:?}: {}",
        in_time as f64 / refused.len().max(1) as f64,
        verdict(in_time == refused.len())
    );
    println!("memory      {:8} KiB at most", server.peak_memory());
}

fn median(of: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = of.collect();
    all.sort_unstable_by(f64::total_cmp);
    all[all.len() / 2]
}

const fn verdict(met: bool) -> &'static str {
    if met { "as wanted" } else { "NOT AS WANTED" }
}

fn times(all: &mut [Duration]) -> String {
    all.sort_unstable();
    let at = |part: f64| all.get((all.len() as f64 * part) as usize).copied().unwrap_or_default();
    let most = all.last().copied().unwrap_or_default();
    format!(
        "{:8}, half within {:.1?}, 99 % within {:.1?}, all within {most:.1?}",
        all.len(),
        at(0.5),
        at(0.99)
    )
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Cargo adds the first argument itself.
    let mut arguments: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let seconds = (!arguments.is_empty()).then(|| arguments.remove(0).parse().expect("SECONDS"));
    let time = Duration::from_secs(seconds.unwrap_or(3));
    let all = async {
        server::keep_off();
        let server = Server::start(&arguments);
        closed_loop(&server, CALLERS[0], Duration::from_secs(1)).await;
        let callers = best(&server, time).await;
        burst(&server).await;
        overload(&server, callers, time).await;
        resting::measure(&server).await;
    };
    tokio::task::LocalSet::new().run_until(all).await;
}
