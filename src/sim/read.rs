//! Reading: pages of a collection, one object, and the tenant's own record. A name that Graph does not
//! know is refused, as is any option that this simulator does not carry out: nothing is ignored quietly.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::answer::Answer;
use super::context::Context;
use super::dice::{Dice, Topic};
use super::face::Face;
use super::options::Collection;
use super::query;
use super::revoke::not_found;
use super::schema;
use super::service::Service;
use super::store::{Place, Record};

/// Graph serves no page longer than this.
const LONGEST_PAGE: usize = 1_000;

/// What the properties of the tenant's own record are called here.
const ORGANIZATION: [&str; 3] = ["id", "displayName", "verifiedDomains"];

/// A read of a tenant.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) context: &'a Context,
    pub(super) now: Duration,
    pub(super) origin: &'a str,
    pub(super) tenant: u16,
    pub(super) query: &'a str,
}

/// Which page of a collection is asked for.
pub(super) struct Paging<'a> {
    /// The path below the version.
    segments: (&'a str, &'a str),
    top: usize,
    /// The position of the first thing that may be on it.
    pub(super) start: usize,
}

impl Look<'_> {
    /// The names in `$select`, all of them known.
    pub(super) fn select(&self, known: &[&str], type_name: &str) -> Result<Option<Vec<String>>, Answer> {
        let Some(select) = query::value(self.query, "$select") else {
            return Ok(None);
        };
        let names: Vec<String> = select.split(',').map(|name| name.trim().to_owned()).collect();
        match names.iter().find(|name| !known.contains(&name.as_str())) {
            None => Ok(Some(names)),
            Some(name) => Err(self.bad_request(&format!(
                "Parsing OData Select and Expand failed: Could not find a property named '{name}' on type '{type_name}'."
            ))),
        }
    }

    /// Refuses every system option but these.
    pub(super) fn only(&self, allowed: &[&str]) -> Result<(), Answer> {
        let unknown = query::pairs(self.query)
            .map(|(name, _)| name)
            .find(|name| name.starts_with('$') && !allowed.contains(&name.as_ref()));
        unknown.map_or(Ok(()), |name| Err(self.bad_request(&format!("The query option '{name}' is not supported here."))))
    }

    pub(super) fn bad_request(&self, message: &str) -> Answer {
        self.context.graph(400, "BadRequest", message)
    }

    /// Which page of this collection is asked for.
    pub(super) fn paging<'a>(&self, segments: (&'a str, &'a str), default: u32) -> Result<Paging<'a>, Answer> {
        let top = match query::value(self.query, "$top") {
            None => usize::try_from(default).unwrap_or(LONGEST_PAGE),
            Some(text) => text
                .parse::<usize>()
                .ok()
                .filter(|top| *top > 0)
                .ok_or_else(|| self.bad_request(&format!("Invalid value '{text}' for $top query option found.")))?,
        };
        let start = match query::value(self.query, "$skiptoken") {
            None => 0,
            Some(token) => unseal(&token, segments.1).ok_or_else(|| self.bad_request("Invalid skip token."))?,
        };
        Ok(Paging { segments, top: top.clamp(1, LONGEST_PAGE), start })
    }

    /// That page: as many things as fit, and where the next one begins. The things come with their positions.
    pub(super) fn page<T>(
        &self,
        paging: &Paging<'_>,
        mut listed: impl Iterator<Item = (usize, T)>,
        render: impl Fn(T) -> Map<String, Value>,
    ) -> Answer {
        let (area, name) = paging.segments;
        let values: Vec<Value> = listed.by_ref().take(paging.top).map(|(_, thing)| Value::from(render(thing))).collect();
        let mut body = Map::new();
        body.insert("@odata.context".to_owned(), json!(format!("{}/beta/$metadata#{area}/{name}", self.origin)));
        if let Some((next, _)) = listed.next() {
            // Writing to a string cannot fail.
            let mut link = format!("{}/beta/{area}/{name}?", self.origin);
            for (option, value) in query::pairs(self.query).filter(|(option, _)| option != "$skiptoken") {
                let _ = write!(link, "{option}={}&", query::encode(&value));
            }
            let _ = write!(link, "$skiptoken={}", seal(name, next));
            body.insert("@odata.nextLink".to_owned(), json!(link));
        }
        body.insert("value".to_owned(), Value::from(values));
        Answer::json(200, &Value::from(body))
    }
}

