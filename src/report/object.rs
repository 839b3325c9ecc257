//! An object as it was read, in the words of plans and inventories: columns for programs, lines for people.

use jiff::Timestamp;

use super::plain::{cut, grouped, wrapped};
use super::results::Value;
use crate::model::{ObjectId, Seen, Snapshot};

/// The columns of what was read, named as Graph names the properties; the state of an Android token is our word.
pub(super) const DETAILS: [&str; 7] =
    ["displayName", "state", "expirationDateTime", "enrolledDeviceCount", "organizationName", "locationName", "appleId"];

/// Columns of a line.
pub(super) const WIDTH: usize = 80;

/// Columns that stand before what is told of an object.
const INDENT: usize = 4;

/// Lines of whose a VPP token is.
const OWNER_LINES: usize = 3;

/// The values of [`DETAILS`].
pub(super) fn details<'a>(name: Option<&'a str>, shown: Option<&'a Snapshot>) -> [Value<'a>; DETAILS.len()] {
    let about = shown.and_then(|shown| shown.about.as_ref());
    let [apple, organization, location] = shown.map_or([None; 3], owner);
    [
        Value::text(name),
        Value::text(shown.map(Snapshot::state)),
        Value::shown(shown.and_then(Snapshot::expires)),
        Value::number(about.and_then(|about| about.devices)),
        Value::text(organization),
        Value::text(location),
        Value::text(apple),
    ]
}

/// Whose a VPP token is: Apple ID, organisation, location.
fn owner(shown: &Snapshot) -> [Option<&str>; 3] {
    match &shown.seen {
        Seen::Vpp { identity, .. } => identity.each_ref().map(|text| text.as_deref().filter(|text| !text.is_empty())),
        Seen::Android { .. } => [None; 3],
    }
}

/// An object on a few lines, each ended: its name, its id with its state, and of a VPP token whose it is.
pub(super) fn lines(name: Option<&str>, id: ObjectId, shown: Option<&Snapshot>) -> String {
    let mut lines = String::new();
    // Without a heading it would seem to belong to the one above.
    lines.push_str(&line(INDENT / 2, name.filter(|name| !name.is_empty()).unwrap_or("(no name)")));
    lines.push_str(&line(INDENT, &format!("{id}  {}", shown.map(standing).unwrap_or_default())));
    let [apple, organization, location] = shown.map_or([None; 3], owner);
    let said = [("organisation", organization), ("location", location), ("Apple ID", apple)];
    let said = said.iter().filter_map(|(what, text)| Some(format!("{what} {}", (*text)?))).collect::<Vec<_>>().join("; ");
    lines.push_str(&paragraph(&said, OWNER_LINES));
    lines
}

/// A text under an object, on so many lines at most.
pub(super) fn paragraph(text: &str, lines: usize) -> String {
    if text.trim().is_empty() {
        return String::new();
    }
    wrapped(text, WIDTH - INDENT, lines).iter().map(|text| line(INDENT, text)).collect()
}

/// A line that is no wider than a terminal.
pub(super) fn line(indent: usize, text: &str) -> String {
    format!("{:indent$}{}\n", "", cut(text, WIDTH - indent))
}

/// `live, ends 2027-01-02, 412 devices`.
fn standing(shown: &Snapshot) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d");
    let state = shown.state();
    let ended = |at: Timestamp| shown.date.is_some_and(|date| at <= date);
    let state = match shown.expires() {
        Some(at) if state == "expired" => format!("expired {}", day(at)),
        Some(at) => format!("{state}, {} {}", if ended(at) { "ended" } else { "ends" }, day(at)),
        None => state.to_owned(),
    };
    match shown.about.as_ref().and_then(|about| about.devices) {
        Some(1) => format!("{state}, 1 device"),
        Some(devices) => format!("{state}, {} devices", grouped(devices)),
        None => state,
    }
}
