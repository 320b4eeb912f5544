//! Recorded text on a terminal: names and messages of others may contain characters that command it.

/// The text with unprintable characters as escapes (`\u{1b}`): control characters but tab and line feed, and
/// characters that reorder text, end a line or hide.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let is_hidden = matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        );
        if is_hidden || (character.is_control() && !matches!(character, '\t' | '\n')) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn only_text_is_printed_as_it_is() {
        assert_eq!(printable("grün\t\u{1f916}\n"), "grün\t\u{1f916}\n");
        assert_eq!(printable("\u{1b}[2J\u{7}\u{9b}\r\u{202e}"), "\\u{1b}[2J\\u{7}\\u{9b}\\u{d}\\u{202e}");
    }
}
