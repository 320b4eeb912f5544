//! gRPC reflection of the Flight service: arrow-flight ships no descriptors, so this module defines them.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
};

const PACKAGE: &str = "arrow.flight.protocol";
const TIMESTAMP: &str = "google.protobuf.Timestamp";

/// Name, number and type of a field; `[T]` is repeated; a type that is not a scalar is a message or the enum.
type Field = (&'static str, i32, &'static str);

const MESSAGES: [(&str, &[Field]); 16] = [
    ("HandshakeRequest", &[("protocol_version", 1, "uint64"), ("payload", 2, "bytes")]),
    ("HandshakeResponse", &[("protocol_version", 1, "uint64"), ("payload", 2, "bytes")]),
    ("Empty", &[]),
    ("ActionType", &[("type", 1, "string"), ("description", 2, "string")]),
    ("Criteria", &[("expression", 1, "bytes")]),
    ("Action", &[("type", 1, "string"), ("body", 2, "bytes")]),
    ("Result", &[("body", 1, "bytes")]),
    ("SchemaResult", &[("schema", 1, "bytes")]),
    ("FlightDescriptor", &[("type", 1, "DescriptorType"), ("cmd", 2, "bytes"), ("path", 3, "[string]")]),
    (
        "FlightInfo",
        &[
            ("schema", 1, "bytes"),
            ("flight_descriptor", 2, "FlightDescriptor"),
            ("endpoint", 3, "[FlightEndpoint]"),
            ("total_records", 4, "int64"),
            ("total_bytes", 5, "int64"),
            ("ordered", 6, "bool"),
            ("app_metadata", 7, "bytes"),
        ],
    ),
    (
        "PollInfo",
        &[
            ("info", 1, "FlightInfo"),
            ("flight_descriptor", 2, "FlightDescriptor"),
            ("progress", 3, "double"),
            ("expiration_time", 4, TIMESTAMP),
        ],
    ),
    (
        "FlightEndpoint",
        &[
            ("ticket", 1, "Ticket"),
            ("location", 2, "[Location]"),
            ("expiration_time", 3, TIMESTAMP),
            ("app_metadata", 4, "bytes"),
        ],
    ),
    ("Location", &[("uri", 1, "string")]),
    ("Ticket", &[("ticket", 1, "bytes")]),
    (
        "FlightData",
        &[
            ("flight_descriptor", 1, "FlightDescriptor"),
            ("data_header", 2, "bytes"),
            ("app_metadata", 3, "bytes"),
            ("data_body", 1000, "bytes"),
        ],
    ),
    ("PutResult", &[("app_metadata", 1, "bytes")]),
];

/// Name, request, response; `[T]` is a stream.
const METHODS: [(&str, &str, &str); 10] = [
    ("Handshake", "[HandshakeRequest]", "[HandshakeResponse]"),
    ("ListFlights", "Criteria", "[FlightInfo]"),
    ("GetFlightInfo", "FlightDescriptor", "FlightInfo"),
    ("PollFlightInfo", "FlightDescriptor", "PollInfo"),
    ("GetSchema", "FlightDescriptor", "SchemaResult"),
    ("DoGet", "Ticket", "[FlightData]"),
    ("DoPut", "[FlightData]", "[PutResult]"),
    ("DoExchange", "[FlightData]", "[FlightData]"),
    ("DoAction", "Action", "[Result]"),
    ("ListActions", "Empty", "[ActionType]"),
];

/// The files that describe the Flight service.
pub(crate) fn descriptors() -> FileDescriptorSet {
    let timestamp = FileDescriptorProto {
        name: Some("google/protobuf/timestamp.proto".into()),
        package: Some("google.protobuf".into()),
        message_type: vec![message(&("Timestamp", &[("seconds", 1, "int64"), ("nanos", 2, "int32")]))],
        syntax: Some("proto3".into()),
        ..Default::default()
    };
    let flight = FileDescriptorProto {
        name: Some("Flight.proto".into()),
        package: Some(PACKAGE.into()),
        dependency: timestamp.name.iter().cloned().collect(),
        message_type: MESSAGES.iter().map(message).collect(),
        enum_type: vec![descriptor_type()],
        service: vec![ServiceDescriptorProto {
            name: Some("FlightService".into()),
            method: METHODS.iter().map(method).collect(),
            ..Default::default()
        }],
        syntax: Some("proto3".into()),
        ..Default::default()
    };
    FileDescriptorSet { file: vec![timestamp, flight] }
}

