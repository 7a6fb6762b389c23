//! Pages are many lines that say nearly the same: packed, they cost the store a sixth of the bytes,
//! and bytes are what writing one costs.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

/// What a packed page begins with. A line begins with a hexadecimal digit.
const MARK: &str = "lz4:";
/// More than a page of the journal can hold. Whatever else a row says, it is not believed.
const MOST_BYTES: usize = 64 << 20;

/// The text of a page, as the store keeps it: columns are text in every store.
pub(super) fn packed(text: &str) -> String {
    let mut packed = String::from(MARK);
    BASE64.encode_string(lz4_flex::compress_prepend_size(text.as_bytes()), &mut packed);
    packed
}

/// The text of a page, packed or from before pages were.
///
/// # Errors
/// When it is neither.
pub(super) fn unpacked(kept: String) -> Result<String, sqlx::Error> {
    let Some(packed) = kept.strip_prefix(MARK) else { return Ok(kept) };
    text(packed).map_err(|why| sqlx::Error::ColumnDecode {
        index: "body".to_owned(),
        source: why.into_owned().into(),
    })
}

fn text(packed: &str) -> Result<String, Cow<'static, str>> {
    let bytes = BASE64.decode(packed).map_err(|why| why.to_string())?;
    let (size, block) =
        lz4_flex::block::uncompressed_size(&bytes).map_err(|why| why.to_string())?;
    if size > MOST_BYTES {
        return Err("the page says it is larger than any".into());
    }
    let bytes = lz4_flex::decompress(block, size).map_err(|why| why.to_string())?;
    String::from_utf8(bytes).map_err(|why| why.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_there_again_and_smaller() {
        let line = r#"0a906001 {"id":"req_7420a1bb71ac00e6667d","account":"acct_a","credits":1}"#;
        let page = format!("{line}\n").repeat(100);
        let kept = packed(&page);
        assert!(kept.len() * 10 < page.len(), "{} of {}", kept.len(), page.len());
        assert_eq!(unpacked(kept).unwrap(), page);
        assert_eq!(unpacked(packed("")).unwrap(), "");
        assert_eq!(unpacked(page.clone()).unwrap(), page);
    }

    #[test]
    fn a_damaged_page_is_an_error() {
        let kept = packed("some text some text some text");
        for damaged in [&kept[..kept.len() - 3], "lz4:", "lz4:////////AAAA", "lz4:é"] {
            assert!(unpacked(damaged.to_owned()).is_err(), "{damaged}");
        }
    }
}
