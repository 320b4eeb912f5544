//! What a service said about a request that it refused: the code and the message in the body of its answer, such as
//! `RequestTimeTooSkewed` or `NoSuchBucket`. Callers read it, so it is one short line without control characters.

use std::error::Error as StdError;

/// The longest text, in characters.
const LONGEST: usize = 300;

/// The code and the message of an answer in XML, as S3, Azure and Google send it, in an error or its causes.
pub(crate) fn said(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if let Some(code) = element(&text, "Code") {
            let message = element(&text, "Message").filter(|message| !message.is_empty());
            return Some(line(&message.map_or(code.to_owned(), |message| format!("{code}: {message}"))));
        }
        next = error.source();
    }
    None
}

/// The content of the first element `name`.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0.trim())
}

/// One short line of a text from another program.
pub(crate) fn line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_code_and_the_message_are_found() {
        let body = "<?xml version=\"1.0\"?><Error><Code>RequestTimeTooSkewed</Code><Message>The clocks\ndiffer.\
                    </Message><RequestId>1</RequestId></Error>";
        let error = io::Error::other(io::Error::other(format!("403 Forbidden: {body}")));
        assert_eq!(said(&error).as_deref(), Some("RequestTimeTooSkewed: The clocks differ."));
        let short = io::Error::other("<Error><Code>SlowDown</Code><Message/></Error>");
        assert_eq!(said(&short).as_deref(), Some("SlowDown"));
        assert_eq!(said(&io::Error::other("connection refused")), None);
        assert_eq!(line(&"x".repeat(999)).chars().count(), LONGEST + 1);
    }
}
