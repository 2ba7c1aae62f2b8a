//! The program as it is started from a shell: arguments, exit codes, what goes to which stream.

use std::process::{Command, Output};

/// Runs the program in an empty environment of its own and waits for its end.
fn millstream(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.args(arguments).env_remove("MILLSTREAM_DATA").output().unwrap()
}

#[test]
fn help_and_version_go_to_stdout() {
    for (arguments, expected) in [
        (&["--help"][..], "Exit codes:"),
        (&["--version"], concat!("millstream ", env!("CARGO_PKG_VERSION"))),
        (&["run", "--help"], "--until-caught-up"),
        (&["topic", "consume", "--help"], "--follow"),
    ] {
        let output = millstream(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(String::from_utf8(output.stdout).unwrap().contains(expected), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_wrong_command_line_ends_with_2_and_says_why_on_stderr() {
    for (arguments, expected) in [
        (&[][..], "Usage:"),
        (&["run"], "FILE.sql"),
        (&["run", "a.sql", "--worker", "2"], "--workers"),
        (&["-d", "x"], "nothing to do"),
        (&["-c", "SELECT 1", "topic", "list"], "-c SQL"),
    ] {
        let output = millstream(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains(expected), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
