//! The program: everything it can do is in `cli`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match clientele::cli::run(std::env::args_os()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("clientele: {failure}");
            failure.exit_code()
        }
    }
}
