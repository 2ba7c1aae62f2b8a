//! What a connector says about itself, and the check of `WITH (…)` against it.

use std::fmt;

/// An option of a connector.
#[derive(Debug, Clone, Copy)]
pub struct OptionInfo {
    /// As it is written in `WITH (name = 'value')`.
    pub name: &'static str,
    /// What holds where it is not given; `None` = it must be given.
    pub default: Option<&'static str>,
    /// One line for people.
    pub help: &'static str,
}

/// A connector.
#[derive(Debug, Clone, Copy)]
pub struct ConnectorInfo {
    /// As it is written in `WITH (connector = 'name')`.
    pub name: &'static str,
    /// One line for people.
    pub help: &'static str,
    /// Its options, those that must be given first.
    pub options: &'static [OptionInfo],
}

/// A mistake in `WITH (…)`. `option` leads to its place in the SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionError {
    /// The option that it is about, as it was written, or the one that is missing.
    pub option: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead, if that is known.
    pub help: Option<String>,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for OptionError {}

impl OptionError {
    pub(super) fn new(option: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        OptionError { option: option.to_owned(), message: message.into(), help: Some(help.into()) }
    }

    /// `option` has a value that it cannot have; `expected` are those that it can.
    pub(super) fn value(option: &str, found: &str, expected: &str) -> Self {
        OptionError::new(
            option,
            format!("'{found}' is not a value of '{option}'"),
            format!("expected {expected}"),
        )
    }
}

/// Fails for an option that is neither one of the connector's nor one of `extra` (those that every
/// connector has), for one that is given twice, and for one that must be given and is not.
pub fn check_options(
    info: &ConnectorInfo,
    options: &[(String, String)],
    extra: &[OptionInfo],
) -> Result<(), OptionError> {
    let known = || info.options.iter().chain(extra);
    for (place, (name, _)) in options.iter().enumerate() {
        if !known().any(|option| option.name == name) {
            let message = format!("connector '{}' has no option '{name}'", info.name);
            let help = match nearest(name, known().map(|option| option.name)) {
                Some(name) => format!("did you mean '{name}'?"),
                None => {
                    let names: Vec<&str> = known().map(|option| option.name).collect();
                    format!("its options are {}", names.join(", "))
                }
            };
            return Err(OptionError::new(name, message, help));
        }
        if options.iter().take(place).any(|(earlier, _)| earlier == name) {
            return Err(OptionError::new(name, format!("option '{name}' is given twice"), "give it once"));
        }
    }
    match known().find(|o| o.default.is_none() && !options.iter().any(|(name, _)| name == o.name)) {
        Some(missing) => {
            let message = format!("connector '{}' needs option '{}'", info.name, missing.name);
            Err(OptionError::new(missing.name, message, format!("{} = '…': {}", missing.name, missing.help)))
        }
        None => Ok(()),
    }
}

/// The name that was most likely meant by `name`, if one is close.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let close = |other: &'a str| (strsim::jaro_winkler(&name, other), other);
    let best = names.map(close).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.75).then_some(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: ConnectorInfo = ConnectorInfo {
        name: "thing",
        help: "",
        options: &[
            OptionInfo { name: "path", default: None, help: "where it is" },
            OptionInfo { name: "format", default: Some("json"), help: "" },
        ],
    };

    #[test]
    fn mistakes_name_the_option_and_the_remedy() {
        let check = |options: &[(&str, &str)]| {
            let options: Vec<_> = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let extra = [OptionInfo { name: "late_topic", default: Some(""), help: "" }];
            check_options(&INFO, &options, &extra).map_err(|e| (e.option, e.message, e.help.unwrap()))
        };
        let error =
            |option: &str, message: &str, help: &str| Err((option.into(), message.into(), help.into()));
        assert_eq!(check(&[("path", "x"), ("late_topic", "y")]), Ok(()));
        assert_eq!(
            check(&[("path", "x"), ("Fromat", "json")]),
            error("Fromat", "connector 'thing' has no option 'Fromat'", "did you mean 'format'?")
        );
        assert_eq!(
            check(&[("zzz", "x")]),
            error("zzz", "connector 'thing' has no option 'zzz'", "its options are path, format, late_topic")
        );
        assert_eq!(
            check(&[("path", "x"), ("path", "y")]),
            error("path", "option 'path' is given twice", "give it once")
        );
        assert_eq!(
            check(&[("format", "csv")]),
            error("path", "connector 'thing' needs option 'path'", "path = '…': where it is")
        );
    }
}
