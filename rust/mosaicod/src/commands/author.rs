//! Who runs a command, for the audit log: the user, and the machine. Variables such as `USER` say what anybody wants.

use mosaico_admin::Author;

/// The longest name of a machine that is shown.
const MAX_HOST_BYTES: usize = 256;

/// The user and the machine of this process.
pub(super) fn author() -> Author {
    // SAFETY: `getuid` has no arguments and cannot fail.
    let user = unsafe { libc::getuid() };
    Author { who: format!("user {user}"), from: host() }
}

fn host() -> String {
    let mut name = [0u8; MAX_HOST_BYTES];
    // SAFETY: the buffer has the length that is passed, of which the last byte stays 0.
    let failed = unsafe { libc::gethostname(name.as_mut_ptr().cast(), MAX_HOST_BYTES - 1) };
    let text = name.split(|byte| *byte == 0).next().unwrap_or_default();
    match String::from_utf8_lossy(text) {
        text if failed == 0 && !text.is_empty() => text.into_owned(),
        _ => "this machine".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_that_of_the_process() {
        let Author { who, from } = author();
        let number = who.strip_prefix("user ").and_then(|number| number.parse::<u32>().ok());
        assert!(number.is_some() && !from.is_empty(), "{who} {from}");
    }
}
