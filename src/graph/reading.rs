//! Makes of the bodies that reads bring what they show: one object, or a page of them. Pure.

use std::fmt;

use jiff::Timestamp;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::{Map, Value};

use super::actions::actions;
use super::fault;
use crate::exec::{NextPage, Page};
use crate::model::{About, Expiry, Item, Kind, ObjectId, Seen, Snapshot};

/// The longest name that goes into plans and reports: enough to tell objects apart.
const NAME_CHARS: usize = 200;

/// The longest state of a VPP token; the documented ones are single words.
const STATE_CHARS: usize = 40;

/// What is read of an object (resource pages of 2025-07). Other properties are skipped, the secret ones among them.
const READ: [&str; 11] = [
    "id",
    "displayName",
    "tokenExpirationDateTime",
    "tokenCreationDateTime",
    "appleId",
    "organizationName",
    "locationName",
    "tokenActionResults",
    "enrolledDeviceCount",
    "state",
    "expirationDateTime",
];

/// An object as it came. A property may hold anything: one that cannot be read must not hide the others.
struct Object {
    properties: Map<String, Value>,
    /// The object itself: the example of `syncLicenses` shows a token wrapped in a `value`.
    wrapped: Option<Box<Self>>,
}

/// A derived reader would take an array for an object.
struct Properties;

impl<'de> Visitor<'de> for Properties {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut object = Object { properties: Map::new(), wrapped: None };
        while let Some(name) = map.next_key::<String>()? {
            if name == "value" {
                object.wrapped = map.next_value()?;
            } else if READ.contains(&name.as_str()) {
                object.properties.insert(name, map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(object)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Properties)
    }
}

#[derive(Deserialize)]
struct List {
    value: Vec<Entry>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

/// What stands in a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Object(Object),
    Other(IgnoredAny),
}

/// What the body of a read by id shows. The error says what is wrong with it, and quotes nothing but a page's title.
pub(super) fn object(item: &Item, body: &[u8], date: Option<Timestamp>) -> Result<Snapshot, String> {
    let mut object: Object = parse(body)?;
    if let Some(wrapped) = object.wrapped.take() {
        object = *wrapped;
    }
    match object.id() {
        Some(id) if id == item.id => {}
        Some(_) => return Err("the answer shows another object than was asked for".to_owned()),
        None => return Err("the answer shows no object with an id".to_owned()),
    }
    object.snapshot(item.kind, date).ok_or_else(|| "the answer shows actions that cannot be read".to_owned())
}

/// What the body of a list shows. What cannot be judged from it is left out, and has to be read by its id.
pub(super) fn page(kind: Kind, body: &[u8], date: Option<Timestamp>) -> Result<Page, String> {
    let list: List = parse(body)?;
    let next = list.next.filter(|link| !link.trim().is_empty()).map(NextPage);
    let mut page = Page { next, ..Page::default() };
    for entry in list.value {
        let Entry::Object(mut object) = entry else { continue };
        let Some(id) = object.id() else {
            page.nameless += 1;
            continue;
        };
        // A list may leave out what is costly to compute.
        let is_whole = kind != Kind::VppToken || !object.property("tokenActionResults").is_null();
        match object.snapshot(kind, date) {
            Some(shown) if is_whole => page.objects.push((id, shown)),
            Some(_) | None => {
                object.properties.remove("tokenActionResults");
                page.partial.extend(object.snapshot(kind, date).map(|shown| (id, shown)));
            }
        }
    }
    Ok(page)
}

/// What is wrong is said by its sort: serde's own words quote what they stumble over.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => "the answer is JSON, but not what was asked for".to_owned(),
        Category::Eof => "the answer breaks off".to_owned(),
        Category::Syntax | Category::Io => {
            let what = fault::page(&String::from_utf8_lossy(body));
            format!("the answer is {}", what.as_deref().unwrap_or("no JSON"))
        }
    })
}

impl Object {
    /// Null if it is missing: the service makes no difference.
    fn property(&self, name: &str) -> &Value {
        self.properties.get(name).unwrap_or(&Value::Null)
    }

    fn id(&self) -> Option<ObjectId> {
        self.property("id").as_str()?.parse().ok()
    }

    /// None if nothing could be judged from it.
    fn snapshot(&self, kind: Kind, date: Option<Timestamp>) -> Option<Snapshot> {
        let expiry = || expiry(self.property("tokenExpirationDateTime"));
        let seen = match kind {
            Kind::AndroidForWork => Seen::Android { expiry: expiry(), created: None },
            Kind::AndroidDeviceOwner => {
                Seen::Android { expiry: expiry(), created: moment(self.property("tokenCreationDateTime")) }
            }
            Kind::VppToken => Seen::Vpp {
                identity: ["appleId", "organizationName", "locationName"].map(|name| words(self.property(name), usize::MAX)),
                actions: actions(self.property("tokenActionResults"))?,
            },
        };
        Some(Snapshot { date, name: words(self.property("displayName"), NAME_CHARS), seen, about: self.about(kind) })
    }

