//! The program. Its commands are in `cli`.

use std::process::ExitCode;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many tasks a core runs before it looks at sockets and clocks again. Some tasks here write pages of clients: a
/// few dozen of those, as usual, would be too long for a refusal to wait.
const TASKS_IN_A_ROW: u32 = 16;
/// How long the end of the program waits for blocking calls.
const GRACE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(TASKS_IN_A_ROW)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let reason = format!("can't start threads: {error}");
            return clientele::cli::fail(std::env::args_os(), &reason);
        }
    };
    let code = runtime.block_on(clientele::cli::run(std::env::args_os()));
    // A lookup of a host name can't be ended.
    runtime.shutdown_timeout(GRACE);
    code
}
