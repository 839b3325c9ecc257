//! The sealed plan: what was reviewed, in a file that nobody can change unnoticed. Pure.
//!
//! One line is its head, one each item, and the last one the fingerprint; together they are one JSON object. The
//! fingerprint is the SHA-256 of every line but the last, so that anybody can compute it: `sed '$d' plan.json | sha256sum`.
//! Each line must be just as this program writes it, so that nothing hides in what one reader sees and another does not.

use std::collections::HashSet;
use std::io::{self, BufRead, Write};

use sha2::{Digest as _, Sha256};

use super::fingerprint::{Claim, Fingerprint};
use super::sealed::{DRESSED, Flaw, PlanHead, PlanItem};
use crate::model::TenantId;

/// Around the fingerprint.
const END: [&str; 2] = ["],\"fingerprint\":\"", "\"}\n"];

/// Writes a plan, item by item.
#[derive(Debug)]
pub struct Sealer<W> {
    out: W,
    hash: Sha256,
    items: u64,
}

impl<W: Write> Sealer<W> {
    /// Begins a plan.
    ///
    /// # Errors
    /// If it cannot be written, here and below.
    pub fn new(out: W, head: &PlanHead) -> io::Result<Self> {
        let mut sealer = Self { out, hash: Sha256::new(), items: 0 };
        sealer.write(&head.text()?)?;
        Ok(sealer)
    }

    /// Adds an item.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, item: &PlanItem) -> io::Result<()> {
        let comma = if self.items > 0 { "," } else { "" };
        self.items += 1;
        self.write(&format!("{comma}{}\n", serde_json::to_string(item)?))
    }

    /// Ends it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn seal(mut self) -> io::Result<(W, Fingerprint)> {
        let fingerprint = Fingerprint::of(self.hash);
        let [before, after] = END;
        self.out.write_all(format!("{before}{fingerprint}{after}").as_bytes())?;
        Ok((self.out, fingerprint))
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.hash.update(text);
        self.out.write_all(text.as_bytes())
    }
}

/// A plan as far as it was read.
#[derive(Default)]
struct Reading {
    head: Option<PlanHead>,
    tenants: HashSet<TenantId>,
    lines: u64,
}

impl Reading {
    /// The item on the next line; none: that is the head.
    fn line(&mut self, line: &[u8]) -> Result<Option<PlanItem>, Flaw> {
        self.lines += 1;
        let text = str::from_utf8(line).map_err(|_| Flaw::Foreign)?;
        let Some(head) = &self.head else {
            let head = PlanHead::read(text)?;
            self.tenants = head.tenants.iter().map(|tenant| tenant.id).collect();
            self.head = Some(head);
            return Ok(None);
        };
        let malformed = |why: String| Flaw::Malformed { line: self.lines, why };
        // The head is line 1: items but the first begin with a comma.
        let bare = if self.lines > 2 { text.strip_prefix(',') } else { Some(text) };
        let bare = bare.and_then(|text| text.strip_suffix('\n')).ok_or(Flaw::Foreign)?;
        let item: PlanItem = serde_json::from_str(bare).map_err(|error| malformed(error.to_string()))?;
        let is_ours = serde_json::to_string(&item).is_ok_and(|text| text == bare);
        match item.flaw(head, &self.tenants).or((!is_ours).then_some(DRESSED)) {
            Some(why) => Err(malformed(why.to_owned())),
            None => Ok(Some(item)),
        }
    }
}

/// Reads a plan and hands out its items. That it is what it says is only known at its end.
///
/// # Errors
/// If it is not a plan, was changed, is not the one that is claimed; or the first error of `each`.
pub fn unseal<E: From<Flaw>>(
    mut reader: impl BufRead,
    claim: Option<&Claim>,
    mut each: impl FnMut(PlanItem) -> Result<(), E>,
) -> Result<(PlanHead, Fingerprint), E> {
    let (mut hash, mut line, mut reading, mut flaw) = (Sha256::new(), Vec::new(), Reading::default(), None);
    let said = loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(Flaw::from)? == 0 {
            return Err(Flaw::Foreign.into());
        }
        if let Some(said) = fingerprint(&line) {
            break said;
        }
        hash.update(&line);
        if flaw.is_none() {
            match reading.line(&line) {
                Ok(Some(item)) => each(item)?,
                Ok(None) => {}
                // Whether it was changed matters more than what it looks like since.
                Err(found) => flaw = Some(found),
            }
        }
    };
    let fingerprint = Fingerprint::of(hash);
    if said != fingerprint.to_string() || !reader.fill_buf().map_err(Flaw::from)?.is_empty() {
        return Err(Flaw::Changed.into());
    }
    if claim.is_some_and(|claim| !claim.fits(&fingerprint)) {
        return Err(Flaw::Another.into());
    }
    match (flaw, reading.head) {
        (Some(flaw), _) => Err(flaw.into()),
        (None, None) => Err(Flaw::Foreign.into()),
        (None, Some(head)) => Ok((head, fingerprint)),
    }
}