/// Splits `[T]` into `T` and true.
fn many(of: &str) -> (&str, bool) {
    let inner = of.strip_prefix('[').and_then(|of| of.strip_suffix(']'));
    (inner.unwrap_or(of), inner.is_some())
}

fn full_name(name: &str) -> Option<String> {
    Some(if name.contains('.') { format!(".{name}") } else { format!(".{PACKAGE}.{name}") })
}

fn message(&(name, fields): &(&str, &[Field])) -> DescriptorProto {
    DescriptorProto {
        name: Some(name.into()),
        field: fields.iter().map(field).collect(),
        ..Default::default()
    }
}

fn field(&(name, number, of): &Field) -> FieldDescriptorProto {
    let (of, repeated) = many(of);
    let (kind, type_name) = match of {
        "bool" => (Type::Bool, None),
        "bytes" => (Type::Bytes, None),
        "double" => (Type::Double, None),
        "int32" => (Type::Int32, None),
        "int64" => (Type::Int64, None),
        "string" => (Type::String, None),
        "uint64" => (Type::Uint64, None),
        "DescriptorType" => (Type::Enum, full_name(of)),
        message => (Type::Message, full_name(message)),
    };
    FieldDescriptorProto {
        name: Some(name.into()),
        number: Some(number),
        label: Some(if repeated { Label::Repeated } else { Label::Optional } as i32),
        r#type: Some(kind as i32),
        type_name,
        ..Default::default()
    }
}

fn method(&(name, request, answer): &(&str, &str, &str)) -> MethodDescriptorProto {
    let ((request, client_streaming), (answer, server_streaming)) = (many(request), many(answer));
    MethodDescriptorProto {
        name: Some(name.into()),
        input_type: full_name(request),
        output_type: full_name(answer),
        client_streaming: Some(client_streaming),
        server_streaming: Some(server_streaming),
        ..Default::default()
    }
}

fn descriptor_type() -> EnumDescriptorProto {
    let value = |(number, name): (i32, &str)| EnumValueDescriptorProto {
        name: Some(name.into()),
        number: Some(number),
        ..Default::default()
    };
    EnumDescriptorProto {
        name: Some("DescriptorType".into()),
        value: [(0, "UNKNOWN"), (1, "PATH"), (2, "CMD")].map(value).into(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow_flight::{FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, Location, Ticket};
    use prost::Message;
    use prost::encoding::{DecodeContext, decode_key, skip_field};

    use super::*;

    /// Field numbers of an encoded message.
    fn numbers(message: &impl Message) -> BTreeSet<i32> {
        let bytes = message.encode_to_vec();
        let mut rest = bytes.as_slice();
        let mut found = BTreeSet::new();
        while !rest.is_empty() {
            let (number, wire_type) = decode_key(&mut rest).expect("a key");
            skip_field(wire_type, number, &mut rest, DecodeContext::default()).expect("a field");
            found.insert(number as i32);
        }
        found
    }

    #[test]
    fn messages_are_described_as_they_travel() {
        let descriptor = FlightDescriptor { r#type: 2, cmd: "c".into(), path: vec!["p".into()] };
        let endpoint = FlightEndpoint {
            ticket: Some(Ticket::new("t")),
            location: vec![Location { uri: "u".into() }],
            expiration_time: Some(Default::default()),
            app_metadata: "m".into(),
        };
        let info = FlightInfo {
            schema: "s".into(),
            flight_descriptor: Some(descriptor.clone()),
            endpoint: vec![endpoint.clone()],
            total_records: 1,
            total_bytes: 1,
            ordered: true,
            app_metadata: "m".into(),
        };
        let data = FlightData {
            flight_descriptor: Some(descriptor.clone()),
            data_header: "h".into(),
            app_metadata: "m".into(),
            data_body: "b".into(),
        };
        let travelling = [
            ("FlightDescriptor", numbers(&descriptor)),
            ("FlightEndpoint", numbers(&endpoint)),
            ("FlightInfo", numbers(&info)),
            ("FlightData", numbers(&data)),
        ];
        for (name, numbers) in travelling {
            let (_, fields) = MESSAGES.iter().find(|(message, _)| *message == name).expect("a description");
            assert_eq!(
                fields.iter().map(|(_, number, _)| *number).collect::<BTreeSet<_>>(),
                numbers,
                "{name}"
            );
        }
    }

    #[test]
    fn every_type_is_described() {
        let known: BTreeSet<&str> = MESSAGES.iter().map(|(name, _)| *name).collect();
        for (name, request, answer) in METHODS {
            assert!(known.contains(many(request).0) && known.contains(many(answer).0), "{name}");
        }
    }
}
