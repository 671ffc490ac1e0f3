//! The binary: passes the arguments to the command line and returns its exit code.

fn main() -> std::process::ExitCode {
    clawster::cli::run(std::env::args_os(), &clawster::cli::Environment::from_process())
}
