//! What a server does with ten times what it can: `cargo bench --bench overload [-- SECONDS [ARGUMENT…]]`, where the
//! seconds are those of one measurement and the arguments the server's.
//!
//! A process of its own serves pages of invented clients from SQLite on one core; the callers have another and never
//! sleep, so that neither what they spend nor waking them is anything that the server could have had. First callers ask
//! without a pause, ever more of them, to find how many get the most pages a second. Then, in turns, so that a machine
//! that is slower for a while is so for both: those callers, whose rate is the peak, and ten times as many requests a
//! second on a thousand connections, whether or not earlier ones have been answered. The run fails when they could not
//! be offered. Before these turns come a thousand requests at once, which must all be answered. Each time is counted
//! from when the request was due, and every answer is waited for. Last, ten thousand connections that say nothing: what
//! one costs, and how soon a query beside them is answered.
//!
//! Wanted: goodput of at least 0.80 of the peak, as the median of the turns, and every refusal within 100 ms. Whether
//! they were met is printed, and nothing else depends on it. An answer with errors, anything but 200 and 503, and a
//! closed connection end the run. Needs two cores, taskset, and 12,000 open files for each process (ulimit -n).

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

/// How many callers the peak is looked for with.
const CALLERS: [usize; 5] = [4, 8, 16, 32, 64];
/// An odd number of turns has a median.
const TURNS: usize = 7;
const WANTED_GOODPUT: f64 = 0.8;
const WANTED_REFUSAL: Duration = Duration::from_millis(100);
const TIMES: f64 = 10.0;
const CONNECTIONS: usize = 1_000;
/// How long the queue may take to be recognised as a standing one: until then everything waits, as in a burst.
const SETTLE: Duration = Duration::from_secs(3);
/// For the last answers.
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

/// What a load came to.
struct Rate {
    /// Pages a second.
    pages: f64,
    /// Processor time of the server for each of them.
    cost: Duration,
}

/// Processor time of both sides while something is measured.
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

/// Pages to so many callers that ask again as soon as they are answered.
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

/// How many callers get the most pages a second.
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

/// What a rate of requests came to.
struct Offered {
    sent: usize,
    /// Found no connection that waited for nothing.
    unsent: usize,
    /// Pages while the requests came.
    in_time: usize,
    /// Processor time while the requests came.
    spent: Spent,
    outcome: Outcome,
}

/// Offers `rate` requests a second for `time`, each on a connection that waits for nothing, and waits for the last
/// answer. The same rate is offered for [`SETTLE`] before, which isn't measured.
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

/// One request on each of many connections, all at once.
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
    /// Pages a second beyond it.
    goodput: f64,
    /// What a refusal costs, in pages.
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
    // What isn't for pages is for refusals.
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
    // The first that cargo adds is its own.
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
