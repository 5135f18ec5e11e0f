//! What a server does with ten times what it can: `cargo bench --bench overload [-- SECONDS [ARGUMENT…]]`, where the arguments are the
//! server's.
//!
//! A process of its own serves pages of invented clients from SQLite. First as many callers as it takes at once ask without
//! a pause: the peak. Then ten times as many requests a second come on a thousand connections, whether or not earlier ones
//! have been answered; the run fails when they could not be offered. Printed are the goodput of both and its ratio, how soon
//! the others heard 503, each time counted from when the request was due, and the server's memory. Last, ten thousand
//! connections that say nothing: what one costs, and how soon a query beside them is answered.
//!
//! An answer with errors, anything but 200 and 503, and a closed connection end the run. The callers need one core, so
//! the figures are those of a machine with one less. Both processes need 12,000 open files (ulimit -n).

mod caller;
mod server;

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::net::TcpStream;

use self::{
    caller::{Caller, Outcome},
    server::Server,
};

const CALLERS: usize = 16;
const TIMES: f64 = 10.0;
const CONNECTIONS: usize = 1_000;
const RESTING: usize = 10_000;
const TICK: Duration = Duration::from_millis(1);
const PAGE: &str = "{clients(first:50){nodes{id,clientId,state,firstName,lastName,emailAddress,addresses{line1,city},\
                    idDocuments{documentType,documentId},customInformation{value,field{name}}}}}";
const ONE: &str = "{clients(first:1){nodes{clientId,fullName}}}";

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

/// Pages a second to callers that ask again as soon as they are answered.
async fn peak(server: &Server, time: Duration) -> f64 {
    let outcome = Shared::default();
    let callers = callers(server, CALLERS, PAGE, &outcome).await;
    let start = Instant::now();
    while start.elapsed() < time {
        for caller in callers.iter().filter(|caller| caller.waits() == 0) {
            caller.send(Instant::now());
        }
        tokio::task::yield_now().await;
        valid(&outcome);
    }
    let answered = outcome.borrow().answered.len();
    assert!(outcome.borrow().refused.is_empty(), "so many callers are served");
    answered as f64 / start.elapsed().as_secs_f64()
}

/// Offers `rate` requests a second for `time`, each on a connection that waits for nothing: how many there were, and how
/// many found none.
async fn offer(server: &Server, rate: f64, time: Duration) -> (usize, usize, Outcome) {
    let outcome = Shared::default();
    let callers = callers(server, CONNECTIONS, PAGE, &outcome).await;
    let (mut sent, mut unsent, mut turn) = (0, 0, 0);
    let start = Instant::now();
    let mut clock = tokio::time::interval(TICK);
    while start.elapsed() < time {
        clock.tick().await;
        valid(&outcome);
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
    // What is answered later doesn't count.
    let outcome = outcome.take();
    (sent, unsent, outcome)
}

async fn overload(server: &Server, peak: f64, time: Duration) {
    let (sent, unsent, outcome) = offer(server, peak * TIMES, time).await;
    let seconds = time.as_secs_f64();
    let offered = sent as f64 / seconds;
    let Outcome {
        mut answered,
        mut refused,
        failure: _,
    } = outcome;
    let goodput = answered.len() as f64 / seconds;
    println!(
        "overload    {goodput:8.0} pages/s of {offered:.0} requests/s, {:.1} times the peak; {unsent} found no \
         connection; {} still waited",
        offered / peak,
        sent - answered.len() - refused.len()
    );
    println!("goodput     {:8.2} of the peak", goodput / peak);
    println!("answered    {}", times(&mut answered));
    println!("refused     {}", times(&mut refused));
    println!("memory      {:8} KiB at most", server.peak_memory());
    assert!(offered / peak > TIMES * 0.9, "the callers were too slow to tell");
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

/// One query after the other.
async fn one_by_one(server: &Server) -> String {
    let outcome = Shared::default();
    let callers = callers(server, 1, ONE, &outcome).await;
    for _ in 0..500 {
        callers[0].send(Instant::now());
        while callers[0].waits() > 0 {
            tokio::task::yield_now().await;
            valid(&outcome);
        }
    }
    let mut outcome = outcome.borrow_mut();
    times(&mut outcome.answered)
}

async fn resting(server: &Server) {
    println!("alone       {}", one_by_one(server).await);
    let before = server.memory();
    let mut resting = Vec::with_capacity(RESTING);
    for _ in 0..RESTING {
        resting.push(TcpStream::connect(&server.address).await.expect("connected"));
    }
    println!("beside {RESTING} at rest {}", one_by_one(server).await);
    let each = server.memory().saturating_sub(before) as f64 / RESTING as f64;
    println!("at rest     {each:8.1} KiB each");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // The first that cargo adds is its own.
    let mut arguments: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let seconds = (!arguments.is_empty()).then(|| arguments.remove(0).parse().expect("SECONDS"));
    let time = Duration::from_secs(seconds.unwrap_or(10));
    let all = async {
        let server = Server::start(&arguments);
        peak(&server, Duration::from_secs(1)).await;
        let peak = peak(&server, time).await;
        println!("peak        {peak:8.0} pages/s to {CALLERS} callers");
        overload(&server, peak, time).await;
        resting(&server).await;
    };
    tokio::task::LocalSet::new().run_until(all).await;
}
