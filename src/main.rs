//! argv → [`millstream::cli`].

fn main() -> std::process::ExitCode {
    millstream::cli::main()
}
