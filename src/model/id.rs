//! Ids of objects and tenants: GUIDs and nothing else, so nothing from a list reaches a URL unchecked.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The text is not a GUID such as `9ceb2f92-2f92-9ceb-922f-eb9c922feb9c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a GUID")]
pub struct NotAGuid;

/// Reads the hyphenated form, with the braces, quotes and spaces that Excel and PowerShell put around it.
fn parse(text: &str) -> Result<Uuid, NotAGuid> {
    let bare = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\u{feff}'));
    let bare = bare.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(bare).trim();
    // `Uuid` also reads 32 bare digits and URNs; a list that holds those was not written for us.
    if bare.len() != 36 {
        return Err(NotAGuid);
    }
    Uuid::try_parse(bare).map_err(|_| NotAGuid)
}

macro_rules! guid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl FromStr for $name {
            type Err = NotAGuid;
            fn from_str(text: &str) -> Result<Self, NotAGuid> {
                parse(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
    };
}

guid! {
    /// The id of an object that can be revoked.
    ObjectId
}
guid! {
    /// The id of an Entra tenant; names and domains are resolved to it before anything else happens.
    TenantId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dressed_up_guids_are_one_id() {
        let plain: ObjectId = "9dfb369b-ab13-4fae-a276-55daa05f1119".parse().unwrap();
        for text in [
            " {9DFB369B-AB13-4FAE-A276-55DAA05F1119} ",
            "\u{a0}9dfb369b-ab13-4fae-a276-55daa05f1119",
            "\"9DFB369B-ab13-4fae-a276-55daa05f1119\"",
        ] {
            assert_eq!(text.parse::<ObjectId>().unwrap(), plain);
        }
        assert_eq!(plain.to_string(), "9dfb369b-ab13-4fae-a276-55daa05f1119");
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "not-a-guid",
            "../../users/98daa4bf-7559-4f89-b3fb-95ee22432045",
            "9dfb369bab134faea27655daa05f1119",
            "urn:uuid:9dfb369b-ab13-4fae-a276-55daa05f1119",
            "9dfb369b-ab13-4fae-a276-55daa05f111g",
            "{9dfb369b-ab13-4fae-a276-55daa05f1119",
            "9dfb369b-ab13-4fae-a276-55daa05f1119?",
        ] {
            assert_eq!(text.parse::<ObjectId>(), Err(NotAGuid), "{text}");
        }
    }
}
