//! What the columns of a list are for, told by their names; or what is wrong with them.

use crate::model::{Kind, ObjectId, is_result_column, is_secret_column};

/// Columns that are the id, folded; those that name a kind are [`Kind::of_id_column`]'s.
const ID: [&str; 5] = ["id", "profileid", "tokenid", "enrollmentprofileid", "objectid"];
/// Columns that name the kind, folded.
const KIND: [&str; 3] = ["kind", "type", "@odata.type"];
/// Columns that name the tenant, folded.
const TENANT: [&str; 2] = ["tenant", "tenantid"];
/// The options of VPP tokens, folded.
const NOTIFY: [&str; 1] = ["notifymanageddevices"];
/// The options of VPP tokens, folded.
const UNTRACKED: [&str; 1] = ["revokeuntrackedlicenses"];
/// Column names that a message lists at most.
const NAMES_SHOWN: usize = 20;

/// The columns of a list by what they are for; numbers are positions in the row as read.
#[derive(Debug, Default)]
pub(super) struct Columns {
    /// How many there are.
    pub width: usize,
    pub id: Id,
    pub kind: Option<usize>,
    pub tenant: Option<usize>,
    pub notify: Option<usize>,
    pub untracked: Option<usize>,
    /// The columns that a report added and that are read again.
    pub result: Results,
    /// Whether a report wrote the list.
    pub report: bool,
    /// The columns that the report carries: all but those of an earlier report.
    pub carried: Vec<Carried>,
}

/// Where the id of a row stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id {
    pub at: usize,
    /// The id as an earlier report understood it, where that could be another one.
    pub also: Option<usize>,
}

/// What is read of the columns of an earlier report.
#[derive(Debug, Default)]
pub(super) struct Results {
    pub status: Option<usize>,
    pub kind: Option<usize>,
    pub tenant: Option<usize>,
}

/// A column that goes into the report.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Carried {
    pub at: usize,
    /// Whether its values are replaced on reading.
    pub secret: bool,
}

impl Columns {
    /// The one column of a list without a header.
    pub(super) fn bare() -> Self {
        Self { width: 1, id: Id { at: 0, also: None }, carried: vec![Carried { at: 0, secret: false }], ..Self::default() }
    }

    /// Finds out what each column is for, or says everything that is wrong with them.
    pub(super) fn of(names: &[String], id_column: Option<&str>) -> Result<Self, Vec<String>> {
        let header = Header::of(names);
        let mut wrong = Vec::new();
        let id = header.id(id_column).map_err(|message| wrong.push(message));
        let mut one = |what: &str, known: &[&str]| {
            header.at_most_one(what, known).unwrap_or_else(|message| {
                wrong.push(message);
                None
            })
        };
        let (kind, tenant) = (one("kind", &KIND), one("tenant", &TENANT));
        let (notify, untracked) = (one("option", &NOTIFY), one("option", &UNTRACKED));
        let Ok(id) = id else { return Err(wrong) };
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let carried = (0..names.len()).filter(|at| !is_result_column(&names[*at]));
        Ok(Self {
            width: names.len(),
            id,
            kind,
            tenant,
            notify,
            untracked,
            result: Results {
                status: header.result("result_status"),
                kind: header.result("result_kind"),
                tenant: header.result("result_tenant"),
            },
            report: names.iter().any(|name| is_result_column(name)),
            carried: carried.map(|at| Carried { at, secret: is_secret_column(&header.names[at]) }).collect(),
        })
    }
}

/// Whether a header makes the id findable, if perhaps in two ways.
pub(super) fn has_id(names: &[String], id_column: Option<&str>) -> bool {
    let header = Header::of(names);
    match id_column {
        Some(name) => !header.named(name).is_empty(),
        None => !header.ids().is_empty() || header.result("result_id").is_some(),
    }
}

/// Whether a cell can only be an id, never a column's name.
pub(super) fn is_id_text(cell: &str) -> bool {
    cell.parse::<ObjectId>().is_ok()
}

/// The names of a list's columns, and the same folded.
struct Header<'a> {
    names: &'a [String],
    folded: Vec<String>,
}

impl<'a> Header<'a> {
    fn of(names: &'a [String]) -> Self {
        Self { names, folded: names.iter().map(|name| Kind::fold(name)).collect() }
    }

    /// The columns that a report carries and whose folded name is wanted.
    fn own(&self, wanted: impl Fn(&str) -> bool) -> Vec<usize> {
        (0..self.names.len()).filter(|at| !is_result_column(&self.names[*at]) && wanted(&self.folded[*at])).collect()
    }

    fn ids(&self) -> Vec<usize> {
        self.own(|name| ID.contains(&name) || Kind::of_id_column(name).is_some())
    }

    fn named(&self, name: &str) -> Vec<usize> {
        let wanted = Kind::fold(name);
        (0..self.names.len()).filter(|at| self.folded[*at] == wanted).collect()
    }

