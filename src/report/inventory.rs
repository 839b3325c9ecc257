//! What a tenant has of a kind: a list that `run` takes, or lines for people. Written object by object.

use std::io::{self, Write};

use super::object::{DETAILS, details, line, lines};
use super::plain::plain;
use super::results::Value;
use super::sheet::{Form, Sheet};
use crate::model::{Kind, ObjectId, Snapshot, TenantRow};

/// The columns of the list.
fn names() -> Vec<&'static str> {
    ["kind", "id", "tenant"].into_iter().chain(DETAILS).collect()
}

/// Writes objects as they are read.
pub struct Inventory<W: Write> {
    kind: Kind,
    names: Vec<&'static str>,
    view: View<W>,
}

enum View<W: Write> {
    /// The lines go there, and this tenant is named already.
    Table(W, Option<String>),
    Sheet(Sheet<W>),
}

impl<W: Write> Inventory<W> {
    /// Begins it; of a list, the head is written.
    pub fn begin(out: W, form: Form, kind: Kind) -> io::Result<Self> {
        let names = names();
        let view = match form {
            Form::Table => View::Table(out, None),
            Form::Csv => View::Sheet(Sheet::csv(out, &names)?),
            Form::Json => View::Sheet(Sheet::Json(out)),
        };
        Ok(Self { kind, names, view })
    }

    /// Writes an object.
    pub fn object(&mut self, tenant: &TenantRow, id: ObjectId, shown: &Snapshot) -> io::Result<()> {
        let name = shown.name.as_deref();
        match &mut self.view {
            View::Table(out, named) => {
                if named.as_deref() != Some(&tenant.label) {
                    *named = Some(tenant.label.clone());
                    out.write_all(line(0, &format!("{}: {}", self.kind, plain(&tenant.label))).as_bytes())?;
                }
                out.write_all(lines(name, id, Some(shown)).as_bytes())
            }
            View::Sheet(sheet) => {
                let place = [Value::text(Some(self.kind.name())), Value::shown(Some(id)), Value::text(Some(&tenant.label))];
                let values: Vec<Value<'_>> = place.into_iter().chain(details(name, Some(shown))).collect();
                sheet.row(&self.names, &values)
            }
        }
    }

    /// Makes sure that all of it is written.
    pub fn finish(mut self) -> io::Result<()> {
        match &mut self.view {
            View::Table(out, _) => out.flush(),
            View::Sheet(sheet) => sheet.flush(),
        }
    }
}
