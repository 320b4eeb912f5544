//! Rewrites statuses that the gRPC layer creates itself to this server's texts and codes.

use mosaico_types::ErrorCode;
use mosaico_wire::status::{ERROR_HEADER, status};
use tonic::codegen::http::Response;
use tonic::{Code, Status};

/// Replaces a refusal of the layers below the services: adds a machine code and removes the library's text.
pub(crate) fn complete<B>(mut response: Response<B>, max_message_bytes: usize) -> Response<B> {
    if response.headers().contains_key(ERROR_HEADER) {
        return response;
    }
    let Some(made_below) = Status::from_header_map(response.headers()) else { return response };
    let ours = match made_below.code() {
        Code::OutOfRange => status(
            ErrorCode::TooLarge,
            format!("the message is larger than the limit of {max_message_bytes} bytes; send less at once"),
        ),
        Code::Internal => status(
            ErrorCode::BadMessage,
            "the request is no message of this call; check the client's protocol version",
        ),
        Code::Unimplemented => match made_below.message() {
            "" => status(
                ErrorCode::Unimplemented,
                "there is no such call here; use those of the Mosaico protocol",
            ),
            text => status(ErrorCode::Unimplemented, text),
        },
        _ => return response,
    };
    // Fails only for metadata that is not a valid header; this server's metadata is valid.
    drop(ours.add_header(response.headers_mut()));
    response
}