    fn result(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|own| own.trim().eq_ignore_ascii_case(name))
    }

    fn id(&self, id_column: Option<&str>) -> Result<Id, String> {
        let result = self.result("result_id");
        match id_column {
            None => match (self.ids().as_slice(), result) {
                ([at], also) => Ok(Id { at: *at, also }),
                // A report knows which of its columns was the id, or where it came from.
                (_, Some(at)) => Ok(Id { at, also: None }),
                ([], None) => {
                    Err(format!("no column is the id{}; name one of these with --id-column: {}", self.guess(), self.list()))
                }
                (several, None) => Err(format!("{} could each be the id: say which with --id-column", self.quote(several))),
            },
            Some(name) => match self.named(name).as_slice() {
                [] => Err(format!("no column is named {name:?}; name one of these with --id-column: {}", self.list())),
                [at] if is_secret_column(&self.names[*at]) => {
                    Err(format!("{:?} holds secrets and cannot be the id: name another column with --id-column", self.names[*at]))
                }
                [at] => Ok(Id { at: *at, also: None }),
                several => Err(format!("{} are each meant by --id-column {name:?}: rename all but one", self.quote(several))),
            },
        }
    }

    fn at_most_one(&self, what: &str, known: &[&str]) -> Result<Option<usize>, String> {
        match self.own(|name| known.contains(&name)).as_slice() {
            [] => Ok(None),
            [at] => Ok(Some(*at)),
            several => Err(format!("{} could each be the {what}: rename all but one", self.quote(several))),
        }
    }

    fn guess(&self) -> &'static str {
        if self.names.iter().any(|name| is_id_text(name)) {
            " (this row holds an id already: is the header missing?)"
        } else {
            ""
        }
    }

    fn quote(&self, columns: &[usize]) -> String {
        let names = columns.iter().map(|at| format!("{:?} (column {})", self.names[*at], at + 1));
        names.collect::<Vec<_>>().join(" and ")
    }

    fn list(&self) -> String {
        let filled = self.names.iter().filter(|name| !name.trim().is_empty());
        let mut names: Vec<String> = filled.clone().take(NAMES_SHOWN).map(|name| format!("{name:?}")).collect();
        match filled.count().saturating_sub(NAMES_SHOWN) {
            0 => {}
            more => names.push(format!("and {more} more")),
        }
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(header: &str) -> Vec<String> {
        header.split(',').map(str::to_owned).collect()
    }

    fn columns(header: &str) -> Columns {
        Columns::of(&names(header), None).unwrap()
    }

    fn wrong(header: &str, id_column: Option<&str>) -> String {
        Columns::of(&names(header), id_column).unwrap_err().join("\n")
    }

    #[test]
    fn columns_are_found_in_any_dress() {
        let found = columns("Tenant ID,@odata.type,Notify-Managed Devices,REVOKE_UNTRACKED_LICENSES, Profile_Id ");
        assert_eq!((found.tenant, found.kind, found.notify, found.untracked), (Some(0), Some(1), Some(2), Some(3)));
        assert_eq!(found.id, Id { at: 4, also: None });
        for id in ["id", "tokenId", "vppTokenId", "Object ID", "AndroidDeviceOwnerEnrollmentProfileId", "enrollmentProfileId"] {
            assert_eq!(columns(id).id, Id { at: 0, also: None }, "{id}");
        }
    }

    #[test]
    fn a_missing_id_names_what_is_there() {
        assert_eq!(wrong("Name,Owner", None), "no column is the id; name one of these with --id-column: \"Name\", \"Owner\"");
        assert!(wrong("x,9dfb369b-ab13-4fae-a276-55daa05f1119", None).contains("is the header missing?"));
        assert!(wrong("id,Owner", Some("gone")).starts_with("no column is named \"gone\""));
    }

    #[test]
    fn everything_that_could_be_two_things_is_named_at_once() {
        let message = wrong("id,tokenId,kind,Type,tenant,tenantId", None);
        assert!(
            message.contains("\"id\" (column 1) and \"tokenId\" (column 2) could each be the id: say which with --id-column")
        );
        assert!(message.contains("\"kind\" (column 3) and \"Type\" (column 4) could each be the kind"));
        assert!(message.contains("\"tenant\" (column 5) and \"tenantId\" (column 6) could each be the tenant"));
        assert!(wrong("id,ID", Some("id")).contains("rename all but one"));
        assert!(wrong("id,Token", Some("token")).contains("holds secrets"));
    }

    #[test]
    fn a_report_is_read_as_the_list_it_was() {
        let found = columns("id,note,result_kind,result_tenant,result_id,Result_Status,result_code");
        assert_eq!(found.id, Id { at: 0, also: Some(4) });
        assert_eq!((found.result.kind, found.result.tenant, found.result.status), (Some(2), Some(3), Some(5)));
        assert_eq!(found.carried.iter().map(|column| column.at).collect::<Vec<_>>(), [0, 1, 6], "result_code is not ours");
        assert_eq!(columns("id,tokenId,result_id").id, Id { at: 2, also: None }, "result_id settles what would be two");
        assert_eq!(columns("Device,result_id").id, Id { at: 1, also: None });
    }

    #[test]
    fn secrets_are_known_by_name() {
        let found = columns("id,Token Value,QrCodeContent,qr_code_image,WifiPassword,token,tokenName");
        let secret: Vec<bool> = found.carried.iter().map(|column| column.secret).collect();
        assert_eq!(secret, [false, true, true, true, true, true, false]);
    }
}
