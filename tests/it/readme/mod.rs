//! What README.md shows is what happens: its blocks are run, and what they show is compared.
//!
//! `console` blocks are commands, each behind `$`, with what they print below: they are run one after the other in one
//! directory, in a terminal. A `console` block with the prompt in it is typed into the prompt. `sql` blocks are run as they are. `…`
//! stands for what is left out. A block that cannot be run is named in [`NOT_RUN`].

mod blocks;

use crate::cli::Place;
use crate::prompt::terminal::Terminal;
use blocks::{Block, blocks, fits, line_fits};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Blocks that are not run, by their first line, and why.
const NOT_RUN: &[(&str, &str)] = &[
    (
        "cargo run --release -- run queries/tour/01_hourly_board.sql",
        "it builds the program, as whoever runs this has done",
    ),
    (
        "CREATE STREAM [IF NOT EXISTS] s (col TYPE, …, WATERMARK FOR ts AS ts - INTERVAL '5 seconds') WITH (option = value, …);",
        "a synopsis: … stands for what people write",
    ),
    (
        "SHOW JOBS;  DESCRIBE JOB j;                -- state, rates, lag, watermarks, state rows and bytes, the last checkpoint, the last error",
        "a synopsis: j stands for a job",
    ),
];
/// What a command waits for in the blocks, and what the prompt begins with.
const DOLLAR: &str = "$ ";
const PROMPT: &str = "millstream> ";
/// What the README calls the test that it shows.
const TEST: &str = "rides.sql";

/// How often a command that looks at something is typed again until it shows what it should.
const MOST_LOOKS: usize = 200;

fn readme() -> Vec<Block> {
    blocks(&std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap())
}

/// Whether a block is a file for `millstream test`.
fn is_test(block: &Block) -> bool {
    block.kind == "sql" && block.lines.iter().any(|line| line.starts_with("-- FEED "))
}

/// Whether a block is typed into the prompt.
fn is_prompt(block: &Block) -> bool {
    block.lines.iter().any(|line| line.starts_with(PROMPT))
}

#[test]
fn every_block_is_run_or_said_not_to_be() {
    let blocks = readme();
    for block in &blocks {
        let known = NOT_RUN.iter().any(|(first, _)| *first == block.first());
        let run = match block.kind.as_str() {
            "console" => block.first().starts_with(DOLLAR),
            "sql" => true,
            _ => false,
        };
        assert!(
            known || run,
            "README.md:{}: this block is neither run nor named in NOT_RUN:\n{}",
            block.line,
            block.first()
        );
    }
    for (first, _) in NOT_RUN {
        assert!(
            blocks.iter().any(|b| b.first() == *first),
            "README.md has no block that begins with {first}"
        );
    }
    assert!(blocks.iter().filter(|b| b.kind == "console").count() >= 4);
}

#[test]
fn commands_print_what_the_readme_shows() {
    let place = Place::new();
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::os::unix::fs::symlink(project.join("queries"), place.path("queries")).unwrap();
    let blocks = readme();
    for block in blocks.iter().filter(|b| is_test(b)) {
        place.file(TEST, block.lines.join("\n") + "\n");
    }
    for block in blocks.iter().filter(|b| b.kind == "console" && !is_prompt(b)) {
        let mut at = 0;
        while at < block.lines.len() {
            let line = block.line + at;
            let Some(first) = block.lines[at].strip_prefix(DOLLAR) else {
                panic!("README.md:{line}: a command is expected")
            };
            let mut command = first.to_string();
            at += 1;
            // A command goes on in the next line as in a shell.
            while command.ends_with('\\') {
                command = format!("{command}\n{}", block.lines[at]);
                at += 1;
            }
            let shown = block.lines[at..].iter().take_while(|l| !l.starts_with(DOLLAR)).count();
            let expected = &block.lines[at..at + shown];
            at += shown;
            let found = printed(&place, &command);
            assert!(
                fits(expected, &found),
                "README.md:{line}: {command}\nthe README shows\n{}\nit prints\n{}",
                expected.join("\n"),
                found.join("\n")
            );
        }
    }
}