/// What the last line says.
fn fingerprint(line: &[u8]) -> Option<&str> {
    let [before, after] = END;
    str::from_utf8(line).ok()?.strip_prefix(before)?.trim_end().strip_suffix(after.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Expiry, Kind, Seen, Snapshot, SourceRow, TenantRow};

    const TENANT: &str = "9ceb2f92-2f92-9ceb-922f-eb9c922feb9c";

    fn head() -> PlanHead {
        let made_at = "2026-06-01T12:00:00Z".parse().unwrap();
        PlanHead {
            tool: "0.1.0".into(),
            made_by: "ops".into(),
            made_at,
            expires_at: PlanHead::expiry(made_at),
            job: "kiosks".into(),
            ticket: Some("CHG-1".into()),
            justification: None,
            allow_reissued: false,
            again: false,
            root: "https://graph.example".into(),
            authority: "https://login.example".into(),
            tenants: vec![TenantRow { id: TENANT.parse().unwrap(), label: "contoso".into(), app: "app".into() }],
            sources: vec![SourceRow { name: "list.csv".into(), columns: vec!["id".into(), "note".into()] }],
        }
    }

    /// An Android profile, or an Apple token.
    fn item(line: u32, kind: Kind) -> PlanItem {
        let android = Seen::Android { expiry: Expiry::read(Some("2026-07-01T00:00:00Z")), created: None };
        let is_vpp = kind == Kind::VppToken;
        let seen = if is_vpp { Seen::Vpp { identity: [None, None, None], actions: vec![] } } else { android };
        let [notify_managed_devices, revoke_untracked_licenses] = PlanItem::options(kind, crate::model::VppOptions::default());
        PlanItem {
            tenant: TENANT.parse().unwrap(),
            kind,
            id: format!("9dfb369b-ab13-4fae-a276-{line:012}").parse().unwrap(),
            notify_managed_devices,
            revoke_untracked_licenses,
            source: 0,
            line,
            cells: vec!["two\nlines".into(), "\u{20ac}, \"'".into()],
            pin: Snapshot { date: None, name: Some("n".into()), seen, about: None },
        }
    }

    fn items() -> [PlanItem; 3] {
        [item(2, Kind::AndroidForWork), item(3, Kind::VppToken), item(4, Kind::AndroidDeviceOwner)]
    }

    fn saved() -> (String, Fingerprint) {
        let mut sealer = Sealer::new(Vec::new(), &head()).unwrap();
        for item in items() {
            sealer.add(&item).unwrap();
        }
        let (bytes, fingerprint) = sealer.seal().unwrap();
        (String::from_utf8(bytes).unwrap(), fingerprint)
    }

    /// As whoever changes a plan makes it look whole.
    fn sealed_anew(text: &str) -> String {
        let lines = text.rfind(END[0]).unwrap();
        let fingerprint = Fingerprint::of(Sha256::new().chain_update(&text[..lines]));
        format!("{}{}{fingerprint}{}", &text[..lines], END[0], END[1])
    }

    fn flaw(text: &str) -> Flaw {
        unseal::<Flaw>(text.as_bytes(), None, |_| Ok(())).unwrap_err()
    }

    #[test]
    fn what_was_saved_is_what_is_read_and_is_json() {
        let (text, fingerprint) = saved();
        let mut read = Vec::new();
        let claim = fingerprint.short().parse().unwrap();
        let each = |item| -> Result<(), Flaw> {
            read.push(item);
            Ok(())
        };
        assert_eq!(unseal(text.as_bytes(), Some(&claim), each).unwrap(), (head(), fingerprint));
        assert_eq!(read, items());
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((json["items"].as_array().unwrap().len(), &json["job"]), (3, &"kiosks".into()));
        assert_eq!(sealed_anew(&text), text);
        let other = "0000-0000-0000-0000".parse().unwrap();
        assert!(matches!(unseal::<Flaw>(text.as_bytes(), Some(&other), |_| Ok(())), Err(Flaw::Another)));
    }

    /// Changes of a plan, and whether one that is sealed anew after them is a plan.
    const CHANGES: [(&str, &str, bool); 17] = [
        ("-000000000002\"", "-000000000009\"", true),
        ("\"notify_managed_devices\":false", "\"notify_managed_devices\":true", true),
        ("\"again\":false", "\"again\":true", true),
        ("2026-06-02T12", "2026-06-03T12", true),
        ("2026-07-01T00", "2026-07-02T00", true),
        ("\"app\":\"app\"", "\"app\":\"other\"", true),
        ("\"again\":false", "\"again\":false,\"again\":true", false),
        ("\"again\":false", "\"again\":false,\"more\":1", false),
        ("\"source\":0", "\"source\":0,\"source\":0", false),
        ("\"source\":0", "\"source\":0,\"more\":1", false),
        ("\"actions\":[]", "\"actions\":[],\"more\":1", false),
        ("\"source\":0", "\"source\": 0", false),
        ("\"source\":0", "\"source\":1", false),
        ("9dfb369b", "9DFB369B", false),
        (",\"revoke_untracked_licenses\":false", "", false),
        ("\"kind\":\"vppToken\"", "\"kind\":\"androidForWorkEnrollmentProfile\"", false),
        ("{\"tenant\":\"9ceb2f92", "{\"tenant\":\"8ceb2f92", false),
    ];

    #[test]
    fn every_change_is_noticed_and_what_hides_something_is_no_plan_whoever_sealed_it() {
        let (text, _) = saved();
        for (from, to, is_plan) in CHANGES {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            assert!(matches!(flaw(&changed), Flaw::Changed), "{to}");
            let read = unseal::<Flaw>(sealed_anew(&changed).as_bytes(), None, |_| Ok(()));
            assert!(read.is_ok() == is_plan, "{to}: {read:?}");
            assert!(is_plan || matches!(read, Err(Flaw::Malformed { .. })), "{to}: {read:?}");
        }
    }

    #[test]
    fn items_that_come_or_go_are_noticed() {
        let (text, _) = saved();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for order in [&[0, 1, 3, 4][..], &[0, 1, 2, 2, 3, 4], &[0, 1, 3, 2, 4], &[0, 4], &[0, 1, 2, 3, 4, 4]] {
            let changed: String = order.iter().map(|line| lines[*line]).collect();
            assert!(matches!(flaw(&changed), Flaw::Changed), "{order:?}");
        }
        assert!(matches!(flaw(&text.replace('\n', "\r\n")), Flaw::Changed));
        for end in 0..lines.len() {
            assert!(matches!(flaw(&lines[..end].concat()), Flaw::Foreign), "cut after {end}");
        }
    }

    #[test]
    fn what_is_no_plan_of_this_version_is_none() {
        let (text, _) = saved();
        assert!(matches!(flaw(&sealed_anew(&text.replace("plan\":1", "plan\":2"))), Flaw::Version));
        assert!(matches!(flaw(&sealed_anew(&text.replace("bulk_revoke_plan", "plan"))), Flaw::Foreign));
        assert!(matches!(flaw(&sealed_anew(END[0])), Flaw::Foreign));
        for text in ["", "kind,id\n", "{}", "\u{feff}"] {
            assert!(matches!(flaw(text), Flaw::Foreign), "{text}");
        }
    }

    #[test]
    fn a_plan_is_due_for_a_day_and_no_longer_whatever_it_says() {
        let due = |head: PlanHead, now: &str| head.is_due(now.parse().unwrap());
        for now in ["2026-06-01T11:55:00Z", "2026-06-01T12:00:00Z", "2026-06-02T11:59:59Z"] {
            assert!(due(head(), now).is_ok(), "{now}");
        }
        assert!(matches!(due(head(), "2026-06-01T11:54:59Z"), Err(Flaw::Early(_))));
        assert!(matches!(due(head(), "2026-06-02T12:00:00Z"), Err(Flaw::Expired(_))));
        let forever = PlanHead { expires_at: "2099-01-01T00:00:00Z".parse().unwrap(), ..head() };
        assert!(matches!(due(forever, "2026-06-02T12:00:00Z"), Err(Flaw::Expired(_))));
        let brief = PlanHead { expires_at: "2026-06-01T13:00:00Z".parse().unwrap(), ..head() };
        assert!(matches!(due(brief, "2026-06-01T13:00:00Z"), Err(Flaw::Expired(_))));
    }

    #[test]
    fn a_plan_is_for_the_service_that_it_was_made_for() {
        assert!(head().is_for("https://graph.example", "https://login.example").is_ok());
        assert!(head().is_for("https://graph.example/", "https://login.example").is_err());
        assert!(head().is_for("https://graph.example", "https://login.other").is_err());
    }
}
