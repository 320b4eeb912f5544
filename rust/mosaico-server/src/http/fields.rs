//! The leaf fields of a topic, for pages that offer them.

use arrow::datatypes::{DataType, Field, Fields, Schema};
use serde_json::{Value, json};

/// The leaf fields of a schema by dotted path. The name of a list ends with `[]`.
pub(super) fn fields(schema: &Schema) -> Vec<Value> {
    let mut found = Vec::new();
    for field in schema.fields() {
        add(field.name().clone(), field, &mut found);
    }
    found
}

fn add(path: String, field: &Field, found: &mut Vec<Value>) {
    let below = |fields: &Fields, found: &mut Vec<Value>| {
        for field in fields {
            add(format!("{path}.{}", field.name()), field, found);
        }
    };
    match field.data_type() {
        DataType::Struct(fields) => below(fields, found),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            add(format!("{path}[]"), item, found);
        }
        data_type => {
            found.push(json!({"path": path, "type": data_type.to_string(), "kind": kind(data_type)}))
        }
    }
}

/// What a page can do with values of a type.
fn kind(data_type: &DataType) -> &'static str {
    use DataType::*;
    match data_type {
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 | Float16 | Float32 | Float64
        | Duration(_) => "number",
        Boolean => "bool",
        Utf8 | LargeUtf8 | Utf8View => "text",
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => "binary",
        Date32 | Date64 | Time32(_) | Time64(_) | Timestamp(..) => "time",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn leaves_have_paths_and_kinds() {
        let leaf = |name: &str, data_type| Arc::new(Field::new(name, data_type, true));
        let point =
            DataType::Struct(vec![leaf("x", DataType::Float32), leaf("ok", DataType::Boolean)].into());
        let schema = Schema::new(vec![
            leaf("timestamp_ns", DataType::Int64),
            leaf("pose", point.clone()),
            leaf("points", DataType::List(leaf("item", point))),
            leaf(
                "grid",
                DataType::FixedSizeList(leaf("item", DataType::LargeList(leaf("item", DataType::Binary))), 2),
            ),
            leaf("frame", DataType::Utf8),
        ]);
        let found: Vec<String> = fields(&schema)
            .iter()
            .map(|field| format!("{}={}", field["path"], field["kind"]).replace('"', ""))
            .collect();
        let expected = [
            "timestamp_ns=number",
            "pose.x=number",
            "pose.ok=bool",
            "points[].x=number",
            "points[].ok=bool",
            "grid[][]=binary",
            "frame=text",
        ];
        assert_eq!(found, expected);
    }
}
