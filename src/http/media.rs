//! What a request's body says it is: its type, and its content codings (RFC 9110, 8.4). What a
//! client compressed is decoded here, to no more bytes than any other body may have.

use std::io::Read;

use actix_web::HttpRequest;
use actix_web::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use bytes::Bytes;

use crate::base::{Error, Kind};

/// The codings that a client may use, as a refusal lists them.
const ACCEPTED: &str = "gzip, deflate, zstd, br";

/// Nobody compresses a body more often than this.
const MOST: usize = 4;

/// The largest window of a zstd frame, as a power of two: 8 MB, the most that a sender may use for
/// HTTP (RFC 9659, 3).
const ZSTD_WINDOW: u32 = 23;

/// So much is decoded before it is asked whether more may be held.
const STEP_BYTES: u64 = 256 << 10;

/// What brotli reads at a time, in bytes.
const BROTLI_BUFFER: usize = 16 << 10;

/// A way in which a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    /// The zlib format (RFC 1950), or the bare one (RFC 1951) that many send in its place.
    Deflate,
    Zstd,
    Brotli,
}

/// The codings of a body that has to be JSON.
///
/// # Errors
/// [`Kind::UnsupportedMedia`] for another type, or a coding that is not known.
pub fn codings_of_json(request: &HttpRequest) -> Result<Vec<Coding>, Error> {
    must_be_json(&|name| request.headers().get(name))?;
    let names = request.headers().get_all(CONTENT_ENCODING);
    named(names.map(|value| value.to_str().unwrap_or("?")))
}

/// A body that is there says that it is JSON, or says nothing.
fn must_be_json<'a>(header: &dyn Fn(HeaderName) -> Option<&'a HeaderValue>) -> Result<(), Error> {
    let empty = match header(CONTENT_LENGTH) {
        Some(length) => length == "0",
        None => header(TRANSFER_ENCODING).is_none(),
    };
    let Some(said) = header(CONTENT_TYPE).filter(|_| !empty) else { return Ok(()) };
    let said = said.to_str().unwrap_or("?");
    let media = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // RFC 8259, 11; the suffix is of types that are JSON underneath (RFC 6839, 3.1).
    if matches!(&*media, "" | "application/json" | "text/json") || media.ends_with("+json") {
        return Ok(());
    }
    let shown: String = said.chars().filter(|one| !one.is_control()).take(80).collect();
    let text = format!(
        "The content type '{shown}' is not supported: the body has to be JSON. Send the header \
         'Content-Type: application/json'."
    );
    Err(Error::new(Kind::UnsupportedMedia, text).coded("unsupported_content_type"))
}

/// The codings that `Content-Encoding` names, in the order in which they were applied.
///
/// # Errors
/// [`Kind::UnsupportedMedia`] for one that is not known.
fn named<'a>(header: impl Iterator<Item = &'a str>) -> Result<Vec<Coding>, Error> {
    let mut all = Vec::new();
    for name in header.flat_map(|value| value.split(',')).map(str::trim) {
        all.push(match name.to_ascii_lowercase().as_str() {
            "" | "identity" => continue,
            "gzip" | "x-gzip" => Coding::Gzip,
            "deflate" => Coding::Deflate,
            "zstd" => Coding::Zstd,
            "br" => Coding::Brotli,
            _ => {
                let shown: String = name.chars().take(40).collect();
                return Err(unsupported(format!(
                    "The content encoding '{shown}' is not supported. Send the body as it is, or \
                     in one of: {ACCEPTED}."
                )));
            }
        });
    }
    if all.len() > MOST {
        return Err(unsupported(format!("A body may be encoded at most {MOST} times.")));
    }
    Ok(all)
}

fn unsupported(text: String) -> Error {
    Error::new(Kind::UnsupportedMedia, text).coded("unsupported_content_encoding")
}

/// Asked whether so many bytes may be held, in all.
type Cover<'a> = &'a mut dyn FnMut(usize) -> Result<(), Error>;

