//! What is printed for mistakes: `errors/*.sql` are run, and standard error must be what stands in the `.err` beside.
//! `MILLSTREAM_BLESS=1` writes the files anew.

use super::*;

/// The summary's times differ from run to run.
fn steady(line: &str) -> String {
    let cut = line.find(" bad, ").filter(|_| line.ends_with(" rows/s"));
    cut.map_or_else(|| line.to_string(), |at| line[..at + 4].to_string())
}

#[test]
fn every_mistake_is_told_as_it_was_agreed() {
    let folder = project().join("tests/it/cli/errors");
    let mut names: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    names.retain(|p| p.extension().is_some_and(|e| e == "sql"));
    names.sort();
    assert!(names.len() > 80);
    let bless = std::env::var_os("MILLSTREAM_BLESS").is_some();
    let mut wrong = Vec::new();
    for path in names {
        let place = Place::new();
        let name = path.file_name().unwrap().to_str().unwrap();
        let data = place.path("data");
        let arguments = ["-d", data.to_str().unwrap(), "run", name, "--until-caught-up"];
        let ran = Ran::of(place.command(&arguments).current_dir(&folder).output().unwrap());
        let told: Vec<String> = ran.err.lines().map(steady).collect();
        let told = told
            .join("\n")
            .replace(folder.to_str().unwrap(), "<errors>")
            .replace(data.to_str().unwrap(), "<data>");
        let told = format!("{told}\nexit {}\n", ran.code.unwrap());
        let golden = path.with_extension("err");
        if bless {
            std::fs::write(&golden, &told).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != told {
            wrong.push(format!("== {name}\n{told}"));
        }
        for word in [
            "Utf8",
            "Uniform(",
            "ignature",
            "nternal error",
            "bug",
            "Int64",
            "Float64",
            "Error during planning",
            "Arrow error",
            "DataFusion",
            "schema error",
        ] {
            if told.contains(word) {
                wrong.push(format!("== {name} says {word:?}\n{told}"));
            }
        }
    }
    // A mistake in SQL has a code, which `millstream explain` knows.
    let goldens = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path());
    for path in goldens.filter(|p| p.extension().is_some_and(|e| e == "err")) {
        let told = std::fs::read_to_string(&path).unwrap();
        if told.contains("exit 3") && !told.contains("error[MS") {
            wrong.push(format!("== {} has no code\n{told}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "MILLSTREAM_BLESS=1 writes these:\n{}", wrong.join("\n"));
}
