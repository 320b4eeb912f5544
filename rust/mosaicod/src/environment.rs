//! The environment, with the file `.env` of the working directory as a fallback.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use mosaico_server::Error;

const FILE: &str = ".env";

/// Variables; those of the process take precedence.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    file: HashMap<String, String>,
}

impl Environment {
    /// Reads `.env` in `folder`, if it exists.
    ///
    /// # Errors
    /// [`Error::Startup`] if it cannot be read or parsed; the error does not contain its lines, which may
    /// have secrets.
    pub(crate) fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let mut file = HashMap::new();
        let refused = |what: String| Error::Startup(format!("cannot read {}: {what}", path.display()));
        let lines = match dotenvy::from_path_iter(&path) {
            Ok(lines) => lines,
            Err(e) if e.not_found() => return Ok(Self::default()),
            Err(e) => return Err(refused(e.to_string())),
        };
        let mut last = None;
        for line in lines {
            let (name, value) = line.map_err(|e| match (e, &last) {
                (dotenvy::Error::LineParse(..), Some(last)) => {
                    refused(format!("the line after {last} is not NAME=VALUE; quote values with spaces"))
                }
                (dotenvy::Error::LineParse(..), None) => refused("its first line is not NAME=VALUE".into()),
                (dotenvy::Error::Io(e), _) if e.kind() == io::ErrorKind::InvalidData => {
                    refused("it is not UTF-8".into())
                }
                (e, _) => refused(e.to_string()),
            })?;
            last = Some(name.clone());
            file.entry(name).or_insert(value);
        }
        Ok(Self { file })
    }

    /// The value of a variable, and its source; an empty value counts as not set.
    pub(crate) fn get(&self, name: &str) -> Option<(OsString, &'static str)> {
        let own = std::env::var_os(name).map(|value| (value, "environment"));
        let found = own.or_else(|| Some((self.file.get(name)?.into(), FILE)));
        found.filter(|(value, _)| !value.is_empty())
    }
}