/// The body as it was before it was encoded. What it grows to is asked of `cover` on the way.
///
/// # Errors
/// [`Kind::TooLarge`] beyond `limit_bytes`, [`Kind::Malformed`] for one that is not what its header
/// says, and those of `cover`.
pub fn decoded(
    mut body: Bytes,
    codings: &[Coding],
    limit_bytes: usize,
    cover: Cover<'_>,
) -> Result<Bytes, Error> {
    for coding in codings.iter().rev() {
        body = one(&body, *coding, limit_bytes, cover)?;
    }
    Ok(body)
}

fn one(body: &[u8], coding: Coding, limit_bytes: usize, cover: Cover<'_>) -> Result<Bytes, Error> {
    let broken = |why: std::io::Error| {
        let name = match coding {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
        };
        let text = format!("The request body is not whole or not encoded as '{name}': {why}.");
        Error::new(Kind::Malformed, text).coded("invalid_content_encoding")
    };
    match coding {
        Coding::Gzip => read(flate2::read::MultiGzDecoder::new(body), limit_bytes, cover, broken),
        Coding::Deflate if has_zlib_head(body) => {
            read(flate2::read::ZlibDecoder::new(body), limit_bytes, cover, broken)
        }
        Coding::Deflate => {
            read(flate2::read::DeflateDecoder::new(body), limit_bytes, cover, broken)
        }
        Coding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW).map_err(broken)?;
            read(decoder, limit_bytes, cover, broken)
        }
        Coding::Brotli => {
            let decoder = brotli_decompressor::Decompressor::new(body, BROTLI_BUFFER);
            read(decoder, limit_bytes, cover, broken)
        }
    }
}

/// RFC 1950, 2.2: the method is 8, and the first two bytes are a multiple of 31.
fn has_zlib_head(body: &[u8]) -> bool {
    match body {
        [first, second, ..] => {
            first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31)
        }
        _ => false,
    }
}

