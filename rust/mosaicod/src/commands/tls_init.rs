//! `mosaicod tls-init`.

use mosaico_server::Error;
use mosaico_tls::create_development_files;

use super::output::announce;
use crate::args::TlsInitArgs;

/// Creates certificates for development, and prints how to use them.
pub(super) fn run(args: &TlsInitArgs) -> Result<u8, Error> {
    let created =
        create_development_files(&args.folder, &args.hosts).map_err(|e| Error::Startup(e.to_string()))?;
    let [ca, server, server_key, client, client_key] =
        [&created.ca, &created.server, &created.server_key, &created.client, &created.client_key]
            .map(|path| shell_word(&path.display().to_string()));
    let everywhere = if args.hosts.is_empty() { "" } else { " --host" };
    announce(&format!(
        "created a CA, a server certificate for {} and a client certificate in {}; keep the keys secret\n\n\
         daemon:  mosaicod run --local-store recordings{everywhere} --tls-cert {server} --tls-key {server_key} \
         --tls-client-ca {ca}\n\
         client:  mosaico ls --host {} --tls-ca {ca} --client-cert {client} --client-key {client_key}\n\n\
         Without --tls-client-ca, clients need no certificate of their own.",
        created.hosts.join(", "),
        args.folder.display(),
        shell_word(&created.hosts[0]),
    ));
    Ok(0)
}

/// A path as one word of a command line.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_spaces_are_quoted() {
        assert_eq!(shell_word("tls/ca.pem"), "tls/ca.pem");
        assert_eq!(shell_word("my tls/it's"), r"'my tls/it'\''s'");
    }
}
