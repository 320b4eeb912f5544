//! Opens connections.

use std::io;

use tokio::net::TcpStream;

use crate::client::ClientTls;
use crate::stream::Stream;

/// Connects to `host`, a name or an IP address, with TLS if `tls` is given. The caller limits the time.
///
/// # Errors
/// Those of the connection; [`crate::explain`] finds the reason of a failed handshake in them.
pub async fn open(host: &str, port: u16, tls: Option<&ClientTls>) -> io::Result<Stream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    match tls {
        None => Ok(Stream::Plain(stream)),
        Some(tls) => tls.connect(host, stream).await,
    }
}
