//! The columns that a report adds, for one row.

use std::borrow::Cow;

use crate::model::{RESULT_COLUMNS, Row, RunHeader, Stamp, Status};

/// The content of one `result_` column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Absent,
    Number(u64),
    Text(Cow<'a, str>),
}

impl<'a> Value<'a> {
    fn text(text: Option<&'a str>) -> Self {
        text.filter(|text| !text.is_empty()).map_or(Self::Absent, |text| Self::Text(text.into()))
    }

    fn shown(value: Option<impl ToString>) -> Self {
        value.map_or(Self::Absent, |value| Self::Text(value.to_string().into()))
    }

    fn number(number: Option<impl Into<u64>>) -> Self {
        number.map_or(Self::Absent, |number| Self::Number(number.into()))
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
