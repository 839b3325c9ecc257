//! The columns that a report adds, for one row.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use crate::model::{RESULT_COLUMNS, Row, RunHeader, Stamp, Status, guard};

/// The content of one column of ours.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Absent,
    Flag(bool),
    Number(u64),
    Text(Cow<'a, str>),
}

impl<'a> Value<'a> {
    /// As a cell of a table, which no spreadsheet takes for a formula.
    pub(super) fn cell(&self) -> Cow<'_, str> {
        match self {
            Self::Absent => "".into(),
            Self::Flag(flag) => flag.to_string().into(),
            Self::Number(number) => number.to_string().into(),
            Self::Text(text) => guard(text),
        }
    }

    pub(super) fn text(text: Option<&'a str>) -> Self {
        text.filter(|text| !text.is_empty()).map_or(Self::Absent, |text| Self::Text(text.into()))
    }

    pub(super) fn shown(value: Option<impl ToString>) -> Self {
        value.map_or(Self::Absent, |value| Self::Text(value.to_string().into()))
    }

    pub(super) fn number(number: Option<impl Into<u64>>) -> Self {
        number.map_or(Self::Absent, |number| Self::Number(number.into()))
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent => serializer.serialize_none(),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// The values of a row, in the order of [`RESULT_COLUMNS`]; its verdict is handed in, as it is needed elsewhere too.
pub(super) fn results<'a>(
    header: &'a RunHeader,
    row: &'a Row,
    (status, reason): (Status, &'a str),
) -> [Value<'a>; RESULT_COLUMNS.len()] {
    let progress = &row.progress;
    let source = header.sources.get(row.place.source as usize);
    let tenant = row.tenant.and_then(|index| header.tenants.get(index as usize));
    [
        Value::Number(row.place.line.into()),
        Value::text(source.map(|source| source.name.as_str())),
        Value::text(tenant.map(|tenant| tenant.label.as_str())),
        Value::text(row.kind.map(crate::model::Kind::name)),
        Value::shown(row.id),
        Value::text(progress.name.as_deref()),
        Value::text(Some(status.name())),
        Value::text(Some(reason)),
        Value::number(progress.http_status),
        Value::text(progress.error_code.as_deref()),
        Value::text(progress.message.as_deref()),
        Value::Number(progress.requests().into()),
        Value::Number(progress.throttled.into()),
        Value::shown(progress.first_sent_at()),
        Value::shown(progress.finished_at),
        Value::number(elapsed(progress.first_sent_at(), progress.finished_at)),
        Value::text(progress.request_id.as_deref()),
        Value::shown(progress.client_request_id),
        Value::text(Some(header.run.as_str())),
    ]
}

fn elapsed(sent: Option<Stamp>, finished: Option<Stamp>) -> Option<u64> {
    Some(finished?.millis_since(sent?))
}
