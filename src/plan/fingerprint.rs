//! The fingerprint of a sealed plan: the SHA-256 of what it holds, and a short form that can be read aloud. Pure.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// Digits and letters that cannot be taken for each other, in print or over a telephone: no I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Characters of the short form, five bits each, and how many stand together.
const SHORT: usize = 16;
const GROUP: usize = 4;

/// Digits of the full form.
const FULL: usize = 64;

/// What tells one plan from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn of(hash: Sha256) -> Self {
        Self(hash.finalize().into())
    }

    /// Its first 80 bits, as `K7QF-9M2X-0ABC-DEFG`.
    ///
    /// To find another plan with the short form of a given one takes 2^80 tries, which nobody has. Whoever makes the
    /// plan himself may look for any two that agree: that takes 2^40, which a determined maker has. A plan whose maker
    /// is not trusted is held against the full form.
    pub fn short(&self) -> String {
        let letters = self.letters();
        letters.as_bytes().chunks(GROUP).map(String::from_utf8_lossy).collect::<Vec<_>>().join("-")
    }

    fn letters(&self) -> String {
        let bits = self.0[..SHORT * 5 / 8].iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
        (0..SHORT).rev().map(|place| char::from(ALPHABET[(bits >> (5 * place) & 31) as usize])).collect()
    }
}

/// The full form.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The fingerprint that somebody says a plan has, in either form; case, spaces and dashes do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim(String);

/// The text is neither form of a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a fingerprint: give its 16 characters, such as K7QF-9M2X-0ABC-DEFG, or all 64 digits of the full form")]
pub struct NotAFingerprint;

impl Claim {
    /// Whether it is that one.
    pub fn fits(&self, fingerprint: &Fingerprint) -> bool {
        if self.0.len() == SHORT { self.0 == fingerprint.letters() } else { self.0 == fingerprint.to_string().to_uppercase() }
    }
}

impl FromStr for Claim {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let bare: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase()).collect();
        // What is not in the alphabet was heard or read as what it looks like.
        let bare = bare.replace('O', "0").replace(['I', 'L'], "1");
        let is_one = match bare.len() {
            SHORT => bare.bytes().all(|byte| ALPHABET.contains(&byte)),
            FULL => bare.bytes().all(|byte| byte.is_ascii_hexdigit()),
            _ => false,
        };
        if is_one { Ok(Self(bare)) } else { Err(NotAFingerprint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(text: &str) -> Fingerprint {
        Fingerprint::of(Sha256::new().chain_update(text))
    }

    #[test]
    fn the_short_form_is_the_beginning_of_the_full_one() {
        let empty = print("");
        assert!(empty.to_string().starts_with("e3b0c44298fc1c149afb"));
        assert_eq!(empty.short(), "WERC-8GMR-ZGE1-96QV");
    }

    #[test]
    fn either_form_is_understood_however_it_is_dressed() {
        let print = print("a plan");
        let (short, full) = (print.short(), print.to_string());
        let spoken = short.replace('-', " ").to_lowercase().replace('0', "o").replace('1', "l");
        for text in [&short, &full, &spoken, &short.replace('-', ""), &full.to_uppercase()] {
            assert!(text.parse::<Claim>().unwrap().fits(&print), "{text}");
        }
    }

    #[test]
    fn no_part_of_a_form_is_enough_and_no_other_one_fits() {
        let (print, other) = (print("a plan"), print("another"));
        let (short, full) = (print.short(), print.to_string());
        for text in ["", "K7QF", &short[..18], &full[1..], &full[..20], &format!("{full}0"), &short.replace(&short[..1], "U")] {
            assert_eq!(text.parse::<Claim>(), Err(NotAFingerprint), "{text}");
        }
        assert!(!short.parse::<Claim>().unwrap().fits(&other) && !full.parse::<Claim>().unwrap().fits(&other));
    }
}
