//! The thin binary: arguments in, exit code out.

fn main() -> std::process::ExitCode {
    clawster::cli::run(std::env::args_os(), &clawster::cli::Environment::from_process())
}
