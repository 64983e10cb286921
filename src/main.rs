//! One call into [`motion_email::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    motion_email::cli::main(std::env::args_os())
}