/// What a command leaves on a terminal.
fn printed(place: &Place, command: &str) -> Vec<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_millstream")).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(program.to_path_buf()).chain(std::env::split_paths(&path));
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(place.path(""));
    shell
        .env("PATH", std::env::join_paths(paths).unwrap())
        .env("TERM", "xterm")
        .env_remove("MILLSTREAM_DATA");
    let mut terminal = Terminal::start(shell, (40, 110));
    let (status, _) = terminal.ends();
    let raw = terminal.raw();
    // What fails on purpose says so.
    assert!(status.success() || raw.contains("FAILED"), "{command}: {status}\n{raw}");
    // All that was printed, not only what is left on the screen.
    let mut paper = vt100::Parser::new(4000, 110, 0);
    paper.process(terminal.raw().as_bytes());
    paper.screen().contents().trim_end().lines().map(|l| l.trim_end().to_string()).collect()
}

#[test]
fn statements_are_right() {
    let place = Place::new();
    for block in readme().iter().filter(|b| b.kind == "sql") {
        if NOT_RUN.iter().any(|(first, _)| *first == block.first()) {
            continue;
        }
        let sql = block.lines.join("\n") + "\n";
        let arguments = match is_test(block) {
            true => {
                place.file(TEST, &sql);
                vec!["test", TEST]
            }
            false => vec!["--until-caught-up", "-c", &sql],
        };
        let output = place.command(&arguments).output().unwrap();
        let told =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(output.status.success(), "README.md:{}: {told}", block.line);
    }
}

/// Numbers change from run to run; what stands around them does not.
fn without_numbers(line: &str) -> String {
    let mut text = String::new();
    for c in line.chars() {
        match c {
            '0'..='9' if text.ends_with('#') => {}
            '0'..='9' => text.push('#'),
            // Within a number.
            ',' | '.' | ':' | '-' if text.ends_with('#') => {}
            '-' if text.ends_with(' ') => {}
            '─' => text.push(' '),
            c => text.push(c),
        }
    }
    // Whether there is one of a thing or several.
    let text = text.replace("rows", "row");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether the lines stand on a screen one below the other, others between them or not.
fn stand(screen: &str, lines: &[String]) -> bool {
    let mut screen = screen.lines().map(without_numbers);
    lines.iter().all(|line| {
        let line = without_numbers(line);
        screen.any(|other| line_fits(&line, &other))
    })
}

#[test]
fn the_first_minute_at_the_prompt_is_as_the_readme_shows() {
    let place = Place::new();
    for block in readme().iter().filter(|b| is_prompt(b)) {
        let arguments: Vec<&str> = block
            .first()
            .strip_prefix("$ millstream")
            .expect("the block starts the program")
            .split_whitespace()
            .collect();
        let mut terminal = Terminal::open(&place, &arguments, (40, 100));
        let (mut at, mut look, mut looks) = (1, None::<String>, 0);
        while at < block.lines.len() {
            // What the program shows, up to the next line that is typed or the next key.
            let typed = |line: &String| line.starts_with(PROMPT) || line.starts_with('[');
            let shown = block.lines[at..].iter().take_while(|l| !typed(l)).count();
            let lines = &block.lines[at..at + shown];
            match &look {
                // What is looked at once more may have changed meanwhile.
                Some(command) => {
                    while !stand(&terminal.prompts(), lines) {
                        assert!(
                            looks < MOST_LOOKS,
                            "{command} never shows\n{}\nbut\n{}",
                            lines.join("\n"),
                            terminal.screen()
                        );
                        looks += 1;
                        std::thread::sleep(Duration::from_millis(100));
                        terminal.line(command);
                    }
                }
                None => drop(terminal.until(&lines.join("\n"), |screen| stand(screen, lines))),
            }
            at += shown;
            let Some(line) = block.lines.get(at) else { break };
            at += 1;
            if let Some(keys) = line.strip_prefix('[') {
                look = None;
                // [b] per_origin [Enter]
                let (key, name) = keys.split_once(']').expect("a key stands in brackets");
                terminal.types(key);
                if let Some(name) = name.trim().strip_suffix("[Enter]") {
                    terminal.shows("goes on as job");
                    terminal.types(&format!("{}\r", name.trim()));
                }
                continue;
            }
            terminal.prompts();
            let mut text = line[PROMPT.len()..].to_string();
            while !text.starts_with('\\') && !text.ends_with(';') {
                text = format!("{text}\n{}", block.lines[at]);
                at += 1;
            }
            for line in text.lines() {
                terminal.line(line);
            }
            look = Some(text).filter(|text| text.starts_with('\\'));
        }
    }
}