    /// What is shown for people alone.
    fn about(&self, kind: Kind) -> Option<Box<About>> {
        let about = match kind {
            Kind::AndroidForWork | Kind::AndroidDeviceOwner => {
                About { devices: self.property("enrolledDeviceCount").as_u64(), ..About::default() }
            }
            Kind::VppToken => About {
                state: words(self.property("state"), STATE_CHARS),
                expires: moment(self.property("expirationDateTime")),
                ..About::default()
            },
        };
        (about != About::default()).then(|| Box::new(about))
    }
}

/// A text without the space around it, if anything is left of it.
pub(super) fn words(value: &Value, most: usize) -> Option<String> {
    let text = value.as_str().map(str::trim).filter(|text| !text.is_empty())?;
    Some(text.chars().take(most).collect())
}

fn expiry(value: &Value) -> Expiry {
    match value.as_str() {
        None if !value.is_null() => Expiry::Unreadable,
        text => Expiry::read(text),
    }
}

/// A real date.
pub(super) fn moment(value: &Value) -> Option<Timestamp> {
    match expiry(value) {
        Expiry::At(at) => Some(at),
        Expiry::Never | Expiry::Unreadable => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Action, ActionState, ItemNo, TenantId, VppOptions};

    const ID: &str = "9ceb2f92-2f92-9ceb-922f-eb9c922feb9c";

    fn read(kind: Kind, body: &str) -> Result<Snapshot, String> {
        let (id, tenant) = (ID.parse().unwrap(), TenantId(uuid::Uuid::nil()));
        let item = Item { no: ItemNo(1), tenant, kind, id, options: VppOptions::default() };
        object(&item, body.as_bytes(), "2026-06-01T12:00:00Z".parse().ok())
    }

    /// An object of these properties and the id.
    fn seen(kind: Kind, mut properties: Value) -> Seen {
        properties["id"] = json!(ID);
        read(kind, &properties.to_string()).unwrap().seen
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn an_expiry_is_a_date_or_never_or_unreadable() {
        let date = "2016-12-31T23:59:54.0590989-08:00";
        for (properties, expiry) in [
            (json!({}), Expiry::Never),
            (json!({"tokenExpirationDateTime": null}), Expiry::Never),
            (json!({"tokenExpirationDateTime": "0001-01-01T00:00:00Z"}), Expiry::Never),
            (json!({"tokenExpirationDateTime": "soon"}), Expiry::Unreadable),
            (json!({"tokenExpirationDateTime": 5}), Expiry::Unreadable),
            (json!({"tokenExpirationDateTime": {}}), Expiry::Unreadable),
            (json!({"tokenExpirationDateTime": date}), Expiry::At(at("2017-01-01T07:59:54.0590989Z"))),
        ] {
            for kind in [Kind::AndroidForWork, Kind::AndroidDeviceOwner] {
                assert_eq!(seen(kind, properties.clone()), Seen::Android { expiry, created: None }, "{properties}");
            }
        }
    }

    #[test]
    fn only_a_device_owner_profile_says_when_its_token_was_made() {
        let made = |kind, text: Value| match seen(kind, json!({"tokenCreationDateTime": text})) {
            Seen::Android { created, .. } => created,
            Seen::Vpp { .. } => None,
        };
        let date = "2017-01-01T00:01:38.5314127-08:00";
        assert_eq!(made(Kind::AndroidDeviceOwner, json!(date)), Some(at("2017-01-01T08:01:38.5314127Z")));
        assert_eq!(made(Kind::AndroidForWork, json!(date)), None);
        for none in [json!(null), json!("0001-01-01T00:00:00Z"), json!("x"), json!(1)] {
            assert_eq!(made(Kind::AndroidDeviceOwner, none.clone()), None, "{none}");
        }
    }

    #[test]
    fn a_name_is_trimmed_and_cut_and_a_date_is_that_of_the_answer() {
        let name = |name: Value| read(Kind::AndroidForWork, &json!({"id": ID, "displayName": name}).to_string()).unwrap().name;
        assert_eq!(name(json!("  Kiosk é ")).as_deref(), Some("Kiosk é"));
        assert_eq!(name(json!("é".repeat(300))), Some("é".repeat(200)));
        assert_eq!((name(json!(" ")), name(json!(null)), name(json!(7))), (None, None, None));
        let body = json!({"id": format!("{{{}}}", ID.to_uppercase())}).to_string();
        assert_eq!(read(Kind::AndroidForWork, &body).unwrap().date, Some(at("2026-06-01T12:00:00Z")));
    }

    #[test]
    fn a_vpp_token_shows_whose_it_is_and_its_revocations() {
        let result = json!({
            "@odata.type": "#microsoft.graph.vppTokenRevokeLicensesActionResult",
            "actionName": "x", "actionState": "failed", "startDateTime": "2026-06-01T04:00:00.1234567-08:00",
            "totalLicensesCount": 100, "failedLicensesCount": 3, "actionFailureReason": "appleFailure"
        });
        let properties = json!({"appleId": " a@b.example ", "organizationName": "", "tokenActionResults": [result]});
        let identity = [Some("a@b.example".to_owned()), None, None];
        let action = Action {
            started: Some(at("2026-06-01T12:00:00.1234567Z")),
            state: ActionState::Failed,
            total: Some(100),
            failed: 3,
            cause: Some("appleFailure".to_owned()),
        };
        assert_eq!(seen(Kind::VppToken, properties), Seen::Vpp { identity, actions: vec![action] });
        for none in [json!({}), json!({"tokenActionResults": null}), json!({"tokenActionResults": []})] {
            assert_eq!(seen(Kind::VppToken, none), Seen::Vpp { identity: [None, None, None], actions: Vec::new() });
        }
    }

    #[test]
    fn what_people_want_to_know_is_read_for_them_and_what_makes_no_sense_is_none() {
        let about = |kind, mut properties: Value| {
            properties["id"] = json!(ID);
            read(kind, &properties.to_string()).unwrap().about.map(|about| *about)
        };
        let devices = |count: Value| about(Kind::AndroidDeviceOwner, json!({"enrolledDeviceCount": count, "state": "x"}));
        assert_eq!(devices(json!(7)), Some(About { devices: Some(7), ..About::default() }));
        assert_eq!([json!(-1), json!("7"), json!(null)].map(devices), [None, None, None]);
        let vpp =
            json!({"state": "assignedToExternalMDM", "expirationDateTime": "2027-01-01T00:00:00Z", "enrolledDeviceCount": 1});
        let state = Some("assignedToExternalMDM".to_owned());
        assert_eq!(about(Kind::VppToken, vpp), Some(About { devices: None, state, expires: Some(at("2027-01-01T00:00:00Z")) }));
    }

    #[test]
    fn an_object_may_be_wrapped_and_have_more_than_was_asked_for() {
        let inner = json!({"id": ID, "token": "S3CRET", "new": {"deep": [1]}, "tokenActionResults": []});
        assert_eq!(
            read(Kind::VppToken, &json!({"value": inner, "@x.tips": 1}).to_string()),
            read(Kind::VppToken, &inner.to_string())
        );
    }

    #[test]
    fn what_is_not_the_object_is_said_in_words_that_quote_nothing() {
        let other = ID.replace('9', "8");
        for (body, why) in [
            ("<!DOCTYPE html><title>Sign in</title>", "the answer is a web page titled \"Sign in\""),
            ("S3CRET", "the answer is no JSON"),
            ("", "the answer breaks off"),
            (r#"{"id":"S3CRET"#, "the answer breaks off"),
            (r#""S3CRET""#, "the answer is JSON, but not what was asked for"),
            (&json!([ID]).to_string(), "the answer is JSON, but not what was asked for"),
            (r#"{"value":[{"id":"S3CRET"}]}"#, "the answer is JSON, but not what was asked for"),
            (r#"{"id":"S3CRET"}"#, "the answer shows no object with an id"),
            (r#"{"error":{"code":"x"}}"#, "the answer shows no object with an id"),
            (&json!({"id": other}).to_string(), "the answer shows another object than was asked for"),
            (&json!({"id": ID, "tokenActionResults": "S3CRET"}).to_string(), "the answer shows actions that cannot be read"),
        ] {
            assert_eq!(read(Kind::VppToken, body), Err(why.to_owned()), "{body}");
        }
    }

    #[test]
    fn a_page_holds_what_can_be_judged_from_it() {
        let list = json!({"@odata.nextLink": "https://x.example/", "value": [
            {"id": ID, "tokenActionResults": []}, {"id": ID}, {"id": ID, "tokenActionResults": null},
            {"id": "no guid", "tokenActionResults": []}, {"tokenActionResults": []}, {"id": ID, "tokenActionResults": 1}, [ID], 5, null
        ]})
        .to_string();
        let vpp = page(Kind::VppToken, list.as_bytes(), None).unwrap();
        assert_eq!((vpp.objects.len(), vpp.partial.len(), vpp.nameless), (1, 3, 2));
        assert_eq!(vpp.next, Some(NextPage("https://x.example/".to_owned())));
        assert_eq!(page(Kind::AndroidForWork, list.as_bytes(), None).unwrap().objects.len(), 4);
        for last in [r#"{"value":[]}"#, r#"{"value":[],"@odata.nextLink":null}"#, r#"{"value":[],"@odata.nextLink":""}"#] {
            assert_eq!(page(Kind::VppToken, last.as_bytes(), None), Ok(Page::default()));
        }
        for odd in ["{}", "[]", r#"{"value":{}}"#, r#"{"value":[],"@odata.nextLink":5}"#] {
            assert!(page(Kind::VppToken, odd.as_bytes(), None).is_err(), "{odd}");
        }
    }
}
