//! A terminal with the program in it: what is typed goes in, and the screen is looked at as a person would.

use crate::cli::Place;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Only hangs take so long.
const HANG: Duration = Duration::from_secs(120);

pub(crate) struct Terminal {
    child: Child,
    master: File,
    screen: Arc<Mutex<vt100::Parser>>,
    raw: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts the program in a terminal of this size.
    pub(crate) fn open(place: &Place, arguments: &[&str], (rows, columns): (u16, u16)) -> Self {
        let mut command = place.command(arguments);
        command.env("TERM", "xterm-256color").env("MILLSTREAM_HISTORY", place.path("history"));
        command.env_remove("NO_COLOR").env_remove("COLUMNS").env_remove("LINES");
        Terminal::start(command, (rows, columns))
    }

    pub(crate) fn start(mut command: Command, (rows, columns): (u16, u16)) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = || File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        tcsetwinsize(&master, size(rows, columns)).unwrap();
        let child = command
            .stdin(Stdio::from(OwnedFd::from(slave())))
            .stdout(Stdio::from(OwnedFd::from(slave())))
            .stderr(Stdio::from(OwnedFd::from(slave())))
            .spawn()
            .unwrap();
        drop(command);
        let master = File::from(master);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 1000)));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let (mut read, drawn, kept) = (master.try_clone().unwrap(), screen.clone(), raw.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 65536];
            while let Ok(n) = read.read(&mut bytes) {
                if n == 0 {
                    return;
                }
                drawn.lock().unwrap().process(&bytes[..n]);
                kept.lock().unwrap().extend_from_slice(&bytes[..n]);
            }
        });
        Terminal { child, master, screen, raw }
    }

    /// Types.
    pub(crate) fn types(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Types a line.
    pub(crate) fn line(&mut self, text: &str) {
        self.types(text);
        // Once it stands there, a prompt without it is a new one.
        let bare = |text: &str| text.split_whitespace().collect::<String>();
        let typed = bare(text);
        self.until("what was typed", |screen| bare(screen).ends_with(&typed));
        self.types("\r");
    }

    /// What stands on the screen now.
    pub(crate) fn screen(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// All that was ever written, with its escape codes.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.raw.lock().unwrap()).into_owned()
    }

    /// How many of the cells on the screen are drawn in this colour.
    pub(crate) fn cells_in(&self, colour: vt100::Color) -> usize {
        let parser = self.screen.lock().unwrap();
        let (rows, columns) = parser.screen().size();
        let cells = (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c)));
        cells
            .filter(|(r, c)| parser.screen().cell(*r, *c).is_some_and(|cell| cell.fgcolor() == colour))
            .count()
    }

    /// The colour of a text where it stands last on the screen, and whether it is bold.
    #[track_caller]
    pub(crate) fn look_of(&self, text: &str) -> (vt100::Color, bool) {
        let parser = self.screen.lock().unwrap();
        let (rows, columns) = parser.screen().size();
        for row in (0..rows).rev() {
            let line: Vec<String> = (0..columns)
                .map(|c| parser.screen().cell(row, c).map_or(String::new(), |c| c.contents().to_string()))
                .collect();
            let at = (0..line.len()).find(|at| line[*at..].concat().starts_with(text));
            if let Some(cell) = at.and_then(|at| parser.screen().cell(row, at as u16)) {
                return (cell.fgcolor(), cell.bold());
            }
        }
        panic!("{text} does not stand on the screen");
    }

    /// The lines of the screen that did not find place in its width.
    pub(crate) fn folded(&self) -> Vec<String> {
        let parser = self.screen.lock().unwrap();
        let (rows, columns) = parser.screen().size();
        let lines: Vec<String> = parser.screen().rows(0, columns).collect();
        (0..rows)
            .filter(|row| parser.screen().row_wrapped(*row))
            .map(|row| lines[row as usize].clone())
            .collect()
    }

    /// Waits until the screen is as asked.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let since = Instant::now();
        loop {
            let screen = self.screen();
            if is(&screen) {
                return screen;
            }
            assert!(since.elapsed() < HANG, "never came: {what}\n--- screen:\n{screen}\n---");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until this stands on the screen.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) -> String {
        self.until(text, |screen| screen.contains(text))
    }

    /// Waits until the prompt is there and nothing is typed behind it.
    #[track_caller]
    pub(crate) fn prompts(&self) -> String {
        self.until("the prompt", |screen| screen.trim_end().ends_with("millstream>"))
    }

    /// Changes the size of the window.
    pub(crate) fn resize(&mut self, rows: u16, columns: u16) {
        self.screen.lock().unwrap().screen_mut().set_size(rows, columns);
        tcsetwinsize(&self.master, size(rows, columns)).unwrap();
    }

    /// Waits until the program has ended.
    pub(crate) fn ends(&mut self) -> (ExitStatus, String) {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it wrote last may still be on its way.
                std::thread::sleep(Duration::from_millis(50));
                return (status, self.screen());
            }
            assert!(since.elapsed() < HANG, "it does not end:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