impl Service {
    /// A page of a collection.
    pub(super) fn list(&self, look: &Look<'_>, collection: Collection) -> Result<Answer, Answer> {
        look.only(&["$select", "$top", "$skiptoken"])?;
        let select = look.select(schema::properties(collection), collection.type_name())?;
        let paging = look.paging(collection.segments(), self.behaviour.page_size)?;
        let listed = self.store.from(look.tenant, collection, paging.start);
        let listed = listed.filter(|(_, _, record)| self.is_listed(record.id)).map(|(at, place, record)| (at, (place, record)));
        let render = |(place, record)| self.face(look, collection, place, record).render(select.as_deref());
        Ok(look.page(&paging, listed, render))
    }

    /// One object.
    pub(super) fn get(&self, look: &Look<'_>, collection: Collection, id: Uuid) -> Result<Answer, Answer> {
        look.only(&["$select"])?;
        let select = look.select(schema::properties(collection), collection.type_name())?;
        let found = self.store.place(look.tenant, collection, id);
        let (place, record) = found
            .and_then(|place| Some((place, self.store.known(place)?)))
            .ok_or_else(|| not_found(look.context, collection, id))?;
        let mut object = self.face(look, collection, place, record).render(select.as_deref());
        let (area, name) = collection.segments();
        let context = format!("{}/beta/$metadata#{area}/{name}/$entity", look.origin);
        object.insert("@odata.context".to_owned(), json!(context));
        Ok(Answer::json(200, &Value::from(object)))
    }

    /// The tenant's own record: a collection of one.
    pub(super) fn organization(&self, look: &Look<'_>) -> Result<Answer, Answer> {
        look.only(&["$select"])?;
        let select = look.select(&ORGANIZATION, "microsoft.graph.organization")?;
        let Some(tenant) = self.tenants.get(usize::from(look.tenant)) else {
            return Err(look.bad_request("No such tenant."));
        };
        let domains: Vec<Value> = tenant
            .domains
            .iter()
            .enumerate()
            .map(|(at, name)| {
                json!({
                    "capabilities": "Email",
                    "isDefault": at == 0,
                    "isInitial": name.ends_with(".onmicrosoft.com"),
                    "name": name,
                    "type": "Managed",
                })
            })
            .collect();
        let mut record = Map::from_iter([
            ("id".to_owned(), json!(tenant.id.to_string())),
            ("displayName".to_owned(), json!(format!("Simulated tenant {:08x}", tenant.id.as_fields().0))),
            ("verifiedDomains".to_owned(), Value::from(domains)),
        ]);
        if let Some(names) = select {
            record.retain(|name, _| names.contains(name));
        }
        let context = format!("{}/beta/$metadata#organization", look.origin);
        Ok(Answer::json(200, &json!({"@odata.context": context, "value": [record]})))
    }

    fn face<'a>(&'a self, look: &Look<'_>, collection: Collection, place: Place, record: &'a Record) -> Face<'a> {
        Face {
            seed: self.seed,
            behaviour: &self.behaviour,
            start: self.start,
            now: look.now,
            tenant: self.tenants.get(usize::from(look.tenant)).map_or(Uuid::nil(), |tenant| tenant.id),
            collection,
            record,
            actions: self.store.actions(place),
        }
    }

    fn is_listed(&self, id: Uuid) -> bool {
        !Dice::new(self.seed, Topic::Listing).about(id).chance(self.behaviour.shares.unlisted)
    }
}

/// Where the next page begins, in a form nobody is meant to read.
fn seal(collection: &str, position: usize) -> String {
    URL_SAFE_NO_PAD.encode(format!("{collection}:{position}"))
}

fn unseal(token: &str, collection: &str) -> Option<usize> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (name, position) = text.split_once(':')?;
    position.parse().ok().filter(|_| name == collection)
}
