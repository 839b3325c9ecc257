//! Reading `a=b&c=d`, in a query or a form, with percent signs and plus signs undone.

use std::borrow::Cow;

/// The pairs of a query or form, decoded, in order. A pair without `=` has an empty value.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// The first value of this name.
pub(super) fn value<'a>(text: &'a str, name: &str) -> Option<Cow<'a, str>> {
    pairs(text).find(|(found, _)| found == name).map(|(_, value)| value)
}

/// Undoes form encoding; what is not an escape stays as it is.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (nibble(*high), nibble(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    rest = after;
                }
                _ => bytes.push(b'%'),
            },
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(other),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Encodes one value so that it survives in a query: everything but letters, digits and `-._~,`.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~,".contains(&byte) {
            out.push(char::from(byte));
        } else {
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
            let at = out.len() - 2;
            out.insert(at, '%');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_dollar_is_a_dollar() {
        assert_eq!(value("%24top=5&%24select=id%2CdisplayName", "$select").unwrap(), "id,displayName");
    }

    #[test]
    fn a_plus_is_a_blank_and_a_stray_percent_stays() {
        assert_eq!(decode("a+b%2Bc%zz%"), "a b+c%zz%");
    }

    #[test]
    fn encoding_is_undone_by_decoding() {
        let text = "a b+c/ü=&$";
        assert_eq!(decode(&encode(text)), text);
        assert_eq!(encode("$/"), "%24%2F");
    }
}