fn read(
    mut decoder: impl Read,
    limit_bytes: usize,
    cover: Cover<'_>,
    broken: impl Fn(std::io::Error) -> Error,
) -> Result<Bytes, Error> {
    let mut out = Vec::new();
    loop {
        let before = out.len();
        decoder.by_ref().take(STEP_BYTES).read_to_end(&mut out).map_err(&broken)?;
        if out.len() == before {
            return Ok(Bytes::from(out));
        }
        if out.len() > limit_bytes {
            return Err(Error::body_too_large(limit_bytes));
        }
        cover(out.len())?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// What comes of text in each coding.
    fn encoded(coding: Coding, text: &[u8]) -> Vec<u8> {
        match coding {
            Coding::Gzip => {
                let mut out =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(text).unwrap();
                out.finish().unwrap()
            }
            Coding::Deflate => {
                let mut out =
                    flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(text).unwrap();
                out.finish().unwrap()
            }
            Coding::Zstd => zstd::stream::encode_all(text, 1).unwrap(),
            // One stored piece: the header of a meta-block that is not compressed (RFC 7932, 9.2).
            Coding::Brotli => stored_brotli(text),
        }
    }

    /// A brotli stream without compression: at most 65,536 bytes.
    fn stored_brotli(text: &[u8]) -> Vec<u8> {
        // WBITS = 16 (one bit 0), ISLAST = 0, MNIBBLES = 4 (two bits 0), MLEN − 1 in 16 bits,
        // ISUNCOMPRESSED = 1, then padding; at the end a last, empty meta-block (bits 1, 1).
        let length = u32::try_from(text.len() - 1).unwrap();
        let head = (length << 4) | (1 << 20);
        let mut out = head.to_le_bytes()[..3].to_vec();
        out.extend_from_slice(text);
        out.push(0b11);
        out
    }

    const ALL: [(&str, Coding); 4] = [
        ("gzip", Coding::Gzip),
        ("deflate", Coding::Deflate),
        ("zstd", Coding::Zstd),
        ("br", Coding::Brotli),
    ];

    #[test]
    fn every_coding_gives_the_text_again_and_never_more_than_the_limit() {
        let text = "{\"a\":\"é\"}".repeat(500).into_bytes();
        for (name, coding) in ALL {
            let body = Bytes::from(encoded(coding, &text));
            let codings = named(std::iter::once(name)).unwrap();
            assert_eq!(codings, [coding]);
            assert_eq!(
                decoded(body.clone(), &codings, text.len(), &mut |_| Ok(())).unwrap(),
                text,
                "{name}"
            );
            let large =
                decoded(body.clone(), &codings, text.len() - 1, &mut |_| Ok(())).unwrap_err();
            assert_eq!(large.kind, Kind::TooLarge, "{name}");
            let cut = decoded(body.slice(..body.len() / 2), &codings, text.len(), &mut |_| Ok(()))
                .unwrap_err();
            assert_eq!(cut.kind, Kind::Malformed, "{name}");
            let plain = decoded(Bytes::from_static(b"{\"a\":1}"), &codings, 100, &mut |_| Ok(()))
                .unwrap_err();
            assert_eq!(plain.kind, Kind::Malformed, "{name}");
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        for (name, coding) in ALL.into_iter().filter(|(_, coding)| *coding != Coding::Brotli) {
            let bomb = encoded(coding, &vec![b' '; 64 << 20]);
            assert!(bomb.len() < 512 << 10, "{name}: {}", bomb.len());
            let refused =
                decoded(Bytes::from(bomb), &[coding], 1 << 20, &mut |_| Ok(())).unwrap_err();
            assert_eq!(refused.kind, Kind::TooLarge, "{name}");
        }
    }

    #[test]
    fn codings_are_undone_from_the_last_to_the_first() {
        let text = b"{\"model\":\"m\"}".as_slice();
        let twice = encoded(Coding::Zstd, &encoded(Coding::Gzip, text));
        let codings = named(["gzip, identity", " ZSTD"].into_iter()).unwrap();
        assert_eq!(decoded(Bytes::from(twice), &codings, 1_000, &mut |_| Ok(())).unwrap(), text);
        // The bare format, under the name of the other.
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        bare.write_all(text).unwrap();
        let bare = Bytes::from(bare.finish().unwrap());
        assert_eq!(decoded(bare, &[Coding::Deflate], 1_000, &mut |_| Ok(())).unwrap(), text);
    }

    #[test]
    fn json_is_taken_under_all_its_names_and_nothing_else() {
        let ask = |media: &str, length: &'static str| {
            let media = HeaderValue::from_str(media).unwrap();
            let length = HeaderValue::from_static(length);
            must_be_json(&|name| match name {
                CONTENT_TYPE => Some(&media),
                CONTENT_LENGTH => Some(&length),
                _ => None,
            })
        };
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/vnd.api+json",
            "text/json",
            "",
        ] {
            assert!(ask(good, "5").is_ok(), "{good}");
        }
        for other in [
            "application/x-www-form-urlencoded",
            "text/plain",
            "multipart/form-data; boundary=x",
            "application/jsonl",
        ] {
            let refused = ask(other, "5").unwrap_err();
            assert_eq!(refused.kind, Kind::UnsupportedMedia, "{other}");
            assert!(refused.public.contains("application/json"), "{other}");
            assert!(ask(other, "0").is_ok(), "{other}: there is no body");
        }
        assert!(must_be_json(&|_| None).is_ok());
    }

    #[test]
    fn what_is_not_known_is_named() {
        for name in ["compress", "snappy", "gzip;q=1"] {
            let refused = named(std::iter::once(name)).unwrap_err();
            assert_eq!(refused.kind, Kind::UnsupportedMedia);
            assert!(refused.public.contains(name) && refused.public.contains(ACCEPTED));
        }
        assert!(named(std::iter::repeat_n("gzip", 5)).is_err());
    }
}
