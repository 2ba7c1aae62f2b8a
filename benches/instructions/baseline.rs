//! The counts that are kept in the tree, and how those of now compare.

use crate::data::Result;
use crate::kernels::Kernel;
use std::fmt::{self, Write as _};
use std::process::Command;

/// Where they are.
pub(crate) const FILE: &str = "benches/instructions.txt";
/// What writes them anew.
pub(crate) const BLESS: &str = "cargo bench --bench instructions -- --bless";

/// Between a name and its count.
const BETWEEN: &str = ": ";
/// What stands before what they were made with.
const MADE: &str = "made with";

/// The counts in the file.
#[derive(Default)]
pub(crate) struct Baseline {
    pub(crate) made_with: String,
    counts: Vec<(String, u64)>,
}

fn path() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE)
}

impl Baseline {
    /// Those of the file; none if there is no file.
    pub(crate) fn read() -> Result<Self> {
        let text = match std::fs::read_to_string(path()) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Baseline::default()),
            text => text?,
        };
        let mut baseline = Baseline::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.rsplit_once(BETWEEN) {
                Some((MADE, with)) => baseline.made_with = with.into(),
                Some((name, count)) => {
                    baseline.counts.push((name.into(), count.trim().replace('_', "").parse()?));
                }
                None => return Err(format!("{FILE}: {line}: no count").into()),
            }
        }
        Ok(baseline)
    }

    /// The count of a kernel, if it is known.
    pub(crate) fn of(&self, name: &str) -> Option<u64> {
        self.counts.iter().find(|(known, _)| known == name).map(|(_, count)| *count)
    }

    /// The kernels in the file.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.counts.iter().map(|(name, _)| name.as_str())
    }

    /// Writes counts as those of now.
    pub(crate) fn write(made_with: &str, counted: &[Counted]) -> Result<()> {
        let mut text = format!(
            "# Instructions of the hot kernels and of a small q5, as callgrind counts them; see benches/instructions/main.rs.\n\
             # Written by: {BLESS}\n\n{MADE}{BETWEEN}{made_with}\n\n"
        );
        for Counted { kernel, now, .. } in counted {
            writeln!(text, "{}{BETWEEN}{}", kernel.name, grouped(*now, '_'))?;
        }
        Ok(std::fs::write(path(), text)?)
    }
}

/// By how many of a hundred there may be fewer before they have to be written down. A block that is asked for with zeros is
/// cleared if it was used before, and not if it is new, which hangs on how the heap happens to lie: a tenth of an exchange.
const FEWER: f64 = 15.0;

/// A kernel that was counted.
pub(crate) struct Counted {
    pub(crate) kernel: &'static Kernel,
    pub(crate) now: u64,
    pub(crate) kept: Option<u64>,
}

impl Counted {
    /// By how many of a hundred there are more.
    fn more(&self) -> Option<f64> {
        self.kept.map(|kept| (self.now as f64 / kept as f64 - 1.0) * 100.0)
    }

    /// Whether there are more than is allowed, or so few that what is kept guards nothing, or it is not kept.
    pub(crate) fn is_off(&self) -> bool {
        self.more()
            .is_none_or(|more| more > self.kernel.tolerance || -more > self.kernel.tolerance.max(FEWER))
    }

    /// Whether there are clearly fewer.
    pub(crate) fn is_fewer(&self) -> bool {
        self.more().is_some_and(|more| -more > self.kernel.tolerance)
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept.map_or("–".into(), |kept| grouped(kept, ','));
        let more = self.more().map_or("–".into(), |more| format!("{more:+.2} %"));
        let most = format!("{} %", self.kernel.tolerance);
        write!(f, "{:46} {:>14} {kept:>14} {more:>8} {most:>8}", self.kernel.name, grouped(self.now, ','))
    }
}

/// A number with a sign after each three digits.
fn grouped(number: u64, sign: char) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(sign);
        }
        text.push(digit);
    }
    text
}

/// What counts hang on: the compiler, valgrind, the kind of machine, and the profile.
pub(crate) fn made_with() -> Result<String> {
    let said = |program: &str| -> Result<String> {
        let out = Command::new(program).arg("--version").output()?.stdout;
        Ok(String::from_utf8(out)?.trim().into())
    };
    let program = std::env::current_exe()?;
    // …/release/deps/instructions-0123456789abcdef
    let profile = program.ancestors().nth(2).and_then(|dir| dir.file_name());
    let profile = profile.map_or("?".into(), |profile| profile.to_string_lossy().into_owned());
    Ok(format!(
        "{}, {}, {}, {profile}",
        said("rustc")?,
        said("valgrind")?,
        std::env::consts::ARCH.to_string() + instruction_set()
    ))
}

/// What decoders and codecs look for in the processor; valgrind offers nothing that is wider.
fn instruction_set() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return " with AVX2";
    }
    ""
}
